"""Specification of result sets from a study: one split, one set of options, only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depthprune.analysis import from_study
from depthprune.analysis.collect import read_result_set
from depthprune.analysis.combinations import combine
from depthprune.analysis.from_study import dataset_measurements
from depthprune.base.errors import AnalysisError, StudyError
from depthprune.base.removal import Removal
from depthprune.study import StudyStore, import_results
from tests.analysis.results import PUBLISHED
from tests.study.example import MODEL, SETTINGS, SPLIT, add, answers_of, scores_of

SINGLES: tuple[Removal, ...] = ((), (1,), (2,), (3,))


@pytest.fixture
def study(tmp_path: Path) -> Iterator[StudyStore]:
    with StudyStore.open(tmp_path, model=MODEL) as study:
        yield study


def measure(
    study: StudyStore,
    task: str = "okvqa",
    split: str = "validation",
    removals: Iterable[Removal] = SINGLES,
    *,
    settings: str = SETTINGS,
    fingerprint: str = "task-1",
) -> None:
    key = study.add_split(replace(SPLIT, task=task, split=split, fingerprint=fingerprint))
    for removal in removals:
        add(study, removal, key=key, settings=settings)


def test_everything_is_read_with_scores_and_without_answers(study: StudyStore) -> None:
    measure(study)
    measure(study, "doc_qa")
    results = read_result_set(study.folder)
    assert [one.dataset for one in results.datasets] == ["doc_qa", "okvqa"]
    assert (results.model, results.num_blocks) == ("tiny", 6)
    assert (results.parameters, results.block_parameters) == (600, (90,) * 6)
    assert results.problems == ()
    measured = results.datasets[0].measurements[(1,)]
    assert measured.scores is not None
    assert np.array_equal(measured.scores, scores_of((1,)))
    assert measured.answers is None
    assert all(one.interval is not None for one in combine(results.datasets))


def test_the_database_may_be_named_itself(study: StudyStore) -> None:
    measure(study)
    assert read_result_set(study.folder / "study.db").model == "tiny"


def test_a_study_that_is_being_written_is_read_and_left_as_it_is(study: StudyStore) -> None:
    measure(study)
    before = study.measurements()
    read_result_set(study.folder)
    assert study.measurements() == before
    add(study, (4,))


def test_no_study_and_no_results_in_it_are_errors(study: StudyStore, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no removal together with its baseline"):
        read_result_set(study.folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "study.db").write_text("no database")
    with pytest.raises(StudyError):
        read_result_set(other)


def test_a_dataset_without_its_baseline_is_left_out(study: StudyStore) -> None:
    measure(study)
    measure(study, "doc_qa", removals=[(1,)])
    measure(study, "st_qa")
    results = read_result_set(study.folder)
    assert [one.dataset for one in results.datasets] == ["okvqa", "st_qa"]
    assert any("doc_qa validation: no removal together" in one for one in results.problems)


def test_of_several_settings_those_with_the_most_measurements_are_analysed(
    study: StudyStore,
) -> None:
    measure(study, settings="bfloat16", removals=SINGLES[:2])
    measure(study)
    results = read_result_set(study.folder)
    assert len(results.datasets[0].measurements) == 3
    assert any("2 sets of options" in one and SETTINGS in one for one in results.problems)


def test_of_several_prompts_with_as_many_measurements_the_last_is_analysed(
    study: StudyStore,
) -> None:
    measure(study)
    key = study.add_split(replace(SPLIT, task="okvqa", split="validation", fingerprint="task-2"))
    for removal in SINGLES:
        scores = np.zeros(len(SPLIT.sample_ids))
        study.add(key, SETTINGS, removal, scores, answers_of(removal), 0.1)
    results = read_result_set(study.folder)
    assert results.datasets[0].baseline.accuracy == 0.0
    assert any("2 sets of options" in one for one in results.problems)


def test_datasets_under_different_settings_are_pointed_out(study: StudyStore) -> None:
    measure(study)
    measure(study, "doc_qa", settings="bfloat16")
    problems = read_result_set(study.folder).problems
    assert any("different settings: bfloat16; greedy" in one for one in problems)


def test_a_split_can_be_chosen(study: StudyStore) -> None:
    measure(study, split="train")
    measure(study, split="validation")
    assert read_result_set(study.folder).splits == {"okvqa": "validation"}
    assert read_result_set(study.folder, "train").splits == {"okvqa": "train"}
    with pytest.raises(AnalysisError, match="no dataset was measured on the split 'test2'"):
        read_result_set(study.folder, "test2")


def test_train_and_validation_are_compared(study: StudyStore) -> None:
    measure(study, split="train")
    measure(study, split="validation", removals=[*SINGLES, (1, 2)])
    measure(study, "doc_qa", split="validation")
    (found,) = read_result_set(study.folder).comparisons
    assert found.dataset == "okvqa"
    assert found.train_scores == pytest.approx(found.validation_scores)
    assert list(found.validation_scores) == [1, 2, 3]


def test_more_scores_than_can_be_held_are_left_out(
    study: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(study)
    monkeypatch.setattr(from_study, "MOST_SCORES", 4 * 8 - 1)
    results = read_result_set(study.folder)
    assert results.datasets[0].measurements[(1,)].scores is None
    assert any("32 scores are too many" in one for one in results.problems)
    monkeypatch.setattr(from_study, "MOST_SCORES", 4 * 8)
    assert read_result_set(study.folder).datasets[0].measurements[(1,)].scores is not None


def test_removals_of_blocks_that_do_not_exist_are_left_out(study: StudyStore) -> None:
    """As only a damaged study without checksums, of an older depthprune, holds them."""
    measure(study)
    study.close()
    with sqlite3.connect(study.folder / "study.db") as connection:
        connection.execute(
            "UPDATE measurement SET removal = '1,99', checksum = '' WHERE removal = '3'"
        )
    connection.close()
    results = read_result_set(study.folder)
    assert list(results.datasets[0].measurements) == [(1,), (2,)]
    assert any("1 removal (1-99) of blocks that do not exist" in one for one in results.problems)


@pytest.mark.parametrize("blocks", [(90,) * 5, (900,) * 6, (0,) * 6])
def test_parameters_that_do_not_fit_the_model_are_not_used(
    tmp_path: Path, blocks: tuple[int, ...]
) -> None:
    with StudyStore.open(tmp_path, model=replace(MODEL, block_parameters=blocks)) as odd:
        measure(odd)
    results = read_result_set(tmp_path)
    assert (results.parameters, results.block_parameters) == (None, None)
    assert any("do not fit the model" in one for one in results.problems)


def test_parameters_may_be_unknown(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, model=replace(MODEL, parameters=None)) as odd:
        measure(odd)
    assert not any("fit" in one for one in read_result_set(tmp_path).problems)


def test_imported_results_keep_their_stated_drops_and_get_their_task_types(
    tmp_path: Path,
) -> None:
    folder = PUBLISHED / "exp3_beam_search_multi_dataset"
    import_results(folder, tmp_path / "study")
    stored, read = read_result_set(tmp_path / "study"), read_result_set(folder)
    assert [one.task_type for one in stored.datasets] == [one.task_type for one in read.datasets]
    for first, second in zip(stored.datasets, read.datasets, strict=True):
        assert {removal: first.drop(removal) for removal in first.measurements} == {
            removal: second.drop(removal) for removal in second.measurements
        }


def test_the_measurements_of_some_splits_are_those_with_a_baseline(study: StudyStore) -> None:
    measure(study)
    measure(study, "doc_qa", removals=[(1,)])
    keys = [stored.key for stored in study.splits()]
    (found,) = dataset_measurements(study, keys, SETTINGS)
    assert (found.dataset, list(found.measurements)) == ("okvqa", [(1,), (2,), (3,)])
    assert found.measurements[(1,)].scores is not None
