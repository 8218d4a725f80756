"""Exhaustive search: every removal, the truth for other searches; ablation: single blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Annotated

from annotated_types import Ge

from depthprune.base.errors import RemovalError
from depthprune.base.language import counted
from depthprune.base.removal import Removal
from depthprune.strategies.strategy import (
    STRATEGIES,
    LimitedStrategy,
    SearchSpace,
    Strategy,
    within,
)


@STRATEGIES.add("exhaustive")
@dataclass(frozen=True, kw_only=True)
class Exhaustive(LimitedStrategy):
    """Ask for every admissible removal of up to `max_removed` blocks, one size after the other.

    Drops are not monotone: a removal may cost less than a part of it. So a removal above
    `max_drop` rules out nothing that contains it; only where a whole size holds no removal within
    `max_drop`, the larger sizes are not measured. Without `max_drop` nothing is left out.
    """

    exhaustive_limit: Annotated[int, Ge(1)] = 20_000
    """Maximum number of removals of an exhaustive search, inadmissible ones included."""

    def most_removed(self, space: SearchSpace) -> int:
        """Return the largest number of blocks that may be removed together: usually pairs.

        Whatever drop is allowed: one that allows all sizes would make the space too large.
        """
        usual = min(2, space.most_removed)
        return usual if self.max_removed is None else self.max_removed

    def check(self, space: SearchSpace) -> None:
        """Refuse a space of more removals than the limit.

        Raises:
            RemovalError: the space is too large, or so many blocks cannot be removed.
        """
        super().check(space)
        conceivable = self.most_evaluations(space)
        # Whether the architecture admits a removal takes milliseconds: counting those that it
        # admits would keep a space of millions busy for hours before it is refused.
        if conceivable > self.exhaustive_limit:
            raise RemovalError(
                f"an exhaustive search over {counted(conceivable, 'removal')} of up to "
                f"{counted(self.most_removed(space), 'block')} is refused: the limit is "
                f"{self.exhaustive_limit:,}",
                option="exhaustive_limit",
                mend="remove fewer blocks, protect more of them, raise the limit, or take a "
                "search that need not measure all: beam, greedy or evolutionary",
            )

    def ask(self, space: SearchSpace, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return what is not measured yet of the first unfinished size."""
        for number in self._sizes(space):
            removals = list(filter(space.admits, combinations(space.free, number)))
            missing = [removal for removal in removals if removal not in drops]
            if missing:
                return missing
            # A size that the architecture cannot express at all says nothing about larger ones.
            if removals and not any(within(drops[one], self.max_drop) for one in removals):
                return ()
        return ()

    def most_evaluations(self, space: SearchSpace) -> int:
        """Return the number of removals of blocks that are not protected, inadmissible included."""
        return sum(comb(len(space.free), number) for number in self._sizes(space))

    def _sizes(self, space: SearchSpace) -> range:
        return range(1, min(self.most_removed(space), space.most_removed) + 1)


@dataclass(frozen=True)
class Ablation(Strategy):
    """Ask once for every admissible single-block removal."""

    def ask(self, space: SearchSpace, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the single-block removals that `drops` does not hold yet."""
        return [removal for removal in space.extend(()) if removal not in drops]

    def most_removed(self, space: SearchSpace) -> int:
        """Return 1: blocks are removed one by one."""
        return 1

    def most_evaluations(self, space: SearchSpace) -> int:
        """Return how many removals this search measures."""
        return len(space.extend(()))
