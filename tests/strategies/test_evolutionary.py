"""Specification of the evolutionary search."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal, rounded
from depthprune.strategies import Evolutionary, SearchSpace, one_shot_removals
from depthprune.testing.strategies import DropOf, follow, hold_strategy
from tests.strategies.landscapes import additive, rugged


def searched(search: Evolutionary, space: SearchSpace, drop_of: DropOf) -> dict[Removal, float]:
    known: dict[Removal, float] = {(): 0.0}
    follow(search, space, drop_of, known)
    return known


def best(known: dict[Removal, float], number: int) -> Removal:
    of_size = [removal for removal in known if len(removal) == number]
    return min(of_size, key=lambda removal: (rounded(known[removal]), removal))


def test_it_holds_the_contract_and_measures_single_blocks_first() -> None:
    search, space = Evolutionary(), SearchSpace(12)
    asked = hold_strategy(search, space, rugged)
    assert asked[:12] == [(block,) for block in range(12)]
    assert [len(removal) for removal in asked] == sorted(len(removal) for removal in asked)
    assert len(asked) <= search.most_evaluations(space)


def test_stopped_after_any_measurement_it_goes_on_as_if_it_had_not_been() -> None:
    search, space = Evolutionary(max_removed=3, offspring=4, generations=3), SearchSpace(10)
    whole = searched(search, space, rugged)
    asked = list(whole)[1:]
    for stop in range(len(asked) + 1):
        known = {(): 0.0} | {removal: whole[removal] for removal in asked[:stop]}
        assert follow(search, space, rugged, known) == asked[stop:]


def test_foreign_measurements_of_the_same_size_change_nothing() -> None:
    search, space = Evolutionary(max_removed=2, offspring=4, generations=3), SearchSpace(10)
    asked = list(searched(search, space, rugged))[1:]
    foreign = next(pair for pair in itertools.combinations(range(10), 2) if pair not in asked)
    known: dict[Removal, float] = {(): 0.0, foreign: -9.0}
    assert follow(search, space, rugged, known) == asked


def test_it_finds_the_best_pair_where_blocks_do_not_interact() -> None:
    known = searched(Evolutionary(max_removed=2), SearchSpace(16), additive)
    truth = min(itertools.combinations(range(16), 2), key=additive)
    assert best(known, 2) == truth


@pytest.mark.parametrize("number", [2, 3, 4])
def test_it_is_never_worse_than_where_it_set_out_from(number: int) -> None:
    space = SearchSpace(16)
    known = searched(Evolutionary(), space, rugged)
    one_shot = one_shot_removals(known, space, 4)[number]
    assert known[best(known, number)] <= known[one_shot]


def test_it_climbs_to_a_set_that_single_blocks_do_not_point_to() -> None:
    good = {9, 11, 13}

    def drop(removal: Removal) -> float:
        return (4.0 if len(removal) == 1 else 1.0) * len(set(removal) - good) + additive(
            removal
        ) / 9

    known = searched(Evolutionary(max_removed=3, generations=12), SearchSpace(16), drop)
    truth = min(itertools.combinations(range(16), 3), key=drop)
    assert best(known, 3) == truth == (9, 11, 13)


def test_with_enough_offspring_it_sees_every_removal_and_then_ends() -> None:
    search, space = Evolutionary(max_removed=2, offspring=10, generations=10), SearchSpace(6)
    assert (
        len(hold_strategy(search, space, rugged))
        == 6 + math.comb(6, 2)
        == search.most_evaluations(space)
    )


def test_another_seed_is_another_search() -> None:
    first, second = (
        searched(Evolutionary(), replace(SearchSpace(16), seed=s), rugged) for s in (0, 1)
    )
    assert set(first) != set(second)


def test_the_number_of_removed_blocks_stays_and_no_generation_is_larger_than_wanted() -> None:
    search, space = Evolutionary(max_removed=3, offspring=5, generations=4), SearchSpace(12)
    history = list(search.history(space, searched(search, space, rugged)))
    for number in (2, 3):
        generations = [one for one in history if one.number == number]
        assert len(generations) == 5
        assert all(len(one.candidates) <= 5 for one in generations)
        assert all(len(child) == number for one in generations for child in one.candidates)
        costs = [rugged(one.best[0]) for one in generations]
        assert costs == sorted(costs, reverse=True)


def test_protected_and_inadmissible_blocks_stay() -> None:
    space = SearchSpace(12, frozenset({0, 11}), lambda removal: not {4, 5} <= set(removal))
    asked = hold_strategy(Evolutionary(max_removed=3), space, rugged)
    assert not any({0, 11} & set(one) or {4, 5} <= set(one) for one in asked)


def test_seeds_are_measured_first_and_searched_from() -> None:
    def drop(removal: Removal) -> float:
        return additive(removal) - 9.0 * ({3, 8} <= set(removal))

    seeds = ((3, 8, 1), (3, 8), (0, 1, 2, 3, 4))
    search, space = Evolutionary(max_removed=4), replace(SearchSpace(12), proposed=seeds)
    asked = hold_strategy(search, space, drop)
    assert asked[:2] == [(1, 3, 8), (3, 8)]
    known = {one: drop(one) for one in asked}
    assert best(known, 3) == (0, 3, 8) not in seeds
    assert {3, 8} <= set(best(known, 4))
    assert len(asked) <= search.most_evaluations(space)


def test_it_ends_after_a_size_of_which_nothing_stays_within_the_largest_drop() -> None:
    search, space = Evolutionary(max_removed=5, max_drop=0.1), SearchSpace(12)
    asked = hold_strategy(search, space, lambda removal: 0.06 * len(removal))
    assert max(map(len, asked)) == 2


def test_where_no_block_may_go_alone_it_sets_out_from_the_seeds() -> None:
    paired = SearchSpace(8, admissible=lambda removal: len(removal) % 2 == 0)
    assert Evolutionary().ask(paired, {(): 0.0}) == ()
    asked = hold_strategy(Evolutionary(max_removed=2), replace(paired, proposed=((2, 3),)), rugged)
    assert asked[0] == (2, 3)
    assert len(asked) > 8


@pytest.mark.parametrize(
    "options",
    [
        {"offspring": 0},
        {"generations": 0},
        {"max_removed": 0},
        {"max_removed": 12},
        {"max_drop": math.nan},
    ],
)
def test_senseless_searches_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(DepthpruneError):
        Evolutionary(**options).check(SearchSpace(12))  # type: ignore[arg-type]
