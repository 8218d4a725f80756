"""One-shot ranking: remove together the blocks that cost least alone; what a search must beat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from depthprune.base.removal import Removal
from depthprune.strategies.kinds.exhaustive import Ablation
from depthprune.strategies.strategy import STOPPED, SearchSpace, Strategy, within


def one_shot_removals(
    drops: Mapping[Removal, float], space: SearchSpace, max_removed: int
) -> dict[int, Removal]:
    """Return for 2 to `max_removed` the removal of that many least important blocks.

    The blocks are ranked once by their single drops and taken from the least important on, as
    ShortGPT does with its own score (Men et al., ShortGPT: Layers in Large Language Models are More
    Redundant Than You Expect, 2024). A block with which the removal would be inadmissible is
    skipped. Equal drops are ordered by block indices.

    Args:
        drops: measured drops; removals of several blocks are not looked at.
        space: the removals that may be considered.
        max_removed: the largest number of blocks removed.

    Returns:
        Removals by the number of their blocks, each containing the one before; only the numbers
        that can be reached, and none while a single block is unmeasured.
    """
    singles = space.extend(())
    if any(single not in drops for single in singles):
        return {}
    ranked = sorted(singles, key=lambda single: space.order(single, drops))
    removals = taken_together((block for (block,) in ranked), space, max_removed)
    return {len(removal): removal for removal in removals if len(removal) > 1}


def taken_together(order: Iterable[int], space: SearchSpace, max_removed: int) -> Iterator[Removal]:
    """Yield removals that take the blocks one after the other; one that does not fit is skipped."""
    taken: Removal = ()
    for block in order:
        larger = tuple(sorted((*taken, block)))
        if len(taken) < max_removed and space.admits(larger):
            taken = larger
            yield taken


@dataclass(frozen=True)
class Compared(Strategy):
    """Follow a search to its end, then ask for the one-shot removals.

    Numbers of blocks of which the search found nothing within its largest drop are not compared.

    Attributes:
        search: measures every single block, among others.
    """

    search: Strategy

    def ask(self, space: SearchSpace, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return what the search asks for, and after its end the missing one-shot removals."""
        asked = self.search.ask(space, drops)
        if asked:
            return asked
        # What a race stopped has no drop, and a comparison needs one.
        return [
            removal
            for removal in self.one_shot(space, drops).values()
            if drops.get(removal, STOPPED) == STOPPED
        ]

    def one_shot(self, space: SearchSpace, drops: Mapping[Removal, float]) -> dict[int, Removal]:
        """Return the one-shot removals by the number of their blocks, from 2 on."""
        return one_shot_removals(drops, space, self._reached(space, drops))

    def check(self, space: SearchSpace) -> None:
        """Refuse what the search refuses."""
        self.search.check(space)

    def most_evaluations(self, space: SearchSpace) -> int:
        """Return an upper bound on the removals this search measures, for the time left."""
        most = self.search.most_evaluations(space)
        sizes = min(self.search.most_removed(space), space.most_removed)
        return most + sizes - 1 if most else 0

    def _reached(self, space: SearchSpace, drops: Mapping[Removal, float]) -> int:
        """Return the largest number of blocks of which the search itself found something."""
        limit = getattr(self.search, "max_drop", None)
        if limit is None:
            return self.search.most_removed(space)
        # Followed again: other searches of this study may have measured more, and after them the
        # same command must still find nothing new to do.
        known: dict[Removal, float] = {(): 0.0}
        while batch := [one for one in self.search.ask(space, known) if one in drops]:
            known |= {removal: drops[removal] for removal in batch}
        reached = (len(one) for one in known if within(known[one], limit))
        # A drop below 0 is a limit that even the baseline may miss.
        return max(reached, default=0)


def compared(strategy: Strategy) -> Strategy:
    """Return a strategy that ends with the one-shot removals, which a search must beat."""
    return strategy if isinstance(strategy, Ablation) else Compared(strategy)
