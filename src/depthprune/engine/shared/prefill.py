"""The first pass: prompts and drafts through the blocks of many removals at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthprune.engine.shared.block_calls import Dims, Unshareable
from depthprune.engine.shared.block_tracing import Wiring
from depthprune.engine.shared.prefix_state import Stem, causal_mask
from depthprune.engine.shared.trie_schedule import KeptStates, Node, Walk, plan_walk

if TYPE_CHECKING:
    import torch


class Recording:
    """Keeps the keys and values of one call of a block, each (rows, heads, length, size)."""

    def __init__(self) -> None:
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take the new keys and values; return all that attention sees."""
        if self.keys is not None:
            raise Unshareable("a block attends more than once")
        self.keys, self.values = keys, values
        return keys, values


class KeysKnown(Exception):
    """Leaves a block as soon as its keys and values are known."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__("keys and values are known")
        self.keys, self.values = keys, values


class KeysOnly(Recording):
    """Keeps the keys and values, and ends the call."""

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        raise KeysKnown(*super().update(keys, values))


class Known:
    """Gives keys and values that are known already in place of new ones."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        self._known = keys, values

    def update(self, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return self._known


class Growing:
    """Writes new keys and values into buffers, each row at columns of its own.

    Args:
        keys, values: buffers, (rows, heads, columns, size).
        rows: 0, 1, 2..., of shape (rows, 1).
        columns: where the new ones belong, (rows, new).
        extent: how many columns attention sees.
    """

    def __init__(
        self,
        keys: torch.Tensor,
        values: torch.Tensor,
        rows: torch.Tensor,
        columns: torch.Tensor,
        extent: int,
    ) -> None:
        self._keys, self._values = keys, values
        self._rows, self._columns, self._extent = rows, columns, extent

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # The dimension of the heads stands between the two that are indexed: it comes last.
        self._keys.transpose(1, 2)[self._rows, self._columns] = keys.transpose(1, 2)
        self._values.transpose(1, 2)[self._rows, self._columns] = values.transpose(1, 2)
        return self._keys[:, :, : self._extent], self._values[:, :, : self._extent]


CALL_TOKENS = {"cpu": 8192}
"""Tokens that a call of a block is given at most, where more only leave the processor's caches."""


@dataclass(frozen=True)
class Prefilled:
    """What the blocks made of B rows of `length` tokens, for R removals.

    Attributes:
        hidden: for each removal, the last block's output from `first` on,
            (B, length - first, size).
        keys, values: for each block, those of all nodes, (nodes * B, heads, length, size); None
            where the block was not run, or attends to nothing.
        given: what went into the first block, (B, length, size).
    """

    hidden: tuple[torch.Tensor, ...]
    keys: tuple[torch.Tensor | None, ...]
    values: tuple[torch.Tensor | None, ...]
    given: torch.Tensor


def prefill(
    wiring: Wiring,
    walk: Walk,
    stem: Stem,
    hidden: torch.Tensor,
    first: int,
    kept: KeptStates | None = None,
) -> Prefilled:
    """Run the blocks over a batch for all removals of a walk.

    Args:
        wiring: of the model.
        walk: over the trie of the removals.
        stem: of the batch.
        hidden: what goes into the first block, (B, length, size): the prompts, and what follows.
        first: the position from which on the outputs matter. The last block is run for these
            alone, with the keys and values of all.
        kept: the states that the walk takes for known; new ones are added.
    """
    import torch

    rows, length = hidden.shape[:2]
    tensors = repeated(stem.tensors, wiring.slots, max(map(len, walk.levels)), length)
    states: dict[Node, torch.Tensor] = {(): hidden}
    keys: list[torch.Tensor | None] = []
    values: list[torch.Tensor | None] = []

    def state_at(node: Node) -> torch.Tensor:
        if node in states or kept is None:
            return states[node]
        return kept.get(node)

    at_once = max(1, CALL_TOKENS.get(hidden.device.type, sys.maxsize) // (rows * length))
    for block, nodes in enumerate(walk.levels):
        caches = []
        for start in range(0, len(nodes), at_once):
            part = nodes[start : start + at_once]
            given = _together([state_at(node[:-1]) for node in part])
            batch = first_rows(tensors, wiring.slots, len(part) * rows)
            cache = Recording()
            if block == walk.last and first > 0:
                result, cache = _last_block(wiring, block, given, batch, first)
            else:
                result = wiring.call(block, given, batch, cache)
            caches.append(cache)
            for node, state in zip(part, torch.split(result, rows), strict=True):
                states[node] = state
                if kept is not None and block != walk.last:
                    kept.put(node, state)
            del given, result
        wiring.work.peak_states = max(wiring.work.peak_states, len(states))
        keys.append(_all([cache.keys for cache in caches]))
        values.append(_all([cache.values for cache in caches]))
        for node in walk.done_with[block]:
            states.pop(node, None)
    wiring.work.add(
        nodes=walk.nodes, nodes_known=plan_walk(walk.removals, len(walk.levels)).nodes - walk.nodes
    )
    return Prefilled(
        tuple(
            states[leaf] if leaf[-1] == walk.last else states[leaf][:, first:]
            for leaf in walk.leaves
        ),
        tuple(keys),
        tuple(values),
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
    wiring: Wiring,
    block: int,
    given: torch.Tensor,
    tensors: Sequence[torch.Tensor | None],
    first: int,
) -> tuple[torch.Tensor, Recording]:
    """Run a block for the positions from `first` on, after the keys and values of all."""
    cache = KeysOnly()
    try:
        # A block that attends to nothing comes to its end.
        return wiring.call(block, given, tensors, cache)[:, first:], cache
    except KeysKnown as known:
        keys, values = known.keys, known.values
    count = given.shape[1] - first
    short: list[torch.Tensor | None] = []
    for tensor, dims in zip(tensors, wiring.slots, strict=True):
        if dims.is_mask:
            mask = causal_mask(given.shape[1], given) if tensor is None else tensor
            short.append(mask.narrow(2, first, count))
        elif tensor is not None and dims.lengths:
            short.append(tensor.narrow(dims.lengths[0], first, count))
        else:
            short.append(tensor)
    return wiring.call(block, given[:, first:], short, Known(keys, values)), cache


def _all(parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """Return the keys or values of all parts of a level, None where there are none."""
    known = [part for part in parts if part is not None]
    return _together(known) if known else None


def _together(states: Sequence[torch.Tensor]) -> torch.Tensor:
    import torch

    return states[0] if len(states) == 1 else torch.cat(list(states))
