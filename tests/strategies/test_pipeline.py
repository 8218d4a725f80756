"""Specification of what goes on around a search: requests, the bar, and what is kept for later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.base.progress import Progress
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies import Ablation, Beam, SearchSpace
from depthprune.strategies.baselines import measure_baselines
from depthprune.strategies.model import ModelSource
from depthprune.strategies.one_shot import compared
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.pipeline import (
    SearchRequest,
    one_shot_by_key,
    task_shares,
    weights_by_key,
)
from depthprune.strategies.runner import (
    complete_groups,
    group_splits,
    most_measurements,
    most_work,
    run,
)
from depthprune.tasks.task import TaskSplit
from tests.strategies.fakes import FakeEvaluator, make_split, open_study
from tests.strategies.landscapes import rugged

SPACE = SearchSpace(8)
SPLITS = [make_split("okvqa", 4), make_split("doc_qa", 6)]
JOINT = SplitGroup(tuple(SPLITS))


class CountingBar(Progress):
    """A bar that keeps what it was told."""

    total: float

    def __init__(self, total: float) -> None:
        super().__init__("", total)
        self.texts: list[str] = []

    def shrink(self, amount: float) -> None:
        assert amount >= 0
        super().shrink(amount)

    def describe(self, text: str) -> None:
        self.texts.append(text)


class AdvancingEvaluator(FakeEvaluator):
    """Advances a bar sample by sample, as the real one does."""

    bar: CountingBar

    def evaluate(self, split: TaskSplit, removals: Any, samples: slice = slice(None)) -> Any:
        self.bar.advance(len(split.samples) * len(removals))
        assert self.bar.done <= self.bar.total, "more is done than there is"
        return super().evaluate(split, removals, samples)


def drop_of(task: str, removal: Removal) -> float:
    return rugged(removal) / (8 if task == "okvqa" else 16)


def evaluator_for(bar: CountingBar) -> AdvancingEvaluator:
    evaluator = AdvancingEvaluator(drop_of)
    evaluator.bar = bar
    return evaluator


def test_the_bar_ends_full_also_for_joint_searches_and_completion(tmp_path: Path) -> None:
    strategy = compared(Beam(2, max_removed=3))
    groups = [SplitGroup((split,)) for split in SPLITS]
    bar = CountingBar(sum(most_work(strategy, SPACE, group) for group in [*groups, JOINT]))
    with open_study(tmp_path) as study:
        session = Session(study, evaluator_for(bar), bar)
        for group in [*groups, JOINT]:
            run(strategy, SPACE, session, group)
        # Loose upper bounds were taken back, and what was held did not count as work.
        assert bar.total == bar.done
        complete_groups(3, session, SPLITS)
        assert bar.total == bar.done
        assert "best combinations" in bar.texts[-1]
        # A second run has nothing ahead.
        bar = CountingBar(most_work(strategy, SPACE, JOINT))
        run(strategy, SPACE, Session(study, evaluator_for(bar), bar), JOINT)
        assert (bar.total, bar.done) == (0, 0)


def test_removals_are_counted_once_for_every_split_and_the_best_of_the_most_is_told(
    tmp_path: Path,
) -> None:
    strategy = Beam(2, max_removed=3)
    groups = [SplitGroup((split,)) for split in SPLITS]
    bar = CountingBar(10_000)
    with open_study(tmp_path) as study:
        session = Session(study, evaluator_for(bar), bar)
        expected = sum(most_measurements(strategy, SPACE, group) for group in groups)
        session.expect(expected)
        assert bar.removals == (0, expected)
        measure_baselines(session, groups, None, 0)
        assert bar.removals == (2, expected)
        for group in groups:
            run(strategy, SPACE, session, group)
            triples = {one: drop for one, drop in session.drops(group).items() if len(one) == 3}
            assert bar.best == min(triples.items(), key=lambda item: (item[1], item[0]))
        held = len(study.measurements())
        assert bar.removals == (held, held)
        complete_groups(3, session, SPLITS)
        held = len(study.measurements())
        assert bar.removals == (held, held)
        # What another run finds measured is done from the beginning.
        again = CountingBar(10_000)
        session = Session(study, evaluator_for(again), again)
        session.expect(most_measurements(strategy, SPACE, groups[0]))
        run(strategy, SPACE, session, groups[0])
        assert again.removals is not None
        assert again.removals[0] == again.removals[1] > 20


def test_the_splits_of_a_joint_search_share_their_one_shot_removals(tmp_path: Path) -> None:
    strategy = compared(Beam(1, max_removed=3))
    bar = CountingBar(10_000)
    with open_study(tmp_path) as study:
        session = Session(study, evaluator_for(bar), bar)
        run(strategy, SPACE, session, JOINT)
        one_shot = one_shot_by_key(strategy, SPACE, session, JOINT)
        assert one_shot[1] == one_shot[2]
        assert sorted(one_shot[1]) == [2, 3]
        weights = {"okvqa": 0.75, "doc_qa": 0.25}
        groups = group_splits(SPLITS, joint=True, task_weights=weights)
        assert weights_by_key(session, groups) == {1: 0.75, 2: 0.25}
        assert weights_by_key(session, [JOINT]) == {1: 0.5, 2: 0.5}
        assert weights_by_key(session, [SplitGroup((SPLITS[0],))]) == {}
        assert one_shot_by_key(Ablation(), SPACE, session, JOINT) == {}


def test_a_group_is_called_by_its_task_or_their_number() -> None:
    assert JOINT.name == "2 tasks jointly, validation"
    assert SplitGroup((SPLITS[0],)).name == "okvqa, validation"


def request(search: SearchOptions) -> SearchRequest:
    tasks = tuple(split.task for split in SPLITS)
    return SearchRequest(ModelSource(source="m"), tasks, ("validation",), Path("study"), search)


def test_weights_of_a_request_get_a_sum_of_1() -> None:
    assert task_shares(request(SearchOptions())) == {}
    weighted = request(SearchOptions(joint=True, task_weights={"okvqa": 3, "doc_qa": 1}))
    assert task_shares(weighted) == {"okvqa": 0.75, "doc_qa": 0.25}


def test_weights_of_a_request_fit_its_tasks() -> None:
    with pytest.raises(DepthpruneError, match="doc_qa has no weight"):
        task_shares(request(SearchOptions(joint=True, task_weights={"okvqa": 1.0})))
