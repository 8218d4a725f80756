"""Specification of the one-shot ranking."""

from __future__ import annotations

from depthprune.strategies import SearchSpace, one_shot_removals

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
