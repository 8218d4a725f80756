"""Specification of the scores whose order realises the recommended removals."""

from __future__ import annotations

import pytest
from hypothesis import assume, given

from depthprune.analysis.recommend import recommend, scores_realising
from depthprune.importance.select import select_blocks
from tests.analysis.results import Cells, cells, results


def order(drawn: Cells, num_blocks: int = 6) -> list[int]:
    scores = scores_realising(recommend(results(drawn, num_blocks=num_blocks)))
    assert list(scores) == list(range(num_blocks))
    return sorted(scores, key=scores.__getitem__)


def test_the_blocks_of_the_path_go_first_step_by_step() -> None:
    found = order(
        {(4,): [0.01, 0.01], (1,): [0.02, 0.02], (2, 4): [0.05, 0.05], (2, 3, 4): [0.06, 0.06]}
    )
    assert found[:3] == [4, 2, 3]


def test_the_others_follow_by_their_drop_alone() -> None:
    found = order(
        {
            (0,): [0.08, 0.08],
            (1,): [0.03, 0.03],
            (2,): [0.02, None],  # not ranked, but the cheapest of the others
            (3,): [0.01, 0.01],
            (4,): [0.09, None],  # not ranked either
            (5,): [0.04, 0.04],
        }
    )
    assert found == [3, 2, 1, 5, 0, 4]


def test_unknown_blocks_go_late_and_essential_ones_last() -> None:
    found = order({(0,): [0.8, 0.8], (1,): [0.01, 0.01], (2,): [0.02, 0.02]})
    assert found == [1, 2, 3, 4, 5, 0]


def test_a_block_at_the_end_of_the_stack_is_spared_by_a_selection_that_protects_it() -> None:
    given = results({(5,): [0.0, 0.0], (4,): [0.1, 0.1], (4, 5): [0.1, 0.1]})
    found = recommend(given)
    scores = scores_realising(found)
    assert select_blocks(scores, 5, protect=()) == (5,)
    assert select_blocks(scores, 5) == (4,)
    assert found.path_ends == (5,)


@given(cells())
def test_selecting_the_lowest_scores_gives_every_step(drawn: Cells) -> None:
    assume(any(drop is not None for row in drawn.values() for drop in row))
    found = recommend(results(drawn))
    scores = scores_realising(found)
    assert sorted(scores.values()) == pytest.approx(list(range(6)))
    for step in found.stepwise.steps:
        removal = step.combination.removal
        assert select_blocks(scores, 6 - len(removal), protect=()) == removal
