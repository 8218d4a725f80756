"""Specification of what people read about recommendations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from depthprune.analysis.combinations import CorrectedDrop
from depthprune.analysis.findings import Analysis, analyze_results
from depthprune.analysis.intervals import Interval
from depthprune.base.language import Lang, language
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.choice import nothing_text, strategies
from depthprune.report.sections.evidence import coverage_text, evidence, mark_text
from depthprune.report.sections.recommendations import (
    adjusted,
    must_stay,
    notes,
    recommendations,
    stepwise,
    targets,
)
from depthprune.report.table import Section
from tests.analysis.results import PUBLISHED, combination, results
from tests.report.analyses import made, many_blocks, one_dataset, published, with_samples

EXPECTED: Mapping[str, Any] = json.loads((PUBLISHED / "expected.json").read_text())


def text(analysis: Analysis, lang: Lang = "en", width: int = 100) -> str:
    with language(lang):
        found = analysis.recommendations
        sections = (section_parts(one, is_part=True) for one in recommendations(found))
        return as_text([*notes(found), *(part for one in sections for part in one)], width)


def told(section: Section) -> str:
    """Return a section in one line."""
    return " ".join(as_text(section_parts(section)).split())


def flat(analysis: Analysis) -> str:
    """Return the text with its line breaks as spaces."""
    return " ".join(text(analysis).split())


def rows(part: str) -> list[list[str]]:
    """Return the cells of the lines of a table."""
    return [re.split(r" {2,}", line.strip()) for line in part.splitlines()]


def section(whole: str, start: str, end: str) -> str:
    return whole[whole.index(start) : whole.index(end)]


@pytest.mark.parametrize(
    ("measured", "told"),
    [
        ("abcd", "4/4"),
        ("abc", "3/4 (not d)"),
        ("ab", "2/4 (a, b)"),
        ("d", "1/4 (d)"),
    ],
)
def test_coverage_is_a_count_with_the_names(measured: str, told: str) -> None:
    one = combination((1,), *[0.1] * len(measured), names=measured)
    assert coverage_text(one, "abcd") == told


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        (Interval(-0.01, 0.019), "no measurable cost"),
        (Interval(-0.03, -0.01), "no measurable cost"),
        (Interval(0.0, 0.0199), "no measurable cost"),
        (Interval(-0.01, 0.02), "not separable from 0 with 400 samples"),
        (Interval(0.001, 0.01), ""),
        (None, ""),
    ],
)
def test_an_interval_says_whether_anything_is_lost(interval: Interval | None, told: str) -> None:
    one = replace(combination((1,), 0.01, names="a"), interval=interval, num_samples=400)
    assert mark_text(one) == told
    assert (told in evidence(one, "a")) if told else ("0 with" not in evidence(one, "a"))


def test_what_was_chosen_for_its_drop_costs_nothing_only_when_that_is_reckoned_with() -> None:
    one = replace(combination((1,), 0.0, names="a"), interval=Interval(-0.02, 0.01), num_samples=9)
    assert mark_text(one) == mark_text(one, CorrectedDrop(5)) == "no measurable cost"
    lucky = CorrectedDrop(5, 0.01, Interval(-0.02, 0.03))
    assert mark_text(one, lucky) == "not separable from 0 with 9 samples"


@pytest.mark.parametrize(
    "row",
    [
        ["1", "15", "4", "3.09", "3.15", "72.62", "8/8", "8000", "3.09"],
        ["2", "14", "4, 13", "5.41", "4.43", "78.59", "7/8", "7000"],
        ["3", "13", "4, 10, 13", "7.53", "8.73", "81.46", "2/8", "2000"],
        ["4", "12", "2, 4, 10, 13", "18.36", "18.90", "70.62", "2/8", "2000"],
    ],
)
def test_the_published_path_has_its_drops_std_and_coverage(row: list[str]) -> None:
    shown = rows(section(text(published()), "Stepwise:", "Robust:"))
    assert row in [cells[: len(row)] for cells in shown]


@pytest.mark.parametrize(
    "row",
    [
        ["1 → 2", "13", "2.32"],
        ["2 → 3", "10", "2.12"],
        ["3 → 4", "2", "10.83 !", "10.83", "2"],
    ],
)
def test_the_published_increments_are_shown_and_the_jump_is_marked(row: list[str]) -> None:
    shown = rows(section(text(published()), "What each step adds", "Robust:"))
    assert row in [cells[: len(row)] for cells in shown]


@pytest.mark.parametrize("number", EXPECTED["independent"])
def test_the_independent_best_five_of_each_number_are_shown(number: str) -> None:
    shown = section(text(published()), "Independent best", "Stepwise:")
    blocks = re.findall(r"^ (?: +\d +\d+|) +((?:\d+, )*\d+) +\d+\.\d\d +\d", shown, re.MULTILINE)
    expected = [", ".join(map(str, removal)) for removal in EXPECTED["independent"][number]]
    start = 5 * (int(number) - 1)
    assert blocks[start : start + 5] == expected


def test_the_robust_best_and_what_is_left_out() -> None:
    shown = section(text(published()), "Robust:", "Recommended strategies")
    for blocks in ("2, 12", "2, 4, 7", "3, 4, 13, 14"):
        assert blocks in shown
    assert "13 measured on fewer than 3 datasets" in " ".join(shown.split())


def test_each_strategy_has_its_removals_and_a_reason_with_its_numbers() -> None:
    lines = strategies(published().recommendations).sentences
    assert [line.split(":")[0].strip() for line in lines] == [
        "conservative",
        "conservative",
        "Why",
        "balanced",
        "Why",
        "aggressive",
        "aggressive",
        "Why",
        "Note",
    ]
    assert lines[2].strip() == (
        "Why: the last steps of the stepwise path measured on at least 6 of 8 datasets that have "
        "a drop of at most 7.57 points (a tenth of the mean baseline accuracy, 75.71)."
    )
    assert "datasets 3/8 (coco_2014_vqa, coco_caption, okvqa)" in lines[3]
    assert "with 4 removed, the most at which a removal keeps half" in lines[7]
    assert "45.20 of 50.25 points stay" in lines[7]


def test_a_metric_that_may_exceed_1_is_named_with_its_share_of_the_limit() -> None:
    note = strategies(published().recommendations).sentences[-1]
    assert "coco_caption may exceed 1" in note
    assert "2.9 % of the mean baseline accuracy, and so 0.22 of the 7.57 points" in note
    assert not any(
        "exceed 1" in line
        for line in strategies(made({(1,): [0.1, 0.1]}).recommendations).sentences
    )


def test_a_removal_that_takes_a_steps_place_is_told() -> None:
    cells = {(1,): [0.01] * 2, (2,): [0.02] * 2, (1, 3): [0.05] * 2, (2, 4): [0.03] * 2}
    lines = strategies(made(cells).recommendations).sentences
    assert "remove 2 of 6 blocks (2, 4)" in lines[1]
    assert "2, 4 takes the place of the step 1, 3 (5.00 points)." in lines[2]


def test_where_nothing_is_conservative_the_nearest_is_named() -> None:
    lines = strategies(made({(1,): [0.2, 0.2], (2,): [0.3, 0.3]}).recommendations).sentences
    assert lines[0] == "conservative: nothing fulfils the condition"
    assert "the nearest is 1, with 20.00." in lines[1]
    line = nothing_text(made({(1,): [0.2, 0.2]}).recommendations)
    assert line.startswith("nothing: no removal is certain enough")


def test_a_baseline_of_0_recommends_nothing_and_says_why() -> None:
    cells = {(0,): [0.0, 0.0], (1,): [0.0, 0.0], (0, 1): [0.0, 0.0]}
    found = analyze_results(results(cells, baseline=0.0)).recommendations
    lines = strategies(found).sentences
    assert lines[::2] == [
        f"{name}: nothing fulfils the condition"
        for name in ("conservative", "balanced", "aggressive")
    ]
    assert all("the mean baseline accuracy is 0" in line for line in lines[1::2])
    assert "nothing: no removal" in nothing_text(found)


def test_without_a_path_there_is_no_conservative_choice() -> None:
    lines = strategies(made({(2, 3): [0.05, 0.05]}).recommendations).sentences
    assert "no step of the stepwise path" in lines[1]
    assert "was measured on at least 2 of 2 datasets" in lines[1]
    assert "remove 2 of 6 blocks (2, 3)" in lines[2]


def test_what_is_measured_on_too_few_datasets_is_not_called_harmless() -> None:
    (line,) = must_stay(made({(0,): [0.8, None], (1, 2): [0.1, 0.1]}).recommendations).sentences
    assert line == "Unknown: no block was measured alone on 2 datasets or more."
    cells = {(0,): [0.8, None], (1,): [0.1, 0.1]}
    (line,) = must_stay(made(cells, num_blocks=6).recommendations).sentences
    assert line.startswith("None of the 1 block that was measured alone on 2 datasets or more")


def test_a_superset_on_too_few_datasets_is_not_called_unmeasured() -> None:
    found = made({(1,): [0.1, 0.1], (1, 2): [-0.2, None]}).recommendations
    shown = told(stepwise(found))
    assert "No superset of the last step with 2 blocks is ranked" in shown


def test_a_jump_that_other_datasets_make_is_told_as_such() -> None:
    cells = {(1,): [0.01, 0.01, None], (1, 2): [0.01, None, 0.5], (3,): [0.2, 0.2, 0.2]}
    analysis = made(cells)
    shown = told(stepwise(analysis.recommendations))
    assert "the step to 2 blocks costs 24.50 points more" in shown
    assert "On the 1 dataset that measured both it adds 0.00" in shown
    assert "measured both it adds" not in flat(published())


def test_increments_have_their_n() -> None:
    steps = [row for row in rows(text(published())) if " → " in row[0]]
    assert [row[-2:] for row in steps] == [["7", "7000"], ["2", "2000"], ["2", "2000"]]


def test_block_0_must_stay_with_the_evidence() -> None:
    (line,) = must_stay(published().recommendations).sentences
    assert line.startswith("Block 0: drop 62.70 points, std 14.00, datasets 8/8, n = 8000")
    assert "okvqa (83.36 points)" in line


def test_without_single_blocks_nothing_is_known_of_what_must_stay() -> None:
    (line,) = must_stay(made({(1, 2): [0.1, 0.1]}).recommendations).sentences
    assert line.startswith("Unknown")


def test_a_harmless_stack_has_no_block_that_must_stay() -> None:
    (line,) = must_stay(made({(1,): [0.1, 0.1]}).recommendations).sentences
    assert line.startswith("None")


def test_a_warning_stands_where_adjusted_drops_name_another_winner() -> None:
    line, assumed = adjusted(published().recommendations).sentences
    assert "missing at random" in assumed
    assert line.startswith("Warning, 2 removed: the plain mean favours 2, 10 (2/8 (coco_2014_vqa, ")
    assert "12, 14 costs less" in line


def test_after_separate_searches_a_search_on_equal_ground_is_proposed() -> None:
    (note,) = (one for one in notes(published().recommendations) if "equal ground" in one)
    assert "19 of 35 combinations were measured on some of the 8 datasets only" in note
    assert "--joint" in note
    assert "--complete 3" in note
    complete = made({(1,): [0.1, 0.1], (2,): [0.2, 0.2]}).recommendations
    assert notes(complete) == []
    assert len(adjusted(complete).sentences) == 1


def test_agreement_of_plain_and_adjusted_drops_is_said() -> None:
    (line,) = adjusted(made({(1,): [0.1, 0.1]}).recommendations).sentences
    assert "same winners" in line


def test_datasets_without_common_removals_cannot_be_adjusted() -> None:
    cells = {(1,): [0.1, None], (2,): [None, 0.2]}
    found = made(cells, min_coverage=1).recommendations
    assert adjusted(found).sentences == ["The drops cannot be adjusted for the datasets."]
    assert "groups that share no measured removal" in text(made(cells, min_coverage=1))


def test_targets_say_what_reaches_them() -> None:
    drop, speed, size = targets(published().recommendations).sentences
    assert drop.startswith("drop of at most 5.00 points: remove 2 of 16 blocks (2, 10)")
    assert "about 1.23 times as fast" in speed
    assert "81.2 % of the blocks stay (parameters unknown)" in size


def test_a_target_that_nothing_reaches() -> None:
    (line,) = targets(made({(1,): [0.1, 0.1]}, max_drop=0.01).recommendations).sentences
    assert line == "drop of at most 1.00 points: no ranked combination meets it"


def test_it_is_said_when_no_superset_was_measured() -> None:
    found = made({(1,): [0.1, 0.1], (2, 3): [0.2, 0.2]}).recommendations
    assert "No superset of the last step with 2 blocks" in told(stepwise(found))


def test_there_is_no_path_without_single_blocks() -> None:
    found = made({(2, 3): [0.2, 0.2]}).recommendations
    assert "there is no path" in told(stepwise(found))


def test_intervals_are_shown_where_scores_per_sample_are_known() -> None:
    shown = text(with_samples())
    assert "95% interval" in shown
    assert re.search(r"\[-?\d+\.\d, -?\d+\.\d\]", shown)
    assert "a 95% interval that ends at" in " ".join(shown.split())
    assert "95% interval" not in section(text(published()), "Independent", "Left out")


def test_a_single_dataset_has_no_std_and_is_warned_of() -> None:
    shown = text(one_dataset())
    assert "only one dataset was measured" in shown
    assert ["1", "5", "1", "1.00", "-", "89.00", "1/1", "-", "1.00"] in rows(shown)
    assert "n unknown" in shown


def test_a_path_over_an_end_of_the_stack_names_the_option() -> None:
    assert "--protect none" in flat(made({(0,): [0.1, 0.1]}))


def test_nothing_ranked_is_said_and_no_error() -> None:
    shown = flat(made({(1,): [0.1, None], (1, 2): [None, -0.1]}))
    assert "nothing can be recommended" in shown
    assert "none ranked" in shown


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("analysis", [published, with_samples, one_dataset, many_blocks])
def test_it_fits_and_nothing_is_cut_off(
    analysis: Callable[[], Analysis], width: int, lang: Lang
) -> None:
    shown = text(analysis(), lang, width)
    assert max(map(cell_len, shown.splitlines())) <= width
    assert "…" not in shown


def test_chinese_is_chinese() -> None:
    shown = text(published(), "zh")
    assert "独立最优" in shown
    assert "绝不能移除的块" in shown
    assert not re.search(r"\b(points|blocks|datasets|removed|Warning)\b", shown)
