"""Exhaustive search: every admissible removal; the truth that other searches are held against."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal
from depthprune.strategies.space import SearchSpace, within


@dataclass(frozen=True)
class ExhaustiveSearch:
    """Ask for every admissible removal of up to `max_removed` blocks, one size after the other.

    Drops are not monotone: a removal may cost less than a part of it. So a removal above
    `max_drop` rules out nothing that contains it; only where a whole size holds no removal within
    `max_drop`, the larger sizes are not measured. Without `max_drop` nothing is left out.

    Attributes:
        space: the removals that may be considered.
        max_removed: the largest number of blocks removed.
        max_drop: the search ends after a size of which every removal costs more (a fraction).
        most: the largest number of removals of blocks that are not protected; those that the
            architecture does not admit count too.

    Raises:
        RemovalError: the space holds more than `most` removals, or a limit makes no sense.
    """

    space: SearchSpace
    max_removed: int = 2
    max_drop: float | None = None
    most: int = 20_000

    def __post_init__(self) -> None:
        self.space.check_limits(self.max_removed, self.max_drop)
        conceivable = self._conceivable()
        # Whether the architecture admits a removal takes milliseconds: counting those that it
        # admits would keep a space of millions busy for hours before it is refused.
        if conceivable > self.most:
            raise RemovalError(
                f"an exhaustive search over {conceivable:,} removals of up to {self.max_removed} "
                f"blocks is refused: the limit is {self.most:,}",
                option="exhaustive_limit",
                mend="remove fewer blocks, protect more of them, raise the limit, or take a "
                "search that need not measure all: beam, greedy or evolutionary",
            )

    def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return what is not measured yet of the first unfinished size."""
        for number in self._sizes():
            removals = list(self._of_size(number))
            missing = [removal for removal in removals if removal not in drops]
            if missing:
                return missing
            # A size that the architecture cannot express at all says nothing about larger ones.
            if removals and not any(within(drops[one], self.max_drop) for one in removals):
                return ()
        return ()

    def most_evaluations(self) -> int:
        """Return an upper bound on the removals this search measures."""
        return self._conceivable()

    def _sizes(self) -> range:
        return range(1, min(self.max_removed, self.space.most_removed) + 1)

    def _conceivable(self) -> int:
        return sum(comb(len(self.space.free), number) for number in self._sizes())

    def _of_size(self, number: int) -> Iterator[Removal]:
        return filter(self.space.admits, itertools.combinations(self.space.free, number))
