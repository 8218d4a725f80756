"""Specification of taking results from files into a study."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depthprune.base.errors import LayoutError, StudyError
from depthprune.study import StudyStore, import_results, read_results, write_result_files
from tests.study.example import MODEL, add, answers_of, filled_study, scores_of

DATA = Path(__file__).parent / "data"
SUMMARY = "exp3_accuracy_sensitivity_v2_results.json"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DATA / "beam", tmp_path / "published"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return results that depthprune wrote itself."""
    with filled_study(tmp_path / "own", [(), (2,), (1, 3)]) as study:
        write_result_files(study, tmp_path / "results")
    return tmp_path / "results"


def test_published_results_go_into_a_study_of_their_own(published: Path, tmp_path: Path) -> None:
    report = import_results(published, tmp_path / "study", task_types={"okvqa": "VQA"})
    assert (report.imported, report.known, report.problems) == (19 + 24, 0, ())
    with StudyStore.open(tmp_path / "study") as study:
        assert study.model.name == "published"
        assert study.model.fingerprint == "imported:published"
        assert study.model.num_blocks == 16
        assert [(one.record.task, one.record.task_type) for one in study.splits()] == [
            ("okvqa", "VQA"),
            ("tally_qa", ""),
        ]
        for stored, dataset in zip(study.splits(), read_results(published).datasets, strict=True):
            assert study.drops(stored.key, "imported") == dataset.drops
        found = study.measurement(1, "imported", (4,))
        assert found is not None
        assert (found.scores, found.std, found.num_samples) == (None, 0.37, 1000)
        assert found.origin == str(published / "okvqa" / "train+validation")


def test_an_imported_study_writes_the_files_it_was_read_from(
    published: Path, tmp_path: Path
) -> None:
    import_results(published, tmp_path / "study")
    with StudyStore.open(tmp_path / "study") as study:
        write_result_files(study, tmp_path / "again", beam_width=3, max_blocks_to_remove=4)
    for path in published.rglob("*.json"):
        again = tmp_path / "again" / path.relative_to(published)
        assert again.read_text() == path.read_text().rstrip() + "\n"


def test_importing_again_changes_nothing(published: Path, tmp_path: Path) -> None:
    import_results(published, tmp_path / "study")
    report = import_results(published, tmp_path / "study")
    assert (report.imported, report.known) == (0, 43)


def test_other_numbers_for_a_known_result_are_refused_and_nothing_is_stored(
    published: Path, tmp_path: Path
) -> None:
    shutil.move(published / "okvqa", tmp_path / "okvqa")
    import_results(published, tmp_path / "study")
    shutil.move(tmp_path / "okvqa", published / "okvqa")
    path = published / "tally-qa" / "train+test" / SUMMARY
    value = json.loads(path.read_text())
    value["summary"][-1]["accuracy"] += 0.0001
    path.write_text(json.dumps(value))
    with pytest.raises(StudyError, match="stored already with other numbers"):
        import_results(published, tmp_path / "study")
    with StudyStore.open(tmp_path / "study") as study:
        assert [one.record.task for one in study.splits()] == ["tally_qa"]


def test_results_do_not_slip_into_the_study_of_a_measured_model(
    published: Path, tmp_path: Path
) -> None:
    model = replace(MODEL, num_blocks=16)
    StudyStore.open(tmp_path / "study", model=model).close()
    with pytest.raises(StudyError, match=r"about tiny .* not about published"):
        import_results(published, tmp_path / "study")
    assert import_results(published, tmp_path / "study", model=model).imported == 43


def test_a_model_of_another_size_is_refused(published: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"more than one model: \[6, 16\] blocks"):
        import_results(published, tmp_path / "study", model=MODEL)
    assert not (tmp_path / "study").exists()


def test_own_results_come_back_with_samples_but_marked(own: Path, tmp_path: Path) -> None:
    report = import_results(own, tmp_path / "study")
    assert report.imported == 3
    with StudyStore.open(tmp_path / "study") as study:
        assert study.model == replace(
            MODEL, fingerprint="imported:model-1", parameters=None, block_parameters=None
        )
        (stored,) = study.splits()
        assert (stored.record.metric, stored.record.task_type) == ("vqa_accuracy", "VQA")
        assert stored.settings == ("imported",)
        found = study.measurement(stored.key, "imported", (1, 3))
    assert found is not None
    assert found.scores is not None
    assert np.array_equal(found.scores, scores_of((1, 3)))
    assert found.answers == answers_of((1, 3))
    assert found.origin == str(own / "demo-okvqa" / "train+validation")


def test_own_results_of_two_models_are_not_mixed(own: Path, tmp_path: Path) -> None:
    model = replace(MODEL, name="grown", fingerprint="model-2")
    with StudyStore.open(tmp_path / "grown", model=model) as study:
        add(study, ())
        write_result_files(study, own / "grown")
    for path in (own / "grown").rglob("*.json"):
        path.write_text(path.read_text().replace("demo_okvqa", "demo_other"))
    with pytest.raises(LayoutError, match=r"more than one model: \['grown', 'tiny'\]"):
        import_results(own, tmp_path / "study")


def test_drops_without_accuracies_are_a_problem_not_a_result(
    published: Path, tmp_path: Path
) -> None:
    (published / "okvqa" / "train+validation" / SUMMARY).unlink()
    report = import_results(published, tmp_path / "study")
    assert report.imported == 24
    assert "drops alone cannot be imported" in str(report.problems[0])


def test_drops_alone_make_no_study(published: Path, tmp_path: Path) -> None:
    for path in published.rglob(SUMMARY):
        path.unlink()
    with pytest.raises(LayoutError, match="no dataset here has a baseline accuracy"):
        import_results(published, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_result_without_accuracy_is_left_out_and_named(published: Path, tmp_path: Path) -> None:
    path = published / "okvqa" / "train+validation" / SUMMARY
    value = json.loads(path.read_text())
    del value["summary"][0]["accuracy"]
    path.write_text(json.dumps(value))
    report = import_results(published, tmp_path / "study")
    assert report.imported == 42
    assert "1 result has a drop, but no accuracy" in str(report.problems[0])


def test_an_unknown_number_of_blocks_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "okvqa" / "train" / SUMMARY
    path.parent.mkdir(parents=True)
    entry = {"removed_block_indices": [1], "accuracy": 0.5}
    path.write_text(json.dumps({"baseline_accuracy": 0.9, "summary": [entry]}))
    with pytest.raises(LayoutError, match="how many blocks"):
        import_results(tmp_path / "okvqa", tmp_path / "study")
