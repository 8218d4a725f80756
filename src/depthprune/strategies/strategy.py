"""A search asks and is told: the one method of every strategy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from depthprune.base.removal import Removal

STOPPED = math.inf
"""Told to a beam in place of the drop of a candidate that a race stopped: it is out of the beam."""


class Strategy(Protocol):
    """Decides which removals to measure next; holds no results itself."""

    def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the next removals to measure, or nothing when the search is over.

        Args:
            drops: every drop that the study holds for this task and split, by removal (a
                fraction; negative means better than the baseline), the baseline as 0.0. It may
                hold removals that this strategy would never ask for.

        The answer depends on `drops` alone and names only removals that are not in it. So a search
        that is begun anew goes on where it was stopped.
        """
        ...


@runtime_checkable
class Foreseeable(Protocol):
    """A strategy that knows how much it may ask for; progress bars then show the time left."""

    def most_evaluations(self) -> int:
        """Return an upper bound on the number of removals that the whole search measures.

        0 when it cannot be foreseen after all.
        """
        ...
