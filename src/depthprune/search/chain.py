"""Chain: several strategies, one after the other, over the same measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depthprune.base.removal import Removal
from depthprune.search.strategy import Foreseeable, Strategy


@dataclass(frozen=True)
class Chain:
    """Follow each strategy to its end, then the next; what one measured the others find done.

    Attributes:
        strategies: in the order they are followed.
    """

    strategies: tuple[Strategy, ...]

    def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return what the first strategy that is not at its end asks for."""
        for strategy in self.strategies:
            asked = strategy.ask(drops)
            if asked:
                return asked
        return ()

    def most_evaluations(self) -> int:
        """Return the sum of the upper bounds; 0 (unknown) when one of them is not known."""
        bounds = [
            strategy.most_evaluations() if isinstance(strategy, Foreseeable) else 0
            for strategy in self.strategies
        ]
        return sum(bounds) if all(bounds) else 0
