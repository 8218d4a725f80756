"""Specification of the one-shot ranking and of chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal
from depthprune.search import BeamSearch, Chain, OneShot, SearchSpace, one_shot_removals
from tests.search.conformance import hold_strategy
from tests.search.landscapes import rugged

SINGLES = {(): 0.0, (0,): 0.5, (1,): 0.1, (2,): 0.1, (3,): -0.2, (4,): 0.3}


def test_the_least_important_blocks_go_together() -> None:
    found = one_shot_removals(SINGLES, SearchSpace(5), 4)
    assert found == {2: (1, 3), 3: (1, 2, 3), 4: (1, 2, 3, 4)}


def test_larger_removals_do_not_change_the_ranking() -> None:
    drops = {**SINGLES, (0, 4): -9.0}
    assert one_shot_removals(drops, SearchSpace(5), 2) == {2: (1, 3)}


def test_there_is_no_ranking_while_a_block_is_unmeasured() -> None:
    drops = {removal: drop for removal, drop in SINGLES.items() if removal != (4,)}
    assert one_shot_removals(drops, SearchSpace(5), 3) == {}
    assert one_shot_removals(drops, SearchSpace(5, frozenset({4})), 2) == {2: (1, 3)}


def test_a_block_that_makes_the_removal_inadmissible_is_skipped() -> None:
    space = SearchSpace(5, admissible=lambda removal: not {1, 3} <= set(removal))
    assert one_shot_removals(SINGLES, space, 4) == {2: (2, 3), 3: (2, 3, 4), 4: (0, 2, 3, 4)}


def test_protected_blocks_stay_and_sizes_out_of_reach_are_missing() -> None:
    space = SearchSpace(5, frozenset({1, 3}))
    assert one_shot_removals(SINGLES, space, 4) == {2: (2, 4), 3: (0, 2, 4)}


def test_rounding_noise_does_not_order_the_blocks() -> None:
    drops = {(): 0.0, (0,): 0.3 + 3e-8, (1,): 0.3, (2,): 0.3 - 3e-8}
    assert one_shot_removals(drops, SearchSpace(3), 2) == {2: (0, 1)}


def test_alone_it_measures_the_blocks_then_the_removals() -> None:
    search = OneShot(SearchSpace(12), max_removed=4)
    asked = hold_strategy(search, rugged)
    assert asked[:12] == [(block,) for block in range(12)]
    ranked = sorted(range(12), key=lambda block: rugged((block,)))
    assert asked[12:] == [tuple(sorted(ranked[:number])) for number in (2, 3, 4)]
    assert len(asked) == search.most_evaluations()


def test_one_block_alone_needs_no_ranking() -> None:
    search = OneShot(SearchSpace(8), max_removed=1)
    assert len(hold_strategy(search, rugged)) == search.most_evaluations() == 8


@pytest.mark.parametrize("most", [0, 8])
def test_senseless_sizes_are_refused(most: int) -> None:
    with pytest.raises(RemovalError):
        OneShot(SearchSpace(8), max_removed=most)


def test_a_chain_follows_one_after_the_other_and_measures_nothing_twice() -> None:
    space = SearchSpace(12)
    beam, one_shot = BeamSearch(space, width=1), OneShot(space)
    asked = hold_strategy(Chain((beam, one_shot)), rugged)
    alone = hold_strategy(beam, rugged)
    assert asked[: len(alone)] == alone
    wanted = hold_strategy(one_shot, rugged)
    assert asked[len(alone) :] == [removal for removal in wanted if removal not in alone]
    assert len(asked) <= Chain((beam, one_shot)).most_evaluations()


def test_an_empty_chain_asks_for_nothing() -> None:
    assert Chain(()).ask({}) == ()
    assert Chain(()).most_evaluations() == 0


def test_a_chain_knows_its_work_only_when_all_do() -> None:
    class Unforeseeable:
        def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
            return [] if (7,) in drops else [(7,)]

    chain = Chain((OneShot(SearchSpace(12)), Unforeseeable()))
    assert (7,) in hold_strategy(chain, rugged)
    assert chain.most_evaluations() == 0
