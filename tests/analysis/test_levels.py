"""Specification of the three levels: conservative, balanced, aggressive."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from depthprune.analysis.bootstrap import Interval
from depthprune.analysis.combinations import Combination
from depthprune.analysis.levels import choose_levels, upper_end
from depthprune.analysis.stepwise import stepwise_path
from depthprune.base.removal import Removal
from tests.analysis.results import combination, rankings


def chosen(
    *given: Combination, limit: float = 0.05, essential: Collection[int] = (), candidates: int = 5
) -> dict[str, Removal | None]:
    ranked = rankings(*given)
    levels = choose_levels(
        ranked, stepwise_path(ranked), limit=limit, essential=essential, candidates=candidates
    )
    return {
        level.name: None if level.combination is None else level.combination.removal
        for level in levels
    }


def test_conservative_is_the_most_blocks_whose_mean_plus_std_is_within_the_limit() -> None:
    found = chosen(
        combination((1,), 0.01, 0.01),
        combination((1, 2), 0.02, 0.08),  # 0.05 with a standard deviation of 0.03
        combination((3, 4), 0.05, 0.05),
        combination((1, 2, 3), 0.06, 0.06),
    )
    assert found["conservative"] == (3, 4)


def test_with_an_interval_its_upper_end_counts() -> None:
    spread = combination((1,), 0.0, 0.1)
    sure = replace(spread, interval=Interval(0.045, 0.049))
    assert upper_end(spread) == pytest.approx(0.1)
    assert chosen(spread)["conservative"] is None
    assert chosen(sure)["conservative"] == (1,)


def test_only_the_best_candidates_of_a_number_are_considered() -> None:
    spread, narrow = combination((1,), 0.0, 0.06), combination((2,), 0.04, 0.04)
    assert chosen(spread, narrow)["conservative"] == (2,)
    assert chosen(spread, narrow, candidates=1)["conservative"] is None


def test_balanced_is_the_last_step_before_the_jump() -> None:
    found = chosen(combination((1,), 0.02), combination((1, 2), 0.04), combination((1, 2, 3), 0.3))
    assert found["balanced"] == (1, 2)


def test_without_a_jump_balanced_is_the_whole_path() -> None:
    assert chosen(combination((1,), 0.02), combination((1, 2), 0.04))["balanced"] == (1, 2)


def test_aggressive_is_the_best_of_the_most_blocks() -> None:
    found = chosen(combination((1,), 0.02), combination((1, 2), 0.5), combination((2, 3), 0.4))
    assert found["aggressive"] == (2, 3)


def test_no_level_removes_an_essential_block() -> None:
    found = chosen(
        combination((0,), 0.01), combination((1,), 0.02), combination((0, 1), 0.03), essential={0}
    )
    assert found == {"conservative": (1,), "balanced": None, "aggressive": (1,)}


def test_without_anything_ranked_there_is_no_recommendation() -> None:
    assert set(chosen().values()) == {None}


def test_a_cheaper_combination_on_fewer_datasets_is_named() -> None:
    bold = combination((1, 2), 0.1, 0.1, 0.1)
    cheap, better_known = combination((3, 4), 0.05, 0.05), combination((5, 6), 0.01, 0.01, 0.01)
    essential = combination((0, 4), 0.01, 0.01)
    robust, every = rankings(bold), rankings(essential, cheap, bold)
    (_, _, aggressive) = choose_levels(
        robust, stepwise_path(robust), limit=0.05, essential=[0], independent=every
    )
    assert aggressive.combination == bold
    assert aggressive.cheaper == cheap
    for others in (rankings(bold), rankings(better_known, bold)):
        (_, _, alone) = choose_levels(robust, stepwise_path(robust), limit=0.05, independent=others)
        assert alone.cheaper is None
