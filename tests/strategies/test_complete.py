"""Specification of completion: the best combinations are measured on every dataset."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from depthprune.analysis.combinations import combine, rank
from depthprune.base.progress import Progress
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies import Beam, SearchSpace
from depthprune.strategies.runner import (
    RunReport,
    best_combinations,
    complete,
    next_for_completion,
    run,
)
from depthprune.study import StudyStore
from depthprune.tasks.task import TaskSplit
from tests.measurements import dataset
from tests.strategies.fakes import SETTINGS, FakeEvaluator, make_split, open_study

TASKS = ("okvqa", "doc_qa", "text_vqa")
SPLITS = [make_split(task) for task in TASKS]
ALL = SplitGroup(tuple(SPLITS))


def drop_of(task: str, removal: Removal) -> float:
    """Let every task have blocks of its own that it likes to lose."""
    return random.Random(f"{task} {removal}").randrange(-64, 192) / 1024


def tables_of(study: StudyStore) -> list[dict[Removal, float]]:
    return [study.drops(key, SETTINGS) for key in (1, 2, 3)]


def search(study: StudyStore, split: TaskSplit) -> RunReport:
    session = Session(study, FakeEvaluator(drop_of))
    return run(Beam(2, max_removed=3), SearchSpace(8), session, SplitGroup((split,)))


@pytest.fixture
def study(tmp_path: Path) -> StudyStore:
    """Return a study with a search of each dataset by itself."""
    opened = open_study(tmp_path)
    for split in SPLITS:
        search(opened, split)
    return opened


@pytest.mark.parametrize("best", [1, 3, 10])
def test_the_best_are_complete_and_are_the_best_of_the_summary(
    study: StudyStore, best: int
) -> None:
    before = tables_of(study)
    assert next_for_completion(before, best)
    complete(Session(study, FakeEvaluator(drop_of)), ALL, best)

    after = tables_of(study)
    for removal in best_combinations(after, best):
        assert all(removal in table for table in after)
    by_task = [
        dataset(task, 0.5, {one: 0.5 - drop for one, drop in table.items() if one})
        for task, table in zip(TASKS, after, strict=True)
    ]
    for number in (1, 2, 3):
        sized = [one for one in combine(by_task) if len(one.removal) == number]
        ranked = rank(sized, min_coverage=1, min_drop=None).combinations[:best]
        mine = [one for one in best_combinations(after, best) if len(one) == number]
        assert mine == [one.removal for one in ranked]


def test_nothing_is_measured_that_no_dataset_holds(study: StudyStore) -> None:
    before = set().union(*tables_of(study))
    complete(Session(study, FakeEvaluator(drop_of)), ALL, 5)
    assert set().union(*tables_of(study)) == before


def test_a_second_time_nothing_is_measured(study: StudyStore) -> None:
    evaluator = FakeEvaluator(drop_of)
    first = complete(Session(study, evaluator), ALL, 3)
    assert first.report.measured == len(evaluator.asked) > 0
    assert complete(Session(study, evaluator), ALL, 3).report.measured == 0


def test_a_search_finds_nothing_new_to_do_after_completion(study: StudyStore) -> None:
    complete(Session(study, FakeEvaluator(drop_of)), ALL, 5)
    for split in SPLITS:
        report = search(study, split)
        assert report.measured == 0


def test_stopped_and_begun_anew_it_ends_with_the_same_measurements(
    study: StudyStore, tmp_path: Path
) -> None:
    allowed = 2

    def stopping(task: str, removal: Removal) -> float:
        nonlocal allowed
        allowed -= 1
        if allowed < 0:
            raise KeyboardInterrupt
        return drop_of(task, removal)

    with pytest.raises(KeyboardInterrupt):
        complete(Session(study, FakeEvaluator(stopping, removals_per_call=1)), ALL, 3)
    complete(Session(study, FakeEvaluator(drop_of)), ALL, 3)

    with open_study(tmp_path / "whole") as whole:
        for split in SPLITS:
            search(whole, split)
        complete(Session(whole, FakeEvaluator(drop_of)), ALL, 3)
        assert tables_of(whole) == tables_of(study)


def test_the_work_ahead_is_told_before_each_round(study: StudyStore) -> None:
    told: list[float] = []
    evaluator = FakeEvaluator(drop_of)

    class Bar(Progress):
        def grow(self, amount: float) -> None:
            told.append(amount)

    complete(Session(study, evaluator, Bar()), ALL, 2)
    assert sum(told) == 4 * len(evaluator.asked)


def test_one_that_falls_back_is_not_measured_further() -> None:
    tables: list[dict[Removal, float]] = [
        {(0, 1): 0.0, (2, 3): 0.1},
        {(0, 1): 0.9, (2, 3): 0.1},
        {(2, 3): 0.1},
    ]
    assert next_for_completion(tables, 1) == {}
    assert next_for_completion(tables, 2) == {2: [(0, 1)]}


def test_equal_means_are_ordered_by_block_indices() -> None:
    tables: list[dict[Removal, float]] = [{(): 0.0, (3,): 0.1, (2,): 0.1 + 1e-9, (1,): 0.2}]
    assert best_combinations(tables, 2) == [(2,), (3,)]


def test_none_of_them(study: StudyStore) -> None:
    assert complete(Session(study, FakeEvaluator(drop_of)), ALL, 0).report.measured == 0
