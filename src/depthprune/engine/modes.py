"""The four ways a model answers (`AnswerMode`): which rows to run, and what to make of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from depthprune.engine.chat import tokenizer_of
from depthprune.engine.generate import AnswerEnd, end_tokens, generate, only_text, rows_to_generate
from depthprune.engine.inputs import Inputs, Row, Side
from depthprune.engine.likelihood import choose, reading, rows_to_choose, rows_to_read, score
from depthprune.engine.requests import (
    ending_of,
    request_of,
    respond,
    responses,
    rows_to_respond,
)
from depthprune.tasks.task import Sample, TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel

Outcome = Any
"""What comes out of the model for one row; only `Mode.answer` looks into it."""


@dataclass(frozen=True)
class Mode:
    """How the samples of one task become rows of batches, and the rows' outcomes answers.

    Attributes:
        side: Where its rows are padded; left of rows that the model continues.
        rows: Returns the rows of all samples; raises TaskError for a sample that has none.
        run: Runs the model once over a batch of rows; returns the outcome of each.
        answer: Returns the answer to a sample (see `Scorer.score`) from the outcomes of its rows.
        new_tokens: How many tokens may follow a row, beside those that its prompt leaves room for.
        ending: Returns how the answer to a row ends; None where (some) rows are only read.
    """

    side: Side
    rows: Callable[[Sequence[Sample]], list[Row]]
    run: Callable[[Any, Inputs, Sequence[Row]], list[Outcome]]
    answer: Callable[[Sample, Sequence[tuple[Row, Outcome]]], str]
    new_tokens: int = 0
    ending: Callable[[Row], AnswerEnd] | None = None

    def ahead(self, row: Row) -> int:
        """How many tokens of its own answer the model may read after a row."""
        return 0 if self.ending is None else max(0, self.ending(row).longest - 1)


def mode_of(loaded: LoadedModel, split: TaskSplit, read_tokens: int | None) -> Mode:
    """Return the mode of a split's task; `read_tokens` is the most that is read of a text."""
    task = split.task
    model, processor, settings = loaded.model, loaded.processor, loaded.prompt
    if task.answer == "choose":
        rows = partial(rows_to_choose, processor, task, settings=settings)
        return Mode("right", rows, score, partial(choose, task))
    if task.answer == "read":
        return Mode(
            "right", partial(rows_to_read, processor, task, limit=read_tokens), score, reading
        )
    if task.answer == "respond":
        # Rows that are continued are padded anew, on the left; the room for what is written is
        # taken from the prompt.
        rows = partial(rows_to_respond, model, processor, limit=read_tokens)
        run = partial(respond, processor)
        kinds = {request.kind for sample in split.samples for request in sample.requests}
        if kinds != {"generate"}:
            return Mode("right", rows, run, responses)
        of_request = cache(partial(ending_of, model, tokenizer_of(processor)))

        def ending(row: Row) -> AnswerEnd:
            request = request_of(row)
            return of_request(request.until, request.max_new_tokens)

        return Mode("left", rows, run, responses, ending=ending)
    rows = partial(rows_to_generate, processor, task, settings=settings)
    longest = task.max_new_tokens
    own = AnswerEnd(tokenizer_of(processor), end_tokens(model, processor), longest)
    run = partial(generate, processor, longest)
    return Mode("left", rows, run, only_text, longest, lambda _: own)


class CollectedOutcomes:
    """The outcomes of rows, until every sample of every removal has its answer.

    Args:
        mode: makes answers of them.
        samples: the N samples of the call.
        rows: all their rows.
        count: R, how many removals there are.
    """

    def __init__(
        self,
        mode: Mode,
        samples: Sequence[Sample],
        rows: Sequence[Row],
        count: int,
    ) -> None:
        self._mode = mode
        self._samples = samples
        self._outcomes: list[list[list[tuple[Row, Outcome]]]] = [
            [[] for _ in samples] for _ in range(count)
        ]
        self._rows_of = Counter(row.index for row in rows)
        self.finished = 0
        """How many answers are complete."""

    def add(self, removal: int, row: Row, outcome: Outcome) -> None:
        """Take the outcome of a row for the removal at a position."""
        found = self._outcomes[removal][row.index]
        found.append((row, outcome))
        self.finished += len(found) == self._rows_of[row.index]

    def answers(self) -> list[tuple[str, ...]]:
        """Return R tuples of N answers."""
        return [
            tuple(map(self._mode.answer, self._samples, outcomes)) for outcomes in self._outcomes
        ]
