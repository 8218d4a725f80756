"""Specification of the search strategies."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal, rounded
from depthprune.strategies import Ablation, Beam, Greedy, SearchSpace
from depthprune.testing.strategies import follow, hold_strategy
from tests.strategies.landscapes import rugged


def brute_force_beam(num_blocks: int, width: int, depth: int) -> tuple[set[Removal], list[Removal]]:
    """Find a beam the obvious way: what it measures, and its last beam."""
    beam: list[Removal] = [()]
    measured: set[Removal] = set()
    for _ in range(depth):
        children = {
            tuple(sorted((*parent, block)))
            for parent in beam
            for block in range(num_blocks)
            if block not in parent
        }
        measured |= children
        beam = sorted(children, key=lambda removal: (rugged(removal), removal))[:width]
    return measured, beam


def test_ablation_asks_for_every_single_block() -> None:
    asked = hold_strategy(Ablation(), SearchSpace(16), rugged)
    assert asked == [(block,) for block in range(16)]


def test_ablation_leaves_protected_and_inadmissible_blocks_alone() -> None:
    space = SearchSpace(8, frozenset({0, 7}), admissible=lambda removal: 3 not in removal)
    assert Ablation().ask(space, {}) == [(1,), (2,), (4,), (5,), (6,)]
    assert Ablation().most_evaluations(space) == 5


@pytest.mark.parametrize(("width", "depth"), [(1, 3), (3, 4), (5, 2)])
def test_beam_measures_and_keeps_what_brute_force_does(width: int, depth: int) -> None:
    search, space = Beam(width=width, max_removed=depth), SearchSpace(12)
    asked = hold_strategy(search, space, rugged)
    measured, beam = brute_force_beam(12, width, depth)
    assert set(asked) == measured
    drops = {removal: rugged(removal) for removal in asked}
    assert list(search.steps(space, drops))[-1].beam == tuple(beam)
    assert len(asked) <= search.most_evaluations(space)


def test_beam_exempts_no_block_by_default() -> None:
    assert (0,) in Beam().ask(SearchSpace(16), {})


def test_beam_never_removes_a_protected_block() -> None:
    search, space = Beam(max_removed=3), SearchSpace(10, frozenset({0, 9}))
    assert all(not {0, 9} & set(removal) for removal in hold_strategy(search, space, rugged))


def test_beam_keeps_away_from_inadmissible_removals() -> None:
    space = SearchSpace(10, admissible=lambda removal: not {4, 5} <= set(removal))
    asked = hold_strategy(Beam(max_removed=4), space, rugged)
    assert not any({4, 5} <= set(removal) for removal in asked)


def test_a_removal_with_two_parents_is_asked_for_once() -> None:
    drops = {(): 0.0} | {(block,): 1.0 for block in range(6)} | {(2,): 0.0, (4,): 0.0}
    batch = Beam(width=2, max_removed=2).ask(SearchSpace(6), drops)
    assert list(batch).count((2, 4)) == 1
    assert len(batch) == len(set(batch)) == 9


def test_ties_are_broken_by_block_indices() -> None:
    search, space = Beam(width=2, max_removed=2), SearchSpace(6)
    known: dict[Removal, float] = {(): 0.0}
    follow(search, space, lambda removal: 0.0, known)
    first, second = search.steps(space, dict(reversed(known.items())))
    assert first.beam == ((0,), (1,))
    assert second.beam == ((0, 1), (0, 2))


def test_beam_ends_when_one_block_is_left() -> None:
    asked = hold_strategy(Beam(width=2, max_removed=6), SearchSpace(7), rugged)
    assert max(len(removal) for removal in asked) == 6


def test_beam_ends_when_protection_leaves_nothing_to_remove() -> None:
    known: dict[Removal, float] = {(): 0.0}
    asked = follow(Beam(max_removed=4), SearchSpace(5, frozenset({0, 1, 2})), rugged, known)
    assert asked == [(3,), (4,), (3, 4)]


@given(
    values=st.lists(st.floats(-1, 1, allow_nan=False), min_size=8, max_size=8),
    width=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_beam_steps_are_ordered_and_nested(values: list[float], width: int) -> None:
    search, space = Beam(width=width, max_removed=3), SearchSpace(8)
    known: dict[Removal, float] = {(): 0.0}
    follow(search, space, lambda removal: sum(values[block] for block in removal), known)
    parents: tuple[Removal, ...] = ((),)
    for step in search.steps(space, known):
        kept = [rounded(known[removal]) for removal in step.beam]
        assert kept == sorted(kept)
        assert kept[-1] <= min(
            (rounded(known[r]) for r in step.candidates if r not in step.beam), default=math.inf
        )
        for child in step.candidates:
            assert any(set(parent) < set(child) for parent in parents)
        parents = step.beam


def test_greedy_is_the_beam_that_keeps_one() -> None:
    asked = hold_strategy(Greedy(max_removed=4), SearchSpace(12), rugged)
    measured, _ = brute_force_beam(12, 1, 4)
    assert set(asked) == measured


@given(max_drop=st.floats(0, 1), width=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_beam_never_keeps_a_removal_above_the_largest_drop(max_drop: float, width: int) -> None:
    search, space = Beam(width=width, max_removed=4, max_drop=max_drop), SearchSpace(8)
    known: dict[Removal, float] = {(): 0.0}
    asked = follow(search, space, rugged, known)
    steps = list(search.steps(space, known))
    kept = {(): 0.0} | {removal: known[removal] for step in steps for removal in step.beam}
    assert all(rounded(drop) <= max_drop for drop in kept.values())
    for removal in asked:
        assert any(removal[:at] + removal[at + 1 :] in kept for at in range(len(removal)))
    for step in steps[:-1]:
        assert step.beam, "the search goes on although nothing is left"


def test_a_drop_that_equals_the_largest_is_kept_whatever_its_last_digit() -> None:
    drops = {(): 0.0, (0,): 0.3 + 3e-8, (1,): 0.300002, (2,): 0.9}
    (first, second) = Beam(max_removed=2, max_drop=0.3).steps(SearchSpace(3), drops)
    assert first.beam == ((0,),)
    assert second.candidates == ((0, 1), (0, 2))


def test_the_search_ends_where_every_block_costs_too_much() -> None:
    search, space = Beam(max_removed=3, max_drop=0.1), SearchSpace(8)
    assert len(hold_strategy(search, space, lambda removal: 0.2 * len(removal))) == 8


SEEDS = ((5, 7), (1, 2, 3), (4,), (9, 10))


def test_seeds_are_asked_for_before_all_else_in_their_order() -> None:
    search, space = Beam(width=2, max_removed=3), replace(SearchSpace(12), proposed=SEEDS)
    asked = hold_strategy(search, space, rugged)
    assert tuple(asked[:4]) == SEEDS
    assert sorted(asked[4:15]) == [(block,) for block in range(12) if block != 4]
    assert len(asked) <= search.most_evaluations(space)


def test_a_good_seed_enters_the_beam_although_no_step_leads_to_it() -> None:
    def drop(removal: Removal) -> float:
        return -1.0 if {5, 7} <= set(removal) else sum(removal) / 10

    seeded, space = Beam(width=1, max_removed=3), replace(SearchSpace(8), proposed=((5, 7),))
    known: dict[Removal, float] = {(): 0.0}
    follow(seeded, space, drop, known)
    _, second, third = seeded.steps(space, known)
    assert second.beam == ((5, 7),)
    assert third.candidates == tuple(sorted(SearchSpace(8).extend((5, 7))))


def test_a_seed_above_the_largest_drop_is_measured_and_not_kept() -> None:
    search, space = Beam(max_removed=2, max_drop=0.5), replace(SearchSpace(8), proposed=((6, 7),))
    known: dict[Removal, float] = {(): 0.0}
    follow(search, space, lambda removal: sum(removal) / 10, known)
    assert (6, 7) in known
    assert all((6, 7) not in step.beam for step in search.steps(space, known))


def test_the_search_goes_on_from_a_larger_seed_where_no_single_block_may_go() -> None:
    paired = SearchSpace(6, admissible=lambda removal: len(removal) != 1)
    search, space = Beam(width=1, max_removed=3), replace(paired, proposed=((2, 3),))
    asked = hold_strategy(search, space, rugged)
    assert asked == [(2, 3), (0, 2, 3), (1, 2, 3), (2, 3, 4), (2, 3, 5)]
    assert len(asked) <= search.most_evaluations(space)


def test_seeds_that_the_space_does_not_allow_are_left_out() -> None:
    space = SearchSpace(8, frozenset({0}), admissible=lambda removal: 3 not in removal)
    seeds = ((), (0, 1), (3, 4), (1, 2, 4), (2, 1), (1, 2), (5, 6))
    assert Beam(max_removed=2).ask(replace(space, proposed=seeds), {}) == ((1, 2), (5, 6))


def test_seeds_that_are_measured_already_are_not_asked_for_again() -> None:
    search, space = Beam(max_removed=2), replace(SearchSpace(8), proposed=((1, 2), (5, 6)))
    assert search.ask(space, {(): 0.0, (1, 2): 0.1}) == ((5, 6),)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Beam(width=0).check(SearchSpace(8)),
        lambda: Beam(max_removed=8).check(SearchSpace(8)),
        lambda: Beam(max_removed=0).check(SearchSpace(8)),
        lambda: Beam(max_drop=math.nan).check(SearchSpace(8)),
        lambda: Beam().check(replace(SearchSpace(8), proposed=((1, 8),))),
        lambda: Beam().check(replace(SearchSpace(8), proposed=((1, 1),))),
        lambda: Greedy(max_removed=8).check(SearchSpace(8)),
        lambda: SearchSpace(8, frozenset({99})),
        lambda: SearchSpace(8, frozenset({-1})),
        lambda: SearchSpace(1),
        lambda: SearchSpace(2, frozenset({0, 1})),
    ],
)
def test_senseless_searches_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DepthpruneError):
        make()


def test_rounding_noise_does_not_decide_a_tie() -> None:
    drops = {(): 0.0, (0,): 0.3, (1,): 0.3 - 3e-8, (2,): 0.3 + 3e-8, (3,): 0.9}
    batch = Beam(width=1, max_removed=2).ask(SearchSpace(4), drops)
    assert batch == ((0, 1), (0, 2), (0, 3))
