"""Blocks that must never go: without one of them the model is worth little."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isnan
from statistics import fmean

from depthprune.analysis.combinations import Combination
from depthprune.analysis.recommendations import Essential
from depthprune.base.removal import settled

THRESHOLD = 0.5
"""Of the accuracy of the unpruned model: a block whose loss costs more than this is essential."""


def costs_too_much(drop: float, baseline: float, threshold: float = THRESHOLD) -> bool:
    """Return whether a drop is more than `threshold` of the accuracy of the unpruned model."""
    return baseline > 0 and settled(drop) > settled(threshold * baseline)


def baseline_of(one: Combination, baselines: Mapping[str, float]) -> float:
    """Return the mean accuracy of the unpruned model on the datasets of a combination.

    One that is unknown counts as 1, the most it can be, so that no loss is overstated.
    """
    return fmean(1.0 if isnan(baselines[name]) else baselines[name] for name in one.drops)


def find_essential(
    singles: Iterable[Combination],
    baselines: Mapping[str, float],
    *,
    threshold: float = THRESHOLD,
) -> tuple[Essential, ...]:
    """Return the single blocks whose mean drop is more than `threshold` of the accuracy.

    Drop and baseline accuracy are means over the same datasets. A baseline that is unknown counts
    as 1, the most it can be, so that no block is called essential by mistake.

    Args:
        singles: removals of one block.
        baselines: accuracy of the unpruned model by dataset; NaN where unknown.
        threshold: a share of the accuracy.
    """
    found = []
    for one in singles:
        baseline = baseline_of(one, baselines)
        if costs_too_much(one.mean, baseline, threshold):
            worst = max(one.drops.items(), key=lambda item: (item[1], item[0]))
            found.append(Essential(one, one.mean / baseline, worst))
    return tuple(
        sorted(found, key=lambda one: (-settled(one.combination.mean), one.combination.removal))
    )
