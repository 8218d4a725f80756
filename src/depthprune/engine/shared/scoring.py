"""Answers that are read off probabilities, for many removals: the last hidden states of one pass.

The arithmetic is that of `engine.likelihood` and `engine.requests`. They are given something that
looks like the model and only puts norm and head on hidden states that are known already.

Rows that begin alike are packed into one: the options of a question share its context. A packed row
is a context and, one after the other, what follows it in each of the rows. Every token keeps the
position it has in its own row, and sees the context and its own row alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from depthprune.base.removal import Removal
from depthprune.engine.inputs import Row, Tokens, on_device
from depthprune.engine.likelihood import rows_at_once
from depthprune.engine.modes import Mode, Outcome
from depthprune.engine.shared.block_calls import Dims
from depthprune.engine.shared.block_tracing import TracedBlocks
from depthprune.engine.shared.prefill import Heads, prefill
from depthprune.engine.shared.prefix_state import PrefixState, causal_mask
from depthprune.engine.shared.shared_model import SharedModel
from depthprune.engine.shared.trie_schedule import CachedStates, plan_schedule_from

if TYPE_CHECKING:
    import torch


LEAST_SAVED = 0.1
"""Rows are packed where that spares at least this share of all tokens."""


@dataclass(frozen=True)
class Packing:
    """How B rows become fewer.

    Attributes:
        members: for each packed row, the rows in it.
        shared: for each packed row, how many tokens its rows begin with alike.
        lengths: of the B rows.
    """

    members: tuple[tuple[int, ...], ...]
    shared: tuple[int, ...]
    lengths: tuple[int, ...]

    def tokens(self) -> list[list[tuple[int, int]]]:
        """Return for each packed row the (row, position) that its tokens come from."""
        return [
            [(own[0], place) for place in range(shared)]
            + [(row, place) for row in own for place in range(shared, self.lengths[row])]
            for own, shared in zip(self.members, self.shared, strict=True)
        ]


def plan_packing(rows: Sequence[Row], lengths: Sequence[int]) -> Packing | None:
    """Return how rows of the same sample can share what they begin with; None if little is spared.

    Args:
        rows: of a batch.
        lengths: theirs in tokens, pictures included.
    """
    members: list[list[int]] = []
    shared: list[int] = []
    for place, row in enumerate(rows):
        for number, own in enumerate(members):
            other = rows[own[0]]
            common = _common(row, other, lengths[place], lengths[own[0]])
            if other.index == row.index and common:
                own.append(place)
                shared[number] = min(shared[number], common)
                break
        else:
            members.append([place])
            shared.append(lengths[place])
    spared = sum((len(own) - 1) * common for own, common in zip(members, shared, strict=True))
    if spared < LEAST_SAVED * sum(lengths):
        return None
    return Packing(tuple(map(tuple, members)), tuple(shared), tuple(lengths))


def pack(packing: Packing, prefix: PrefixState, slots: Sequence[Dims]) -> PrefixState:
    """Return the prefix state of the packed rows; its slots are never alike for all rows.

    The prefix state's padding stands on the right.
    """
    import torch

    tokens = packing.tokens()
    longest = max(map(len, tokens))
    # Padding is a context's first token, which nothing sees.
    padded = [row + [row[0]] * (longest - len(row)) for row in tokens]
    device = prefix.device
    source = on_device(padded, device)
    rows, places = source[..., 0], source[..., 1]
    real = torch.arange(longest, device=device) < on_device(list(map(len, tokens)), device)[:, None]
    context = places < on_device(packing.shared, device)[:, None]
    # Who sees whom: the context, and the own row.
    seen = (context[:, None, :] | (rows[:, :, None] == rows[:, None, :])) & real[:, None, :]
    first_rows = rows[:, 0]
    tensors = [
        _packed_mask(tensor, dims, prefix, rows, places, seen)
        if dims.is_mask
        else _packed(tensor, dims, rows, places, first_rows)
        for tensor, dims in zip(prefix.tensors, slots, strict=True)
    ]
    return replace(
        prefix,
        hidden=prefix.hidden[rows, places],
        tensors=tuple(tensors),
        lengths=tuple(map(len, tokens)),
        common=min(prefix.common, *packing.shared),
    )


def first_packed(packing: Packing, firsts: Sequence[int]) -> int:
    """Return the first position of packed rows that matters, given that of each row."""
    places = _packed_places(packing)
    return min(places[row, first][1] for row, first in enumerate(firsts))


def unpack(
    packing: Packing, hidden: torch.Tensor, first: int, firsts: Sequence[int], start: int
) -> torch.Tensor:
    """Return what came out for the rows, (B, longest - start, size).

    Args:
        packing: how they were packed.
        hidden: what came out for the packed rows, from position `first` on.
        first: see above.
        firsts: for each row, the first position that matters; what stands before means nothing.
        start: the position that the result begins with.
    """
    places = _packed_places(packing)
    longest = max(packing.lengths)
    found = on_device(
        [
            [
                (packed, place - first)
                for position in range(start, longest)
                for packed, place in [
                    places[row, min(max(position, firsts[row]), packing.lengths[row] - 1)]
                ]
            ]
            for row in range(len(packing.lengths))
        ],
        hidden.device,
    )
    return hidden[found[..., 0], found[..., 1]]


def _packed_places(packing: Packing) -> dict[tuple[int, int], tuple[int, int]]:
    """Return for every (row, position) where it stands among the packed rows."""
    places = {}
    for packed, (own, shared) in enumerate(zip(packing.members, packing.shared, strict=True)):
        offset = 0
        for row in own:
            for place in range(packing.lengths[row]):
                places[row, place] = packed, place if place < shared else place + offset
            offset += packing.lengths[row] - shared
    return places


def _common(row: Row, other: Row, length: int, other_length: int) -> int:
    """Return how many tokens two rows begin with alike, pictures included."""
    pairs = zip(row.tokens, other.tokens, strict=False)
    alike = next(
        (place for place, (one, two) in enumerate(pairs) if one != two),
        min(len(row.tokens), len(other.tokens)),
    )
    # A picture is one token before it is encoded, and many afterwards: count from the end.
    common = length - len(row.tokens) + alike
    return common if common == other_length - len(other.tokens) + alike else 0


def _packed(
    tensor: torch.Tensor | None,
    dims: Dims,
    rows: torch.Tensor,
    places: torch.Tensor,
    first_rows: torch.Tensor,
) -> torch.Tensor | None:
    if tensor is None or dims.rows is None:
        return tensor
    if not dims.lengths:
        return tensor.index_select(dims.rows, first_rows)
    moved = tensor.movedim((dims.rows, dims.lengths[0]), (0, 1))
    found = moved[0][places] if dims.alike else moved[rows, places]
    return found.movedim((0, 1), (dims.rows, dims.lengths[0]))


def _packed_mask(
    tensor: torch.Tensor | None,
    dims: Dims,
    prefix: PrefixState,
    rows: torch.Tensor,
    places: torch.Tensor,
    seen: torch.Tensor,
) -> torch.Tensor:
    import torch

    mask = causal_mask(prefix.prompt, prefix.hidden) if tensor is None else tensor
    own = torch.zeros_like(rows) if len(mask) == 1 else rows
    # (packed rows, queries, keys, heads)
    found = mask.movedim(1, 3)[own[:, :, None], places[:, :, None], places[:, None, :]]
    hidden = False if mask.dtype is torch.bool else torch.finfo(mask.dtype).min
    return found.masked_fill(~seen[..., None], hidden).movedim(3, 1)


class ScoringRun:
    """Finds the likelihoods that samples ask for, for many removals.

    Args:
        shared: the model.
        removals: different ones.
        mode: what is asked for.
        done: called with a removal's position, a row, and its outcome.
    """

    waiting = 0
    """Nothing is ever left unfinished."""

    def __init__(
        self,
        shared: SharedModel,
        removals: tuple[Removal, ...],
        mode: Mode,
        done: Callable[[int, Row, Outcome], None],
    ) -> None:
        self._shared = shared
        self._removals = removals
        self._mode = mode
        self._done = done

    def drafts(self, rows: Sequence[Row]) -> list[Tokens]:
        """Return what to read after some rows: nothing."""
        return [()] * len(rows)

    def read(
        self, prefix: PrefixState, rows: Sequence[Row], kept: CachedStates | None, heads: Heads
    ) -> None:
        """Run some rows, and find their likelihoods."""
        firsts = [row.span(length)[0] for row, length in zip(rows, prefix.lengths, strict=True)]
        first = min(firsts)
        packing = plan_packing(rows, prefix.lengths)
        if packing is None:
            found = self._run(self._shared.traced, prefix, first, kept, heads)
        else:
            traced = self._shared.traced
            packed = pack(packing, prefix, traced.slots)
            own = tuple(replace(dims, alike=False) for dims in traced.slots)
            start = first_packed(packing, firsts)
            found = tuple(
                unpack(packing, hidden, start, firsts, first)
                for hidden in self._run(replace(traced, slots=own), packed, start, None, heads)
            )
        outcomes = [
            outcome
            for part in self._together(found)
            for outcome in self._outcomes(part, prefix, rows, first)
        ]
        places = [(removal, row) for removal in range(len(self._removals)) for row in rows]
        for (removal, row), outcome in zip(places, outcomes, strict=True):
            self._done(removal, row, outcome)

    def _run(
        self,
        traced: TracedBlocks,
        prefix: PrefixState,
        first: int,
        kept: CachedStates | None,
        heads: Heads,
    ) -> tuple[torch.Tensor, ...]:
        """Return for each removal the last block's output from `first` on."""
        schedule = plan_schedule_from(self._removals, len(traced.blocks), kept)
        real = sum(prefix.lengths)
        padding = len(prefix.lengths) * prefix.prompt - real
        traced.work.add(real_tokens=real, padding_tokens=padding)
        return prefill(traced, schedule, prefix, prefix.hidden, first, kept, heads).hidden

    def settle(self) -> None:
        """Nothing is left unfinished."""

    def _together(self, hidden: Sequence[torch.Tensor]) -> list[Sequence[torch.Tensor]]:
        """Return the hidden states of so many removals at once that their logits fit."""
        rows, length = hidden[0].shape[:2]
        step = rows_at_once(self._shared.traced.model, rows * length)
        return [hidden[start : start + step] for start in range(0, len(hidden), step)]

    def _outcomes(
        self, hidden: Sequence[torch.Tensor], prefix: PrefixState, rows: Sequence[Row], first: int
    ) -> list[Outcome]:
        import torch

        device = prefix.device
        count = len(hidden)
        positions = torch.arange(prefix.prompt, device=device)
        lengths = torch.tensor(prefix.lengths, device=device)
        inputs = {
            # For its shape alone: what was read is in the hidden states.
            "input_ids": torch.zeros(
                count * len(rows), prefix.prompt, dtype=torch.long, device=device
            ),
            "attention_mask": (positions < lengths[:, None]).long().repeat(count, 1),
            "rows": torch.arange(count * len(rows), device=device),
        }
        stand_in = StandIn(self._shared, torch.cat(list(hidden)), first)
        return self._mode.run(stand_in, inputs, [*rows] * count)


class StandIn:
    """Looks like a model to the arithmetic of likelihoods.

    Args:
        shared: the model.
        hidden: the last block's output of some rows, (rows, length, size).
        first: the position that its length counts from.
    """

    def __init__(self, shared: SharedModel, hidden: torch.Tensor, first: int) -> None:
        self.config = shared.traced.model.config
        self._shared = shared
        self._hidden = hidden
        self._first = first

    def forward(self, rows: torch.Tensor, logits_to_keep: torch.Tensor, **_: Any) -> Any:
        """Return an object with the `logits` of `rows` at some consecutive positions."""
        start = int(logits_to_keep[0]) - self._first
        part = self._hidden[:, start : start + len(logits_to_keep)]
        if len(rows) < len(part):
            part = part[rows]
        return SimpleNamespace(logits=self._shared.traced.logits(part, self._shared.filler))

    __call__ = forward
