"""The one removal that is recommended and carried out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from depthprune.analysis.findings import analyze_results
from depthprune.analysis.options import Ranking, Targets
from depthprune.analysis.recommend import Recommended
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.sweep import mean_speedup
from depthprune.analysis.verified import choose, choose_number
from depthprune.report.documents.values import block_configs_value
from tests.analysis import results as by_hand


@pytest.fixture
def results() -> ResultSet:
    drops = {(0,): 0.05, (1,): 0.01, (2,): 0.02, (3,): 0.3, (1, 2): 0.03, (0, 1): 0.08}
    drops |= {(0, 1, 2): 0.5}
    return by_hand.results({one: (drop, drop) for one, drop in drops.items()}, num_blocks=4)


@pytest.fixture
def found(results: ResultSet) -> Recommended:
    return analyze_results(results).recommendations


def test_the_last_conservative_removal_is_chosen_when_nothing_is_asked_for(
    found: Recommended,
) -> None:
    choice = choose(found)
    assert choice is not None
    assert (choice.rule, choice.combination.removal) == ("conservative", (1, 2))


def test_a_target_that_is_met_comes_first(results: ResultSet) -> None:
    choice = choose(analyze_results(results, targets=Targets(max_drop=0.02)).recommendations)
    assert choice is not None
    assert (choice.rule, choice.combination.removal) == ("max_drop", (1,))


def test_a_target_that_cannot_be_met_leaves_the_conservative_one(results: ResultSet) -> None:
    choice = choose(analyze_results(results, targets=Targets(speedup=100)).recommendations)
    assert choice is not None
    assert choice.rule == "conservative"


def test_nothing_is_chosen_where_everything_costs_too_much() -> None:
    given = by_hand.results({(0,): (0.2, 0.2), (1,): (0.3, 0.3)}, num_blocks=4)
    assert choose(analyze_results(given).recommendations) is None


def test_nothing_is_chosen_where_nothing_is_ranked(results: ResultSet) -> None:
    assert choose(analyze_results(results, Ranking(min_drop=1)).recommendations) is None


def test_a_number_has_the_blocks_that_the_files_list_for_it(results: ResultSet) -> None:
    analysis = analyze_results(results)
    configs = block_configs_value(analysis)["block_configs"]
    chosen = {
        str(4 - number): list(choice.combination.removal)
        for number in (1, 2, 3)
        if (choice := choose_number(analysis.recommendations, number)) is not None
    }
    assert chosen == {n: one["removed_block_indices"] for n, one in configs.items()}
    assert choose_number(analysis.recommendations, 4) is None


def point(removal: tuple[int, ...], speedup: float | None, timed: int = 3) -> SimpleNamespace:
    times = SimpleNamespace(total=SimpleNamespace(count=timed))
    return SimpleNamespace(removal=removal, speedup=speedup, times=times)


def test_a_speedup_is_the_mean_over_the_tasks_with_its_spread() -> None:
    found = mean_speedup([point((1,), 1.1), point((1,), 1.3, timed=2), point((2,), 9)], (1,))  # type: ignore[list-item]
    assert found is not None
    assert (found.mean, found.std) == (pytest.approx(1.2), pytest.approx(0.1))
    assert (found.low, found.high, found.num_tasks, found.num_timed) == (1.1, 1.3, 2, 2)


def test_there_is_no_speedup_of_what_was_not_timed() -> None:
    assert mean_speedup([point((1,), None)], (1,)) is None  # type: ignore[list-item]
