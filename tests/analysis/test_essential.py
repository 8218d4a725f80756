"""Specification of essential blocks: those that must never go."""

from __future__ import annotations

from math import nan

import pytest

from depthprune.analysis.recommended_strategies import find_essential
from tests.analysis.results import combination

BASELINES = {"set0": 0.8, "set1": 0.6}


def test_a_block_that_costs_more_than_half_of_the_accuracy_is_essential() -> None:
    found = find_essential(
        [combination((0,), 0.5, 0.4), combination((1,), 0.35, 0.35), combination((2,), 0.7, 0.6)],
        BASELINES,
    )
    assert [one.combination.removal for one in found] == [(2,), (0,)]
    assert found[1].share == pytest.approx(0.45 / 0.7)
    assert found[1].worst == ("set0", 0.5)


def test_drop_and_accuracy_are_of_the_same_datasets() -> None:
    weak = combination((0,), 0.35, names=["set1"])  # of 0.6; of the mean 0.7 it would be half
    assert find_essential([weak], BASELINES)


def test_an_unknown_accuracy_counts_as_the_most_it_can_be() -> None:
    unknown = {"set0": nan, "set1": nan}
    assert not find_essential([combination((0,), 0.5, 0.5)], unknown)
    (found,) = find_essential([combination((0,), 0.5, 0.6)], unknown)
    assert found.share == pytest.approx(0.55)


def test_exactly_half_is_not_more_than_half_whatever_the_rounding() -> None:
    half = 0.9 - 0.9 * 0.5 + 1e-16 * 2
    assert half > 0.5 * 0.9
    assert find_essential([combination((0,), half)], {"set0": 0.9}) == ()


def test_the_threshold_can_be_chosen() -> None:
    assert find_essential([combination((0,), 0.1, 0.1)], BASELINES, threshold=0.1)


def test_a_model_that_answers_nothing_has_no_essential_block() -> None:
    assert not find_essential([combination((0,), 0.0)], {"set0": 0.0})
