"""The tokens that all rows of a batch begin with, such as worked examples: read once, not per row.

A batch whose rows begin alike is run as a head, one row of the common tokens, and a tail, what
follows them in every row. The tail attends to the head's keys and values before its own. Rows with
padding on the left have their common tokens in different columns; in the tail's masks they stand in
the first columns of every row, and their own columns are hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from depthprune.engine.inputs import on_device
from depthprune.engine.shared.block_calls import Dims
from depthprune.engine.shared.prefix_state import PrefixState, causal_mask

if TYPE_CHECKING:
    import torch

FEWEST = {"cpu": 16}
"""Fewer common tokens are not read apart: it doubles the calls of blocks, which are what takes time
on a GPU (128 there)."""

LEAST_SAVED = 0.1
"""Common tokens are read once where that spares at least this share of all."""


def starts_of(prefix: PrefixState) -> list[int]:
    """Return the column that each row begins at."""
    if prefix.side == "right":
        return [0] * len(prefix.lengths)
    return [prefix.prompt - length for length in prefix.lengths]


def with_common(
    prefix: PrefixState, slots: Sequence[Dims], fewest: int | None = None
) -> PrefixState:
    """Return a prefix state that knows how many tokens all its rows begin with; 0 if too few.

    They are alike in all that the blocks are given, and see themselves and earlier ones alone.
    """
    import torch

    starts, longest = starts_of(prefix), min(prefix.lengths) - 1
    if len(starts) < 2 or longest < 1:
        return prefix
    rows = torch.arange(len(starts), device=prefix.device)[:, None]
    columns = on_device(starts, prefix.device)[:, None] + torch.arange(
        longest, device=prefix.device
    )
    alike = _alike(prefix.hidden[rows, columns])
    for tensor, dims in zip(prefix.tensors, slots, strict=True):
        if tensor is None or dims.rows is None:
            continue
        if dims.is_mask:
            if any(starts) and len(tensor) < len(starts):
                return prefix
            alike &= _masked_alike(tensor, starts, longest)
        elif dims.lengths:
            moved = tensor.movedim((dims.rows, dims.lengths[0]), (0, 1))
            own = torch.zeros_like(rows) if dims.alike else rows
            alike &= _alike(moved[own, columns])
        elif not bool((tensor == tensor.narrow(dims.rows, 0, 1)).all()):
            return prefix
    common = int(alike.long().cumprod(0).sum())
    least = LEAST_SAVED * sum(prefix.lengths) / (len(starts) - 1)
    fewest = FEWEST.get(prefix.device.type, 128) if fewest is None else fewest
    return replace(prefix, common=common if common >= max(least, fewest) else 0)


def head_tensors(prefix: PrefixState, slots: Sequence[Dims]) -> list[torch.Tensor | None]:
    """Return what goes into the slots for the common tokens, as one row."""
    row, found = _longest_row(prefix), []
    for tensor, dims in zip(prefix.tensors, slots, strict=True):
        if tensor is not None and dims.rows is not None:
            if not dims.alike and tensor.shape[dims.rows] > 1:
                tensor = tensor.narrow(dims.rows, row, 1)
            for dim in dims.lengths:
                tensor = tensor.narrow(dim, 0, prefix.common)
        found.append(tensor)
    return found


def aligned(prefix: PrefixState, slots: Sequence[Dims]) -> PrefixState:
    """Return the state with masks under which the common tokens are the first columns of all rows.

    Queries stay where they are.
    """
    import torch

    if not prefix.common:
        return prefix
    starts, common = starts_of(prefix), prefix.common
    tensors = []
    for tensor, dims in zip(prefix.tensors, slots, strict=True):
        if dims.is_mask and tensor is None:
            mask = causal_mask(prefix.prompt + prefix.ahead, prefix.hidden)
            tensor = mask if dims.alike else mask.expand(len(starts), -1, -1, -1)
        elif tensor is not None and dims.is_mask and any(starts):
            columns = _columns(starts, common, tensor.shape[-1], prefix.device)
            tensor = torch.stack(
                [mask.index_select(-1, own) for mask, own in zip(tensor, columns, strict=True)]
            )
            is_bool = tensor.dtype is torch.bool
            for row, start in enumerate(starts):
                hidden = False if is_bool else torch.finfo(tensor.dtype).min
                tensor[row, :, :, common : common + start] = hidden
                # What stands in these columns is no one's: it may see anything but nothing.
                tensor[row, :, common : common + start, 0] = True if is_bool else 0.0
        tensors.append(tensor)
    return replace(prefix, tensors=tuple(tensors))


def aligned_keys(known: torch.Tensor, starts: Sequence[int], common: int) -> torch.Tensor:
    """Return keys or values, (rows, heads, length, size), with the common tokens in front."""
    if not common or not any(starts):
        return known
    columns = _columns(starts, common, known.shape[2], known.device)
    return known.gather(2, columns[:, None, :, None].expand(known.shape))


def split_state(state: torch.Tensor, prefix: PrefixState) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the head and the tail of a state of whole rows, (rows, length, size)."""
    row = _longest_row(prefix)
    return state[row : row + 1, : prefix.common], state[:, prefix.common :]


def whole_state(head: torch.Tensor, tail: torch.Tensor, prefix: PrefixState) -> torch.Tensor:
    """Return whole rows of a head and a tail; what stands in padding means nothing."""
    import torch

    state = torch.cat([head.expand(len(tail), -1, -1), tail], dim=1)
    for row, start in enumerate(starts_of(prefix)):
        if start:
            state[row, start : start + prefix.common] = head[0]
    return state


def _longest_row(prefix: PrefixState) -> int:
    return prefix.lengths.index(max(prefix.lengths))


def _columns(starts: Sequence[int], common: int, length: int, device: torch.device) -> torch.Tensor:
    """Return where the columns of every row come from, (rows, length)."""
    import torch

    columns = torch.arange(length, device=device).repeat(len(starts), 1)
    columns[:, :common] += on_device(starts, device)[:, None]
    return columns


def _alike(values: torch.Tensor) -> torch.Tensor:
    """Return for every position of (rows, positions, ...) whether all rows are equal there."""
    found: torch.Tensor = (values == values[:1]).movedim(1, 0).flatten(1).all(dim=1)
    return found


def _masked_alike(mask: torch.Tensor, starts: Sequence[int], longest: int) -> torch.Tensor:
    """Return for every common position whether it sees the same in all rows, and nothing else."""
    import torch

    causal = torch.ones(longest, longest, dtype=torch.bool, device=mask.device).tril()
    alike = torch.ones(longest, dtype=torch.bool, device=mask.device)
    first = starts.index(min(starts))
    like = mask[min(first, len(mask) - 1)]
    like = like[:, starts[first] : starts[first] + longest, starts[first] :][..., :longest]
    for own, start in zip(mask, starts, strict=False):
        queries = own[:, start : start + longest]
        inside = queries[..., start : start + longest]
        seen = queries if mask.dtype is torch.bool else queries > torch.finfo(mask.dtype).min / 2
        outside = seen.sum(-1) - (seen[..., start : start + longest] & causal).sum(-1)
        alike &= ((outside == 0) & (inside == like).all(-1)).all(0)
    return alike
