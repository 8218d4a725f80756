"""Specification of targets: a largest drop, a speed-up, a share of the parameters."""

from __future__ import annotations

import pytest

from depthprune.analysis.options import Targets
from depthprune.analysis.recommend import Target, choose_targets, share_that_stays
from depthprune.analysis.result_set import ResultSet
from tests.analysis.results import combination, rankings

RANKINGS = rankings(
    combination((1,), 0.01),
    combination((2,), 0.02),
    combination((1, 2), 0.04),
    combination((3, 4), 0.05),
    combination((1, 2, 3), 0.2),
)
BLIND = ResultSet("tiny", 10, (), {})
UNEVEN = ResultSet("tiny", 10, (), {}, parameters=1000, block_parameters=(50, 50, 250, *(50,) * 7))


def target(results: ResultSet = BLIND, **asked: float) -> Target:
    (found,) = choose_targets(RANKINGS, results, Targets(**asked))
    return found


def removal(found: Target) -> tuple[int, ...] | None:
    return None if found.combination is None else found.combination.removal


def test_a_largest_drop_gives_the_most_blocks_that_keep_to_it() -> None:
    found = target(max_drop=0.05)
    assert (found.number, removal(found), found.reached, found.exact) == (2, (1, 2), 0.04, True)


def test_a_drop_of_exactly_the_limit_keeps_to_it() -> None:
    assert target(max_drop=0.2).number == 3


def test_a_speed_up_is_estimated_from_the_blocks_where_nothing_else_is_known() -> None:
    found = target(speedup=1.25)
    assert (found.number, removal(found)) == (2, (1, 2))
    assert found.reached == pytest.approx(10 / 8)
    assert not found.exact


def test_a_speed_up_is_estimated_from_the_parameters_where_they_are_known() -> None:
    found = target(UNEVEN, speedup=1.25)
    assert removal(found) == (2,)
    assert found.reached == pytest.approx(1000 / 750)
    assert not found.exact


def test_a_share_of_parameters_is_exact_where_they_are_known() -> None:
    found = target(UNEVEN, params=0.85)
    assert (found.number, removal(found), found.exact) == (1, (2,), True)
    assert found.reached == pytest.approx(0.75)


def test_a_share_of_parameters_is_counted_in_blocks_where_they_are_unknown() -> None:
    found = target(params=0.85)
    assert (removal(found), found.exact) == ((1, 2), False)
    assert found.reached == pytest.approx(0.8)


def test_parameters_of_blocks_alone_are_not_enough() -> None:
    halfway = ResultSet("tiny", 10, (), {}, block_parameters=(50,) * 10)
    assert share_that_stays(halfway, (1, 2)) == pytest.approx(0.8)
    assert not target(halfway, params=0.85).exact


@pytest.mark.parametrize("asked", [{"max_drop": 0.001}, {"speedup": 2.0}, {"params": 0.5}])
def test_a_target_that_cannot_be_met_says_so(asked: dict[str, float]) -> None:
    found = target(**asked)
    assert (found.number, found.combination, found.reached) == (None, None, None)


def test_several_targets_are_answered_in_order() -> None:
    found = choose_targets(RANKINGS, BLIND, Targets(params=0.85, max_drop=0.05, speedup=1.1))
    assert [one.kind for one in found] == ["max_drop", "speedup", "params"]


def test_no_target_no_answer() -> None:
    assert choose_targets(RANKINGS, BLIND, Targets()) == ()
