"""The trie of many removals, level by level: which hidden states go through which block.

A node is the blocks that were kept so far. Removals that keep the same blocks up to some block
share a node there, and all nodes of a level go through their block in one call. Nodes that are
known from an earlier pass need not be visited again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from depthprune.base.removal import Removal, active_blocks
from depthprune.engine.inputs import Tokens

if TYPE_CHECKING:
    import torch


Node = tuple[int, ...]
"""The blocks that a hidden state went through; the last one is the node's own."""

EARLIER = -1
"""In `TrieSchedule.calls`: the block was run in an earlier pass."""


@dataclass(frozen=True)
class TrieSchedule:
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
def plan_schedule(
    removals: tuple[Removal, ...], num_blocks: int, known: tuple[int, ...] | None = None
) -> TrieSchedule:
    """Return the schedule to the leaves of `removals`, which all differ.

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
    return TrieSchedule(
        removals,
        tuple(map(tuple, levels)),
        tuple(map(tuple, done_with)),
        tuple(calls),
        max(block for block, level in enumerate(levels) if level),
        tuple(leaves),
    )


Key = tuple[int, int, int, int]
"""Number of the split's memory, of the group, first and last row."""


@dataclass
class BatchStates:
    """The states of a batch of B rows of equal length, padding included.

    Attributes:
        drafts: what is read after the prompt of each row: the states hold it too.
        length: of the rows with their drafts.
        room: how many bytes they may take.
        states: for each node, (B, length, size).
        filled: for each node, which rows are there.
    """

    drafts: tuple[Tokens, ...]
    length: int
    room: int
    states: dict[Node, torch.Tensor] = field(default_factory=dict)
    filled: dict[Node, set[int]] = field(default_factory=dict)

    def num_bytes(self) -> int:
        """How much memory the states take."""
        return sum(state.nbytes for state in self.states.values())

    def rows(self, start: int, stop: int, first: int, length: int) -> CachedStates:
        """Return the states of some rows, of which `length` positions matter from `first` on."""
        return CachedStates(self, range(start, stop), first, length)


@dataclass(frozen=True)
class CachedStates:
    """The kept states of some rows of a batch."""

    batch: BatchStates
    places: range
    first: int
    length: int

    @property
    def drafts(self) -> Sequence[Tokens]:
        """What the rows read after their prompts."""
        return self.batch.drafts[self.places.start : self.places.stop]

    def known(self) -> frozenset[Node]:
        """Return the nodes whose states are here for all these rows."""
        return frozenset(
            node for node, rows in self.batch.filled.items() if rows.issuperset(self.places)
        )

    def get(self, node: Node) -> torch.Tensor:
        """Return the state at a known node, (rows, length, size)."""
        state = self.batch.states[node]
        columns = slice(self.first, self.first + self.length)
        return state[self.places.start : self.places.stop, columns]

    def put(self, node: Node, state: torch.Tensor) -> None:
        """Keep a state, if there is room, and if the way to its node is known."""
        batch = self.batch
        if len(node) > 1 and not batch.filled.get(node[:-1], set()).issuperset(self.places):
            return
        if node not in batch.states:
            size = len(batch.drafts) * batch.length * state.shape[2] * state.element_size()
            if size * (len(batch.states) + 1) > batch.room:
                return
            shape = len(batch.drafts), batch.length, state.shape[2]
            batch.states[node] = state.new_zeros(shape)
            batch.filled[node] = set()
        self.get(node).copy_(state)
        batch.filled[node].update(self.places)


def plan_schedule_from(
    removals: tuple[Removal, ...], num_blocks: int, kept: CachedStates | None
) -> TrieSchedule:
    """Return the schedule to the leaves of `removals` from the states that are kept."""
    if kept is None:
        return plan_schedule(removals, num_blocks)
    known = kept.known()
    entries = []
    for removal in removals:
        leaf = active_blocks(removal, num_blocks)
        entry = 0
        while entry < len(leaf) and leaf[: entry + 1] in known:
            entry += 1
        entries.append(entry)
    return plan_schedule(removals, num_blocks, tuple(entries))


class HiddenStateCache:
    """The states of many batches, those of each split within its share of the room.

    Splits that are used in turns share the room; what belongs to one that was not used for longer
    is dropped.
    """

    def __init__(self, room: int) -> None:
        """Keep at most `room` bytes."""
        self._room = room
        self._batches: dict[Key, BatchStates] = {}
        self._order: list[int] = []
        self._share = room

    def use(self, memory: int, batches: int) -> None:
        """Say which split is evaluated now, and in how many batches."""
        since = self._order[self._order.index(memory) :] if memory in self._order else [memory]
        self._order = [other for other in self._order if other != memory] + [memory]
        for other in set(self._order) - set(since):
            self.forget(other)
        self._share = self._room // (len(since) * max(1, batches))

    def get(self, key: Key) -> BatchStates | None:
        """Return the states of a batch, if any were kept."""
        return self._batches.get(key)

    def begin(
        self, key: Key, drafts: Sequence[Tokens], length: int, least: int
    ) -> BatchStates | None:
        """Start to keep states of a batch, unless there is room for less than `least` bytes."""
        if self._share < least:
            return None
        states = self._batches[key] = BatchStates(tuple(drafts), length, self._share)
        return states

    def forget(self, memory: int) -> None:
        """Drop all states of a split."""
        for key in [key for key in self._batches if key[0] == memory]:
            del self._batches[key]

    def clear(self) -> bool:
        """Drop everything; return whether there was anything."""
        held = bool(self._batches)
        self._batches.clear()
        return held
