"""How sure a mean difference is, given the scores of each sample with and without blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.base.removal import Removal

LARGEST_PART = 2**22
"""Counts that are held at once: 64 MiB with their copy as floats."""


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval of a drop, as fractions."""

    low: float
    high: float
    level: float = 0.95


def bootstrap_means(
    differences: NDArray[np.float64], *, resamples: int = 2000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the mean differences in `resamples` bootstrap samples of the data, shape (R, B).

    Each resample draws the N samples with replacement, the same ones for every removal, so that the
    differences stay paired (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13).

    Args:
        differences: of R removals on N samples, at least one, shape (R, N).
        resamples: B, the number of bootstrap samples.
        seed: of the draws; the same seed gives the same draws for the same N.
    """
    num_samples = differences.shape[1]
    generator = np.random.default_rng(seed)
    chances = np.full(num_samples, 1 / num_samples)
    means = np.empty((len(differences), resamples))
    # In parts, so that memory does not grow with samples times resamples; the draws are the same.
    part = max(1, LARGEST_PART // num_samples)
    for start in range(0, resamples, part):
        stop = min(start + part, resamples)
        # How often each sample is drawn is all that a mean needs: one product for all removals.
        counts = generator.multinomial(num_samples, chances, stop - start)
        means[:, start:stop] = differences @ counts.T.astype(np.float64) / num_samples
    return means


def dataset_seed(dataset: str, seed: int) -> int:
    """Return the seed of a dataset's draws: its own, and the same wherever the dataset stands."""
    return seed + crc32(dataset.encode())


def interval(draws: ArrayLike, level: float = 0.95) -> Interval:
    """Return the percentile interval of bootstrap draws, shape (B,)."""
    tail = (1 - level) / 2
    low, high = np.quantile(np.asarray(draws, dtype=np.float64), [tail, 1 - tail])
    return Interval(float(low), float(high), level)


FEWEST = 10
"""Samples over all datasets below which a mean has no interval."""

FEW = 3.0
"""With fewer differing samples than this, those that were not met are taken into account too."""

NORMAL = 1.959963984540054
"""The standard normal distribution holds 95 % between this and its negative."""

TINY = 1e-9
"""A deviation from the mean below this is rounding."""

AT_ONCE = 2**22
"""Differences whose deviations are held at once: 32 MiB, a few times."""


@dataclass(frozen=True)
class Differences:
    """What R removals change on the samples of one dataset.

    Attributes:
        values: one score minus another of the same sample, shape (R, N).
        share: of the dataset in the mean.
        bounded: each score is between 0 and 1.
        seed: of the draws where one is not.
    """

    values: NDArray[np.float64]
    share: float
    bounded: bool = True
    seed: int = 0


def paired_intervals(
    datasets: Sequence[DatasetMeasurements],
    pairs: Sequence[tuple[Removal, Removal]],
    *,
    seed: int = 0,
) -> list[Interval | None]:
    """Return for each pair the interval of the mean score under the first minus the second.

    A pair of `()` and a removal gives that removal's drop. See `mean_intervals`; a pair whose
    scores are not all known has no interval, and a removal differs from itself by exactly 0. An
    interval does not depend on which others are asked for.

    Args:
        datasets: on which each pair was measured, with per-sample scores.
        pairs: of removals; `()` is the unpruned model.
        seed: of the draws for scores that may exceed 1; every dataset draws by itself.
    """
    found = [Interval(0.0, 0.0) if before == after else None for before, after in pairs]
    if not datasets:
        return found
    known = [
        place
        for place, pair in enumerate(pairs)
        if found[place] is None
        and all(one.paired_scores(removal) is not None for one in datasets for removal in pair)
    ]
    rows = max(1, AT_ONCE // max(1, *(one.baseline.num_samples for one in datasets)))
    for start in range(0, len(known), rows):
        places = known[start : start + rows]
        parts, beyond = [], np.zeros(len(places), dtype=bool)
        for one in datasets:
            before, after = (
                np.array(
                    [one.paired_scores(pairs[place][side]) for place in places], dtype=np.float64
                )
                for side in (0, 1)
            )
            own = dataset_seed(one.dataset, seed)
            parts.append(Differences(before - after, 1 / len(datasets), seed=own))
            outside = [((each < 0) | (each > 1)).any(axis=1) for each in (before, after)]
            beyond |= outside[0] | outside[1] | one.may_exceed_one
        for chosen, bounded in ((~beyond, True), (beyond, False)):
            asked = [replace(one, values=one.values[chosen], bounded=bounded) for one in parts]
            for place, end in zip(np.flatnonzero(chosen), mean_intervals(asked), strict=True):
                found[places[place]] = end
    return found


def mean_intervals(
    datasets: Sequence[Differences], *, lowest: float = -1.0
) -> list[Interval | None]:
    """Return the 95% interval of each mean difference over the datasets.

    It is about these datasets: what other samples of them would give. There is none below `FEWEST`
    samples, nor where scores may exceed 1 and no sample differs.

    Scores between 0 and 1: the ends lie t below and above the mean, where t solves

        t² = z² (V + g t)

    V is the estimated variance of the mean, and g is how fast it grows with the distance from the
    mean: the third central moment over V towards the longer tail, 0 towards the shorter one. Where
    every difference is 0 or 1 and most are 0 this is Wilson's score interval on that side
    (Wilson, JASA 22, 1927). A loss that one sample in a hundred suffers is often not met at all.
    So while J, the effective number of samples away from their dataset's mean (Σd²)² / Σd⁴ (Kish,
    Survey Sampling, 1965), is below `FEW`, g is at least w (1 - J / FEW) on both sides. w is the
    weight of a sample in the mean, the largest over the datasets; in J a sample of less weight
    counts less, by the squared ratio of the weights. Where no sample differs, t is z² w, which is
    Tango's interval of paired proportions but for a term of order w² (Tango, Statistics in
    Medicine 17, 1998). `benchmarks/intervals.py` measures how often it holds.

    Scores that may exceed 1 on one of the datasets: percentiles of a paired bootstrap.

    Args:
        datasets: the same removals on each.
        lowest: no difference is below it: -1, or 0 for scores themselves.
    """
    num_samples = sum(one.values.shape[1] for one in datasets)
    count = len(datasets[0].values) if datasets else 0
    if num_samples < FEWEST or not count:
        return [None] * count
    if all(one.bounded for one in datasets):
        low, high = score_ends(datasets)
        ends = zip(np.maximum(low, lowest).tolist(), np.minimum(high, 1.0).tolist(), strict=True)
        return [Interval(*one) for one in ends]
    draws = np.sum(
        [one.share * bootstrap_means(one.values, seed=one.seed) for one in datasets], axis=0
    )
    differ = np.any([one.values.any(axis=1) for one in datasets], axis=0)
    return [interval(row) if any_ else None for row, any_ in zip(draws, differ, strict=True)]


def score_ends(
    datasets: Sequence[Differences],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper ends of `mean_intervals` of bounded scores, shape (R,) each."""
    mean, variance, third, differing = np.sum([_moments(one) for one in datasets], axis=0)
    weight = max(one.share / one.values.shape[1] for one in datasets)
    skew = np.divide(third, variance, out=np.zeros_like(third), where=variance > 0)
    least = weight * np.clip(1 - differing / weight**2 / FEW, 0, 1)
    below = _distance(variance, np.maximum(-skew, least))
    above = _distance(variance, np.maximum(skew, least))
    return mean - below, mean + above


def _distance(variance: NDArray[np.float64], growth: NDArray[np.float64]) -> NDArray[np.float64]:
    half = NORMAL**2 * growth / 2
    distance: NDArray[np.float64] = half + np.sqrt(half**2 + NORMAL**2 * variance)
    return distance


def _moments(one: Differences) -> NDArray[np.float64]:
    """Return what adds up over datasets, shape (4, R).

    Mean, its variance, its third central moment, and the effective number of samples away from the
    mean, times the squared weight of one.
    """
    rows, num_samples = one.values.shape
    weight = one.share / num_samples
    unbiased = num_samples / max(1, num_samples - 1)
    found = np.empty((4, rows))
    part = max(1, AT_ONCE // num_samples)
    for start in range(0, rows, part):
        values = one.values[start : start + part]
        means = values.mean(axis=1)
        away = values - means[:, None]
        away[np.abs(away) < TINY] = 0.0
        squares = away * away
        second, fourth = unbiased * squares.sum(axis=1), np.einsum("rn,rn->r", squares, squares)
        differing = np.divide(second**2, fourth, out=np.zeros_like(second), where=fourth > 0)
        found[:, start : start + part] = (
            one.share * means,
            weight**2 * second,
            weight**3 * np.einsum("rn,rn->r", squares, away),
            weight**2 * differing,
        )
    return found
