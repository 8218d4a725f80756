"""Specification of search options: plain values, and the strategy they mean."""

from __future__ import annotations

from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError, RemovalError
from depthprune.base.removal import Removal
from depthprune.strategies import (
    Ablation,
    BeamSearch,
    EvolutionarySearch,
    ExhaustiveSearch,
    SearchSpace,
    one_shot_removals,
)
from depthprune.strategies.comparison import Compared
from depthprune.strategies.options import SearchOptions, StrategyName
from tests.strategies.conformance import follow, hold_strategy
from tests.strategies.landscapes import rugged

SPACE = SearchSpace(12)


def searched(**options: Any) -> Any:
    strategy = SearchOptions(**options).build(SPACE, seed=7)
    assert isinstance(strategy, Compared)
    return strategy.search


def test_each_name_means_its_strategy() -> None:
    assert searched(width=5) == BeamSearch(SPACE, 5, 4)
    assert searched(strategy="greedy", width=5) == BeamSearch(SPACE, 1, 4)
    assert searched(strategy="exhaustive") == ExhaustiveSearch(SPACE, 2)
    evolutionary = searched(strategy="evolutionary", offspring=3, generations=2, max_drop=0.1)
    assert evolutionary == EvolutionarySearch(SPACE, 11, 3, 2, seed=7, max_drop=0.1)
    assert SearchOptions("ablation").build(SPACE) == Ablation(SPACE)


@pytest.mark.parametrize("name", ["beam", "greedy", "exhaustive", "evolutionary"])
def test_every_strategy_holds_the_contract_and_ends_with_one_shot(name: StrategyName) -> None:
    strategy = SearchOptions(name, max_removed=2, generations=2).build(SPACE)
    asked = hold_strategy(strategy, rugged)
    drops = {(): 0.0} | {removal: rugged(removal) for removal in asked}
    assert set(one_shot_removals(drops, SPACE, 2).values()) <= set(asked)


def test_a_proposal_reaches_the_search() -> None:
    strategy = SearchOptions("greedy").build(SPACE, [(4, 5)])
    assert strategy.ask({(): 0.0}) == ((4, 5),)


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (SearchOptions(), 4),
        (SearchOptions("exhaustive"), 2),
        (SearchOptions("exhaustive", max_drop=0.1), 2),
        (SearchOptions("exhaustive", max_drop=0.1, max_removed=3), 3),
        (SearchOptions(max_drop=0.1), 11),
        (SearchOptions(max_drop=0.1, max_removed=3), 3),
    ],
)
def test_how_many_blocks_may_go(options: SearchOptions, most: int) -> None:
    assert options.most_removed(SPACE) == most


def test_small_and_protected_models_limit_how_many_blocks_go() -> None:
    assert SearchOptions().most_removed(SearchSpace(3)) == 2
    assert SearchOptions().most_removed(SearchSpace(12, frozenset(range(2, 12)))) == 2
    assert SearchOptions(max_drop=1).most_removed(SearchSpace(12, frozenset({0}))) == 11


def steep(removal: Removal) -> float:
    return 0.01 * sum(removal) * len(removal)


def test_numbers_that_a_largest_drop_ruled_out_are_not_compared() -> None:
    strategy = SearchOptions("greedy", max_drop=0.2).build(SPACE)
    assert isinstance(strategy, Compared)
    drops: dict[Removal, float] = {(): 0.0}
    follow(strategy, steep, drops)
    # 0, 1, 2, 3 cost 4 * 0.06: the first number of which nothing is within the drop.
    assert max(map(len, drops)) == 4
    assert sorted(strategy.one_shot(drops)) == [2, 3]


def test_a_drop_that_not_even_the_baseline_keeps_to_ends_after_the_single_blocks() -> None:
    strategy = SearchOptions("greedy", max_drop=-0.5).build(SPACE)
    assert isinstance(strategy, Compared)
    drops: dict[Removal, float] = {(): 0.0}
    assert len(follow(strategy, steep, drops)) == 12
    assert strategy.one_shot(drops) == {}


def test_what_another_search_measured_changes_nothing_that_is_compared() -> None:
    strategy = SearchOptions("greedy", max_drop=0.2).build(SPACE)
    assert isinstance(strategy, Compared)
    drops: dict[Removal, float] = {(): 0.0}
    follow(strategy, steep, drops)
    drops[0, 1, 2, 3, 5, 6] = 0.0
    assert not strategy.ask(drops)
    assert sorted(strategy.one_shot(drops)) == [2, 3]


def test_the_bound_for_the_time_left_holds() -> None:
    for name in ("beam", "greedy", "exhaustive", "evolutionary"):
        strategy = SearchOptions(name, max_removed=3, generations=2).build(SPACE)  # type: ignore[arg-type]
        assert isinstance(strategy, Compared)
        asked = follow(strategy, rugged, {(): 0.0})
        assert len(asked) <= strategy.most_evaluations()


@pytest.mark.parametrize("drop", [float("nan"), float("inf"), 5.0])
def test_a_drop_that_is_no_fraction_is_refused(drop: float) -> None:
    with pytest.raises(DepthpruneError, match="no limit"):
        SearchOptions(max_drop=drop)


@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(width=0),
        SearchOptions(max_removed=12),
        SearchOptions("evolutionary", offspring=0),
        SearchOptions("exhaustive", max_removed=6, exhaustive_limit=100),
    ],
)
def test_senseless_options_are_refused_before_anything_is_measured(options: SearchOptions) -> None:
    with pytest.raises(RemovalError):
        options.build(SPACE)
