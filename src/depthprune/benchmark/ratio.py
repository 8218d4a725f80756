"""How many times as fast one side is as another, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one side is as another: the geometric mean, and its 95% interval.

    Attributes:
        value: of the repeats.
        low, high: ends of the interval, by Student's t on the logarithms; None for one repeat.
    """

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def is_separable(self) -> bool:
        """Whether the interval leaves out 1."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def speed_ratio(before: Sequence[float], after: Sequence[float], *, in_turns: bool) -> Ratio:
    """Return how many times as fast `after` is, from the seconds of each repeat.

    Args:
        before: of the side that is compared with.
        after: of the other.
        in_turns: the repeats took turns, and are compared one by one; else the sides are (Welch).
    """
    first, second = ([math.log(one) for one in side] for side in (before, after))
    mean = fmean(first) - fmean(second)
    if min(len(first), len(second)) < 2:
        return Ratio(math.exp(mean))
    if in_turns:
        changes = [one - other for one, other in zip(first, second, strict=True)]
        variances = [variance(changes) / len(changes)]
        degrees = float(len(changes) - 1)
    else:
        variances = [variance(side) / len(side) for side in (first, second)]
        weights = [
            one * one / (len(side) - 1)
            for one, side in zip(variances, (first, second), strict=True)
        ]
        degrees = sum(variances) ** 2 / sum(weights) if any(weights) else 1.0
    from scipy.special import stdtrit

    half = float(stdtrit(degrees, 0.975)) * math.sqrt(sum(variances))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))
