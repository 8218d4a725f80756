"""Specification of the paired bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from depthprune.analysis.intervals import bootstrap_means, interval


def slow_bootstrap(baseline: np.ndarray, scores: np.ndarray, resamples: int) -> np.ndarray:
    """Draw sample indices one by one: the obvious bootstrap."""
    generator = np.random.default_rng(7)
    drops = np.empty((len(scores), resamples))
    for draw in range(resamples):
        chosen = generator.integers(0, len(baseline), len(baseline))
        for row, values in enumerate(scores):
            drops[row, draw] = baseline[chosen].mean() - values[chosen].mean()
    return drops


def test_it_agrees_with_drawing_samples_one_by_one() -> None:
    generator = np.random.default_rng(0)
    baseline = generator.random(40)
    scores = np.clip(baseline - generator.random((3, 40)) * 0.4, 0, 1)
    fast = bootstrap_means(baseline - scores, resamples=4000)
    slow = slow_bootstrap(baseline, scores, 4000)
    assert np.allclose(fast.mean(axis=1), slow.mean(axis=1), atol=0.005)
    assert np.allclose(fast.std(axis=1), slow.std(axis=1), rtol=0.08)


def test_the_interval_covers_the_true_drop_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        baseline = (generator.random(80) < 0.9).astype(float)
        scores = baseline * (generator.random(80) < 0.8)
        found = interval(bootstrap_means((baseline - scores)[None], resamples=400, seed=trial)[0])
        covered += found.low <= 0.18 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_equal_scores_have_no_drop_and_no_width() -> None:
    drops = bootstrap_means(np.zeros((1, 3)))
    assert not drops.any()
    assert (interval(drops[0]).low, interval(drops[0]).high) == (0.0, 0.0)


def test_pairing_makes_a_constant_difference_certain() -> None:
    found = interval(bootstrap_means(np.array([[0.9, 0.5, 0.7]]) - [[0.8, 0.4, 0.6]])[0])
    assert found.low == pytest.approx(0.1)
    assert found.high == pytest.approx(0.1)


def test_many_samples_are_drawn_in_parts_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(0)
    baseline, scores = generator.random(50), generator.random((3, 50))
    whole = bootstrap_means(baseline - scores, resamples=100)
    monkeypatch.setattr("depthprune.analysis.intervals.LARGEST_PART", 7 * 50)
    assert np.allclose(bootstrap_means(baseline - scores, resamples=100), whole, atol=1e-15)


def test_the_same_seed_gives_the_same_draws() -> None:
    given = np.array([[1.0, 0.0, 0.0, 0.0]])
    assert np.array_equal(bootstrap_means(given, seed=3), bootstrap_means(given, seed=3))
    assert not np.array_equal(bootstrap_means(given, seed=3), bootstrap_means(given, seed=4))
