"""Specification of the rule of a race: it seldom errs, however often it looks, and it saves."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from depthprune.base.errors import DepthpruneError
from depthprune.strategies.race import BETS, Race, RaceRule, race, race_order

Scores = NDArray[np.float64]


def best(scores: Scores, width: int) -> set[int]:
    """Return the candidates that a full evaluation keeps: by mean, then by index."""
    means = np.round(scores.mean(axis=1), 6)
    return set(sorted(range(len(scores)), key=lambda one: (-means[one], one))[:width])


def population(costs: list[float], num_samples: int, seed: int) -> Scores:
    generator = np.random.default_rng(seed)
    difficulty = generator.normal(size=num_samples)
    luck = generator.normal(size=(len(costs), num_samples))
    strength = 0.5 - np.array(costs)[:, np.newaxis] + 0.4 * luck
    return (strength > difficulty).astype(np.float64)


def errors(scores: Scores, rule: RaceRule, chunk: int, repetitions: int) -> int:
    """Return in how many orders of the samples one of the best is stopped."""
    kept = best(scores, rule.width)
    wrong = 0
    for seed in range(repetitions):
        order = race_order(scores.shape[1], seed)
        left = race(scores[:, order], rule, chunk)
        wrong += any(left[one] < scores.shape[1] for one in kept)
    return wrong


@pytest.mark.parametrize("width", [1, 3])
def test_among_equals_it_errs_less_often_than_stated_though_it_looks_at_every_sample(
    width: int,
) -> None:
    """The hardest case: behind `width - 1` better ones all means are the same."""
    generator = np.random.default_rng(0)
    one = (np.arange(100) < 50).astype(np.float64)
    equals = [generator.permutation(one) for _ in range(6)]
    better = [np.maximum(one, generator.random(100) < 0.8) for _ in range(width - 1)]
    scores = np.array([*better, *equals])
    assert len(set(scores[width - 1 :].mean(axis=1).tolist())) == 1
    wrong = errors(scores, RaceRule(width, 0.4), chunk=1, repetitions=120)
    # Not so seldom, either, that the test would see nothing.
    assert 0 < wrong <= 0.4 * 120


def test_a_rival_that_is_hardly_worse_does_not_make_it_err_more_often() -> None:
    """Two candidates one sample apart, and looks after every sample."""
    one = (np.arange(200) < 100).astype(np.float64)
    other = np.roll(one, 40)
    other[np.flatnonzero(other)[0]] = 0
    assert errors(np.array([other, one]), RaceRule(1, 0.3), 1, 120) <= 0.3 * 120


def test_looking_again_and_again_at_a_test_made_for_one_look_would_err() -> None:
    """That the hard case is hard: an ordinary test at the same level fails on it."""
    one = (np.arange(200) < 100).astype(np.float64)
    scores = np.array([np.roll(one, 40), one])
    wrong = 0
    for seed in range(400):
        ordered = scores[:, race_order(200, seed)]
        ahead = np.cumsum(ordered[1] - ordered[0])
        spread = np.sqrt(np.maximum(1, np.cumsum(ordered[0] != ordered[1])))
        wrong += bool((ahead > 1.645 * spread)[10:].any())  # one-sided 5% at each look
    assert wrong > 0.1 * 400


def test_the_best_stay_and_the_worst_are_stopped_soon() -> None:
    costs = [0.0, 0.05, 0.1, 0.4, 0.8, 1.5, 3.0]
    scores = population(costs, 1000, seed=3)
    rule = RaceRule(3, 0.05)
    assert errors(scores, rule, 50, 40) == 0
    left = race(scores[:, race_order(1000, 1)], rule, 50)
    assert left[:3].tolist() == [1000] * 3
    assert left[6] == 50
    assert left.tolist() == sorted(left.tolist(), reverse=True)
    assert left.sum() < 0.65 * scores.size


def test_the_order_of_the_candidates_does_not_matter() -> None:
    scores = population([0.0, 0.1, 0.2, 0.3, 0.6, 1.0, 2.0], 300, seed=5)
    left = race(scores, RaceRule(2, 0.1), 20)
    assert len(set(left.tolist())) > 3
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(7)
        assert race(scores[shuffled], RaceRule(2, 0.1), 20).tolist() == left[shuffled].tolist()


def test_what_cannot_catch_up_leaves_for_certain_however_small_the_chance_to_err() -> None:
    rule = RaceRule(1, 1e-300)
    scores = np.zeros((2, 100))
    scores[0, :60] = 1
    # After 50 samples the other may still draw level; after 60 it cannot.
    assert race(scores, rule, 10).tolist() == [100, 60]
    assert race(scores, rule, 50).tolist() == [100, 100]
    assert race(scores, rule, 51).tolist() == [100, 51]


def test_equal_candidates_stay() -> None:
    scores = np.tile(population([0.3], 200, seed=1), (5, 1))
    assert race(scores, RaceRule(1, 0.5), 10).tolist() == [200] * 5


def test_candidates_that_differ_by_rounding_noise_alone_stay() -> None:
    scores = np.zeros((2, 100))
    scores[0] = 1e-7
    assert race(scores, RaceRule(1, 0.5, span=1e-7), 10).tolist() == [100, 100]


def test_no_more_leave_than_the_beam_can_spare() -> None:
    scores = np.concatenate([np.ones((1, 50)), np.zeros((4, 50))])
    left = race(scores, RaceRule(2, 0.4), 5)
    assert (left == 50).sum() >= 2
    assert race(scores, RaceRule(5, 0.4), 5).tolist() == [50] * 5
    assert race(scores, RaceRule(9, 0.4), 5).tolist() == [50] * 5


def test_candidates_that_are_known_anyway_never_leave_but_compete() -> None:
    scores = np.concatenate([np.ones((1, 100)), np.zeros((2, 100))])
    assert race(scores, RaceRule(1, 0.1), 10, complete=[1]).tolist()[1] == 100
    assert race(scores, RaceRule(1, 0.1), 10, complete=[0]).tolist()[1:] == [10, 10]


def test_larger_scores_need_more_samples_and_the_span_is_what_counts() -> None:
    scores = population([0.0, 0.5], 400, seed=2)
    narrow = race(scores, RaceRule(1, 0.05), 10)
    assert race(10 * scores, RaceRule(1, 0.05, span=10), 10).tolist() == narrow.tolist()
    assert race(scores, RaceRule(1, 0.05, span=10), 10)[1] > narrow[1]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 6), st.integers(1, 30), st.integers(1, 4), st.integers(1, 8), st.integers(0, 99)
)
def test_whole_races_keep_as_many_as_the_beam_is_wide(
    candidates: int, samples: int, width: int, chunk: int, seed: int
) -> None:
    scores = np.random.default_rng(seed).random((candidates, samples))
    left = race(scores, RaceRule(width, 0.3), chunk)
    assert ((left == samples).sum() >= min(width, candidates)) and (left >= 1).all()
    assert all(one == samples or one % chunk == 0 for one in left.tolist())


def obvious_wealth(first: Scores, second: Scores, span: float) -> float:
    """Return the mean wealth of "second is better than first", one float after the other."""
    total, wealth = len(first), dict.fromkeys(BETS, 1.0)
    margin, ahead = total * 1e-6, 0.0
    for seen, (a, b) in enumerate(zip(first[: total // 2], second, strict=False)):
        expected = (margin - ahead) / (total - seen)
        for bet in BETS:
            wealth[bet] *= 1 + bet * (b - a - expected) / (span + expected)
        ahead += b - a
    return sum(wealth.values()) / len(BETS)


def test_with_two_candidates_one_leaves_when_its_rivals_wealth_is_large_enough() -> None:
    scores = population([0.0, 0.35], 120, seed=11)
    wealth = obvious_wealth(scores[1], scores[0], 1.0)
    assert wealth > 2
    enough, too_little = 1 / (wealth * 0.999), 1 / (wealth * 1.001)
    assert race(scores, RaceRule(1, enough), 60)[1] == 60
    assert race(scores, RaceRule(1, too_little), 60)[1] == 120


def test_orders_are_seeded_permutations() -> None:
    assert sorted(race_order(50, 3).tolist()) == list(range(50))
    assert race_order(50, 3).tolist() == race_order(50, 3).tolist()
    assert race_order(50, 3).tolist() != race_order(50, 4).tolist()
    # Not the draw that chose the samples by the same seed.
    assert race_order(50, 3).tolist() != np.random.RandomState(3).permutation(50).tolist()
    assert len(race_order(50, -1)) == 50


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"width": 0, "level": 0.1}, "width"),
        ({"width": 1, "level": 0.0}, "0.0"),
        ({"width": 1, "level": 1.0}, "1.0"),
        ({"width": 1, "level": float("nan")}, "nan"),
        ({"width": 1, "level": 0.1, "span": 0.0}, "span"),
        ({"width": 1, "level": 0.1, "span": float("inf")}, "inf"),
    ],
)
def test_rules_that_make_no_sense_are_refused(options: dict[str, float], named: str) -> None:
    with pytest.raises(DepthpruneError, match=named):
        RaceRule(**options)  # type: ignore[arg-type]


def test_scores_that_do_not_fit_or_are_not_finite_are_refused() -> None:
    rule = RaceRule(1, 0.1)
    for scores in (np.zeros((3, 4)), np.zeros((2, 11)), np.zeros(2)):
        with pytest.raises(DepthpruneError, match="shape"):
            Race(2, 10, rule).observe(scores)
    for wrong in (np.nan, np.inf):
        with pytest.raises(DepthpruneError, match="not a finite number"):
            race(np.array([[0.0, wrong], [0.0, 1.0]]), rule, 1)


MATRICES = Path(__file__).parents[2] / "benchmarks" / "racing_scores.npz"


@pytest.mark.parametrize("name", ["okvqa", "doc_qa", "tally_qa"])
def test_on_measured_scores_the_beam_is_kept_and_a_fifth_of_the_samples_saved(name: str) -> None:
    """A small version of `benchmarks/racing.py`: all pairs of a model of 16 blocks."""
    with np.load(MATRICES) as file:
        removals = file[f"{name}_removals"].tolist()
        measured = file[f"{name}_values"][file[f"{name}_codes"]].astype(np.float64)
    table = dict(zip(removals, measured, strict=True))
    singles = np.array([table[str(block)] for block in range(16)])
    kept = wrong = 0
    for seed in range(25):
        drawn = np.random.default_rng(seed).integers(1000, size=1000)
        parents = best(singles[:, drawn], 3)
        pairs = [
            f"{a},{b}"
            for a, b in itertools.combinations(range(16), 2)
            if a in parents or b in parents
        ]
        scores = np.array([table[pair][drawn] for pair in pairs])
        left = race(scores[:, race_order(1000, seed)], RaceRule(3, 0.05 / 3), 64)
        wrong += any(left[one] < 1000 for one in best(scores, 3))
        kept += left.sum() / scores.size
    assert wrong <= 1
    assert kept / 25 < 0.8
