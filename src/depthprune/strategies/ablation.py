"""Ablation: every single-block removal; its drops are the importance scores of the blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depthprune.base.removal import Removal
from depthprune.strategies.space import SearchSpace


@dataclass(frozen=True)
class Ablation:
    """Ask once for every admissible single-block removal."""

    space: SearchSpace

    def ask(self, drops: Mapping[Removal, float]) -> Sequence[Removal]:
        """Return the single-block removals that `drops` does not hold yet."""
        return [removal for removal in self.space.extend(()) if removal not in drops]

    def most_evaluations(self) -> int:
        """Return how many removals this search measures."""
        return len(self.space.extend(()))
