"""The first pass: prompts and drafts through the blocks of many removals at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    """

    hidden: tuple[torch.Tensor, ...]
    attended: tuple[KeysAndValues | None, ...]
    given: torch.Tensor


def prefill(
    traced: TracedBlocks,
    schedule: TrieSchedule,
    prefix: PrefixState,
    hidden: torch.Tensor,
    first: int,
    kept: CachedStates | None = None,
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
    """
    import torch

    rows, length = hidden.shape[:2]
    tensors = repeated(prefix.tensors, traced.slots, max(map(len, schedule.levels)), length)
    states: dict[Node, torch.Tensor] = {(): hidden}
    attended: list[KeysAndValues | None] = []

    def state_at(node: Node) -> torch.Tensor:
        if node in states or kept is None:
            return states[node]
        return kept.get(node)

    at_once = max(1, CALL_TOKENS.get(hidden.device.type, sys.maxsize) // (rows * length))
    for block, nodes in enumerate(schedule.levels):
        caches = []
        for start in range(0, len(nodes), at_once):
            part = nodes[start : start + at_once]
            given = _together([state_at(node[:-1]) for node in part])
            batch = first_rows(tensors, traced.slots, len(part) * rows)
            cache = Recording()
            if block == schedule.last and first > 0:
                result, cache = _last_block(traced, block, given, batch, first)
            else:
                result = traced.call(block, given, batch, cache)
            caches.append(cache)
            for node, state in zip(part, torch.split(result, rows), strict=True):
                states[node] = state
                if kept is not None and block != schedule.last:
                    kept.put(node, state)
            del given, result
        traced.work.peak_states = max(traced.work.peak_states, len(states))
        attended.append(_all([cache.known for cache in caches]))
        for node in schedule.done_with[block]:
            states.pop(node, None)
    traced.work.add(
        nodes=schedule.nodes,
        nodes_known=plan_schedule(schedule.removals, len(schedule.levels)).nodes - schedule.nodes,
    )
    return Prefilled(
        tuple(
            states[leaf] if leaf[-1] == schedule.last else states[leaf][:, first:]
            for leaf in schedule.leaves
        ),
        tuple(attended),
        hidden,
    )


def repeated(
    tensors: Sequence[torch.Tensor | None], slots: Sequence[Dims], times: int, length: int
) -> list[torch.Tensor | None]:
    """Return the first `length` positions of what goes into the slots, for `times` batches."""
    result: list[torch.Tensor | None] = []
    for tensor, dims in zip(tensors, slots, strict=True):
        if tensor is not None:
            for dim in dims.lengths:
                tensor = tensor.narrow(dim, 0, length)
            if dims.rows is not None and not dims.alike and times > 1:
                tensor = tensor.repeat(
                    *(times if dim == dims.rows else 1 for dim in range(tensor.dim()))
                )
        result.append(tensor)
    return result


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


def _last_block(
    traced: TracedBlocks,
    block: int,
    given: torch.Tensor,
    tensors: Sequence[torch.Tensor | None],
    first: int,
) -> tuple[torch.Tensor, Recording]:
    """Run a block for the positions from `first` on, after the keys and values of all."""
    cache = KeysOnly()
    try:
        # A block that attends to nothing comes to its end.
        return traced.call(block, given, tensors, cache)[:, first:], cache
    except KeysKnown:
        assert cache.known is not None
    count = given.shape[1] - first
    short: list[torch.Tensor | None] = []
    for tensor, dims in zip(tensors, traced.slots, strict=True):
        if dims.is_mask:
            mask = causal_mask(given.shape[1], given) if tensor is None else tensor
            short.append(mask.narrow(2, first, count))
        elif tensor is not None and dims.lengths:
            short.append(tensor.narrow(dims.lengths[0], first, count))
        else:
            short.append(tensor)
    return traced.call(block, given[:, first:], short, Known(cache.known)), cache


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
