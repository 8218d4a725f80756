"""The trie of many removals, level by level: which hidden states go through which block.

A node is the blocks that were kept so far. Removals that keep the same blocks up to some block
share a node there, and all nodes of a level go through their block in one call. Nodes that are
known from an earlier pass need not be visited again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from depthprune.base.removal import Removal, active_blocks

Node = tuple[int, ...]
"""The blocks that a hidden state went through; the last one is the node's own."""

EARLIER = -1
"""In `Walk.calls`: the block was run in an earlier pass."""


@dataclass(frozen=True)
class Walk:
    """How to get to the leaves of all removals.

    Attributes:
        removals: R different ones.
        levels: for each block, the nodes it leads to, which are reached in one call.
        done_with: for each block, the nodes whose states nobody needs after it.
        calls: for each removal and block, the place of its node among those of the level; EARLIER
            where that is known; None where it lacks the block.
        last: the last block that is run at all.
        leaves: for each removal, all the blocks it keeps.
    """

    removals: tuple[Removal, ...]
    levels: tuple[tuple[Node, ...], ...]
    done_with: tuple[tuple[Node, ...], ...]
    calls: tuple[tuple[int | None, ...], ...]
    last: int
    leaves: tuple[Node, ...]

    @property
    def nodes(self) -> int:
        """How many nodes are visited."""
        return sum(map(len, self.levels))


@lru_cache(maxsize=64)
def plan_walk(
    removals: tuple[Removal, ...], num_blocks: int, known: tuple[int, ...] | None = None
) -> Walk:
    """Return the walk to the leaves of `removals`, which all differ.

    Args:
        removals: of blocks.
        num_blocks: of the whole model.
        known: for each removal, how many of the blocks it keeps need not be run: the state after
            them is known. The last one is always run.
    """
    leaves = [active_blocks(removal, num_blocks) for removal in removals]
    entries = [
        min(entry, len(leaf) - 1)
        for entry, leaf in zip(known or [0] * len(removals), leaves, strict=True)
    ]
    levels: list[dict[Node, int]] = [{} for _ in range(num_blocks)]
    last_use: dict[Node, int] = {}
    for leaf, entry in zip(leaves, entries, strict=True):
        for place in range(entry, len(leaf)):
            level = levels[leaf[place]]
            level.setdefault(leaf[: place + 1], len(level))
            last_use[leaf[:place]] = max(last_use.get(leaf[:place], 0), leaf[place])
    calls: list[tuple[int | None, ...]] = []
    for leaf in leaves:
        own: list[int | None] = [None] * num_blocks
        for place, block in enumerate(leaf):
            # A node that this removal knows may be visited for another that does not.
            own[block] = levels[block].get(leaf[: place + 1], EARLIER)
        calls.append(tuple(own))
    kept = set(leaves)
    done_with: list[list[Node]] = [[] for _ in range(num_blocks)]
    for node, block in last_use.items():
        if node not in kept:
            done_with[block].append(node)
    return Walk(
        removals,
        tuple(map(tuple, levels)),
        tuple(map(tuple, done_with)),
        tuple(calls),
        max(block for block, level in enumerate(levels) if level),
        tuple(leaves),
    )
