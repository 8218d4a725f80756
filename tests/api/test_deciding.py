"""From results to a decision, in Python: studies, findings, recommendations, scores, reports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import depthprune as dp
from depthprune.base.errors import AnalysisError, FileError, LayoutError
from depthprune.study import SplitRecord, StudyStore
from tests.analysis.results import PUBLISHED
from tests.study.example import MODEL, REMOVALS, SETTINGS, SPLIT, filled_study, scores_of


@pytest.fixture(scope="module")
def published() -> dp.Study:
    """Return the published results: eight datasets, 16 blocks, files without samples."""
    return dp.open_study(PUBLISHED)


@pytest.fixture
def measured(tmp_path: Path) -> dp.Study:
    """Return a study of one dataset with per-sample scores."""
    filled_study(tmp_path / "study").close()
    return dp.open_study(str(tmp_path / "study"))


def test_a_study_says_what_was_measured(published: dp.Study) -> None:
    assert published.num_blocks == 16
    assert len(published.datasets) == 8
    drops = published.drops()
    row = next(one for one in drops if (one["removal"], one["dataset"]) == ((4,), "okvqa"))
    assert row["drop"] == pytest.approx(-0.0107679, abs=1e-6)
    assert (row["split"], row["n"], row["low"]) == ("train+validation", 1000, None)


def test_drops_are_those_of_the_stored_scores(measured: dp.Study) -> None:
    drops = measured.drops()
    assert drops["removal"] == sorted(REMOVALS[1:12], key=lambda one: (len(one), one))
    for row in drops:
        before, after = scores_of(()), scores_of(row["removal"])
        assert row["drop"] == pytest.approx(float(np.mean(before - after, dtype=float)))
        assert row["accuracy"] == pytest.approx(float(np.mean(after, dtype=float)))
        assert row["n"] == 8
    singles = {row["removal"][0]: row["drop"] for row in drops if len(row["removal"]) == 1}
    assert measured.importance() == measured.importance("demo-okvqa") == singles


def test_intervals_hold_the_drop(tmp_path: Path) -> None:
    record = StudyStore.open(tmp_path, model=MODEL)
    ids = tuple(map(str, range(200)))
    key = record.add_split(split_of(ids))
    generator = np.random.default_rng(0)
    for removal in ((), (1,)):
        record.add(key, SETTINGS, removal, generator.integers(0, 2, 200), ["a"] * 200, 0.1)
    record.close()
    (row,) = dp.open_study(tmp_path).drops()
    assert row["low"] < row["drop"] < row["high"]


def split_of(ids: tuple[str, ...]) -> SplitRecord:
    """Return the example's split with other samples."""
    return replace(SPLIT, sample_ids=ids)


def test_answers_stand_beside_those_of_the_whole_model(measured: dp.Study) -> None:
    answers = measured.answers([2], "demo_okvqa")
    assert answers["sample"] == list(SPLIT.sample_ids)
    assert answers["baseline_score"] == pytest.approx([float(one) for one in scores_of(())])
    assert answers["score"] == pytest.approx([float(one) for one in scores_of((2,))])
    assert answers["answer"][3] == '(2,)"\\'
    assert answers["baseline_answer"][3] == '()"\\'


def test_reading_answers_holds_no_lock(measured: dp.Study) -> None:
    measured.answers((), "demo_okvqa")
    with StudyStore.open(measured.folder, model=MODEL) as store:
        store.add_split(SPLIT)


@pytest.mark.parametrize(
    ("removal", "dataset", "told"),
    [
        ((5,), "okvqa", "no results of 'okvqa'"),
        ((4, 5), "demo_okvqa", "4-5 was not measured on demo_okvqa"),
        ((6,), "demo_okvqa", "6"),
    ],
)
def test_what_was_not_measured_has_no_answers(
    measured: dp.Study, removal: tuple[int, ...], dataset: str, told: str
) -> None:
    with pytest.raises(dp.DepthpruneError, match=told):
        measured.answers(removal, dataset)


def test_files_without_answers_say_so(published: dp.Study) -> None:
    with pytest.raises(LayoutError, match="were not kept"):
        published.answers((4,), "okvqa")


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        dp.open_study(tmp_path / "nothing")


def test_what_is_recommended_is_what_the_command_recommends(published: dp.Study) -> None:
    found = dp.analyze(published)
    best = found.recommendations.recommended
    assert best is not None
    assert (best.rule, best.removal, len(best.datasets)) == ("conservative", (4, 13), 7)
    assert best.drop == pytest.approx(0.0541)
    removals = {
        name: [one.removal for one in ones]
        for name, ones in found.recommendations.strategies.items()
    }
    assert removals == {
        "conservative": [(4,), (4, 13)],
        "balanced": [(2, 4, 7)],
        "aggressive": [(2, 4, 13, 14), (3, 4, 13, 14)],
    }
    assert found.recommendations.why is None
    assert dp.recommend(published).recommended == best
    assert 0 in found.recommendations.must_stay


def test_targets_decide_where_they_are_asked_for(published: dp.Study) -> None:
    best = dp.recommend(str(published.folder), max_drop=0.04).recommended
    assert best is not None
    assert best.rule == "max_drop"
    assert best.drop <= 0.04


def test_nothing_recommended_says_why(measured: dp.Study) -> None:
    found = dp.recommend(measured)
    assert found.recommended is None
    assert found.why is not None
    assert "no removal is certain enough" in found.why


@pytest.mark.parametrize("wrong", [{"min_coverage": 0}, {"min_drop": float("nan")}, {"split": "x"}])
def test_a_ranking_that_means_nothing_is_refused(
    published: dp.Study, wrong: dict[str, Any]
) -> None:
    with pytest.raises(dp.DepthpruneError):
        dp.analyze(published, dp.Ranking(**wrong))


def test_findings_are_values_and_tables(published: dp.Study) -> None:
    found = dp.analyze(published)
    assert found.synergies[0].removal == (3, 14)
    tables = found.tables()
    assert tables["blocks"]["block"] == list(range(16))
    assert tables["synergies"]["removal"][0] == (3, 14)
    assert len(tables["pairs"]) == 28
    combinations = tables["combinations"]
    assert combinations["removed"] == sorted(combinations["removed"])


def test_reports_are_written_as_asked(published: dp.Study, tmp_path: Path) -> None:
    found = dp.analyze(published)
    files = dp.write_report(found, tmp_path / "report", formats=("json",))
    assert {path.suffix for path in files} == {".json"}
    assert sorted((tmp_path / "report").iterdir()) == sorted(files)
    value = json.loads((tmp_path / "report/pruning_recommendations.json").read_text())
    assert value["num_blocks"] == 16
    more = dp.write_report(found, str(tmp_path / "zh"), formats=("txt", "html"), lang="zh")
    assert {path.suffix for path in more} == {".txt", ".md", ".html"}
    assert "推荐" in (tmp_path / "zh/quick_summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("option", [{"formats": ("docx",)}, {"lang": "fr"}])
def test_reports_of_an_unknown_kind_are_refused(
    published: dp.Study, tmp_path: Path, option: dict[str, Any]
) -> None:
    with pytest.raises(AnalysisError, match="choose from"):
        dp.write_report(dp.analyze(published), tmp_path / "report", **option)
    assert not (tmp_path / "report").exists()


def test_scores_are_merged_and_select_blocks(published: dp.Study) -> None:
    merged = dp.merge(published)
    assert merged.ranking[:2] == (4, 3)
    assert dp.select(merged, 14) == dp.select(merged.scores, 14) == (3, 4)
    assert dp.select(published.importance(), 15, protect=[4]) == (3,)
    assert dp.select({0: 0.5, 1: 0.1, 2: 0.2}, 2, protect=()) == (1,)


def test_scores_are_merged_from_plain_numbers_too() -> None:
    scores = {"a": {0: 0.0, 1: 1.0}, "b": {0: 1.0, 1: 1.0}}
    assert dp.merge(scores).scores == {0: 0.5, 1: 1.0}
    weighted = dp.merge(scores, "weighted_avg", weights={"a": 3, "b": 1})
    assert weighted.scores == {0: 0.25, 1: 1.0}
    with pytest.raises(dp.DepthpruneError, match="weight"):
        dp.merge(scores, "weighted_avg", weights={"a": 3})


def test_scores_are_selected_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    file.write_text(json.dumps({"0": 0.5, "1": 0.1, "2": 0.2, "3": 0.9}))
    assert dp.select(file, 3) == dp.select(str(file), 3) == (1,)


def test_train_and_validation_are_compared(published: dp.Study, measured: dp.Study) -> None:
    table = dp.compare(PUBLISHED)
    assert set(table.columns) >= {"dataset", "rho", "p_value", "consistent"}
    assert all(-1 <= rho <= 1 for rho in table["rho"])
    assert dp.compare(PUBLISHED, threshold=-1)["consistent"] == [True] * len(table)
    with pytest.raises(dp.DepthpruneError, match="no dataset was measured on two splits"):
        dp.compare(measured)


def test_nothing_is_printed(
    published: dp.Study, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dp.write_report(dp.analyze(PUBLISHED), tmp_path, formats=("txt", "json"))
    dp.merge(PUBLISHED)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
