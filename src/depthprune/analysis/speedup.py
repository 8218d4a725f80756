"""How much faster a removal is, over the tasks of a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from depthprune.base.removal import Removal

if TYPE_CHECKING:
    from depthprune.analysis.sweep import SweepPoint


@dataclass(frozen=True)
class Speedup:
    """How much faster a sample is answered, over the tasks of a sweep.

    Attributes:
        mean: of the ratios, total time of the whole model over that without the blocks.
        std: population standard deviation over the tasks.
        low, high: of the tasks.
        num_tasks: that were timed.
        num_timed: samples that were timed, of the task with the fewest.
    """

    mean: float
    std: float
    low: float
    high: float
    num_tasks: int
    num_timed: int


def mean_speedup(points: Iterable[SweepPoint], removal: Removal) -> Speedup | None:
    """Return the speed-up of a removal over the tasks; None where none was timed with all blocks.

    Args:
        points: of a sweep, from `compare_points`.
        removal: the blocks left out.
    """
    of_removal = [one for one in points if one.removal == removal and one.speedup is not None]
    ratios = [one.speedup for one in of_removal if one.speedup is not None]
    if not ratios:
        return None
    return Speedup(
        mean=fmean(ratios),
        std=pstdev(ratios),
        low=min(ratios),
        high=max(ratios),
        num_tasks=len(ratios),
        num_timed=min(one.times.total.count for one in of_removal),
    )
