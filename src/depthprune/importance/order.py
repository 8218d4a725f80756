"""The order in which blocks go: the lowest score first."""

from __future__ import annotations

from collections.abc import Mapping

from depthprune.base.drops import settled


def comparable(scores: Mapping[int, float]) -> dict[int, float]:
    """Return scores to be compared with each other: without rounding noise, on any scale.

    Drops lose what is beyond their sixth decimal (see `base.drops`). Scores that are all far
    smaller than drops, as those of some proxies, keep as many digits of the largest one.
    """
    largest = max((abs(score) for score in scores.values()), default=0.0)
    scale = min(1.0, largest) or 1.0
    return {block: settled(score / scale) for block, score in scores.items()}


def least_important_first(scores: Mapping[int, float]) -> tuple[int, ...]:
    """Return the blocks from the lowest score to the highest; of equal scores, the lower index."""
    values = comparable(scores)
    return tuple(sorted(scores, key=lambda block: (values[block], block)))
