"""The first pass: prompts and drafts through the blocks of many removals at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from depthprune.engine.shared.beginning import (
    aligned,
    head_tensors,
    split_state,
    whole_state,
)
from depthprune.engine.shared.block_calls import Dims, NotShareable
from depthprune.engine.shared.block_tracing import TracedBlocks
from depthprune.engine.shared.prefix_state import PrefixState, causal_mask
from depthprune.engine.shared.trie_schedule import CachedStates, Node, TrieSchedule, plan_schedule

if TYPE_CHECKING:
    import torch


KeysAndValues = tuple["torch.Tensor", "torch.Tensor"]
"""What attention keeps of some rows: each (rows, heads, length, size)."""


class Recording:
    """Keeps the keys and values of one call of a block."""

    def __init__(self) -> None:
        self.known: KeysAndValues | None = None

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> KeysAndValues:
        """Take the new keys and values; return all that attention sees."""
        if self.known is not None:
            raise NotShareable("a block attends more than once")
        self.known = keys, values
        return self.known


class After(Recording):
    """Keeps keys and values that follow those of a head."""

    def __init__(self, head: KeysAndValues) -> None:
        super().__init__()
        self._head = head

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> KeysAndValues:
        return super().update(*_after(self._head, (keys, values)))


class KeysKnown(Exception):
    """Leaves a block as soon as its keys and values are known."""


class KeysOnly(Recording):
    """Keeps the keys and values, and ends the call."""

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> KeysAndValues:
        super().update(keys, values)
        raise KeysKnown


class Known:
    """Gives keys and values that are known already in place of new ones."""

    def __init__(self, known: KeysAndValues) -> None:
        self._known = known

    def update(self, *_: Any, **__: Any) -> KeysAndValues:
        return self._known


class Growing:
    """Writes new keys and values into buffers, each row at columns of its own.

    Args:
        buffers: for keys and values, (rows, heads, columns, size).
        rows: 0, 1, 2..., of shape (rows, 1).
        columns: where the new ones belong, (rows, new).
        extent: how many columns attention sees.
    """

    def __init__(
        self, buffers: KeysAndValues, rows: torch.Tensor, columns: torch.Tensor, extent: int
    ) -> None:
        self._buffers = buffers
        self._rows, self._columns, self._extent = rows, columns, extent

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> KeysAndValues:
        for buffer, new in zip(self._buffers, (keys, values), strict=True):
            # The dimension of the heads stands between the two that are indexed: it comes last.
            buffer.transpose(1, 2)[self._rows, self._columns] = new.transpose(1, 2)
        all_keys, all_values = (buffer[:, :, : self._extent] for buffer in self._buffers)
        return all_keys, all_values


HEADS_BYTES = 256 * 1024**2
"""What the heads of a batch take at most; those beyond are run again for each part of it."""


class Heads:
    """The heads of a batch at the nodes of a trie: hidden states, keys and values."""

    def __init__(self, common: int = 0) -> None:
        """Take how many tokens the batch's rows begin with."""
        self.known: dict[Node, tuple[torch.Tensor, KeysAndValues]] = {}
        self._common, self._bytes = common, 0

    def of(self, common: int) -> Heads:
        """Return these heads, without those of fewer or more tokens."""
        if common != self._common:
            self.known.clear()
            self._common, self._bytes = common, 0
        return self

    def keep(self, node: Node, state: torch.Tensor, known: KeysAndValues) -> None:
        """Keep a head while there is room."""
        size = sum(tensor.nbytes for tensor in (state, *known))
        if self._bytes + size <= HEADS_BYTES:
            self._bytes += size
            self.known[node] = state, known


CALL_TOKENS = {"cpu": 8192}
"""Tokens that a call of a block is given at most, where more only leave the processor's caches."""


@dataclass(frozen=True)
class Prefilled:
    """What the blocks made of B rows of `length` tokens, for R removals.

    Attributes:
        hidden: for each removal, the last block's output from `first` on,
            (B, length - first, size).
        attended: for each block, keys and values of all nodes, (nodes * B, heads, length, size);
            None where the block was not run, or attends to nothing.
        given: what went into the first block, (B, length, size).
        prefix: of the batch, with masks for keys and values as they stand in `attended`.
    """

    hidden: tuple[torch.Tensor, ...]
    attended: tuple[KeysAndValues | None, ...]
    given: torch.Tensor
    prefix: PrefixState


def prefill(
    traced: TracedBlocks,
    schedule: TrieSchedule,
    prefix: PrefixState,
    hidden: torch.Tensor,
    first: int,
    kept: CachedStates | None = None,
    heads: Heads | None = None,
) -> Prefilled:
    """Run the blocks over a batch for all removals of a schedule.

    Args:
        traced: the blocks of the model.
        schedule: over the trie of the removals.
        prefix: of the batch.
        hidden: what goes into the first block, (B, length, size): the prompts, and what follows.
        first: the position from which on the outputs matter. The last block is run for these
            alone, with the keys and values of all.
        kept: the states that the schedule takes for known; new ones are added.
        heads: of this batch, as far as they are known; new ones are added.
    """
    import torch

    rows, length = hidden.shape[:2]
    prefix = replace(prefix, common=min(prefix.common, first))
    heads = Heads(prefix.common) if heads is None else heads.of(prefix.common)
    common, slots, placed = prefix.common, traced.slots, aligned(prefix, traced.slots)
    most = max(map(len, schedule.levels))
    behind = cut(placed.tensors, slots, length)
    if common:
        behind = _queries(behind, slots, common, length, hidden)
    tensors = repeated(behind, slots, most)
    head_slots = repeated(head_tensors(prefix, slots), slots, most) if common else []
    # Of every node the head, which all rows share, and the rows' tails.
    states: dict[Node, tuple[torch.Tensor, torch.Tensor]] = {(): split_state(hidden, prefix)}
    attended: list[KeysAndValues | None] = []

    def state_at(node: Node) -> tuple[torch.Tensor, torch.Tensor]:
        if node in states or kept is None:
            return states[node]
        return split_state(kept.get(node), prefix)

    most_tokens = CALL_TOKENS.get(hidden.device.type, sys.maxsize)
    at_once = max(1, most_tokens // (rows * (length - common)))
    for block, nodes in enumerate(schedule.levels):
        found = []
        for start in range(0, len(nodes), at_once):
            part = nodes[start : start + at_once]
            given = [state_at(node[:-1]) for node in part]
            tails = _together([tail for _, tail in given])
            ends = block == schedule.last and first > 0
            read, before = [head for head, _ in given], None
            if common:
                own = first_rows(head_slots, slots, len(part))
                read, before = _run_heads(traced, part, read, own, heads)
            batch = first_rows(tensors, slots, len(part) * rows)
            if ends:
                tails, known = _last_block(traced, block, tails, batch, first - common, before)
            else:
                cache = Recording() if before is None else After(before)
                tails = traced.call(block, tails, batch, cache)
                known = cache.known
            found.append(known)
            for node, head, tail in zip(part, read, torch.split(tails, rows), strict=True):
                states[node] = head, tail
                if kept is not None and block != schedule.last:
                    kept.put(node, whole_state(head, tail, prefix))
            del given, read, tails
        traced.work.peak_states = max(traced.work.peak_states, len(states))
        attended.append(_all(found))
        for node in schedule.done_with[block]:
            states.pop(node, None)
    traced.work.add(
        common_tokens=common * (rows - 1),
        nodes=schedule.nodes,
        nodes_known=plan_schedule(schedule.removals, len(schedule.levels)).nodes - schedule.nodes,
    )
    return Prefilled(
        tuple(
            states[leaf][1] if leaf[-1] == schedule.last else states[leaf][1][:, first - common :]
            for leaf in schedule.leaves
        ),
        tuple(attended),
        hidden,
        placed,
    )


def cut(
    tensors: Sequence[torch.Tensor | None], slots: Sequence[Dims], length: int
) -> list[torch.Tensor | None]:
    """Return the first `length` positions of what goes into the slots."""
    result: list[torch.Tensor | None] = []
    for tensor, dims in zip(tensors, slots, strict=True):
        if tensor is not None:
            for dim in dims.lengths:
                tensor = tensor.narrow(dim, 0, length)
        result.append(tensor)
    return result


def repeated(
    tensors: Sequence[torch.Tensor | None], slots: Sequence[Dims], times: int
) -> list[torch.Tensor | None]:
    """Return what goes into the slots, for `times` batches."""
    return [
        tensor
        if tensor is None or dims.rows is None or dims.alike or times == 1
        else tensor.repeat(*(times if dim == dims.rows else 1 for dim in range(tensor.dim())))
        for tensor, dims in zip(tensors, slots, strict=True)
    ]


def first_rows(
    tensors: Sequence[torch.Tensor | None], slots: Sequence[Dims], rows: int
) -> list[torch.Tensor | None]:
    """Return what goes into the slots for the first `rows` rows."""
    return [
        tensor
        if tensor is None or dims.rows is None or dims.alike
        else tensor.narrow(dims.rows, 0, rows)
        for tensor, dims in zip(tensors, slots, strict=True)
    ]


def _run_heads(
    traced: TracedBlocks,
    nodes: Sequence[Node],
    given: Sequence[torch.Tensor],
    tensors: Sequence[torch.Tensor | None],
    heads: Heads,
) -> tuple[list[torch.Tensor], KeysAndValues]:
    """Run a block over the heads that are not known; return what comes out, keys and values."""
    import torch

    new = [place for place, node in enumerate(nodes) if node not in heads.known]
    found = {node: heads.known[node] for node in nodes if node in heads.known}
    if new:
        cache = Recording()
        own = first_rows(tensors, traced.slots, len(new))
        result = traced.call(nodes[0][-1], _together([given[place] for place in new]), own, cache)
        if cache.known is None:
            raise NotShareable("a block keeps no keys and values")
        keys, values = cache.known
        each = zip(new, *(torch.split(one, 1) for one in (result, keys, values)), strict=True)
        for place, *pieces in each:
            state, key, value = pieces
            found[nodes[place]] = state, (key, value)
            heads.keep(nodes[place], *found[nodes[place]])
    pairs = [found[node][1] for node in nodes]
    keys, values = (_together(part) for part in zip(*pairs, strict=True))
    return [found[node][0] for node in nodes], (keys, values)


def _last_block(
    traced: TracedBlocks,
    block: int,
    given: torch.Tensor,
    tensors: Sequence[torch.Tensor | None],
    first: int,
    head: KeysAndValues | None,
) -> tuple[torch.Tensor, KeysAndValues | None]:
    """Run a block for the positions from `first` on, after the keys and values of all."""
    cache = KeysOnly()
    try:
        # A block that attends to nothing comes to its end.
        return traced.call(block, given, tensors, cache)[:, first:], None
    except KeysKnown:
        assert cache.known is not None
    known = cache.known if head is None else _after(head, cache.known)
    short = _queries(tensors, traced.slots, first, given.shape[1], given)
    return traced.call(block, given[:, first:], short, Known(known)), known


def _queries(
    tensors: Sequence[torch.Tensor | None],
    slots: Sequence[Dims],
    first: int,
    length: int,
    like: torch.Tensor,
) -> list[torch.Tensor | None]:
    """Return what goes into the slots for positions `first` to `length`, which see all keys."""
    short: list[torch.Tensor | None] = []
    for tensor, dims in zip(tensors, slots, strict=True):
        if dims.is_mask:
            mask = causal_mask(length, like) if tensor is None else tensor
            short.append(mask.narrow(2, first, length - first))
        elif tensor is not None and dims.lengths:
            short.append(tensor.narrow(dims.lengths[0], first, length - first))
        else:
            short.append(tensor)
    return short


def _after(head: KeysAndValues, tails: KeysAndValues) -> KeysAndValues:
    """Return the keys and values of heads, and behind each those of all its rows."""
    import torch

    keys, values = (
        torch.cat([before.repeat_interleave(len(own) // len(before), 0), own], dim=2)
        for before, own in zip(head, tails, strict=True)
    )
    return keys, values


def _all(parts: Sequence[KeysAndValues | None]) -> KeysAndValues | None:
    """Return the keys and values of all parts of a level, None where there are none."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    keys, values = map(_together, zip(*known, strict=True))
    return keys, values


def _together(states: Sequence[torch.Tensor]) -> torch.Tensor:
    import torch

    return states[0] if len(states) == 1 else torch.cat(list(states))
