"""Answers that are read off probabilities, for many removals: the last hidden states of one pass.

The arithmetic is that of `evaluate.likelihood` and `evaluate.requests`. They are given something
that looks like the model and only puts norm and head on hidden states that are known already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from depthprune.base.removal import Removal
from depthprune.engine import likelihood
from depthprune.engine.inputs import Row
from depthprune.engine.modes import Choose, Outcome, Read, Respond
from depthprune.engine.shared.drafts import Tokens
from depthprune.engine.shared.kept import KeptStates, plan_walk_from
from depthprune.engine.shared.packing import first_packed, pack, plan_packing, unpack
from depthprune.engine.shared.prefill import prefill
from depthprune.engine.shared.shared_model import SharedModel
from depthprune.engine.shared.stem import Stem
from depthprune.engine.shared.wiring import Wiring

if TYPE_CHECKING:
    import torch

ReadingMode = Choose | Read | Respond


class Reading:
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
        mode: ReadingMode,
        done: Callable[[int, Row, Outcome], None],
    ) -> None:
        self._shared = shared
        self._removals = removals
        self._mode = mode
        self._done = done

    def drafts(self, rows: Sequence[Row]) -> list[Tokens]:
        """Return what to read after some rows: nothing."""
        return [()] * len(rows)

    def read(self, stem: Stem, rows: Sequence[Row], kept: KeptStates | None) -> None:
        """Run some rows, and find their likelihoods."""
        firsts = [
            first_of_interest(row, length) for row, length in zip(rows, stem.lengths, strict=True)
        ]
        first = min(firsts)
        packing = plan_packing(rows, stem.lengths)
        if packing is None:
            found = self._run(self._shared.wiring, stem, first, kept)
        else:
            wiring = self._shared.wiring
            packed = pack(packing, stem, wiring.slots)
            own = tuple(replace(dims, alike=False) for dims in wiring.slots)
            start = first_packed(packing, firsts)
            found = tuple(
                unpack(packing, hidden, start, firsts, first)
                for hidden in self._run(replace(wiring, slots=own), packed, start, None)
            )
        outcomes = [
            outcome
            for part in self._together(found)
            for outcome in self._outcomes(part, stem, rows, first)
        ]
        places = [(removal, row) for removal in range(len(self._removals)) for row in rows]
        for (removal, row), outcome in zip(places, outcomes, strict=True):
            self._done(removal, row, outcome)

    def _run(
        self, wiring: Wiring, stem: Stem, first: int, kept: KeptStates | None
    ) -> tuple[torch.Tensor, ...]:
        """Return for each removal the last block's output from `first` on."""
        walk = plan_walk_from(self._removals, len(wiring.blocks), kept)
        real = sum(stem.lengths)
        padding = len(stem.lengths) * stem.prompt - real
        wiring.work.add(real_tokens=real, padding_tokens=padding)
        return prefill(wiring, walk, stem, stem.hidden, first, kept).hidden

    def settle(self) -> None:
        """Nothing is left unfinished."""

    def _together(self, hidden: Sequence[torch.Tensor]) -> list[Sequence[torch.Tensor]]:
        """Return the hidden states of so many removals at once that their logits fit."""
        model = self._shared.wiring.model
        vocabulary = model.config.get_text_config(decoder=True).vocab_size
        rows, length = hidden[0].shape[:2]
        step = max(1, likelihood.LOGITS_BYTES // (4 * rows * length * vocabulary))
        return [hidden[start : start + step] for start in range(0, len(hidden), step)]

    def _outcomes(
        self, hidden: Sequence[torch.Tensor], stem: Stem, rows: Sequence[Row], first: int
    ) -> list[Outcome]:
        import torch

        device = stem.device
        count = len(hidden)
        positions = torch.arange(stem.prompt, device=device)
        lengths = torch.tensor(stem.lengths, device=device)
        inputs = {
            # For its shape alone: what was read is in the hidden states.
            "input_ids": torch.zeros(
                count * len(rows), stem.prompt, dtype=torch.long, device=device
            ),
            "attention_mask": (positions < lengths[:, None]).long().repeat(count, 1),
            "rows": torch.arange(count * len(rows), device=device),
        }
        stand_in = StandIn(self._shared, torch.cat(list(hidden)), first)
        mode = replace(self._mode, model=stand_in)
        return mode.run(inputs, [*rows] * count)


class StandIn:
    """Looks like a model to the arithmetic of likelihoods.

    Args:
        shared: the model.
        hidden: the last block's output of some rows, (rows, length, size).
        first: the position that its length counts from.
    """

    def __init__(self, shared: SharedModel, hidden: torch.Tensor, first: int) -> None:
        self.config = shared.wiring.model.config
        self._shared = shared
        self._hidden = hidden
        self._first = first

    def forward(self, rows: torch.Tensor, logits_to_keep: torch.Tensor, **_: Any) -> Any:
        """Return an object with the `logits` of `rows` at some consecutive positions."""
        start = int(logits_to_keep[0]) - self._first
        part = self._hidden[:, start : start + len(logits_to_keep)]
        if len(rows) < len(part):
            part = part[rows]
        return Logits(self._shared.wiring.logits(part, self._shared.filler))

    __call__ = forward


class Logits:
    """What a model returns, as far as it matters."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


def first_of_interest(row: Row, length: int) -> int:
    """Return the first position of a row of some length whose logits are asked for."""
    if row.targets:
        return length - max(map(len, row.targets))
    return length - len(row.continuations[0]) - 1


def can_read(rows: Sequence[Row]) -> bool:
    """Return whether all rows ask for likelihoods, and none for a text."""
    return all(row.targets or row.continuations for row in rows)
