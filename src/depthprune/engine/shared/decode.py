"""Answers that no draft foretold to their end, of many removals and batches, decoded together.

In every round each row reads its last certain token, and after it what another known answer with
the same beginning says: one round may settle several tokens. Block i is run for the rows whose
removal keeps it. Keys and values of the prompt come from the first pass; those of rejected tokens
are never seen, because they stand at later positions, and are overwritten there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthprune.engine.inputs import on_device
from depthprune.engine.shared.block_calls import Dims
from depthprune.engine.shared.block_tracing import Wiring
from depthprune.engine.shared.prefill import Growing, KeysKnown, KeysOnly, Prefilled, repeated
from depthprune.engine.shared.prefix_state import Stem, causal_mask
from depthprune.engine.shared.trie_schedule import EARLIER, KeptStates, Node, Walk

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Rows:
    """N unfinished rows: what decoding needs to know of them.

    Attributes:
        prompt: P, the length of their prompts with padding, which stands on the left.
        lengths: N lengths without padding.
        tensors: what goes into the slots at the A positions of an answer: (N, A, ...), of a mask
            (N, A, heads, P + A); what has no positions is as the blocks take it.
        members: for each block, which rows it is run for, ascending.
        keys, values: for each block, (members, heads, columns, size); None where it has none.
    """

    prompt: int
    lengths: tuple[int, ...]
    tensors: tuple[torch.Tensor, ...]
    members: tuple[tuple[int, ...], ...]
    keys: tuple[torch.Tensor | None, ...]
    values: tuple[torch.Tensor | None, ...]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return next(tensor.device for tensor in self.keys if tensor is not None)


def take_rows(
    wiring: Wiring,
    walk: Walk,
    stem: Stem,
    prefilled: Prefilled,
    owners: Sequence[tuple[int, int]],
    kept: KeptStates | None = None,
) -> Rows:
    """Return what decoding needs of some rows of a first pass.

    Args:
        wiring: of the model.
        walk: of the first pass.
        stem: of its batch.
        prefilled: what came out of it.
        owners: for each row, the position of its removal in the walk, and of its prompt.
        kept: the states that the walk took for known.
    """
    device = stem.device
    size = len(stem.lengths)
    members: list[tuple[int, ...]] = []
    keys: list[torch.Tensor | None] = []
    values: list[torch.Tensor | None] = []
    for block in range(len(walk.levels)):
        calls = [walk.calls[removal][block] for removal, _ in owners]
        ran = [place for place, call in enumerate(calls) if call is not None and call >= 0]
        earlier = [place for place, call in enumerate(calls) if call == EARLIER]
        members.append(tuple(sorted(ran + earlier)))
        index = on_device([(calls[place] or 0) * size + owners[place][1] for place in ran], device)
        found = [
            (known_keys.index_select(0, index), known_values.index_select(0, index))
            for known_keys, known_values in ((prefilled.keys[block], prefilled.values[block]),)
            if known_keys is not None and known_values is not None and ran
        ]
        if earlier:
            again = _keys_again(
                wiring, walk, stem, prefilled, [owners[place] for place in earlier], block, kept
            )
            found += [again] if again is not None else []
        if not found:
            keys.append(None)
            values.append(None)
            continue
        order = on_device(_places_of(members[-1], ran + earlier), device)
        keys.append(_in_order([pair[0] for pair in found], order))
        values.append(_in_order([pair[1] for pair in found], order))
    batch = [row for _, row in owners]
    rows = on_device(batch, device)
    return Rows(
        stem.prompt,
        tuple(stem.lengths[row] for row in batch),
        tuple(
            _at_answers(tensor, dims, rows, stem)
            for tensor, dims in zip(stem.tensors, wiring.slots, strict=True)
        ),
        tuple(members),
        tuple(keys),
        tuple(values),
    )


def _keys_again(
    wiring: Wiring,
    walk: Walk,
    stem: Stem,
    prefilled: Prefilled,
    owners: Sequence[tuple[int, int]],
    block: int,
    kept: KeptStates | None,
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return keys and values at a block that an earlier pass ran: its states are kept."""
    import torch

    assert kept is not None
    # Removals that share a node share its keys and values.
    states: dict[tuple[Node, int], int] = {}
    wanted = []
    for removal, row in owners:
        leaf = walk.leaves[removal]
        wanted.append(states.setdefault((leaf[: leaf.index(block)], row), len(states)))
    given = [(kept.get(node) if node else prefilled.given)[row] for node, row in states]
    index = on_device([row for _, row in states], stem.device)
    tensors = [
        tensor
        if tensor is None or dims.rows is None or dims.alike
        else tensor.index_select(dims.rows, index)
        for tensor, dims in zip(
            repeated(stem.tensors, wiring.slots, 1, prefilled.given.shape[1]),
            wiring.slots,
            strict=True,
        )
    ]
    places = on_device(wanted, stem.device)
    try:
        wiring.call(block, torch.stack(given), tensors, KeysOnly())
    except KeysKnown as known:
        return known.keys.index_select(0, places), known.values.index_select(0, places)
    return None


def _places_of(wanted: Sequence[int], given: Sequence[int]) -> list[int]:
    """Return where each of the wanted numbers stands among the given ones."""
    place = {number: index for index, number in enumerate(given)}
    return [place[number] for number in wanted]


def _in_order(parts: Sequence[torch.Tensor], order: torch.Tensor) -> torch.Tensor:
    import torch

    return parts[0] if len(parts) == 1 else torch.cat(list(parts)).index_select(0, order)


def join_rows(parts: Sequence[Rows], slots: Sequence[Dims], ahead: int) -> Rows:
    """Return all rows together, with room for the keys and values of `ahead` more tokens."""
    prompt = max(part.prompt for part in parts)
    starts = [sum(len(part) for part in parts[:place]) for place in range(len(parts))]
    blocks = range(len(parts[0].members))
    prompts = [part.prompt for part in parts]

    def buffers(of_parts: Sequence[Sequence[torch.Tensor | None]]) -> tuple[Any, ...]:
        # One more column, where tokens are written that are no one's.
        return tuple(
            _buffer(prompts, [tensors[block] for tensors in of_parts], prompt, ahead + 1)
            for block in blocks
        )

    return Rows(
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
        buffers([part.keys for part in parts]),
        buffers([part.values for part in parts]),
    )


def select_rows(rows: Rows, wanted: Sequence[int], slots: Sequence[Dims]) -> Rows:
    """Return some of the rows, whose places ascend."""
    device = rows.device
    index = on_device(wanted, device)
    new_place = {row: place for place, row in enumerate(wanted)}
    members, kept = [], []
    for own in rows.members:
        places = [place for place, row in enumerate(own) if row in new_place]
        members.append(tuple(new_place[own[place]] for place in places))
        kept.append(on_device(places, device))
    return Rows(
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
        *(
            tuple(
                None if tensor is None else tensor.index_select(0, index)
                for tensor, index in zip(tensors, kept, strict=True)
            )
            for tensors in (rows.keys, rows.values)
        ),
    )


def forget_answer(rows: Rows, wanted: int, start: int) -> None:
    """Forget keys and values of a row's answer from token `start` on."""
    for own, keys, values in zip(rows.members, rows.keys, rows.values, strict=True):
        if wanted in own and keys is not None and values is not None:
            place = own.index(wanted)
            keys[place, :, rows.prompt + start :] = 0
            values[place, :, rows.prompt + start :] = 0


def _at_answers(
    tensor: torch.Tensor | None, dims: Dims, rows: torch.Tensor, stem: Stem
) -> torch.Tensor:
    """Return what goes into a slot at the positions of an answer, see `Rows.tensors`."""
    if tensor is None:
        tensor = causal_mask(stem.prompt + stem.ahead, stem.hidden)
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
    tensor = tensor.narrow(dims.lengths[0], stem.prompt, stem.ahead)
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


def _buffer(
    prompts: Sequence[int], tensors: Sequence[torch.Tensor | None], prompt: int, room: int
) -> torch.Tensor | None:
    """Return keys or values of all parts, their prompts ending at the same column."""
    known = [
        (length, tensor)
        for length, tensor in zip(prompts, tensors, strict=True)
        if tensor is not None
    ]
    if not known:
        return None
    first = known[0][1]
    count = sum(len(tensor) for _, tensor in known)
    buffer = first.new_zeros(count, first.shape[1], prompt + room, first.shape[3])
    start = 0
    for length, tensor in known:
        columns = slice(prompt - length, prompt - length + tensor.shape[2])
        buffer[start : start + len(tensor), :, columns] = tensor
        start += len(tensor)
    return buffer


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
