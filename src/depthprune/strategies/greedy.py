"""Greedy search: remove the block that costs least, then the next, never looking back."""

from __future__ import annotations

from depthprune.base.removal import Removal
from depthprune.strategies.beam import BeamSearch
from depthprune.strategies.space import SearchSpace


def greedy_search(
    space: SearchSpace,
    max_removed: int = 4,
    max_drop: float | None = None,
    seeds: tuple[Removal, ...] = (),
) -> BeamSearch:
    """Return the search that keeps the one best removal of each step: a beam of width 1.

    Unlike a ranking of single blocks, every step is measured with the blocks before it gone, as in
    SLEB (Song et al., SLEB: Streamlining LLMs through Redundancy Verification and Elimination of
    Transformer Blocks, 2024).

    Args:
        space: the removals that may be considered.
        max_removed: the largest number of blocks removed.
        max_drop: the search ends where every further removal costs more (a fraction).
        seeds: removals to measure first, see `BeamSearch`.

    Raises:
        RemovalError: a limit makes no sense in this space.
    """
    return BeamSearch(space, width=1, max_removed=max_removed, max_drop=max_drop, seeds=seeds)
