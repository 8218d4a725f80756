"""A study whose baseline is no basis for drops has a reason in place of a recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.findings import analyze_results
from depthprune.analysis.result_set import weak_baselines
from depthprune.analysis.verified import choose, choose_number
from depthprune.base.errors import AnalysisError
from depthprune.base.language import language
from depthprune.base.removal import Removal
from depthprune.report.documents import write_documents
from depthprune.report.documents.values import SCORES, recommendations_value
from depthprune.report.sections.recommendations import notes, recommendations
from depthprune.study import ModelRecord, SplitRecord, StudyStore
from depthprune.study.result_files import write_result_files
from depthprune.tasks.weak import CHANCE

SETTINGS = "greedy dtype=float32"
BLOCKS: tuple[Removal, ...] = ((1,), (2,), (1, 2))


def measure(
    folder: Path,
    answers: Sequence[str],
    scores: Sequence[float],
    *,
    task: str = "okvqa",
    metric: str = "vqa_accuracy",
    removals: Sequence[Removal] = BLOCKS,
) -> None:
    """Store a baseline and, with the same answers, some removals."""
    model = ModelRecord("m", "f", "Made", 8, "layers")
    ids = tuple(f"{task}/{place}" for place in range(len(answers)))
    with StudyStore.open(folder, model=model) as study:
        key = study.add_split(SplitRecord(task, "VQA", "validation", f"f {task}", ids, metric))
        for removal in ((), *removals):
            study.add(key, SETTINGS, removal, np.array(scores), answers, 0.0)


def good(folder: Path, task: str = "doc_qa") -> None:
    answers = [f"word {place}" for place in range(30)]
    measure(folder, answers, [1.0] * 20 + [0.0] * 10, task=task)


def test_one_weak_dataset_leaves_nothing_to_recommend(tmp_path: Path) -> None:
    good(tmp_path)
    measure(tmp_path, [""] * 30, [0.0] * 30)
    analysis = analyze_results(read_result_set(tmp_path))
    found = analysis.recommendations
    assert [(one.task, one.split, one.weakness.reason) for one in found.weak] == [
        ("okvqa", "validation", "empty")
    ]
    assert choose(found) is None
    assert choose_number(found, 1) is None
    assert not recommendations(found)
    text = " ".join(notes(found))
    assert "okvqa, validation: 100.0% of the 30 answers are empty" in text
    assert "Nothing is recommended" in text
    with language("zh"):
        assert "不作任何推荐" in " ".join(notes(found))


def test_the_documents_give_the_reason(tmp_path: Path) -> None:
    measure(tmp_path / "study", ["yes"] * 30, [1.0] * 10 + [0.0] * 20)
    analysis = analyze_results(read_result_set(tmp_path / "study"))
    value = recommendations_value(analysis)
    assert value["weak_baselines"] == [
        {
            "dataset": "okvqa",
            "split": "validation",
            "reason": "100.0% of the 30 answers are yes, which is right in 33.3% of them",
            "certain": True,
        }
    ]
    assert value["stepwise"]["steps"] == []
    files = write_documents(analysis, tmp_path / "analysis")
    assert all(path.is_file() for path in files)
    assert tmp_path / "analysis" / "block_configs_for_core_exp.json" in files
    assert not (tmp_path / "analysis" / SCORES).exists()
    assert "Nothing is recommended" in (tmp_path / "analysis" / "quick_summary.md").read_text()


def test_few_samples_are_a_note_beside_the_recommendation(tmp_path: Path) -> None:
    measure(tmp_path, [""] * 8, [0.0] * 8)
    found = analyze_results(read_result_set(tmp_path)).recommendations
    assert not found.is_weak
    assert found.independent[1].combinations
    assert "Weak baseline, maybe: okvqa" in " ".join(notes(found))


def test_a_good_baseline_has_no_note(tmp_path: Path) -> None:
    good(tmp_path)
    results = read_result_set(tmp_path)
    assert weak_baselines(results) == ()
    assert "baseline" not in " ".join(notes(analyze_results(results).recommendations))


def test_result_files_have_the_verdict_of_their_study(tmp_path: Path) -> None:
    good(tmp_path / "study")
    measure(tmp_path / "study", ["yes"] * 30, [0.0] * 30)
    with StudyStore.open(tmp_path / "study", read_only=True) as study:
        write_result_files(study, tmp_path / "results")
    of_study, of_files = (
        weak_baselines(read_result_set(tmp_path / name)) for name in ("study", "results")
    )
    assert of_study == of_files
    assert [one.task for one in of_study] == ["okvqa"]


def test_options_are_judged_by_the_chance_that_the_study_keeps(tmp_path: Path) -> None:
    letters = ["A", "B", "C", "D"] * 15
    scores = [1.0, 0.0, 0.0, 0.0] * 15
    for name, chance in (("unknown", None), ("four", 0.25), ("twenty", 0.05)):
        folder = tmp_path / name
        if chance is not None:
            with StudyStore.open(folder, model=ModelRecord("m", "f", "Made", 8, "layers")) as study:
                study.begin_run({CHANCE: {"f ai2d": chance}})
        measure(folder, letters, scores, task="ai2d", metric="choice_likelihood")
    assert weak_baselines(read_result_set(tmp_path / "unknown")) == ()
    assert weak_baselines(read_result_set(tmp_path / "twenty")) == ()
    (weak,) = weak_baselines(read_result_set(tmp_path / "four"))
    assert weak.weakness.reason == "at chance"


def test_a_study_of_baselines_alone_says_why_nothing_was_removed(tmp_path: Path) -> None:
    measure(tmp_path, [""] * 30, [0.0] * 30, removals=())
    with pytest.raises(AnalysisError, match=r"no basis for drops:\n  okvqa, validation: 100\.0%"):
        read_result_set(tmp_path)


def test_a_good_baseline_alone_is_only_a_beginning(tmp_path: Path) -> None:
    measure(tmp_path, ["a", "b"], [1.0, 1.0], removals=())
    with pytest.raises(AnalysisError, match="no removal together with its baseline"):
        read_result_set(tmp_path)
