"""The figures of a table of models show all of it, and their labels keep apart."""

from __future__ import annotations

import random
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text

from depthprune.report.figures.model_figures import (
    MOST_ROWS,
    drawable,
    pruning_heatmap,
    write_model_figures,
)
from depthprune.report.figures.tradeoffs import (
    KEY_LINES,
    MOST_KEYS,
    MOST_LABELS,
    size_performance,
)
from depthprune.structure.model_row import QUICK, ModelNumber, ModelRow, NumberConditions
from depthprune.structure.model_table import ModelTable, model_table
from tests.structure.models import compared, layer, removed, row


def drawn(figure: Figure) -> Figure:
    figure.set_dpi(60)
    figure.draw_without_rendering()
    return figure


def caption(figure: Figure) -> str:
    text = figure._supxlabel  # type: ignore[attr-defined]
    return " ".join(text.get_text().split())


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def labels(axes: Axes) -> list[Annotation]:
    found = [one for one in axes.texts if isinstance(one, Annotation)]
    return [one for one in found if one.get_text()]


def boxes_overlap(found: list[Text]) -> list[tuple[str, str]]:
    pairs = combinations(found, 2)
    return [
        (one.get_text(), other.get_text())
        for one, other in pairs
        if one.get_window_extent().overlaps(other.get_window_extent())
    ]


# The heat map


@pytest.fixture(scope="module")
def table() -> ModelTable:
    cut = compared([layer(0), removed(1), layer(2, 0), layer(3, mlp=0), layer(4, 0, 0)])
    return model_table(
        [
            row("d/a_cut", cut),
            row("d/b_short", compared([layer(0, 20, 30), layer(1)])),
            row("d/c_lost", compared([layer(0)], missing=2)),
            row("d/d_unknown"),
        ]
    )


def test_each_cell_is_the_share_that_a_layer_lost(table: ModelTable) -> None:
    (axes, _) = drawn(pruning_heatmap(table)).axes
    (mesh,) = [one for one in axes.collections if isinstance(one, QuadMesh)]
    found = np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan).reshape(3, 5)
    nothing = [np.nan] * 5
    expected = [[0, 100, 40, 60, 100], [50, 0, *nothing[2:]], nothing]
    np.testing.assert_allclose(found, expected)


def test_rows_are_models_and_columns_layers_of_the_original(table: ModelTable) -> None:
    axes = drawn(pruning_heatmap(table)).axes[0]
    assert [one.get_text() for one in axes.get_yticklabels()] == ["a_cut", "b_short", "c_lost"]
    assert axes.get_xlabel() == "layer of the original"
    assert [one.get_text() for one in axes.get_xticklabels()] == list("01234")


def test_what_is_gone_is_written_into_the_cells(table: ModelTable) -> None:
    axes = drawn(pruning_heatmap(table)).axes[0]
    signs = {
        text.get_text(): (int(text.get_position()[0]), int(text.get_position()[1]))
        for text in axes.texts
        if text.get_text() in ("×", "A", "M", "0")
    }
    assert signs == {"×": (1, 0), "A": (2, 0), "M": (3, 0), "0": (4, 0)}
    # 300 of 1500: the embeddings count too.
    assert "20.0%" in texts(axes)


def test_where_no_file_says_which_layers_are_gone_the_row_is_hatched(table: ModelTable) -> None:
    axes = drawn(pruning_heatmap(table)).axes[0]
    (hatched,) = [one for one in axes.patches if isinstance(one, Rectangle) and one.get_hatch()]
    assert hatched.get_width() == 3
    assert int(hatched.get_y()) == 2
    assert "2 of 3 layers are gone, no file says which" in texts(axes)


def test_models_that_were_not_compared_are_counted(table: ModelTable) -> None:
    assert "Left out: 1 model without a comparison." in caption(pruning_heatmap(table))


def test_many_models_are_shown_up_to_a_limit() -> None:
    many = [row(f"m{at:03}", compared([layer(0), removed(1)])) for at in range(MOST_ROWS + 5)]
    figure = pruning_heatmap(model_table(many))
    assert len(figure.axes[0].get_yticks()) == MOST_ROWS
    assert f"Shown: {MOST_ROWS} of {MOST_ROWS + 5} models." in caption(figure)


def test_a_broken_file_with_any_number_of_layers_is_left_out() -> None:
    broken = [row("a", compared([layer(2**40)])), row("b", compared([layer(0)], missing=2**62))]
    figure = drawn(pruning_heatmap(model_table([*broken, row("c", compared([layer(0)]))])))
    assert [one.get_text() for one in figure.axes[0].get_yticklabels()] == ["c"]
    assert "Left out: 2 models" in caption(figure)


def test_no_model_was_compared() -> None:
    (axes,) = drawn(pruning_heatmap(model_table([row("a")]))).axes
    assert texts(axes) == ["no model was compared with its\noriginal"]


@pytest.mark.parametrize("depth", [2, 32, 126])
def test_nothing_of_the_heat_map_leaves_the_page_or_overlaps(depth: int) -> None:
    name = "a_family_of_models_with_a_very_long_name_{}_that_goes_on"
    rows = [
        row(
            name.format(at), compared([layer(i, i % 41) for i in range(depth - at)], missing=at % 2)
        )
        for at in range(2)
    ]
    figure = drawn(pruning_heatmap(model_table(rows)))
    axes = figure.axes[0]
    found = [*axes.get_xticklabels(), *axes.get_yticklabels()]
    assert boxes_overlap([one for one in found if one.get_text()]) == []
    page = figure.bbox
    for one in [*found, *(text for text in axes.texts if text.get_text())]:
        box = one.get_window_extent()
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, one.get_text()


# Size against scores


def scored(count: int) -> list[ModelRow]:
    generator = random.Random(0)
    return [
        row(
            f"results/a_model_pruned_by_{at}",
            size_gb=10 + 3 * generator.random(),
            ppl_wikitext2=8 + generator.expovariate(1 / 30),
            mean_accuracy=0.4 + 0.3 * generator.random(),
        )
        for at in range(count)
    ]


def test_each_score_has_a_panel_with_units() -> None:
    figure = drawn(size_performance(model_table(scored(3))))
    ppl, accuracy = figure.axes
    assert (ppl.get_xlabel(), ppl.get_ylabel()) == ("size (GB)", "perplexity")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("size (GB)", "accuracy (%)")
    assert ppl.get_title(loc="left") == "perplexity on WikiText-2, windows of 2048/512"


def test_points_are_where_size_and_score_say() -> None:
    rows = [row("a", size_gb=10.0, mean_accuracy=0.5), row("b", size_gb=11.0, mean_accuracy=0.25)]
    (axes,) = drawn(size_performance(model_table(rows))).axes
    points = {(line.get_xdata()[0], line.get_ydata()[0]): line for line in axes.lines}  # type: ignore[index]
    assert set(points) == {(10.0, 50.0), (11.0, 25.0)}
    assert points[10.0, 50.0].get_marker() == "o"
    assert points[11.0, 25.0].get_marker() == "X"
    assert sorted(texts(axes)) == ["a", "b"]


def test_a_perplexity_of_another_window_is_left_out_and_named() -> None:
    rows = [
        *scored(2),
        row("d/quick", size_gb=9.0, ppl_wikitext2=ModelNumber(3, NumberConditions(QUICK))),
    ]
    figure = drawn(size_performance(model_table(rows)))
    assert len(figure.axes[0].lines) == 2
    assert "Left out of a panel" in caption(figure)
    assert "quick" in caption(figure)


def test_parameters_stand_for_a_size_that_not_all_have() -> None:
    rows = [
        row("a", size_gb=10.0, parameters_b=5.0, mean_accuracy=0.5),
        row("b", parameters_b=4.0, mean_accuracy=0.25),
    ]
    (axes,) = drawn(size_performance(model_table(rows))).axes
    assert axes.get_xlabel() == "parameters (billions)"
    assert sorted(line.get_xdata()[0] for line in axes.lines) == [4.0, 5.0]  # type: ignore[index]


def test_perplexities_that_lie_far_apart_have_a_logarithmic_axis() -> None:
    rows = [row("a", size_gb=1.0, ppl_ptb=8.0), row("b", size_gb=2.0, ppl_ptb=80_000.0)]
    assert drawn(size_performance(model_table(rows))).axes[0].get_yscale() == "log"
    rows[1] = row("b", size_gb=2.0, ppl_ptb=9.0)
    assert drawn(size_performance(model_table(rows))).axes[0].get_yscale() == "linear"


@pytest.mark.parametrize("count", [1, 2, MOST_LABELS, 40])
def test_labels_keep_apart_and_inside(count: int) -> None:
    figure = drawn(size_performance(model_table(scored(count))))
    for axes in figure.axes[:2]:
        found = labels(axes)
        assert len(found) == count
        assert boxes_overlap(list(found)) == []
        panel = axes.get_window_extent()
        for one in found:
            box = Text.get_window_extent(one)
            assert panel.x0 - 1 <= box.x0 <= box.x1 <= panel.x1 + 1, one.get_text()


def test_many_models_have_numbers_and_a_key() -> None:
    figure = drawn(size_performance(model_table(scored(40))))
    assert {one.get_text() for one in labels(figure.axes[0])} == {str(n) for n in range(1, 41)}
    key = "\n".join(texts(figure.axes[2]) + texts(figure.axes[3]))
    assert len(key.splitlines()) == 40
    assert "a_model_pruned_by_39" in key


def test_of_very_many_models_the_best_for_their_size_have_numbers() -> None:
    rows = [row(f"m{at}", size_gb=10.0 - at, mean_accuracy=0.5) for at in range(8)]
    rows += [row(f"n{at}", size_gb=20.0 + at, mean_accuracy=0.4) for at in range(150)]
    figure = drawn(size_performance(model_table(rows)))
    assert len(figure.axes) == 1 + MOST_KEYS
    assert texts(figure.axes[1])[0].startswith("1  m7\n")
    assert f"Numbered: {MOST_KEYS * KEY_LINES} of 158 models" in caption(figure)


def test_points_at_one_place_are_named_as_far_as_there_is_room() -> None:
    rows = [row(f"m{at}", size_gb=10.0, mean_accuracy=0.5) for at in range(90)]
    found = labels(drawn(size_performance(model_table(rows))).axes[0])
    assert 0 < len(found) < 90
    assert boxes_overlap(list(found)) == []


def test_nothing_was_scored() -> None:
    (axes,) = drawn(size_performance(model_table([row("a")]))).axes
    assert texts(axes) == ["no model has both a size and a\nscore"]


# Files


def test_a_figure_that_would_be_empty_is_not_written(tmp_path: Path) -> None:
    alone = model_table([ModelRow("alone")])
    assert drawable(alone) == ()
    assert write_model_figures(alone, tmp_path / "a") == []


def test_figures_are_written_in_every_format_and_always_the_same(
    table: ModelTable, tmp_path: Path
) -> None:
    first = write_model_figures(table, tmp_path / "a", ("png", "svg", "pdf", "png"), dpi=40)
    again = write_model_figures(table, tmp_path / "b", ("png", "svg", "pdf"), dpi=40)
    assert [path.name for path in first] == [
        f"{name}.{kind}" for name in drawable(table) for kind in ("png", "svg", "pdf")
    ]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
