"""A search asks and is told: the one method of every strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from depthprune.base.removal import Removal


class Strategy(Protocol):
    """Decides which removals to measure next; holds no results itself."""

    def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the next batch of removals to measure, or nothing when the search is over.

        Args:
            drops: every drop that the study holds for this task and split, by removal (a
                fraction; negative means better than the baseline). It may hold removals that
                this strategy never asked for; it holds all that it asked for before.

        The answer depends on `drops` alone, so a search that is begun anew asks for the same
        removals again, finds them measured and goes on where it was stopped.
        """
        ...
