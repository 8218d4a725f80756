"""Greedy search: remove the block that costs least, then the next, never looking back."""

from __future__ import annotations

from dataclasses import dataclass

from depthprune.strategies.kinds.beam import BeamSearch
from depthprune.strategies.strategy import STRATEGIES


@STRATEGIES.add("greedy")
@dataclass(frozen=True, kw_only=True)
class Greedy(BeamSearch):
    """Keep the one best removal of each step: a beam of width 1.

    Unlike a ranking of single blocks, every step is measured with the blocks before it gone, as in
    SLEB (Song et al., SLEB: Streamlining LLMs through Redundancy Verification and Elimination of
    Transformer Blocks, 2024).
    """

    @property
    def width(self) -> int:
        """One removal is kept in each step."""
        return 1
