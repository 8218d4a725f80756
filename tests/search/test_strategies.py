"""Specification of the search strategies."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.base.drops import settled
from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal
from depthprune.search import Ablation, BeamSearch, SearchSpace
from tests.search.conformance import follow, hold_strategy


def rugged(removal: Removal) -> float:
    """Give every removal another drop, with interactions between blocks."""
    single = sum(((block * 7919) % 101) / 100 for block in removal)
    pairs = sum(((a * 31 + b * 17) % 23 - 11) / 40 for a, b in itertools.combinations(removal, 2))
    return single + pairs


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
    asked = hold_strategy(Ablation(SearchSpace(16)), rugged)
    assert asked == [(block,) for block in range(16)]


def test_ablation_leaves_protected_and_inadmissible_blocks_alone() -> None:
    space = SearchSpace(8, frozenset({0, 7}), admissible=lambda removal: 3 not in removal)
    assert Ablation(space).ask({}) == [(1,), (2,), (4,), (5,), (6,)]
    assert Ablation(space).most_evaluations() == 5


@pytest.mark.parametrize(("width", "depth"), [(1, 3), (3, 4), (5, 2)])
def test_beam_measures_and_keeps_what_brute_force_does(width: int, depth: int) -> None:
    search = BeamSearch(SearchSpace(12), width=width, max_removed=depth)
    asked = hold_strategy(search, rugged)
    measured, beam = brute_force_beam(12, width, depth)
    assert set(asked) == measured
    drops = {removal: rugged(removal) for removal in asked}
    assert list(search.steps(drops))[-1].beam == tuple(beam)
    assert len(asked) <= search.most_evaluations()


def test_beam_exempts_no_block_by_default() -> None:
    assert (0,) in BeamSearch(SearchSpace(16)).ask({})


def test_beam_never_removes_a_protected_block() -> None:
    search = BeamSearch(SearchSpace(10, frozenset({0, 9})), max_removed=3)
    assert all(not {0, 9} & set(removal) for removal in hold_strategy(search, rugged))


def test_beam_keeps_away_from_inadmissible_removals() -> None:
    space = SearchSpace(10, admissible=lambda removal: not {4, 5} <= set(removal))
    asked = hold_strategy(BeamSearch(space, max_removed=4), rugged)
    assert not any({4, 5} <= set(removal) for removal in asked)


def test_a_removal_with_two_parents_is_asked_for_once() -> None:
    drops = {(): 0.0} | {(block,): 1.0 for block in range(6)} | {(2,): 0.0, (4,): 0.0}
    batch = BeamSearch(SearchSpace(6), width=2, max_removed=2).ask(drops)
    assert list(batch).count((2, 4)) == 1
    assert len(batch) == len(set(batch)) == 9


def test_ties_are_broken_by_block_indices() -> None:
    search = BeamSearch(SearchSpace(6), width=2, max_removed=2)
    known: dict[Removal, float] = {(): 0.0}
    follow(search, lambda removal: 0.0, known)
    first, second = search.steps(dict(reversed(known.items())))
    assert first.beam == ((0,), (1,))
    assert second.beam == ((0, 1), (0, 2))


def test_beam_ends_when_one_block_is_left() -> None:
    asked = hold_strategy(BeamSearch(SearchSpace(7), width=2, max_removed=6), rugged)
    assert max(len(removal) for removal in asked) == 6


def test_beam_ends_when_protection_leaves_nothing_to_remove() -> None:
    known: dict[Removal, float] = {(): 0.0}
    asked = follow(BeamSearch(SearchSpace(5, frozenset({0, 1, 2})), max_removed=4), rugged, known)
    assert asked == [(3,), (4,), (3, 4)]


@given(
    values=st.lists(st.floats(-1, 1, allow_nan=False), min_size=8, max_size=8),
    width=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_beam_steps_are_ordered_and_nested(values: list[float], width: int) -> None:
    search = BeamSearch(SearchSpace(8), width=width, max_removed=3)
    known: dict[Removal, float] = {(): 0.0}
    follow(search, lambda removal: sum(values[block] for block in removal), known)
    parents: tuple[Removal, ...] = ((),)
    for step in search.steps(known):
        kept = [settled(known[removal]) for removal in step.beam]
        assert kept == sorted(kept)
        assert kept[-1] <= min(
            (settled(known[r]) for r in step.candidates if r not in step.beam), default=math.inf
        )
        for child in step.candidates:
            assert any(set(parent) < set(child) for parent in parents)
        parents = step.beam


@pytest.mark.parametrize(
    "make",
    [
        lambda: BeamSearch(SearchSpace(8), width=0),
        lambda: BeamSearch(SearchSpace(8), max_removed=8),
        lambda: BeamSearch(SearchSpace(8), max_removed=0),
        lambda: SearchSpace(8, frozenset({99})),
        lambda: SearchSpace(8, frozenset({-1})),
        lambda: SearchSpace(1),
        lambda: SearchSpace(2, frozenset({0, 1})),
    ],
)
def test_senseless_searches_are_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RemovalError):
        make()


def test_rounding_noise_does_not_decide_a_tie() -> None:
    drops = {(): 0.0, (0,): 0.3, (1,): 0.3 - 3e-8, (2,): 0.3 + 3e-8, (3,): 0.9}
    batch = BeamSearch(SearchSpace(4), width=1, max_removed=2).ask(drops)
    assert batch == ((0, 1), (0, 2), (0, 3))
