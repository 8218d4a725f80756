"""Every figure is written for whatever was measured, can be read, and shows the findings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from depthprune.analysis import options
from depthprune.analysis.combinations import RankedCombinations
from depthprune.analysis.drop_table import drop_table
from depthprune.analysis.findings import Analysis, find
from depthprune.analysis.intervals import Interval
from depthprune.analysis.recommend import recommend
from depthprune.analysis.result_set import ResultSet, SplitAgreement, split_agreement
from depthprune.base.errors import FileError
from depthprune.base.removal import Removal
from depthprune.report.figures import FIGURES, FORMATS, SPLIT_FIGURES, figure_bytes, write_figures
from depthprune.report.figures.marks import evenly, thinned, upper_limit
from depthprune.report.formatting import removal_label, short_names
from tests.measurements import dataset

NAMES = (
    "front",
    "rankings_by_num_removed",
    "task_type_comparison",
    "block_position_analysis",
    "combination_vs_individual",
    "consistency_analysis",
    "dataset_responses",
    "drop_distributions",
    "dataset_pairwise_comparison",
    "task_type_detailed_comparison",
)
TYPES = ("VQA", "Captioning", "Multiple Choice", "Document QA", "Scene Text QA", "Exact Match", "")
LONG_NAME = "a_collection_of_benchmarks_about_{}_and_their_questions_part_{}"
DPI = 60


def analysis_of(results: ResultSet) -> Analysis:
    table = drop_table(results.datasets, results.num_blocks)
    return Analysis(results, table, find(results), recommend(results))


def synthetic(
    num_blocks: int, num_datasets: int, *, missing: float, largest: int, count: int
) -> ResultSet:
    """Return results in which block 0 costs by far the most, with holes, long and odd names."""
    generator = np.random.default_rng(0)
    cost = np.abs(generator.normal(0.02, 0.03, num_blocks))
    cost[0] = 0.6
    removals: set[Removal] = {(block,) for block in range(num_blocks)}
    for number in range(2, largest + 1):
        for _ in range(count):
            drawn = generator.choice(num_blocks, number, replace=False)
            removals.add(tuple(sorted(int(block) for block in drawn)))
    sets = []
    for index in range(num_datasets):
        baseline = float(generator.uniform(0.5, 0.9))
        scores = {
            removal: baseline - float(cost[list(removal)].sum() + generator.normal(0, 0.01))
            for removal in sorted(removals)
            if generator.random() >= missing
        }
        name = LONG_NAME.format("streets", index) if index % 2 else f"set_{index}$x_{{1}}$"
        task_type = "A type of tasks with a long name" if index == 7 else TYPES[index % 7]
        sets.append(dataset(name, baseline, scores, task_type))
    blocks = range(num_blocks)
    return ResultSet(
        model="A-Model-72B-Instruct",
        num_blocks=num_blocks,
        datasets=tuple(sets),
        splits={one.dataset: "validation" for one in sets},
        comparisons=tuple(
            split_agreement(
                one.dataset,
                {block: float(cost[block]) for block in blocks if block % 7 != 3},
                {block: float(cost[block] + generator.normal(0, 0.01)) for block in blocks},
            )
            for one in sets
        ),
    )


def one_dataset() -> ResultSet:
    generator = np.random.default_rng(1)
    answered = (generator.random(64) < 0.8).astype(float)
    removals = [(block,) for block in range(6)] + list(combinations(range(3), 2))
    scores = {
        removal: np.where(generator.random(64) < 0.1 * (1 + sum(removal)), 0.0, answered)
        for removal in removals
    }
    only = dataset("okvqa", answered.tolist(), {key: row.tolist() for key, row in scores.items()})
    return ResultSet("tiny", 6, (only,), {"okvqa": "validation"})


def one_combination() -> ResultSet:
    only = dataset("okvqa", 0.8, {(2, 3): 0.7}, task_type="")
    same = split_agreement("okvqa", {0: 0.1, 1: 0.1, 2: 0.1}, {0: 0.1, 1: 0.1, 2: 0.1})
    return ResultSet("tiny", 4, (only,), {"okvqa": "validation"}, (same,))


CASES: dict[str, Callable[[], ResultSet]] = {
    "16 blocks, 8 datasets": lambda: synthetic(16, 8, missing=0.0, largest=4, count=8),
    "80 blocks, 20 datasets, holes": lambda: synthetic(80, 20, missing=0.6, largest=9, count=6),
    "2 datasets, same type": lambda: replace(
        synthetic(5, 8, missing=0.1, largest=2, count=3),
        datasets=synthetic(5, 8, missing=0.1, largest=2, count=3).datasets[::7],
        comparisons=(),
    ),
    "one dataset": one_dataset,
    "one combination": one_combination,
}
MANY = "32 blocks, 50 datasets"
CASES_OF_MANY = ("dataset_responses", "dataset_pairwise_comparison", "train_validation_correlation")


@cache
def analysis(case: str) -> Analysis:
    if case == MANY:
        return analysis_of(synthetic(32, 50, missing=0.3, largest=2, count=5))
    return analysis_of(CASES[case]())


@cache
def figure(case: str, name: str) -> Figure:
    drawn = {**FIGURES, **SPLIT_FIGURES}[name](analysis(case))
    drawn.set_dpi(DPI)
    drawn.draw_without_rendering()
    # The layout is settled now.
    drawn.set_layout_engine("none")
    return drawn


def panel(drawn: Figure, title: str) -> Axes:
    """Return the panel whose title begins so."""
    return next(axes for axes in drawn.axes if axes.get_title(loc="left").startswith(title))


def drawn_texts(drawn: Figure) -> list[tuple[str, Bbox]]:
    """Return every text that is really drawn, with its box in pixels."""
    seen: list[Text] = []
    original = Text.draw

    def draw(self: Text, renderer: object) -> None:
        seen.append(self)
        original(self, renderer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", draw)
        drawn.draw_without_rendering()
    return [
        (text.get_text(), text.get_window_extent())
        for text in seen
        if text.get_visible() and text.get_text().strip()
    ]


def bars(axes: Axes) -> list[Rectangle]:
    drawn = [one for one in axes.containers if isinstance(one, BarContainer)]
    return [bar for container in drawn for bar in container.patches]


def whisker_ends(axes: Axes) -> list[list[float]]:
    """Return where the horizontal error bars of a panel begin and end, in the order drawn."""
    containers = [one for one in axes.containers if isinstance(one, ErrorbarContainer)]
    segments = [segment for one in containers for segment in one.lines[2][0].get_segments()]
    return [[float(end) for end in segment[:, 0]] for segment in segments]


EVERY = [
    *((case, name) for case in CASES for name in (*NAMES, *SPLIT_FIGURES)),
    *((MANY, name) for name in CASES_OF_MANY),
]


def test_the_figures_have_the_documented_names() -> None:
    assert tuple(FIGURES) == NAMES


@pytest.mark.parametrize(("case", "name"), EVERY)
def test_every_text_of_a_figure_can_be_read_and_says_what_it_is_about(case: str, name: str) -> None:
    drawn = figure(case, name)
    texts = drawn_texts(drawn)
    assert outside(drawn, texts) == []
    assert overlapping(texts) == []
    caption = drawn.get_supxlabel()
    assert drawn.get_suptitle()
    assert analysis(case).results.model in caption
    assert f"{analysis(case).table.num_blocks} blocks" in " ".join(caption.split())


def outside(drawn: Figure, texts: list[tuple[str, Bbox]]) -> list[str]:
    """Return the texts that the edge of the figure cuts."""
    width, height = drawn.get_size_inches() * DPI
    return [
        text
        for text, box in texts
        if box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]


def overlapping(texts: list[tuple[str, Bbox]]) -> list[tuple[str, str]]:
    """Return the pairs of texts that lie on each other."""
    boxes = np.array([box.extents for _, box in texts])
    # A pixel of each side is room for accents that none of these letters has.
    left, bottom, right, top = boxes[:, 0] + 1, boxes[:, 1] + 1, boxes[:, 2] - 1, boxes[:, 3] - 1
    across = (left[:, None] < right[None, :]) & (left[None, :] < right[:, None])
    along = (bottom[:, None] < top[None, :]) & (bottom[None, :] < top[:, None])
    pairs = np.argwhere(np.triu(across & along, k=1))
    return [(texts[first][0], texts[second][0]) for first, second in pairs]


def test_texts_that_overlap_or_are_cut_would_be_found() -> None:
    drawn = Figure(dpi=DPI)
    drawn.text(0.5, 0.5, "one")
    drawn.text(0.51, 0.5, "another")
    drawn.text(0.99, 0.1, "cut")
    texts = drawn_texts(drawn)
    assert overlapping(texts) == [("one", "another")]
    assert outside(drawn, texts) == ["cut"]


def test_rankings_draw_the_ranked_mean_drops() -> None:
    found = analysis("16 blocks, 8 datasets").recommendations.independent
    drawn = figure("16 blocks, 8 datasets", "rankings_by_num_removed")
    for number, ranking in found.items():
        title = "1 block removed" if number == 1 else f"{number} blocks removed"
        widths = [bar.get_width() for bar in bars(panel(drawn, title))]
        assert widths == pytest.approx([100 * one.mean for one in ranking.combinations[:15]])


def test_rankings_say_how_many_combinations_are_left_out() -> None:
    results = CASES["80 blocks, 20 datasets, holes"]()
    found = recommend(results, options.Ranking(min_drop=0.0))
    given = replace(analysis("80 blocks, 20 datasets, holes"), recommendations=found)
    ranking = given.recommendations.independent[1]
    drawn = FIGURES["rankings_by_num_removed"](given)
    title = panel(drawn, "1 block removed").get_title(loc="left")
    assert ranking.improving > 0
    assert f"{ranking.improving} with a drop below the ranked range" in title


def test_a_number_of_which_none_is_ranked_says_so() -> None:
    case = "2 datasets, same type"
    given = analysis(case)
    none = RankedCombinations((), low_coverage=2, improving=0)
    independent = {**given.recommendations.independent, 2: none}
    drawn = FIGURES["rankings_by_num_removed"](
        replace(given, recommendations=replace(given.recommendations, independent=independent))
    )
    axes = panel(drawn, "2 blocks removed, 3 active: none ranked")
    assert [text.get_text() for text in axes.texts] == [
        "every combination of this size was left out"
    ]


def test_whiskers_are_interval_and_std_beside_each_other() -> None:
    case = "2 datasets, same type"
    given = analysis(case)
    best = given.recommendations.independent[1].combinations[0]
    best = replace(best, interval=Interval(best.mean - 0.05, best.mean + 0.07))
    independent = {1: RankedCombinations((best,), 0, 0)}
    drawn = FIGURES["rankings_by_num_removed"](
        replace(given, recommendations=replace(given.recommendations, independent=independent))
    )
    (interval, std) = whisker_ends(panel(drawn, "1 block removed"))
    assert interval == pytest.approx([100 * (best.mean - 0.05), 100 * (best.mean + 0.07)])
    assert std == pytest.approx([100 * (best.mean - best.std), 100 * (best.mean + best.std)])
    caption = " ".join(drawn.get_supxlabel().split())
    assert "95% interval of the mean drop (black); ± population std" in caption


def test_one_dataset_has_its_interval_alone() -> None:
    best = analysis("one dataset").recommendations.independent[1].combinations[0]
    drawn = figure("one dataset", "rankings_by_num_removed")
    assert best.interval is not None
    ends = [100 * best.interval.low, 100 * best.interval.high]
    assert whisker_ends(panel(drawn, "1 block removed"))[0] == pytest.approx(ends)
    assert "std" not in drawn.get_supxlabel()


def test_whiskers_are_the_std_over_datasets_elsewhere() -> None:
    case = "16 blocks, 8 datasets"
    best = analysis(case).recommendations.independent[1].combinations[0]
    drawn = figure(case, "rankings_by_num_removed")
    ends = [100 * (best.mean - best.std), 100 * (best.mean + best.std)]
    assert whisker_ends(panel(drawn, "1 block removed"))[0] == pytest.approx(ends)


def test_up_to_fifteen_of_each_number_are_ranked_in_the_colour_of_their_datasets() -> None:
    case = "80 blocks, 20 datasets, holes"
    ranking = analysis(case).recommendations.independent[1].combinations
    assert len(ranking) > 15
    drawn = figure(case, "rankings_by_num_removed")
    shown = bars(panel(drawn, "1 block removed"))
    assert [100 * one.mean for one in ranking[:15]] == pytest.approx(
        [bar.get_width() for bar in shown]
    )
    colours = {one.coverage: bar.get_facecolor() for one, bar in zip(ranking, shown, strict=False)}
    assert len(set(colours.values())) == len(colours)
    legend = next(axes.get_legend() for axes in drawn.axes if axes.get_legend() is not None)
    named = {
        text.get_text(): patch.get_facecolor()
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    explained = [named.get(f"{coverage} datasets", colours[coverage]) for coverage in colours]
    assert explained == list(colours.values())
    assert 2 <= len(named) <= 8


def test_blocks_are_drawn_with_their_mean_drops() -> None:
    case = "80 blocks, 20 datasets, holes"
    axes = panel(figure(case, "block_position_analysis"), "What each block costs")
    drawn = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in bars(axes)}
    expected = {one.block: 100 * one.mean for one in analysis(case).findings.blocks}
    assert drawn == pytest.approx(expected)


def test_a_bar_beyond_the_axis_has_its_value_written() -> None:
    case = "16 blocks, 8 datasets"
    axes = panel(figure(case, "block_position_analysis"), "What each block costs")
    drop = analysis(case).findings.blocks[0].mean
    assert axes.get_ylim()[1] < 100 * drop
    assert f"↑{100 * drop:.0f}" in [text.get_text() for text in axes.texts]


def test_task_types_are_drawn_with_their_median_single_drops_the_largest_first() -> None:
    case = "16 blocks, 8 datasets"
    axes = panel(figure(case, "task_type_comparison"), "One block removed")
    expected = [
        100 * one.single_drops.median
        for one in analysis(case).findings.by_task_type
        if one.single_drops
    ]
    expected.sort(reverse=True)
    assert [bar.get_width() for bar in bars(axes)] == pytest.approx(expected)


def test_extreme_synergies_are_drawn_as_found() -> None:
    case = "16 blocks, 8 datasets"
    axes = panel(figure(case, "combination_vs_individual"), "Strongest interactions")
    widths = [bar.get_width() for bar in bars(axes)]
    assert widths == sorted(widths)
    assert widths[0] == pytest.approx(100 * analysis(case).findings.synergies[0].synergy)
    assert widths[-1] == pytest.approx(100 * analysis(case).findings.synergies[-1].synergy)


def test_a_synergy_of_one_dataset_is_no_extreme_where_others_are_known() -> None:
    drops = {(0,): [0.1, 0.1], (1,): [0.1, 0.1], (2,): [0.1, 0.1], (0, 1): [0.15, 0.15]}
    sets = [
        dataset(
            name,
            0.9,
            {removal: 0.9 - drop[column] for removal, drop in drops.items()}
            | ({(0, 2): 0.9} if column else {}),
        )
        for column, name in enumerate(("okvqa", "doc_qa"))
    ]
    results = ResultSet("tiny", 4, tuple(sets), {one.dataset: "validation" for one in sets})
    drawn = FIGURES["combination_vs_individual"](analysis_of(results))
    axes = panel(drawn, "Strongest interactions on 2 datasets or more")
    assert [bar.get_width() for bar in bars(axes)] == pytest.approx([-5.0], abs=1e-4)


def test_a_dataset_of_unknown_type_has_its_colour_in_the_legend() -> None:
    sets = [dataset(name, 0.9, {(0,): 0.8}, kind) for name, kind in (("a", "VQA"), ("b", ""))]
    results = ResultSet("tiny", 4, tuple(sets), {one.dataset: "validation" for one in sets})
    drawn = FIGURES["dataset_responses"](analysis_of(results))
    legends = [axes.get_legend() for axes in drawn.axes]
    named = [text.get_text() for legend in legends if legend for text in legend.get_texts()]
    assert named == ["VQA", "unknown"]


def test_datasets_are_drawn_with_their_sensitivity() -> None:
    axes = panel(figure(MANY, "dataset_responses"), "Sensitivity")
    expected = [
        100 * float(np.median(list(one.specific_scores.values())))
        for one in analysis(MANY).findings.responses
    ]
    expected.sort(reverse=True)
    assert [bar.get_width() for bar in bars(axes)] == pytest.approx(expected)


def test_consistent_removals_have_robust_coverage() -> None:
    case = "80 blocks, 20 datasets, holes"
    axes = panel(figure(case, "consistency_analysis"), "C. Up to 10 most consistent")
    expected = [
        one.mean
        for one in analysis(case).findings.consistency
        if one.coverage >= 3 and 0 not in one.removal and abs(one.mean) >= 0.01
    ]
    assert [bar.get_width() / 100 for bar in bars(axes)] == pytest.approx(expected[:10])


def test_consistency_is_of_removals_that_somebody_would_carry_out() -> None:
    """Given a block that ruins every dataset alike, and a mean near 0: neither is drawn first."""
    drops = {(0,): [0.8, 0.8], (1,): [0.1, 0.12], (2,): [0.0001, 0.0001], (0, 1): [0.85, 0.85]}
    sets = [
        dataset(name, 0.9, {removal: 0.9 - both[column] for removal, both in drops.items()})
        for column, name in enumerate(("okvqa", "doc_qa"))
    ]
    results = ResultSet("tiny", 4, tuple(sets), {one.dataset: "validation" for one in sets})
    drawn = FIGURES["consistency_analysis"](analysis_of(results))
    axes = panel(drawn, "C. Up to 10 most consistent")
    assert [bar.get_width() for bar in bars(axes)] == pytest.approx([11.0])
    points = panel(drawn, "B. Spread").collections[0].get_offsets()
    assert np.asarray(points)[:, 0].max() == pytest.approx(11.0)
    assert "within 1 point of a mean drop of 0, where it says nothing: 1 removal" in " ".join(
        drawn.get_supxlabel().split()
    )


def test_pearson_is_shown_without_the_blocks_that_ruin_every_dataset() -> None:
    """Given drops without any order in common but for one disaster: only Pearson sees likeness."""
    generator = np.random.default_rng(3)
    sets = [
        dataset(
            name,
            0.9,
            {(0,): 0.05} | {(block,): 0.9 - 0.1 * generator.random() for block in range(1, 30)},
        )
        for name in ("okvqa", "doc_qa")
    ]
    results = ResultSet("tiny", 30, tuple(sets), {one.dataset: "validation" for one in sets})
    drawn = FIGURES["dataset_pairwise_comparison"](analysis_of(results))
    everywhere, without = panel(drawn, "Most and least alike").lines[:2]
    assert next(iter(everywhere.get_xdata())) > 0.9
    assert abs(next(iter(without.get_xdata()))) < 0.5
    assert "removals that keep block 0" in " ".join(drawn.get_supxlabel().split())


def test_the_front_is_of_removals_that_enough_datasets_measured() -> None:
    """Given a removal that looks harmless on two of four datasets: it is hollow, off the line."""
    sets = [
        dataset(
            name,
            0.9,
            {(1,): 0.85, (2,): 0.84, (1, 2): 0.8} | ({(0, 3): 0.9} if place < 2 else {}),
        )
        for place, name in enumerate(("okvqa", "doc_qa", "text_vqa", "st_qa"))
    ]
    results = ResultSet("tiny", 4, tuple(sets), {one.dataset: "validation" for one in sets})
    drawn = FIGURES["front"](analysis_of(results))
    lines = {str(line.get_label()): line for line in panel(drawn, "Best measured").lines}
    assert list(lines["best removal"].get_xdata()) == [0, 1, 2]
    assert list(lines["best removal"].get_ydata()) == pytest.approx([0, -5, -10])
    hollow = lines["best on fewer than 3 datasets"]
    assert hollow.get_markerfacecolor() == "white"
    assert list(hollow.get_ydata()) == pytest.approx([0.0])
    assert list(lines["one-shot"].get_ydata()) == pytest.approx([-5, -10])


def test_the_front_shows_intervals() -> None:
    best = analysis("one dataset").recommendations.robust[1].combinations[0]
    assert best.interval is not None
    axes = panel(figure("one dataset", "front"), "Best measured")
    ends = [list(line.get_ydata()) for line in axes.lines]
    assert [-100 * best.interval.high, -100 * best.interval.low] in ends


def test_a_cell_that_was_not_measured_is_no_zero() -> None:
    case = "80 blocks, 20 datasets, holes"
    axes = panel(figure(case, "task_type_detailed_comparison"), "Mean drop")
    (mesh,) = (one for one in axes.collections if isinstance(one, QuadMesh))
    cells = np.ma.asarray(mesh.get_array())
    rows = analysis(case).findings.by_task_type
    measured = [[any(b.block == i for b in row.blocks) for i in range(80)] for row in rows]
    assert (~np.ma.getmaskarray(cells) == np.array(measured)).all()
    assert not np.all(measured)
    assert any(patch.get_hatch() for patch in axes.patches)


def test_correlations_are_symmetric_and_as_found() -> None:
    case = "16 blocks, 8 datasets"
    axes = panel(figure(case, "dataset_pairwise_comparison"), "Correlation")
    (mesh,) = (one for one in axes.collections if isinstance(one, QuadMesh))
    cells = np.ma.asarray(mesh.get_array())
    found = sorted(pair.spearman for pair in analysis(case).findings.pairs if pair.spearman)
    assert (cells == cells.T).all()
    assert sorted(cells[np.triu_indices(8, k=1)].tolist()) == pytest.approx(found)


def test_rho_of_the_splits_is_drawn_with_the_line_of_consistency() -> None:
    case = "16 blocks, 8 datasets"
    (axes,) = figure(case, "train_validation_correlation").axes
    expected = [one.rho for one in analysis(case).findings.agreements]
    assert [bar.get_width() for bar in bars(axes)] == pytest.approx(expected)
    assert [0.9, 0.9] in [list(line.get_xdata()) for line in axes.lines]


def test_blocks_beyond_the_axes_of_the_splits_are_named() -> None:
    axes = figure("16 blocks, 8 datasets", "train_validation_scatter").axes[0]
    (text,) = (one.get_text() for one in axes.texts)
    assert "block 0: 60.0, " in text


def test_splits_without_a_common_block_are_said() -> None:
    given = analysis("one combination")
    apart = SplitAgreement("okvqa", {0: 0.1}, {1: 0.1}, None, None)
    drawn = SPLIT_FIGURES["train_validation_scatter"](
        replace(given, findings=replace(given.findings, agreements=(apart,)))
    )
    (said,) = (" ".join(one.get_text().split()) for one in drawn.axes[0].texts)
    assert said == "no block was measured on both splits"


def test_counts_are_of_everything_where_only_some_points_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = "80 blocks, 20 datasets, holes"
    monkeypatch.setattr("depthprune.report.figures.combinations.MOST_POINTS", 10)
    drawn = FIGURES["consistency_analysis"](analysis(case))
    every = analysis(case).findings.consistency
    found = [one for one in every if 0 not in one.removal]
    near = sum(abs(one.mean) < 0.01 for one in found)
    assert f"Shown: 10 of {len(found)} points" in " ".join(drawn.get_supxlabel().split())
    title = panel(drawn, "A. Disagreement").get_title(loc="left")
    assert f"n = {len(found) - near} removals" in title


def test_an_undefined_rho_is_hatched() -> None:
    (axes,) = figure("one combination", "train_validation_correlation").axes
    assert bars(axes) == []
    assert any(patch.get_hatch() for patch in axes.patches)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("combination_vs_individual", "no combination of two blocks or more"),
        ("consistency_analysis", "no removal was measured on two datasets"),
        ("dataset_pairwise_comparison", "fewer than two datasets were measured"),
        ("block_position_analysis", "no block was removed alone"),
        ("task_type_detailed_comparison", "no block was removed alone"),
    ],
)
def test_an_empty_panel_says_why(name: str, text: str) -> None:
    drawn = figure("one combination", name)
    said = [" ".join(one.get_text().split()) for axes in drawn.axes for one in axes.texts]
    assert any(text in one for one in said)


@pytest.mark.parametrize("name", [*FIGURES, *SPLIT_FIGURES])
def test_without_any_measurement_every_panel_says_so(name: str) -> None:
    some = analysis("one combination")
    results = ResultSet("tiny", 4, (), {})
    ranked = replace(some.recommendations, independent={}, robust={}, datasets=())
    nothing = Analysis(results, drop_table((), 4), find(results), ranked)
    drawn = {**FIGURES, **SPLIT_FIGURES}[name](nothing)
    assert any(axes.texts for axes in drawn.axes)


def test_every_figure_is_written(tmp_path: Path) -> None:
    written = write_figures(analysis("one combination"), tmp_path / "new", dpi=20)
    assert [path.name for path in written] == [f"{name}.png" for name in (*NAMES, *SPLIT_FIGURES)]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in written
    )
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> str:
    """Leave one figure, which is soon drawn."""
    name = "rankings_by_num_removed"
    monkeypatch.setattr("depthprune.report.figures.FIGURES", {name: FIGURES[name]})
    return name


def test_files_are_written_in_every_format_asked_for(tmp_path: Path, one_figure: str) -> None:
    alone = analysis("2 datasets, same type")
    written = write_figures(alone, tmp_path, formats=("png", "svg", "pdf"), dpi=20)
    assert [path.name for path in written] == [f"{one_figure}.{kind}" for kind in FORMATS]
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(begins[path.suffix]) for path in written)


def test_figures_of_the_splits_are_left_out_where_no_splits_were_compared(
    tmp_path: Path, one_figure: str
) -> None:
    written = write_figures(analysis("2 datasets, same type"), tmp_path, dpi=20)
    assert [path.name for path in written] == [f"{one_figure}.png"]


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_same_analysis_gives_the_same_file(kind: str) -> None:
    draw = FIGURES["rankings_by_num_removed"]
    first, second = (
        figure_bytes(draw(analysis("one combination")), kind, dpi=30) for _ in range(2)
    )
    assert first == second


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="png, svg, pdf"):
        write_figures(analysis("one combination"), tmp_path, formats=("gif",))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot write"):
        write_figures(analysis("one combination"), tmp_path / "file", dpi=20)


def test_drawing_leaves_the_users_settings_alone() -> None:
    with matplotlib.rc_context({"font.size": 31.0}):
        before = dict(matplotlib.rcParams)
        drawn = FIGURES["drop_distributions"](analysis("one combination"))
        assert dict(matplotlib.rcParams) == before
        assert drawn.axes[0].xaxis.label.get_fontsize() < 12


def test_drawing_needs_no_display() -> None:
    code = "import depthprune.report.figures, sys\nassert 'matplotlib.pyplot' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_short_names_stay_different() -> None:
    names = [f"{'a' * 20}{index}{'z' * 20}" for index in range(3)]
    shortened = short_names(names, 15)
    assert len(set(shortened)) == 3
    assert all(len(name) <= 18 for name in shortened)
    assert short_names(["okvqa"]) == ["okvqa"]


@pytest.mark.parametrize(
    ("removal", "label"),
    [
        ((), ""),
        ((4,), "4"),
        ((2, 3), "2, 3"),
        ((2, 3, 4, 9), "2, 3, 4, 9"),
        ((2, 3, 4, 5, 6, 9), "2 to 6, 9"),
        (tuple(range(0, 40, 2)), "0, 2, 4, 6, 8, 10, 12,\n14, 16, 18, 20,… (20)"),
    ],
)
def test_blocks_of_a_removal_are_named_in_little_room(removal: Removal, label: str) -> None:
    assert removal_label(removal) == label


def test_an_axis_is_cut_only_where_few_values_would_stretch_it() -> None:
    assert upper_limit([0.1] * 20 + [3.0]) == pytest.approx(0.15)
    assert upper_limit([0.1, 0.2, 0.3, 0.4]) is None
    assert upper_limit([0.1, 3.0]) is None
    assert upper_limit([]) is None


def test_few_of_many_are_chosen_evenly_with_both_ends() -> None:
    assert evenly(list(range(1, 13)), 4) == [1, 5, 8, 12]
    assert thinned(np.arange(100.0), 4).tolist() == [0.0, 33.0, 66.0, 99.0]
