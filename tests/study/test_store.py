"""Specification of the study: what is added is there, exactly, once, and never changes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest

from depthprune.base.errors import RemovalError, StudyError
from depthprune.study import ModelRecord, StudyStore, rows
from tests.study.example import (
    MODEL,
    REMOVALS,
    SETTINGS,
    SPLIT,
    add,
    answers_of,
    filled_study,
    scores_of,
)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[StudyStore]:
    with StudyStore.open(tmp_path / "study", model=MODEL) as study:
        yield study


def test_a_measurement_comes_back_as_it_was_added(study: StudyStore) -> None:
    add(study, (1, 4))
    found = study.measurement(1, SETTINGS, (1, 4))
    assert found is not None
    assert found.scores is not None
    assert found.scores.dtype == np.float32
    assert found.scores.tolist() == scores_of((1, 4)).tolist()
    assert found.answers == answers_of((1, 4))
    assert (found.task, found.split) == ("demo_okvqa", "train+validation")
    assert (found.removal, found.num_samples) == ((1, 4), 8)
    assert (found.seconds, found.settings) == (0.25, SETTINGS)
    assert found.origin is None


def test_accuracy_and_std_are_taken_in_float64_of_the_float32_scores(study: StudyStore) -> None:
    key = study.add_split(SPLIT)
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0]
    study.add(key, SETTINGS, (), scores, [""] * 8, 0.0)
    kept = [float(np.float32(score)) for score in scores]
    mean = sum(kept) / 8
    found = study.measurement(key, SETTINGS, ())
    assert found is not None
    assert found.accuracy == pytest.approx(mean, abs=1e-15)
    variance = sum((score - mean) ** 2 for score in kept) / 8
    assert found.std == pytest.approx(variance**0.5, abs=1e-15)


def test_what_was_added_is_there_after_opening_again(tmp_path: Path) -> None:
    filled_study(tmp_path).close()
    with StudyStore.open(tmp_path) as study:
        assert study.model == MODEL
        assert [one.record for one in study.splits()] == [SPLIT]
        assert study.missing(1, REMOVALS[:13], SETTINGS) == [REMOVALS[12]]


def test_a_model_without_parameter_counts_comes_back_too(tmp_path: Path) -> None:
    model = ModelRecord("m", "f", "A", 2, "layers")
    StudyStore.open(tmp_path, model=model).close()
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert study.model == model


def test_missing_keeps_the_order_asked_for_and_names_each_once(study: StudyStore) -> None:
    add(study, (2,))
    assert study.missing(1, [(5,), (2,), (0, 1), (5,)], SETTINGS) == [(5,), (0, 1)]


def test_drops_are_baseline_accuracy_minus_accuracy_with_the_baseline_as_zero(
    study: StudyStore,
) -> None:
    for removal in [(0, 5), (3,), ()]:
        add(study, removal)
    drops = study.drops(1, SETTINGS)
    accuracy = {one.removal: one.accuracy for one in study.measurements()}
    assert list(drops) == [(), (3,), (0, 5)]
    assert drops == {removal: accuracy[()] - accuracy[removal] for removal in drops}
    assert drops[()] == 0.0


def test_without_a_baseline_no_drop_is_known(study: StudyStore) -> None:
    add(study, (3,))
    assert study.drops(1, SETTINGS) == {}


def test_measurements_are_ordered_by_size_and_removal(study: StudyStore) -> None:
    for removal in [(0, 1), (5,), (1, 2, 3), (0,), (), (0, 5)]:
        add(study, removal)
    found = [one.removal for one in study.measurements()]
    assert found == [(), (0,), (5,), (0, 1), (0, 5), (1, 2, 3)]


def test_measurements_can_be_asked_for_by_split_and_settings(study: StudyStore) -> None:
    other = study.add_split(replace(SPLIT, split="train"))
    add(study, ())
    add(study, (1,), key=other)
    add(study, (2,), key=other, settings="bfloat16")
    assert [one.removal for one in study.measurements(other)] == [(1,), (2,)]
    assert [one.removal for one in study.measurements(settings=SETTINGS)] == [(), (1,)]
    assert [one.removal for one in study.measurements(other, "bfloat16")] == [(2,)]


def test_measurements_can_leave_out_scores_and_answers(study: StudyStore) -> None:
    add(study, ())
    (full,), (bare,) = study.measurements(), study.measurements(with_samples=False)
    assert bare == replace(full, scores=None, answers=None)
    (scored,) = study.measurements(with_answers=False)
    assert scored.answers is None
    assert full.scores is not None
    assert np.array_equal(scored.scores, full.scores)


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": "task-2"}, {"split": "train"}, {"task": "other"}],
    ids=["prompt", "split", "task"],
)
def test_another_task_or_split_or_prompt_shares_no_results(
    study: StudyStore, change: dict[str, Any]
) -> None:
    add(study, ())
    other = study.add_split(replace(SPLIT, **change))
    assert study.missing(other, [()], SETTINGS) == [()]
    assert study.measurement(other, SETTINGS, ()) is None


def test_other_settings_share_no_results(study: StudyStore) -> None:
    add(study, ())
    assert study.missing(1, [()], "greedy dtype=bfloat16") == [()]
    assert study.drops(1, "greedy dtype=bfloat16") == {}


def test_splits_tell_what_was_measured_under_which_settings(study: StudyStore) -> None:
    train = study.add_split(replace(SPLIT, split="train"))
    add(study, ())
    add(study, (), settings="bfloat16")
    told = [(one.key, one.record.split, one.settings) for one in study.splits()]
    both = study.add_split(SPLIT)
    assert told == [(train, "train", ()), (both, "train+validation", ("bfloat16", SETTINGS))]


def test_a_split_added_twice_has_one_key(study: StudyStore) -> None:
    assert study.add_split(SPLIT) == study.add_split(SPLIT)
    assert study.split(study.add_split(SPLIT)) == SPLIT


@pytest.mark.parametrize("change", [{"sample_ids": ("x",)}, {"metric": "anls"}])
def test_a_split_with_the_same_fingerprint_but_other_contents_is_refused(
    study: StudyStore, change: dict[str, Any]
) -> None:
    study.add_split(SPLIT)
    with pytest.raises(StudyError, match="other samples or another metric"):
        study.add_split(replace(SPLIT, **change))


@pytest.mark.parametrize("name", ["", "..", "../escape", "a\\b"])
def test_a_split_whose_name_leads_out_of_a_folder_is_refused(study: StudyStore, name: str) -> None:
    with pytest.raises(StudyError, match="cannot be the name"):
        study.add_split(replace(SPLIT, task=name))


def test_a_split_that_is_not_there_is_an_error(study: StudyStore) -> None:
    with pytest.raises(StudyError, match="no split number 7"):
        study.split(7)


def test_the_same_result_may_be_added_again(study: StudyStore) -> None:
    add(study, (1,))
    add(study, (1,))
    assert len(study.measurements()) == 1


def test_another_result_for_the_same_removal_is_refused_and_the_first_stays(
    study: StudyStore,
) -> None:
    add(study, (1,))
    with pytest.raises(StudyError, match="removal 1, is stored already with other numbers"):
        study.add(1, SETTINGS, (1,), scores_of((2,)), answers_of((1,)), 0.1)
    found = study.measurement(1, SETTINGS, (1,))
    assert found is not None
    assert found.scores is not None
    assert found.scores.tolist() == scores_of((1,)).tolist()


def test_the_same_scores_with_other_answers_are_another_result(study: StudyStore) -> None:
    add(study, (1,))
    with pytest.raises(StudyError, match="stored already"):
        study.add(1, SETTINGS, (1,), scores_of((1,)), ["x"] * 8, 0.1)


@pytest.mark.parametrize(
    ("scores", "answers", "message"),
    [
        ([0.5] * 7, ["x"] * 7, "has 8 samples"),
        ([0.5] * 8, ["x"] * 7, "has 8 samples"),
        ([[0.5] * 8], ["x"] * 8, "has 8 samples"),
        ([0.5] * 5 + [float("nan")] + [0.5] * 2, ["x"] * 8, "validation/5 is not a finite"),
        ([float("inf")] * 8, ["x"] * 8, "validation/0 is not a finite"),
    ],
)
def test_scores_that_do_not_fit_the_split_are_refused(
    study: StudyStore, scores: list[float], answers: list[str], message: str
) -> None:
    key = study.add_split(SPLIT)
    with pytest.raises(StudyError, match=message):
        study.add(key, SETTINGS, (), scores, answers, 0.1)
    assert study.measurements() == []


def test_a_block_that_the_model_lacks_is_refused(study: StudyStore) -> None:
    study.add_split(SPLIT)
    with pytest.raises(RemovalError, match="block 6 does not exist"):
        add(study, (2, 6))


def test_a_removal_may_be_given_in_any_order(study: StudyStore) -> None:
    add(study, (1, 4))
    assert study.missing(1, [(4, 1)], SETTINGS) == []  # type: ignore[list-item]
    assert study.measurement(1, SETTINGS, (4, 1)) is not None


def test_a_failed_transaction_leaves_nothing(study: StudyStore) -> None:
    with pytest.raises(ZeroDivisionError), study.transaction():
        add(study, ())
        raise ZeroDivisionError
    assert study.splits() == []
    assert study.measurements() == []


def test_an_imported_result_keeps_its_stated_numbers_and_says_where_it_is_from(
    study: StudyStore,
) -> None:
    key = study.add_split(replace(SPLIT, sample_ids=()))
    study.add_imported(key, "imported", (), accuracy=0.9, origin="/there")
    study.add_imported(
        key,
        "imported",
        (1,),
        accuracy=0.8,
        origin="/there",
        std=0.3,
        num_samples=10,
        stated_drop=0.101,
    )
    baseline, found = study.measurements()
    assert (found.accuracy, found.std, found.num_samples) == (0.8, 0.3, 10)
    assert (found.scores, found.answers, found.origin) == (None, None, "/there")
    assert (baseline.num_samples, np.isnan(baseline.std)) == (0, True)
    assert study.drops(key, "imported") == {(): 0.0, (1,): 0.101}


def test_an_imported_result_with_another_stated_drop_is_another_result(study: StudyStore) -> None:
    key = study.add_split(SPLIT)
    study.add_imported(key, "i", (1,), accuracy=0.8, origin="x", stated_drop=0.1)
    with pytest.raises(StudyError, match="stored already"):
        study.add_imported(key, "i", (1,), accuracy=0.8, origin="x", stated_drop=0.2)


@pytest.mark.parametrize(
    ("removal", "name", "mend"),
    [
        ((4,), "removal 4", "keep this block by protect=4"),
        ((2, 4), "removal 2-4", "keep one of these blocks, for instance by protect=2"),
        ((), "removal baseline", "check the metric"),
    ],
)
def test_a_score_that_is_no_number_names_the_removal_and_how_to_go_on(
    study: StudyStore, removal: tuple[int, ...], name: str, mend: str
) -> None:
    key = study.add_split(SPLIT)
    with pytest.raises(StudyError) as refused:
        study.add(key, SETTINGS, removal, [float("nan")] * 8, ["x"] * 8, 0.1)
    assert refused.value.what.startswith(f"{name}: the score of sample validation/0")
    assert mend in str(refused.value.mend)
    assert ("protect=" in str(refused.value.mend)) == bool(removal)


def test_an_imported_accuracy_must_be_a_number(study: StudyStore) -> None:
    key = study.add_split(SPLIT)
    with pytest.raises(StudyError, match="not a finite number"):
        study.add_imported(key, "i", (), accuracy=float("nan"), origin="x")


def test_a_hundred_thousand_drops_take_little_more_than_their_checksums(study: StudyStore) -> None:
    key = study.add_split(SPLIT)
    add(study, ())
    with study.transaction():
        for number in range(100_000):
            columns = {
                "removal": rows.pack_removal((number // 400, 1000 + number % 400)),
                "accuracy": 0.5,
                "std": 0.5,
                "num_samples": 8,
                "seconds": 1.0,
                "created": "2026-11-30T12:00:00+00:00",
            }
            rows.insert_measurement(study._connection, key, SETTINGS, columns, None)
    # Processor time of untraced code, beside what the checksums alone take here and now: neither a
    # busy machine nor coverage is what is measured.
    trace = sys.gettrace()
    sys.settrace(None)
    started = process_time()
    for row in study._connection.execute("SELECT * FROM measurement"):
        rows.row_checksum(*row)
    checksums = process_time() - started
    started = process_time()
    drops = study.drops(key, SETTINGS)
    seconds = process_time() - started
    sys.settrace(trace)
    assert len(drops) == 100_001
    assert seconds < 4 * checksums
