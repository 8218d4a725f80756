"""Specification of the joint search: one strategy on the mean drop over several tasks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup, mean_drops
from depthprune.strategies import Beam, SearchSpace
from depthprune.strategies.runner import (
    group_splits,
    run,
)
from depthprune.testing.strategies import follow
from tests.strategies.fakes import SETTINGS, FakeEvaluator, make_split, open_study
from tests.strategies.landscapes import additive, rugged

TASKS = ("okvqa", "doc_qa")


def drop_of(task: str, removal: Removal) -> float:
    # Exact in float32, so that means by hand and means of the study are the same numbers.
    made_up = rugged(removal) if task == "okvqa" else additive(removal)
    return round(made_up * 64) / 1024


@pytest.mark.parametrize("weights", [None, (0.75, 0.25), (1.0, 0.0)])
def test_a_joint_beam_is_the_beam_on_tables_averaged_by_hand(
    tmp_path: Path, weights: tuple[float, float] | None
) -> None:
    beam, space = Beam(width=2, max_removed=3), SearchSpace(8)
    first, second = weights or (0.5, 0.5)
    by_hand: dict[Removal, float] = {(): 0.0}
    asked = follow(
        beam,
        space,
        lambda removal: first * drop_of("okvqa", removal) + second * drop_of("doc_qa", removal),
        by_hand,
    )

    evaluator = FakeEvaluator(drop_of)
    splits = [make_split(task) for task in TASKS]
    with open_study(tmp_path) as study:
        report = run(beam, space, Session(study, evaluator), SplitGroup(tuple(splits), weights))
        held = [set(study.drops(key, SETTINGS)) for key in (1, 2)]
        joint = mean_drops([study.drops(key, SETTINGS) for key in (1, 2)], weights)

    assert [removal for task, removal in evaluator.asked if task == "okvqa"] == [(), *asked]
    assert held[0] == held[1] == set(by_hand)
    assert list(beam.steps(space, joint))[-1].beam == list(beam.steps(space, by_hand))[-1].beam
    assert (report.measured, report.reused) == (2 * len(by_hand), 0)


def test_a_joint_search_measures_nothing_twice_and_fills_what_one_task_lacks(
    tmp_path: Path,
) -> None:
    beam, space = Beam(width=1, max_removed=2), SearchSpace(6)
    splits = [make_split(task) for task in TASKS]
    evaluator = FakeEvaluator(drop_of)
    with open_study(tmp_path, 6) as study:
        alone = run(beam, space, Session(study, evaluator), SplitGroup((splits[0],))).measured
        joint = run(beam, space, Session(study, evaluator), SplitGroup(tuple(splits)))
        again = run(beam, space, Session(study, evaluator), SplitGroup(tuple(splits)))
    assert joint.reused == alone
    assert len(evaluator.asked) == len(set(evaluator.asked)) == alone + joint.measured
    assert again.measured == 0
    assert again.reused == alone + joint.measured


def test_an_interrupted_joint_search_goes_on_where_it_was(tmp_path: Path) -> None:
    beam, space = Beam(width=2, max_removed=2), SearchSpace(6)
    group = SplitGroup(tuple(make_split(task) for task in TASKS))

    def failing(task: str, removal: Removal) -> float:
        if task == "doc_qa" and removal == (3,):
            raise KeyboardInterrupt
        return drop_of(task, removal)

    with open_study(tmp_path / "stopped", 6) as study, open_study(tmp_path / "whole", 6) as whole:
        with pytest.raises(KeyboardInterrupt):
            run(beam, space, Session(study, FakeEvaluator(failing)), group)
        run(beam, space, Session(study, FakeEvaluator(drop_of)), group)
        run(beam, space, Session(whole, FakeEvaluator(drop_of)), group)
        for key in (1, 2):
            assert study.drops(key, SETTINGS) == whole.drops(key, SETTINGS)


def test_a_removal_counts_as_known_when_all_tasks_hold_it() -> None:
    tables = [{(): 0.0, (1,): 0.2, (2,): 0.1}, {(): 0.0, (1,): 0.4}]
    assert mean_drops(tables) == {(): 0.0, (1,): pytest.approx(0.3)}
    assert mean_drops(tables, (3, 1))[(1,)] == pytest.approx(0.25)
    assert mean_drops([]) == {}


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=5), st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_only_the_ratio_of_weights_matters(drops: list[float], factor: float) -> None:
    tables = [{(0,): drop} for drop in drops]
    weights = [float(index + 1) for index in range(len(drops))]
    scaled = [factor * weight for weight in weights]
    assert math.isclose(
        mean_drops(tables, weights)[(0,)], mean_drops(tables, scaled)[(0,)], abs_tol=1e-9
    )


def test_one_task_alone_keeps_its_drops_bit_for_bit() -> None:
    table = {(0,): 0.1 + 0.2}
    assert mean_drops([table]) == mean_drops([table], (1.0,)) == table


def test_train_and_validation_are_searched_by_themselves() -> None:
    splits = [make_split(task, split=name) for task in TASKS for name in ("train", "validation")]
    groups = group_splits(splits, joint=True, task_weights={"okvqa": 0.75, "doc_qa": 0.25})
    assert [[one.split for one in group.splits] for group in groups] == [
        ["train", "train"],
        ["validation", "validation"],
    ]
    assert [group.weights for group in groups] == [(0.75, 0.25)] * 2
    assert groups[0].num_samples == 8
    alone = group_splits(splits, joint=False, task_weights={})
    assert [len(group.splits) for group in alone] == [1, 1, 1, 1]


def test_weights_are_those_of_the_tasks_that_have_the_split() -> None:
    weights = {"okvqa": 0.2, "doc_qa": 0.8}
    (group,) = group_splits([make_split("okvqa")], joint=True, task_weights=weights)
    assert group.weights == (1.0,)
    with pytest.raises(DepthpruneError, match="weight 0"):
        group_splits([make_split("okvqa")], joint=True, task_weights={"okvqa": 0.0, "doc_qa": 1.0})
