"""One-shot ranking: remove together the blocks that cost least alone; what a search must beat."""

from __future__ import annotations

from collections.abc import Mapping

from depthprune.base.drops import settled
from depthprune.base.removal import Removal
from depthprune.strategies.space import SearchSpace


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
    removals: dict[int, Removal] = {}
    taken: Removal = ()
    for (block,) in sorted(singles, key=lambda single: (settled(drops[single]), single)):
        larger = tuple(sorted((*taken, block)))
        if len(taken) < max_removed and space.admits(larger):
            taken = larger
            removals[len(taken)] = taken
    return {number: removal for number, removal in removals.items() if number > 1}
