"""A search with what it must beat: the one-shot removals, of as many blocks as it came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depthprune.base.removal import Removal
from depthprune.strategies.one_shot import one_shot_removals
from depthprune.strategies.space import SearchSpace, within
from depthprune.strategies.strategy import STOPPED, Foreseeable, Strategy


@dataclass(frozen=True)
class Compared:
    """Follow a search to its end, then ask for the one-shot removals.

    Attributes:
        search: measures every single block, among others.
        space: the removals that may be considered.
        max_removed: the largest number of blocks that the search removes.
        max_drop: numbers of blocks of which the search found nothing within this drop (a fraction)
            are not compared; None compares all.
    """

    search: Strategy
    space: SearchSpace
    max_removed: int
    max_drop: float | None = None

    def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return what the search asks for, and after its end the missing one-shot removals."""
        asked = self.search.ask(drops)
        if asked:
            return asked
        # What a race stopped has no drop, and a comparison needs one.
        return [
            removal
            for removal in self.one_shot(drops).values()
            if drops.get(removal, STOPPED) == STOPPED
        ]

    def one_shot(self, drops: Mapping[Removal, float]) -> dict[int, Removal]:
        """Return the one-shot removals by the number of their blocks, from 2 on."""
        return one_shot_removals(drops, self.space, self._reached(drops))

    def most_evaluations(self) -> int:
        """Return an upper bound on the removals this search measures, for the time left."""
        most = self.search.most_evaluations() if isinstance(self.search, Foreseeable) else 0
        sizes = min(self.max_removed, self.space.most_removed)
        return most + sizes - 1 if most else 0

    def _reached(self, drops: Mapping[Removal, float]) -> int:
        """Return the largest number of blocks of which the search itself found something."""
        if self.max_drop is None:
            return self.max_removed
        # Followed again: other searches of this study may have measured more, and after them the
        # same command must still find nothing new to do.
        known: dict[Removal, float] = {(): 0.0}
        while batch := [removal for removal in self.search.ask(known) if removal in drops]:
            known |= {removal: drops[removal] for removal in batch}
        reached = (len(removal) for removal in known if within(known[removal], self.max_drop))
        # A drop below 0 is a limit that even the baseline may miss.
        return max(reached, default=0)
