"""Paired bootstrap: how sure a drop is, given the scores of each sample with and without blocks."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST_PART = 2**22
"""Counts that are held at once: 64 MiB with their copy as floats."""


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval of a drop, as fractions."""

    low: float
    high: float
    level: float = 0.95


def bootstrap_drops(
    baseline: ArrayLike, scores: ArrayLike, *, resamples: int = 2000, seed: int = 0
) -> NDArray[np.float64]:
    """Return the drops in `resamples` bootstrap samples of the data.

    Each resample draws the N samples with replacement, the same ones for the baseline and for
    every removal, so that the differences stay paired (Efron and Tibshirani, An Introduction to
    the Bootstrap, 1993, chapter 13).

    Args:
        baseline: scores of the unpruned model, shape (N,).
        scores: scores under R removals, shape (R, N), sample by sample as `baseline`.
        resamples: B, the number of bootstrap samples.
        seed: of the draws; the same seed gives the same draws for the same N.

    Returns:
        Drops as fractions, shape (R, B).

    Raises:
        ValueError: the shapes do not fit, or there is no sample.
    """
    reference = np.asarray(baseline, dtype=np.float64)
    matrix = np.asarray(scores, dtype=np.float64)
    if reference.ndim != 1 or matrix.ndim != 2 or matrix.shape[1] != len(reference):
        raise ValueError(f"scores {matrix.shape} do not fit a baseline {reference.shape}")
    num_samples = len(reference)
    if num_samples == 0:
        raise ValueError("no samples to draw from")
    generator = np.random.default_rng(seed)
    chances = np.full(num_samples, 1 / num_samples)
    differences = reference[None, :] - matrix
    drops = np.empty((len(matrix), resamples))
    # In parts, so that memory does not grow with samples times resamples; the draws are the same.
    part = max(1, LARGEST_PART // num_samples)
    for start in range(0, resamples, part):
        stop = min(start + part, resamples)
        # How often each sample is drawn is all that a mean needs: one product for all removals.
        counts = generator.multinomial(num_samples, chances, stop - start)
        drops[:, start:stop] = differences @ counts.T.astype(np.float64) / num_samples
    return drops


def dataset_seed(dataset: str, seed: int) -> int:
    """Return the seed of a dataset's draws: its own, and the same wherever the dataset stands."""
    return seed + crc32(dataset.encode())


def interval(draws: ArrayLike, level: float = 0.95) -> Interval:
    """Return the percentile interval of bootstrap draws, shape (B,)."""
    tail = (1 - level) / 2
    low, high = np.quantile(np.asarray(draws, dtype=np.float64), [tail, 1 - tail])
    return Interval(float(low), float(high), level)
