"""Specification of the objective: what ranks candidates, beside their drops, which limit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.recommend import recommend
from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Objective, Removal
from depthprune.engine.evaluator import Evaluation
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies import Beam, Evolutionary, Greedy, Strategy
from depthprune.strategies.kinds.beam import RaceOptions
from depthprune.strategies.one_shot import one_shot_removals
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.runner import run
from depthprune.strategies.strategy import SearchSpace
from depthprune.study.records import OBJECTIVE
from depthprune.tasks.task import ChosenOption, Sample, TaskSplit
from depthprune.testing import tiny_models as tiny
from tests.strategies.fakes import open_study

BLOCKS = 6
SAMPLES = tuple(Sample(f"s{n}", "?", references=("A",), choices=("a", "b")) for n in range(4))
LOSS = {0: 0.9, 1: 0.2, 2: 0.6, 3: 0.1, 4: 0.8, 5: 0.7}
"""By how much each block raises the loss of the right option; those of several blocks add up."""

PAIRS = Beam(BLOCKS, max_removed=2)


def right(removal: Removal) -> int:
    """Return how many samples are answered right: the order of the blocks is another one."""
    return 4 - sum(block in (1, 3) for block in removal)


class Chooses:
    """Answers with losses that rank the blocks otherwise than the letters do."""

    settings = "made up"
    removals_per_call = 4

    def __init__(self, *, without: Sequence[Removal] = ()) -> None:
        self.without = set(without)

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        chosen = split.samples[samples]
        rows = []
        for removal in removals:
            loss = 2 + sum(LOSS[block] for block in removal)
            losses = () if removal in self.without else (loss, 2.0)
            letters = ["A" if place < right(removal) else "B" for place in range(len(chosen))]
            rows.append(tuple(ChosenOption(letter, losses) for letter in letters))
        scores = np.array([[answer == "A" for answer in row] for row in rows], np.float32)
        ids = tuple(one.id for one in chosen)
        return Evaluation(tuple(removals), ids, scores, tuple(rows))


GROUP = SplitGroup((tiny.split_of(SAMPLES, answer="choose"),))


def searched(
    folder: Path, strategy: Strategy, objective: Objective, *, without: Sequence[Removal] = ()
) -> dict[Removal, float]:
    """Return the drops after a search."""
    with open_study(folder, BLOCKS) as study:
        study.begin_run({OBJECTIVE: objective})
        session = Session(study, Chooses(without=without), objective=objective)
        run(strategy, SearchSpace(BLOCKS), session, GROUP)
        return session.drops(GROUP)


def of_size(drops: Mapping[Removal, float], number: int) -> set[Removal]:
    return {removal for removal in drops if len(removal) == number}


def with_block(block: int) -> set[Removal]:
    return {(min(block, other), max(block, other)) for other in range(BLOCKS) if other != block}


def test_a_search_extends_what_has_the_smallest_loss(tmp_path: Path) -> None:
    by_loss = searched(tmp_path / "loss", Greedy(max_removed=2), "loss")
    assert of_size(by_loss, 2) == with_block(3)
    by_accuracy = searched(tmp_path / "accuracy", Greedy(max_removed=2), "accuracy")
    assert of_size(by_accuracy, 2) == with_block(0)


def test_the_largest_drop_is_one_of_accuracy(tmp_path: Path) -> None:
    drops = searched(tmp_path, Greedy(max_removed=2, max_drop=0.1), "loss")
    assert of_size(drops, 2) == with_block(2)


def test_an_evolutionary_search_and_the_one_shot_ranking_follow_the_loss(tmp_path: Path) -> None:
    strategy = Evolutionary(max_removed=2, generations=1, offspring=1)
    drops = searched(tmp_path, strategy, "loss")
    assert (1, 3) in drops
    with open_study(tmp_path, BLOCKS) as study:
        session = Session(study, Chooses(), objective="loss")
        space = SearchSpace(BLOCKS, ranks=session.ranks(GROUP))
    assert one_shot_removals(drops, space, 3) == {2: (1, 3), 3: (1, 2, 3)}


def test_a_search_that_is_begun_again_measures_nothing_more(tmp_path: Path) -> None:
    first = searched(tmp_path, Beam(2, max_removed=3), "loss")
    assert searched(tmp_path, Beam(2, max_removed=3), "loss") == first


def test_a_split_that_was_measured_in_part_without_losses_is_ranked_by_accuracy(
    tmp_path: Path,
) -> None:
    drops = searched(tmp_path, Greedy(max_removed=2), "loss", without=[(4,)])
    assert of_size(drops, 2) == with_block(0)
    with open_study(tmp_path, BLOCKS) as study:
        session = Session(study, Chooses(), objective="loss")
        assert session.ranks(GROUP) == session.drops(GROUP)


def test_what_is_recommended_is_ranked_as_it_was_searched(tmp_path: Path) -> None:
    searched(tmp_path, PAIRS, "loss")
    by_loss = recommend(read_result_set(tmp_path))
    best = by_loss.independent[2].combinations[0]
    assert (best.removal, best.mean) == ((1, 3), 0.5)
    assert best.loss is not None
    by_accuracy = recommend(read_result_set(tmp_path, objective="accuracy"))
    best = by_accuracy.independent[2].combinations[0]
    assert (best.removal, best.mean, best.loss) == ((0, 2), 0.0, None)


def test_a_study_that_was_searched_by_accuracy_is_ranked_by_it(tmp_path: Path) -> None:
    searched(tmp_path, PAIRS, "accuracy")
    assert recommend(read_result_set(tmp_path)).independent[2].combinations[0].loss is None
    asked = recommend(read_result_set(tmp_path, objective="loss"))
    assert asked.independent[2].combinations[0].removal == (1, 3)


def test_a_race_does_not_rank_by_the_loss() -> None:
    with pytest.raises(DepthpruneError, match="a race is about accuracies"):
        SearchOptions(Beam(race=RaceOptions()), objective="loss")
    assert SearchOptions(Beam(race=RaceOptions())).ranked_by == "accuracy"
