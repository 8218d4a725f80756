"""Specification of the exhaustive search."""

from __future__ import annotations

import itertools

import pytest

from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal
from depthprune.strategies import Exhaustive, Greedy, SearchSpace
from depthprune.testing.strategies import follow, hold_strategy
from tests.strategies.landscapes import rugged


def every_removal(blocks: range, most: int) -> list[Removal]:
    return [
        removal for n in range(1, most + 1) for removal in itertools.combinations(list(blocks), n)
    ]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_it_measures_every_removal_size_by_size(most: int) -> None:
    search, space = Exhaustive(max_removed=most), SearchSpace(9)
    asked = hold_strategy(search, space, rugged)
    assert asked == every_removal(range(9), most)
    assert search.most_evaluations(space) == len(asked)


def test_it_leaves_protected_and_inadmissible_blocks_alone() -> None:
    space = SearchSpace(9, frozenset({0}), admissible=lambda removal: not {3, 4} <= set(removal))
    search = Exhaustive(max_removed=3)
    asked = hold_strategy(search, space, rugged)
    assert asked == [one for one in every_removal(range(1, 9), 3) if not {3, 4} <= set(one)]
    assert len(asked) <= search.most_evaluations(space)


def test_one_block_always_stays() -> None:
    asked = hold_strategy(Exhaustive(max_removed=3), SearchSpace(4), rugged)
    assert max(map(len, asked)) == 3


def test_protection_may_leave_fewer_blocks_than_may_be_removed() -> None:
    search, space = Exhaustive(max_removed=4), SearchSpace(6, frozenset({0, 1, 2, 3}))
    assert hold_strategy(search, space, rugged) == [(4,), (5,), (4, 5)]


def test_it_finds_the_pair_that_a_greedy_search_walks_past() -> None:
    def drop(removal: Removal) -> float:
        return -1.0 if removal == (4, 7) else rugged(removal)

    truth: dict[Removal, float] = {(): 0.0}
    found: dict[Removal, float] = {(): 0.0}
    follow(Exhaustive(), SearchSpace(10), drop, truth)
    follow(Greedy(max_removed=2), SearchSpace(10), drop, found)
    assert min(truth, key=truth.__getitem__) == (4, 7) not in found


def test_a_removal_above_the_largest_drop_rules_out_nothing_that_contains_it() -> None:
    def drop(removal: Removal) -> float:
        return {(0,): 0.0, (4, 5): -1.0}.get(removal, 1.0)

    asked = hold_strategy(Exhaustive(max_removed=2, max_drop=0.1), SearchSpace(6), drop)
    assert (4, 5) in asked


def test_it_ends_after_a_size_of_which_all_cost_too_much() -> None:
    def drop(removal: Removal) -> float:
        return 0.06 * len(removal)

    asked = hold_strategy(Exhaustive(max_removed=4, max_drop=0.1), SearchSpace(6), drop)
    assert asked == every_removal(range(6), 2)


def test_a_size_that_the_architecture_cannot_express_ends_nothing() -> None:
    paired = SearchSpace(6, admissible=lambda removal: len(removal) == 2)
    asked = hold_strategy(Exhaustive(max_removed=3, max_drop=0.1), paired, lambda one: 0.0)
    assert asked == list(itertools.combinations(range(6), 2))


def test_a_space_over_the_limit_is_refused_with_its_size_and_the_way_out() -> None:
    with pytest.raises(RemovalError) as caught:
        Exhaustive(max_removed=3).check(SearchSpace(64))
    assert "43,744 removals" in caught.value.what
    assert "20,000" in caught.value.what
    assert "protect" in (caught.value.mend or "")
    assert Exhaustive(max_removed=3, exhaustive_limit=43_744).ask(SearchSpace(64), {})


def test_a_space_over_the_limit_is_refused_without_a_look_at_its_removals() -> None:
    def look(removal: Removal) -> bool:
        raise AssertionError("working out what an architecture admits takes milliseconds each")

    with pytest.raises(RemovalError, match="210 removals"):
        Exhaustive(max_removed=2, exhaustive_limit=209).check(SearchSpace(20, admissible=look))
