"""Ablation: every single-block removal; its drops are the importance scores of the blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depthprune.base.removal import Removal
from depthprune.strategies.space import SearchSpace
from depthprune.strategies.strategy import Strategy


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
