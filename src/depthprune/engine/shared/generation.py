"""Answers that are generated, for many removals: drafts checked in one pass, the rest decoded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depthprune.base.removal import Removal
from depthprune.engine.batching import run_in_batches
from depthprune.engine.generate import decode
from depthprune.engine.inputs import Row, Tokens, on_device
from depthprune.engine.likelihood import rows_at_once
from depthprune.engine.shared.decode import (
    UnfinishedRows,
    advance,
    forget_answer,
    join_rows,
    select_rows,
    take_rows,
)
from depthprune.engine.shared.prefill import prefill
from depthprune.engine.shared.prefix_state import PrefixState
from depthprune.engine.shared.shared_model import SharedModel
from depthprune.engine.shared.trie_schedule import CachedStates, plan_schedule_from

if TYPE_CHECKING:
    import torch


class KnownAnswers:
    """The answers to each sample of a split, and how often they were given.

    An answer is all that was generated: its end token too, where it has one.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, Tokens], int] = {}
        # For each sample and each beginning of its answers, the most frequent of them.
        self._best: dict[tuple[str, Tokens], Tokens] = {}

    def add(self, sample: str, answer: Sequence[int]) -> None:
        """Note an answer to a sample."""
        tokens = tuple(answer)
        count = self._counts.get((sample, tokens), 0) + 1
        self._counts[sample, tokens] = count
        for end in range(len(tokens)):
            start = sample, tokens[:end]
            best = self._best.get(start)
            if best is None or count > self._counts[sample, best]:
                self._best[start] = tokens

    def draft(self, sample: str, begun: Sequence[int] = ()) -> Tokens:
        """Return what to read after `begun`: the most frequent answer that begins so.

        Its last token is left out, because nothing needs to be predicted from it.
        """
        best = self._best.get((sample, tuple(begun)), ())
        return best[len(begun) : -1]


def accept(
    begun: Sequence[int],
    draft: Sequence[int],
    predicted: Sequence[int],
    ends: Collection[int],
    longest: int,
) -> tuple[list[int], bool]:
    """Return the answer as far as it is certain now, and whether that is all of it.

    Args:
        begun: the tokens that were certain before.
        draft: what was read after them.
        predicted: the likeliest token after `begun`, and after each token of the draft.
        ends: tokens that end an answer.
        longest: how many tokens an answer has at most.
    """
    answer = list(begun)
    for place, token in enumerate(predicted[: len(draft) + 1]):
        answer.append(token)
        if token in ends or len(answer) == longest:
            return answer, True
        if place == len(draft) or draft[place] != token:
            break
    return answer, False


KEPT_SHARE = 0.8
"""Rows that are finished are thrown out when no more than this share goes on: it costs a copy."""


ROUND_TOKENS = {"cpu": 512, "cuda": 4096}
"""Tokens that a round reads about: more rows mean shorter drafts. Rejected ones cost nothing but
arithmetic, which a processor is soon short of, and a GPU only much later."""


class GenerationRun:
    """Finds the answers to samples for many removals.

    Args:
        shared: the model.
        removals: different ones.
        longest: how many tokens an answer has at most.
        known: answers of the same samples, for drafts; new ones are added.
        done: called with a removal's position, a row, and its answer as text.
    """

    def __init__(
        self,
        shared: SharedModel,
        removals: tuple[Removal, ...],
        longest: int,
        known: KnownAnswers,
        done: Callable[[int, Row, str], None],
    ) -> None:
        assert shared.embed is not None
        self._shared = shared
        self._embed = shared.embed
        self._removals = removals
        self._longest = longest
        self._known = known
        self._done = done
        self._parts: list[UnfinishedRows] = []
        self._begun: list[tuple[int, Row, list[int]]] = []
        # (removal, row index) of answers in which something overflows whatever is read.
        self._overflowing: set[tuple[int, int]] = set()

    @property
    def waiting(self) -> int:
        """How many answers wait to be decoded."""
        return len(self._begun)

    def drafts(self, rows: Sequence[Row]) -> list[Tokens]:
        """Return what to read after the prompts of some rows."""
        return [self._known.draft(row.sample.id) for row in rows]

    def read(self, prefix: PrefixState, rows: Sequence[Row], kept: CachedStates | None) -> None:
        """Run the prompts of some rows, with a draft each; collect what is left unfinished."""
        drafts = self.drafts(rows) if kept is None else list(kept.drafts)
        found = [self._first_pass(range(len(self._removals)), prefix, rows, drafts, kept)]
        if found[0].overflowed:
            nothing: list[Tokens] = [()] * len(rows)
            found.append(self._first_pass(found[0].overflowed, prefix, rows, nothing, None))
        # Nothing is noted before all is there: what runs out of memory is run again.
        for each in found:
            if each.part is not None:
                self._parts.append(each.part)
                self._begun += each.begun
            answers = len(each.begun) + len(each.finished)
            self._shared.traced.work.add(answers=answers, decoded=len(each.begun))
            for answered in each.finished:
                self._finish(*answered)

    def _first_pass(
        self,
        numbers: Sequence[int],
        prefix: PrefixState,
        rows: Sequence[Row],
        drafts: Sequence[Tokens],
        kept: CachedStates | None,
    ) -> _FirstPass:
        """Run the prompts and drafts of some rows for the removals at some positions."""
        import torch

        shared, traced, work = self._shared, self._shared.traced, self._shared.traced.work
        hidden = prefix.hidden
        width = max(map(len, drafts)) if kept is None else kept.length - prefix.prompt
        if width:
            device = hidden.device
            padded = [[*draft, *[shared.filler] * (width - len(draft))] for draft in drafts]
            ids = on_device(padded, device)
            start = on_device(prefix.lengths, device)[:, None]
            positions = start + torch.arange(width, device=device)
            hidden = torch.cat([hidden, self._embed(ids, positions)], dim=1)
        removals = tuple(self._removals[number] for number in numbers)
        schedule = plan_schedule_from(removals, len(traced.blocks), kept)
        prefilled = prefill(traced, schedule, prefix, hidden, prefix.prompt - 1, kept)
        predicted = self._likeliest(torch.cat(prefilled.hidden))
        real = sum(prefix.lengths) + sum(map(len, drafts))
        work.add(real_tokens=real, padding_tokens=hidden.shape[0] * hidden.shape[1] - real)
        overflowed = [
            number
            for place, number in enumerate(numbers)
            if any(
                draft and _overflows(tokens)
                for draft, tokens in zip(drafts, predicted[place * len(rows) :], strict=False)
            )
        ]
        unfinished, begun, finished = [], [], []
        for removal, number in enumerate(numbers):
            if number in overflowed:
                continue
            for place, (row, draft) in enumerate(zip(rows, drafts, strict=True)):
                tokens = _as_likely(predicted[removal * len(rows) + place])
                answer, ended = accept((), draft, tokens, shared.ends, self._longest)
                if ended:
                    finished.append((number, row, answer))
                    work.add(drafts_accepted=int(bool(draft)))
                else:
                    unfinished.append((removal, place))
                    begun.append((number, row, answer))
        part = (
            take_rows(traced, schedule, prefix, prefilled, unfinished, kept) if unfinished else None
        )
        work.add(drafts_offered=sum(map(bool, drafts)) * (len(numbers) - len(overflowed)))
        return _FirstPass(part, begun, finished, overflowed)

    def settle(self) -> None:
        """Decode all rows that were left unfinished."""
        parts, begun = self._parts, self._begun
        if not begun:
            return
        self._parts, self._begun = [], []

        def run(start: int, stop: int) -> None:
            self._decode(self._join(parts, start, stop), begun[start:stop])

        run_in_batches(len(begun), len(begun), run)

    def _join(self, parts: Sequence[UnfinishedRows], start: int, stop: int) -> UnfinishedRows:
        slots = self._shared.traced.slots
        chosen, first = [], 0
        for part in parts:
            places = range(max(start - first, 0), min(stop - first, len(part)))
            if len(places) == len(part):
                chosen.append(part)
            elif len(places):
                chosen.append(select_rows(part, places, slots))
            first += len(part)
        return join_rows(chosen, slots, self._longest - 1)

    def _decode(self, rows: UnfinishedRows, begun: Sequence[tuple[int, Row, list[int]]]) -> None:
        shared, traced = self._shared, self._shared.traced
        waiting = [(place, *one) for place, one in enumerate(begun)]
        while waiting:
            if len(waiting) <= KEPT_SHARE * len(rows):
                rows = select_rows(rows, [place for place, *_ in waiting], traced.slots)
                waiting = [(place, *one[1:]) for place, one in enumerate(waiting)]
            # Rows that are finished but still there read any token, at their first position.
            tokens: list[list[int]] = [[shared.filler]] * len(rows)
            starts = [0] * len(rows)
            width = max(0, ROUND_TOKENS.get(rows.device.type, 1024) // len(waiting) - 1)
            for place, removal, row, answer in waiting:
                draft = self._known.draft(row.sample.id, answer)
                if (removal, row.index) in self._overflowing:
                    draft = ()
                tokens[place] = [answer[-1], *draft[:width]]
                starts[place] = len(answer) - 1
            predicted = self._likeliest(advance(traced, rows, self._embed, tokens, starts))
            overflowed = [
                (place, (removal, row.index))
                for place, removal, row, _ in waiting
                if len(tokens[place]) > 1 and _overflows(predicted[place])
            ]
            if overflowed:
                self._overflowing.update(answered for _, answered in overflowed)
                for place, _ in overflowed:
                    forget_answer(rows, place, starts[place])
                    tokens[place] = tokens[place][:1]
                predicted = self._likeliest(advance(traced, rows, self._embed, tokens, starts))
            left = []
            for place, removal, row, answer in waiting:
                longer, finished = accept(
                    answer,
                    tokens[place][1:],
                    _as_likely(predicted[place]),
                    shared.ends,
                    self._longest,
                )
                if finished:
                    self._finish(removal, row, longer)
                else:
                    left.append((place, removal, row, longer))
            waiting = left

    def _finish(self, removal: int, row: Row, answer: Sequence[int]) -> None:
        self._known.add(row.sample.id, answer)
        self._done(removal, row, decode(self._shared.tokenizer, answer, self._shared.ends))

    def _likeliest(self, hidden: torch.Tensor) -> list[list[int]]:
        """Return the likeliest next token at every position; so many rows at once as fit.

        Where the hidden state overflowed it is negative, see `_as_likely`.
        """
        import torch

        shared = self._shared
        step = rows_at_once(shared.traced.model, hidden.shape[1])
        found = torch.cat(
            [
                shared.traced.logits(part, shared.filler).float().argmax(dim=-1)
                for part in torch.split(hidden, step)
            ]
        )
        # In one transfer: a GPU is waited for once.
        tokens: list[list[int]] = torch.where(
            hidden.isfinite().all(dim=-1), found, -1 - found
        ).tolist()
        return tokens


@dataclass(frozen=True)
class _FirstPass:
    """What came out of a first pass.

    Attributes:
        part: what decoding needs of the rows that are not finished; None when all are.
        begun: these rows: the removal's position, the row, and the answer as far as it is known.
        finished: the others.
        overflowed: positions of the removals under which a row overflowed that had read a draft.
            An overflow changes the whole row, even where it does not show (zero times infinity is
            no zero), so that without the draft the answer may be another.
    """

    part: UnfinishedRows | None
    begun: list[tuple[int, Row, list[int]]]
    finished: list[tuple[int, Row, list[int]]]
    overflowed: list[int]


def _overflows(predicted: Sequence[int]) -> bool:
    return any(token < 0 for token in predicted)


def _as_likely(predicted: Sequence[int]) -> list[int]:
    """Return the tokens that were found the likeliest, also where numbers overflowed."""
    return [token if token >= 0 else -1 - token for token in predicted]
