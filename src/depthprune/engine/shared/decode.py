"""Answers that no draft foretold to their end, of many removals and batches, decoded together.

In every round each row reads its last certain token, and after it what another known answer with
the same beginning says: one round may settle several tokens. Block i is run for the rows whose
removal keeps it. Keys and values of the prompt come from the first pass; those of rejected tokens
are never seen, because they stand at later positions, and are overwritten there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from depthprune.engine.shared.arguments import Dims
from depthprune.engine.shared.caches import Growing
from depthprune.engine.shared.rows import Rows
from depthprune.engine.shared.transfer import on_device
from depthprune.engine.shared.wiring import Wiring

if TYPE_CHECKING:
    import torch


def advance(
    wiring: Wiring,
    rows: Rows,
    embed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    tokens: Sequence[Sequence[int]],
    starts: Sequence[int],
) -> torch.Tensor:
    """Let every row read some tokens of its answer; return the last block's output.

    Args:
        wiring: of the model.
        rows: whose keys and values are written into.
        embed: turns tokens and positions into what the first block is given.
        tokens: for each row, at least one.
        starts: for each row, how many tokens of its answer were read before.

    Returns:
        (N, most tokens of a row, size); what stands behind the end of a row means nothing.
    """
    import torch

    wiring.work.add(rounds=1)
    first = next(tensor for tensor in rows.keys if tensor is not None)
    device, trash = first.device, first.shape[2] - 1
    width = max(map(len, tokens))
    # One transfer for all numbers of the round.
    numbers = on_device(
        [
            [
                [*row, *[row[-1]] * (width - len(row))],
                [*range(start, start + len(row)), *[start] * (width - len(row))],
                [
                    *range(rows.prompt + start, rows.prompt + start + len(row)),
                    *[trash] * (width - len(row)),
                ],
                [length] * width,
            ]
            for row, start, length in zip(tokens, starts, rows.lengths, strict=True)
        ],
        device,
    )
    ids, answer, columns, lengths = numbers.unbind(1)
    extent = rows.prompt + max(start + len(row) for row, start in zip(tokens, starts, strict=True))
    count = torch.arange(len(rows), device=device)[:, None]
    tensors = [
        _at(tensor, dims, count, answer, extent)
        for tensor, dims in zip(rows.tensors, wiring.slots, strict=True)
    ]
    hidden = embed(ids, lengths + answer)
    chosen: dict[tuple[int, ...], tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]] = {}
    for block, own in enumerate(rows.members):
        keys, values = rows.keys[block], rows.values[block]
        if not own:
            continue
        if own not in chosen:
            index = on_device(own, device)
            whole = len(own) == len(rows)
            part = (
                tensors
                if whole
                else [
                    tensor if dims.rows is None else tensor.index_select(dims.rows, index)
                    for tensor, dims in zip(tensors, wiring.slots, strict=True)
                ]
            )
            chosen[own] = index, part, columns if whole else columns[index]
        index, part, own_columns = chosen[own]
        given = hidden if len(own) == len(rows) else hidden[index]
        cache = (
            None
            if keys is None or values is None
            else Growing(keys, values, count[: len(own)], own_columns, extent)
        )
        output = wiring.call(block, given, part, cache)
        hidden = output if len(own) == len(rows) else hidden.index_copy(0, index, output)
    return hidden


def _at(
    tensor: torch.Tensor, dims: Dims, rows: torch.Tensor, positions: torch.Tensor, extent: int
) -> torch.Tensor:
    """Return what goes into a slot for each row at its own positions, as the blocks take it."""
    if not dims.lengths or dims.rows is None:
        return tensor
    found = tensor[rows, positions].movedim((0, 1), (dims.rows, dims.lengths[0]))
    return found[..., :extent] if dims.is_mask else found
