"""Answers that no draft predicted to their end, of many removals and batches, decoded together.

In every round each row reads its last certain token, and after it what another known answer with
the same beginning says: one round may settle several tokens. Block i is run for the rows whose
removal keeps it. Keys and values of the prompt come from the first pass; those of rejected tokens
are never seen, because they stand at later positions, and are overwritten there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depthprune.engine.inputs import on_device
from depthprune.engine.shared.beginning import aligned_keys, starts_of
from depthprune.engine.shared.block_calls import Dims
from depthprune.engine.shared.block_tracing import TracedBlocks
from depthprune.engine.shared.prefill import (
    Growing,
    KeysAndValues,
    KeysKnown,
    KeysOnly,
    Prefilled,
    cut,
)
from depthprune.engine.shared.prefix_state import PrefixState, causal_mask
from depthprune.engine.shared.trie_schedule import EARLIER, CachedStates, Node, TrieSchedule

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class UnfinishedRows:
    """N unfinished rows: what decoding needs to know of them.

    Attributes:
        prompt: P, the length of their prompts with padding, which stands on the left.
        lengths: N lengths without padding.
        tensors: what goes into the slots at the A positions of an answer: (N, A, ...), of a mask
            (N, A, heads, P + A); what has no positions is as the blocks take it.
        members: for each block, which rows it is run for, ascending.
        attended: for each block, keys and values of its members, (members, heads, columns, size);
            None where it has none.
    """

    prompt: int
    lengths: tuple[int, ...]
    tensors: tuple[torch.Tensor, ...]
    members: tuple[tuple[int, ...], ...]
    attended: tuple[KeysAndValues | None, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.prompt_keys.device

    @property
    def prompt_keys(self) -> torch.Tensor:
        """The keys of the first block that attends."""
        return next(pair[0] for pair in self.attended if pair is not None)


def take_rows(
    traced: TracedBlocks,
    schedule: TrieSchedule,
    prefilled: Prefilled,
    owners: Sequence[tuple[int, int]],
    kept: CachedStates | None = None,
) -> UnfinishedRows:
    """Return what decoding needs of some rows of a first pass.

    Args:
        traced: the blocks of the model.
        schedule: of the first pass.
        prefilled: what came out of it.
        owners: for each row, the position of its removal in the schedule, and of its prompt.
        kept: the states that the schedule took for known.
    """
    prefix = prefilled.prefix
    device = prefix.device
    size = len(prefix.lengths)
    members: list[tuple[int, ...]] = []
    attended: list[KeysAndValues | None] = []
    for block in range(len(schedule.levels)):
        calls = [schedule.calls[removal][block] for removal, _ in owners]
        ran = [place for place, call in enumerate(calls) if call is not None and call >= 0]
        earlier = [place for place, call in enumerate(calls) if call == EARLIER]
        members.append(tuple(sorted(ran + earlier)))
        index = on_device([(calls[place] or 0) * size + owners[place][1] for place in ran], device)
        known = prefilled.attended[block]
        found = [_rows_of(known, index)] if known is not None and ran else []
        if earlier:
            again = _keys_again(
                traced,
                schedule,
                prefilled,
                [owners[place] for place in earlier],
                block,
                kept,
            )
            found += [again] if again is not None else []
        attended.append(_in_order(found, members[-1], ran + earlier, device) if found else None)
    batch = [row for _, row in owners]
    rows = on_device(batch, device)
    return UnfinishedRows(
        prefix.prompt,
        tuple(prefix.lengths[row] for row in batch),
        tuple(
            _at_answers(tensor, dims, rows, prefix)
            for tensor, dims in zip(prefix.tensors, traced.slots, strict=True)
        ),
        tuple(members),
        tuple(attended),
    )


def _keys_again(
    traced: TracedBlocks,
    schedule: TrieSchedule,
    prefilled: Prefilled,
    owners: Sequence[tuple[int, int]],
    block: int,
    kept: CachedStates | None,
) -> KeysAndValues | None:
    """Return keys and values at a block that an earlier pass ran: its states are kept."""
    import torch

    assert kept is not None
    prefix = prefilled.prefix
    # Removals that share a node share its keys and values.
    states: dict[tuple[Node, int], int] = {}
    wanted = []
    for removal, row in owners:
        leaf = schedule.leaves[removal]
        wanted.append(states.setdefault((leaf[: leaf.index(block)], row), len(states)))
    given = [(kept.get(node) if node else prefilled.given)[row] for node, row in states]
    index = on_device([row for _, row in states], prefix.device)
    tensors = [
        tensor
        if tensor is None or dims.rows is None or dims.alike
        else tensor.index_select(dims.rows, index)
        for tensor, dims in zip(
            cut(prefix.tensors, traced.slots, prefilled.given.shape[1]),
            traced.slots,
            strict=True,
        )
    ]
    cache = KeysOnly()
    with suppress(KeysKnown):
        traced.call(block, torch.stack(given), tensors, cache)
    if cache.known is None:
        return None
    starts = [starts_of(prefix)[row] for _, row in states]
    keys, values = (aligned_keys(each, starts, prefix.common) for each in cache.known)
    return _rows_of((keys, values), on_device(wanted, prefix.device))


def _rows_of(known: KeysAndValues, index: torch.Tensor) -> KeysAndValues:
    keys, values = known
    return keys.index_select(0, index), values.index_select(0, index)


def _in_order(
    parts: Sequence[KeysAndValues],
    wanted: Sequence[int],
    given: Sequence[int],
    device: torch.device,
) -> KeysAndValues:
    """Return keys and values in the order of `wanted`; in the parts they stand as in `given`."""
    import torch

    if len(parts) == 1:
        return parts[0]
    place = {number: index for index, number in enumerate(given)}
    keys, values = (torch.cat(each) for each in zip(*parts, strict=True))
    return _rows_of((keys, values), on_device([place[number] for number in wanted], device))


def join_rows(parts: Sequence[UnfinishedRows], slots: Sequence[Dims], ahead: int) -> UnfinishedRows:
    """Return all rows together, with room for the keys and values of `ahead` more tokens."""
    prompt = max(part.prompt for part in parts)
    starts = [sum(len(part) for part in parts[:place]) for place in range(len(parts))]
    blocks = range(len(parts[0].members))
    return UnfinishedRows(
        prompt,
        tuple(length for part in parts for length in part.lengths),
        tuple(
            _joined([part.tensors[slot] for part in parts], dims, prompt + ahead)
            for slot, dims in enumerate(slots)
        ),
        tuple(
            tuple(
                start + row
                for start, part in zip(starts, parts, strict=True)
                for row in part.members[block]
            )
            for block in blocks
        ),
        # One more column, where tokens are written that are no one's.
        tuple(_buffers(parts, block, prompt, prompt + ahead + 1) for block in blocks),
    )


def select_rows(
    rows: UnfinishedRows, wanted: Sequence[int], slots: Sequence[Dims]
) -> UnfinishedRows:
    """Return some of the rows, whose places ascend."""
    device = rows.device
    index = on_device(wanted, device)
    new_place = {row: place for place, row in enumerate(wanted)}
    members, kept = [], []
    for own in rows.members:
        places = [place for place, row in enumerate(own) if row in new_place]
        members.append(tuple(new_place[own[place]] for place in places))
        kept.append(on_device(places, device))
    return UnfinishedRows(
        rows.prompt,
        tuple(rows.lengths[row] for row in wanted),
        tuple(
            tensor.index_select(dims.rows, index)
            if not dims.lengths and dims.rows is not None
            else tensor.index_select(0, index)
            if dims.lengths
            else tensor
            for tensor, dims in zip(rows.tensors, slots, strict=True)
        ),
        tuple(members),
        tuple(
            None if known is None else _rows_of(known, index)
            for known, index in zip(rows.attended, kept, strict=True)
        ),
    )


def forget_answer(rows: UnfinishedRows, wanted: int, start: int) -> None:
    """Forget keys and values of a row's answer from token `start` on."""
    for own, known in zip(rows.members, rows.attended, strict=True):
        for tensor in known if known is not None and wanted in own else ():
            tensor[own.index(wanted), :, rows.prompt + start :] = 0


def _at_answers(
    tensor: torch.Tensor | None, dims: Dims, rows: torch.Tensor, prefix: PrefixState
) -> torch.Tensor:
    """Return what goes into a slot at the positions of an answer, see `UnfinishedRows.tensors`."""
    if tensor is None:
        tensor = causal_mask(prefix.prompt + prefix.ahead, prefix.hidden)
    if dims.rows is None:
        return tensor
    if tensor.shape[dims.rows] == 1:
        tensor = tensor.expand(
            *(len(rows) if dim == dims.rows else -1 for dim in range(tensor.dim()))
        )
    else:
        tensor = tensor.index_select(dims.rows, rows)
    if not dims.lengths:
        return tensor
    tensor = tensor.narrow(dims.lengths[0], prefix.prompt, prefix.ahead)
    return tensor.movedim((dims.rows, dims.lengths[0]), (0, 1))


def _joined(tensors: Sequence[torch.Tensor], dims: Dims, columns: int) -> torch.Tensor:
    import torch
    from torch.nn.functional import pad

    if dims.rows is None:
        return tensors[0]
    if not dims.lengths:
        return torch.cat(list(tensors), dim=dims.rows)
    if dims.is_mask:
        hidden = False if tensors[0].dtype is torch.bool else torch.finfo(tensors[0].dtype).min
        tensors = [pad(tensor, (columns - tensor.shape[-1], 0), value=hidden) for tensor in tensors]
    return torch.cat(list(tensors))


def _buffers(
    parts: Sequence[UnfinishedRows], block: int, prompt: int, columns: int
) -> KeysAndValues | None:
    """Return keys and values of all parts at a block, their prompts ending at the same column."""
    known = [(prompt - part.prompt, part.attended[block]) for part in parts]
    pairs = [(first, pair) for first, pair in known if pair is not None]
    if not pairs:
        return None
    keys, values = (
        _buffer([(first, pair[which]) for first, pair in pairs], columns) for which in (0, 1)
    )
    return keys, values


def _buffer(parts: Sequence[tuple[int, torch.Tensor]], columns: int) -> torch.Tensor:
    """Return some tensors below each other, each from its first column on."""
    like = parts[0][1]
    count = sum(len(tensor) for _, tensor in parts)
    buffer = like.new_zeros(count, like.shape[1], columns, like.shape[3])
    start = 0
    for first, tensor in parts:
        own = slice(first, first + tensor.shape[2])
        buffer[start : start + len(tensor), :, own] = tensor
        start += len(tensor)
    return buffer


def advance(
    traced: TracedBlocks,
    rows: UnfinishedRows,
    embed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    tokens: Sequence[Sequence[int]],
    starts: Sequence[int],
) -> torch.Tensor:
    """Let every row read some tokens of its answer; return the last block's output.

    Args:
        traced: the blocks of the model.
        rows: whose keys and values are written into.
        embed: turns tokens and positions into what the first block is given.
        tokens: for each row, at least one.
        starts: for each row, how many tokens of its answer were read before.

    Returns:
        (N, most tokens of a row, size); what stands behind the end of a row means nothing.
    """
    import torch

    traced.work.add(rounds=1)
    device, trash = rows.device, rows.prompt_keys.shape[2] - 1
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
        for tensor, dims in zip(rows.tensors, traced.slots, strict=True)
    ]
    hidden = embed(ids, lengths + answer)
    chosen: dict[tuple[int, ...], tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]] = {}
    for block, own in enumerate(rows.members):
        known = rows.attended[block]
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
                    for tensor, dims in zip(tensors, traced.slots, strict=True)
                ]
            )
            chosen[own] = index, part, columns if whole else columns[index]
        index, part, own_columns = chosen[own]
        given = hidden if len(own) == len(rows) else hidden[index]
        cache = None
        if known is not None:
            cache = Growing(known, count[: len(own)], own_columns, extent)
        output = traced.call(block, given, part, cache)
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
