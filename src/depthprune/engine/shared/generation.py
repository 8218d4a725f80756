"""Answers that are generated, for many removals: drafts checked in one pass, the rest decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depthprune.base.removal import Removal
from depthprune.engine.batching import run_in_batches
from depthprune.engine.generate import AnswerEnd
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
from depthprune.engine.shared.prefill import Heads, prefill
from depthprune.engine.shared.prefix_state import PrefixState
from depthprune.engine.shared.shared_model import SharedModel
from depthprune.engine.shared.trie_schedule import CachedStates, plan_schedule_from

if TYPE_CHECKING:
    import torch


MOST_ANSWERS = 32
"""Different answers that are known of a row, at most; of those given seldom the oldest go."""

LOOKED_UP = (8, 4, 2)
"""Where no known answer begins like one that is being written, what followed its last tokens before
is read, there or in a known answer: the more tokens are the same, the likelier it follows again."""


LONGEST_GUESS = 16
"""Tokens that are read where an answer repeats itself."""


class KnownAnswers:
    """The answers to each row of a split, and how often they were given.

    An answer is all that was generated: its end token too, where it has one. Tokens are kept as the
    characters of texts, which are small, and searched fast.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, tuple[int, ...]], dict[str, int]] = {}

    def add(self, row: Row, answer: Sequence[int]) -> None:
        """Note an answer to a row."""
        counts = self._counts.setdefault((row.sample.id, row.options), {})
        text = _text(answer)
        counts[text] = counts.get(text, 0) + 1
        if len(counts) > MOST_ANSWERS:
            del counts[min(list(counts)[:-1], key=counts.__getitem__)]

    def draft(self, row: Row, begun: Sequence[int] = ()) -> Tokens:
        """Return what to read after `begun`: the most frequent answer that begins so.

        If there is none, what followed the last tokens of `begun` before. The last token of an
        answer is left out, because nothing needs to be predicted from it.
        """
        start = _text(begun)
        counts = self._counts.get((row.sample.id, row.options), {})
        alike = [answer for answer in counts if answer.startswith(start)]
        if alike:
            best = max(alike, key=counts.__getitem__)
            return _tokens(best[len(start) : -1])
        often = sorted(counts, key=counts.__getitem__, reverse=True)
        for length in LOOKED_UP:
            last = start[-length:]
            if len(last) < length:
                continue
            place = start.rfind(last, 0, -1)
            if place >= 0:
                # What was repeated is taken to be repeated again.
                period = start[place + length :]
                return _tokens(period * (LONGEST_GUESS // len(period) + 1))
            found = [(answer.rfind(last), answer) for answer in often]
            for place, answer in found:
                if place >= 0:
                    return _tokens(answer[place + length : -1])
        return ()


def _text(tokens: Sequence[int]) -> str:
    return "".join(map(chr, tokens))


def _tokens(text: str) -> Tokens:
    return tuple(map(ord, text))


def accept(
    begun: Sequence[int],
    draft: Sequence[int],
    predicted: Sequence[int],
    ended: Callable[[Sequence[int]], bool],
) -> tuple[list[int], bool]:
    """Return the answer as far as it is certain now, and whether that is all of it.

    Args:
        begun: the tokens that were certain before.
        draft: what was read after them.
        predicted: the likeliest token after `begun`, and after each token of the draft.
        ended: whether an answer ends with its last token.
    """
    answer = list(begun)
    for place, token in enumerate(predicted[: len(draft) + 1]):
        answer.append(token)
        if ended(answer):
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
        ending: how the answer to a row ends.
        known: answers of the same samples, for drafts; new ones are added.
        done: called with a removal's position, a row, and its answer as text.
    """

    def __init__(
        self,
        shared: SharedModel,
        removals: tuple[Removal, ...],
        ending: Callable[[Row], AnswerEnd],
        known: KnownAnswers,
        done: Callable[[int, Row, str], None],
    ) -> None:
        assert shared.embed is not None
        self._shared = shared
        self._embed = shared.embed
        self._removals = removals
        self._ending = ending
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
        return [self._known.draft(row) for row in rows]

    def read(
        self, prefix: PrefixState, rows: Sequence[Row], kept: CachedStates | None, heads: Heads
    ) -> None:
        """Run the prompts of some rows, with a draft each; collect what is left unfinished."""
        drafts = self.drafts(rows) if kept is None else list(kept.drafts)
        found = [self._first_pass(range(len(self._removals)), prefix, rows, drafts, kept, heads)]
        if found[0].overflowed:
            nothing: list[Tokens] = [()] * len(rows)
            found.append(self._first_pass(found[0].overflowed, prefix, rows, nothing, None, heads))
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
        heads: Heads,
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
        prefilled = prefill(traced, schedule, prefix, hidden, prefix.prompt - 1, kept, heads)
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
                answer, ended = accept((), draft, tokens, self._ending(row).ended)
                if ended:
                    finished.append((number, row, answer))
                    work.add(drafts_accepted=int(bool(draft)))
                else:
                    unfinished.append((removal, place))
                    begun.append((number, row, answer))
        part = take_rows(traced, schedule, prefilled, unfinished, kept) if unfinished else None
        work.add(drafts_offered=sum(map(bool, drafts)) * (len(numbers) - len(overflowed)))
        return _FirstPass(part, begun, finished, overflowed)

    def settle(self) -> None:
        """Decode all rows that were left unfinished."""
        parts, begun = self._parts, self._begun
        if not begun:
            return
        self._parts, self._begun = [], []

        def run(start: int, stop: int) -> None:
            own = begun[start:stop]
            ahead = max(self._ending(row).longest for _, row, _ in own) - 1
            self._decode(self._join(parts, start, stop, ahead), own)

        run_in_batches(len(begun), len(begun), run)

    def _join(
        self, parts: Sequence[UnfinishedRows], start: int, stop: int, ahead: int
    ) -> UnfinishedRows:
        slots = self._shared.traced.slots
        chosen, first = [], 0
        for part in parts:
            places = range(max(start - first, 0), min(stop - first, len(part)))
            if len(places) == len(part):
                chosen.append(part)
            elif len(places):
                chosen.append(select_rows(part, places, slots))
            first += len(part)
        return join_rows(chosen, slots, ahead)

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
                draft = self._known.draft(row, answer)
                if (removal, row.index) in self._overflowing:
                    draft = ()
                # The last token of an answer is never read.
                room = self._ending(row).longest - 1 - len(answer)
                tokens[place] = [answer[-1], *draft[: min(width, room)]]
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
                ended = self._ending(row).ended
                found = _as_likely(predicted[place])
                longer, finished = accept(answer, tokens[place][1:], found, ended)
                if finished:
                    self._finish(removal, row, longer)
                else:
                    left.append((place, removal, row, longer))
            waiting = left

    def _finish(self, removal: int, row: Row, answer: Sequence[int]) -> None:
        self._known.add(row, answer)
        self._done(removal, row, self._ending(row).text(answer))

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
