"""Specification of the files that an analysis leaves: JSON for programs, text for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import nan
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.combinations import combine
from depthprune.analysis.findings import Analysis, analyze_results
from depthprune.analysis.options import Ranking
from depthprune.base.errors import DepthpruneError, FileError
from depthprune.base.language import language
from depthprune.base.removal import format_removal
from depthprune.importance.score_files import count_blocks, read_scores
from depthprune.importance.select import make_selection
from depthprune.report.documents import (
    values as cross_dataset,
)
from depthprune.report.documents import write_documents, write_pictures
from depthprune.report.documents.texts import (
    comprehensive_report,
    cross_dataset_report,
    quick_summary,
)
from depthprune.report.documents.values import (
    block_configs_value,
    cross_dataset_pieces,
    pairwise_value,
    recommendations_value,
    scores_value,
)
from depthprune.report.sections.inputs import problem_lines
from depthprune.study import filenames
from tests.analysis.results import PUBLISHED, result_set, results
from tests.measurements import dataset
from tests.report.analyses import (
    BEAM,
    both_splits,
    made,
    many_blocks,
    one_dataset,
    published,
    with_samples,
)

EXPECTED: Mapping[str, Any] = json.loads((PUBLISHED / "expected.json").read_text())
POINT = 0.01 / 100 + 1e-9

EVERY = [published, both_splits, with_samples, one_dataset, many_blocks]


def cross(analysis: Analysis) -> dict[str, Any]:
    """Return `cross_dataset_analysis.json` as a program reads it."""

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} in JSON")

    text = b"".join(cross_dataset_pieces(analysis)).decode()
    found = json.loads(text, parse_constant=refuse)
    assert isinstance(found, dict)
    return found


# cross_dataset_analysis.json


def test_every_combination_has_the_fields_of_the_old_scripts() -> None:
    found = cross(published())
    assert list(found) == [
        "combination_stats",
        "best_combinations",
        "dataset_specific_best",
        "summary_stats",
    ]
    one = found["combination_stats"]["4-13"]
    assert one["removed_blocks"] == [4, 13]
    assert one["num_removed"] == 2
    assert one["avg_accuracy_drop"] == pytest.approx(0.0541, abs=POINT)
    assert one["std_accuracy_drop"] == pytest.approx(0.0443, abs=POINT)
    assert one["num_datasets_tested"] == len(one["datasets"]) == 7
    assert one["accuracy_drops_by_dataset"].keys() == set(one["datasets"])
    assert one["num_samples"] == 7000


@pytest.mark.parametrize("key", EXPECTED["average_accuracy"])
def test_average_accuracies_are_those_published(key: str) -> None:
    accuracy = cross(published())["combination_stats"][key]["avg_accuracy"]
    assert 100 * accuracy == pytest.approx(EXPECTED["average_accuracy"][key], abs=0.02)


def test_the_pieces_hold_what_a_plain_loop_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_dataset, "AT_ONCE", 3)
    found = cross(published())["combination_stats"]
    plain = {format_removal(one.removal): one for one in combine(published().results.datasets)}
    assert list(found) == list(plain)
    for key, one in plain.items():
        assert found[key]["avg_accuracy_drop"] == pytest.approx(one.mean)
        assert found[key]["accuracy_drops_by_dataset"] == dict(one.drops)


def test_the_best_combinations_are_ranked() -> None:
    best = cross(published())["best_combinations"]
    for number, removals in EXPECTED["independent"].items():
        assert [one["removed_blocks"] for one in best[number][:5]] == removals


def test_each_dataset_has_its_own_best() -> None:
    best = cross(published())["dataset_specific_best"]
    assert list(best) == list(published().table.datasets)
    assert best["coco_caption"]["2"]["removed_blocks"] == [2, 4]
    assert best["coco_caption"]["2"]["accuracy_drop"] == pytest.approx(-0.0558, abs=1e-4)
    assert best["coco_caption"]["2"]["num_samples"] == 1000


def test_the_summary_counts_what_was_measured_and_left_out() -> None:
    summary = cross(published())["summary_stats"]
    assert (summary["num_combinations"], summary["num_drops"]) == (35, 174)
    assert summary["by_num_removed"]["2"]["left_out_low_coverage"] == 2
    assert summary["datasets"]["okvqa"]["num_samples"] == 1000
    assert summary["accuracy_drops"]["median"] == pytest.approx(0.0564, abs=1e-4)


def test_unknown_numbers_are_null_and_drops_stay() -> None:
    without_baseline = analyze_results(results({(1,): [0.25]}, baseline=nan))
    one = cross(without_baseline)["combination_stats"]["1"]
    assert (one["avg_accuracy_drop"], one["avg_accuracy"]) == (0.25, None)
    known = cross(one_dataset())["combination_stats"]["1"]
    assert (known["num_samples"], known["confidence_interval"]) == (None, None)


def test_intervals_are_kept() -> None:
    low, high = cross(with_samples())["combination_stats"]["1-2"]["confidence_interval"]
    assert low < 0.2 < high


# pruning_recommendations.json


def test_recommendations_hold_every_rule_as_published() -> None:
    value = recommendations_value(published())
    for number, removals in EXPECTED["independent"].items():
        ranked = value["independent_best"][number]
        assert [one["removed_blocks"] for one in ranked["top"]] == removals
        assert ranked["best"]["removed_blocks"] == removals[0]
    for number, removal in EXPECTED["robust"].items():
        assert value["robust_best"][number]["best"]["removed_blocks"] == removal
    (block,) = value["must_keep"]
    assert block["block"] == 0
    assert 100 * block["avg_accuracy_drop"] == pytest.approx(EXPECTED["block_0_average_drop"])


def test_the_stepwise_path_is_kept_as_published() -> None:
    steps = recommendations_value(published())["stepwise"]["steps"]
    for step, expected in zip(steps, EXPECTED["stepwise"], strict=True):
        assert step["removed_blocks"] == expected["blocks"]
        assert step["avg_accuracy_drop"] == pytest.approx(expected["drop"] / 100, abs=POINT)
        assert step["std_accuracy_drop"] == pytest.approx(expected["std"] / 100, abs=POINT)
        assert step["num_datasets_tested"] == expected["datasets"]
        if expected["incremental"] is None:
            assert step["incremental_drop"] is None
        else:
            increment = expected["incremental"] / 100
            assert step["incremental_drop"] == pytest.approx(increment, abs=POINT)
    assert [step["jump"] for step in steps] == [False, False, False, True]


def test_strategies_targets_and_disagreements_are_kept() -> None:
    value = recommendations_value(published())
    assert value["levels"]["balanced"]["reason"].startswith("the most blocks whose best removal")
    assert value["levels"]["balanced"]["recommendation"]["removed_blocks"] == [2, 4, 7]
    assert {
        name: [one["removed_blocks"] for one in ones] for name, ones in value["strategies"].items()
    } == {
        "conservative": [[4], [4, 13]],
        "balanced": [[2, 4, 7]],
        "aggressive": [[2, 4, 13, 14], [3, 4, 13, 14]],
    }
    assert value["strategies"]["balanced"][0]["datasets"] == [
        "coco_2014_vqa",
        "coco_caption",
        "okvqa",
    ]
    assert [one["kind"] for one in value["targets"]] == ["max_drop", "speedup", "params"]
    assert value["disagreements"][0]["adjusted_winner"]["removed_blocks"] == [12, 14]


def test_what_is_recommended_is_the_last_conservative_one_unless_a_target_is_met() -> None:
    cells = {(1,): [0.01] * 3, (1, 2): [0.02] * 3, (1, 2, 3): [0.5] * 3}
    recommended = recommendations_value(made(cells))["recommended"]
    assert (recommended["rule"], recommended["removed_blocks"]) == ("conservative", [1, 2])
    recommended = recommendations_value(made(cells, max_drop=0.015))["recommended"]
    assert (recommended["rule"], recommended["removed_blocks"]) == ("max_drop", [1])
    assert recommendations_value(made({(1,): [0.5] * 3}))["recommended"] is None


# block_configs_for_core_exp.json


def test_block_configs_are_laid_out_as_select_writes_them() -> None:
    value = block_configs_value(published())
    selection = make_selection({block: float(block) for block in range(16)}, 12, (0, 15))
    assert selection.num_active == 12
    assert set(value) >= {"importance_scores_file", "num_blocks", "protected_blocks"}
    for active, removed in EXPECTED["num_active_blocks"].items():
        config = value["block_configs"][active]
        assert config["num_active_blocks"] == int(active)
        assert config["removed_block_indices"] == removed
        assert config["active_block_indices"] == sorted(set(range(16)) - set(removed))
        assert config["kind"] == "stepwise"
        assert config["num_datasets_tested"] >= 2


def test_where_the_path_ends_other_rules_take_over() -> None:
    cells = {(1,): [0.1] * 3, (2, 3): [0.2] * 3, (2, 3, 4): [0.3, 0.3, None]}
    configs = block_configs_value(made(cells))["block_configs"]
    assert {active: one["kind"] for active, one in configs.items()} == {
        "5": "stepwise",
        "4": "robust",
        "3": "independent",
    }


def test_no_other_rule_removes_a_block_that_must_stay() -> None:
    cells = {(0,): [0.8, 0.8], (1,): [0.1, 0.1], (0, 2): [0.5, 0.5]}
    value = block_configs_value(made(cells))
    assert value["must_keep"] == [0]
    assert list(value["block_configs"]) == ["5"]
    assert "4" in value["by_kind"]["independent"]


# importance_scores_recommended.json


def test_selecting_by_the_score_file_gives_exactly_the_path(tmp_path: Path) -> None:
    files = {path.name: path for path in write_documents(published(), tmp_path)}
    found = read_scores(files["importance_scores_recommended.json"])
    assert count_blocks(found) == 16
    for active, removed in EXPECTED["num_active_blocks"].items():
        assert list(make_selection(found.scores, int(active)).removal) == removed


def test_the_score_file_says_when_protection_must_be_lifted() -> None:
    assert scores_value(made({(0,): [0.1, 0.1]}))["needs_protect_none"] is True
    assert scores_value(published())["needs_protect_none"] is False


# pairwise_dataset_stats.json


def test_all_pairs_of_datasets_are_kept_with_both_ends() -> None:
    value = pairwise_value(published())
    assert value["num_pairs"] == len(value["pairs"]) == 28
    assert len(value["most_alike"]) == len(value["least_alike"]) == 5
    assert value["most_alike"][0]["datasets"] == ["okvqa", "science_qa_img"]
    assert value["by_task_type"]["same"]["num_pairs"] == 3


def test_no_pair_is_among_the_most_and_the_least_alike() -> None:
    cells = {(block,): [0.01 * block, 0.02 * block, 0.03 - 0.01 * block] for block in range(6)}
    value = pairwise_value(made(cells))
    ends = [tuple(one["datasets"]) for one in (*value["most_alike"], *value["least_alike"])]
    assert len(ends) == len(set(ends)) == 3


# texts


def test_the_quick_summary_answers_on_one_screen() -> None:
    text = quick_summary(published())
    assert len(text.splitlines()) <= 66
    for removed, step in enumerate(EXPECTED["stepwise"], start=1):
        blocks = ", ".join(map(str, step["blocks"]))
        row = f"| {removed} | {16 - removed} | {blocks} | {step['drop']:.2f} | {step['std']:.2f} |"
        assert row in text
    assert "7/8 (not coco_caption)" in text
    assert "the step to 4 blocks costs 10.83 points more" in text
    assert "--num_active_blocks 15 14 13 12\n" in text
    assert "## Targets" in text


def test_the_quick_summary_of_many_blocks_is_cut_and_says_so() -> None:
    text = quick_summary(many_blocks())
    assert "... and 18 more" in text
    assert len(text.splitlines()) <= 66


def test_names_are_not_taken_for_markdown() -> None:
    plain = result_set([dataset("a", 0.9, {(1,): 0.8})], num_blocks=4)
    text = quick_summary(analyze_results(plain))
    assert "\\_" not in text
    named = result_set([dataset("<b>*a*", 0.9, {(1,): 0.2})], num_blocks=4)
    assert r"hit hardest is \<b\>\*a\*" in quick_summary(analyze_results(named))


def test_the_reports_hold_input_recommendations_and_findings() -> None:
    whole = comprehensive_report(published())
    for heading in ("Recommendations", "Task types", "Synergy", "Training against validation"):
        assert f"== {heading}" in whole
    assert "About the input (1):" in whole
    across = cross_dataset_report(published())
    assert "2, 4 (-5.58)" in across
    assert "Best combinations over the datasets" in across


@pytest.mark.parametrize("lang", ["en", "zh"], indirect=True)
@pytest.mark.parametrize("analysis", EVERY)
def test_reports_are_100_columns_wide_and_whole(
    analysis: Callable[[], Analysis], lang: Any
) -> None:
    for text in (
        comprehensive_report(analysis()),
        cross_dataset_report(analysis()),
    ):
        assert max(map(cell_len, text.splitlines())) <= 100
        assert "…" not in text
        assert "nan" not in text


def test_the_terminal_shows_some_problems_and_counts_the_rest() -> None:
    many = result_set([dataset("a", 0.9, {(1,): 0.8})], problems=tuple(map(str, range(30))))
    lines = problem_lines(many)
    assert lines[0] == "About the input (30):"
    assert len(lines) == 22
    assert lines[-1] == "  ... and 10 more"
    assert len(problem_lines(many, shown=None)) == 31


# the folder


@pytest.mark.parametrize("analysis", EVERY)
def test_writing_again_gives_the_same_bytes_and_no_nan(
    analysis: Callable[[], Analysis], tmp_path: Path
) -> None:
    files = write_documents(analysis(), tmp_path / "a")
    again = write_documents(analysis(), tmp_path / "a")
    other = write_documents(analysis(), tmp_path / "b")
    assert files == again
    for one, two in zip(files, other, strict=True):
        assert one.read_bytes() == two.read_bytes()
        if one.suffix == ".json":
            assert "NaN" not in one.read_text(encoding="utf-8")
            json.loads(one.read_text(encoding="utf-8"))


def test_json_is_the_same_in_both_languages(tmp_path: Path) -> None:
    english = write_documents(published(), tmp_path / "en")
    with language("zh"):
        chinese = write_documents(published(), tmp_path / "zh")
    for one, two in zip(english, chinese, strict=True):
        assert (one.read_bytes() == two.read_bytes()) is (one.suffix == ".json")


def test_no_document_is_taken_for_results(tmp_path: Path) -> None:
    for path in write_documents(published(), tmp_path):
        assert not filenames.is_result_file(path.name)
        assert not filenames.is_comparison_file(path.name)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot write"):
        write_documents(published(), tmp_path / "file" / "analysis")


def test_a_missing_package_costs_only_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import depthprune.report.html.page as html

    def missing(*_: object, **__: object) -> Path:
        raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")

    monkeypatch.setattr(html, "write_report", missing)
    written = write_pictures(published(), tmp_path, skip=("figures",))
    assert written.missing == {"html": "jinja2"}
    assert [path.suffix for path in written.files] == [".tex"]


def test_another_missing_module_is_no_missing_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import depthprune.report.html.page as html

    def broken(*_: object, **__: object) -> Path:
        raise ModuleNotFoundError("No module named 'depthprune.nothing'", name="depthprune.nothing")

    monkeypatch.setattr(html, "write_report", broken)
    with pytest.raises(ModuleNotFoundError):
        write_pictures(published(), tmp_path, skip=("figures",))


@pytest.mark.parametrize("limit", [nan, 2.0, -1.5])
def test_a_smallest_drop_that_is_no_fraction_is_refused(limit: float) -> None:
    with pytest.raises(DepthpruneError, match="must be a fraction"):
        analyze_results(read_result_set(BEAM), Ranking(min_drop=limit))
