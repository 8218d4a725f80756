"""The four ways a model answers (`AnswerMode`): which rows to run, and what to make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from depthprune.base.prompting import PromptSettings
from depthprune.engine import generate, likelihood, requests
from depthprune.engine.inputs import Inputs, Row, Side
from depthprune.tasks.task import Sample, Task

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel

Outcome = Any
"""What a mode gets from the model for one row; only the mode itself looks into it."""


class Mode(Protocol):
    """How the samples of one task become rows of batches, and the rows' outcomes answers."""

    side: ClassVar[Side]
    """Where its rows are padded."""

    @property
    def new_tokens(self) -> int:
        """How many tokens may follow a row."""
        ...

    def rows(self, samples: Sequence[Sample]) -> list[Row]:
        """Return the rows of all samples; raises TaskError for a sample that has none."""
        ...

    def run(self, inputs: Inputs, rows: Sequence[Row]) -> list[Outcome]:
        """Run the model once over a batch of rows and return the outcome of each."""
        ...

    def answer(self, sample: Sample, outcomes: Sequence[tuple[Row, Outcome]]) -> str:
        """Return the answer to `sample` (see `Scorer.score`) from the outcomes of all its rows."""
        ...


def mode_of(loaded: LoadedModel, task: Task, read_tokens: int | None) -> Mode:
    """Return the mode of a task; `read_tokens` is the most that is read of a text."""
    model, processor = loaded.model, loaded.processor
    if task.answer == "choose":
        return Choose(model, processor, task, loaded.prompt)
    if task.answer == "read":
        return Read(model, processor, task, read_tokens)
    if task.answer == "respond":
        return Respond(model, processor, read_tokens)
    return Generate(model, processor, task, loaded.prompt)


@dataclass(frozen=True)
class Generate:
    """The model writes its answer."""

    side: ClassVar[Side] = "left"
    model: Any
    processor: Any
    task: Task
    prompt: PromptSettings

    @property
    def new_tokens(self) -> int:
        return self.task.max_new_tokens

    def rows(self, samples: Sequence[Sample]) -> list[Row]:
        return generate.rows_to_generate(self.processor, self.task, samples, self.prompt)

    def run(self, inputs: Inputs, rows: Sequence[Row]) -> list[Outcome]:
        return generate.generate(self.model, self.processor, inputs, self.new_tokens)

    def answer(self, sample: Sample, outcomes: Sequence[tuple[Row, Outcome]]) -> str:
        answer: str
        ((_, answer),) = outcomes
        return answer


@dataclass(frozen=True)
class Choose:
    """The model finds one of the options likeliest."""

    side: ClassVar[Side] = "right"
    new_tokens: ClassVar[int] = 0
    model: Any
    processor: Any
    task: Task
    prompt: PromptSettings

    def rows(self, samples: Sequence[Sample]) -> list[Row]:
        return likelihood.rows_to_choose(self.processor, self.task, samples, self.prompt)

    def run(self, inputs: Inputs, rows: Sequence[Row]) -> list[Outcome]:
        return likelihood.foretell(self.model, inputs, rows)

    def answer(self, sample: Sample, outcomes: Sequence[tuple[Row, Outcome]]) -> str:
        found = [
            option
            for row, likelihoods in outcomes
            for option in zip(row.options, likelihoods, strict=True)
        ]
        return likelihood.choose(self.task, sample, found)


@dataclass(frozen=True)
class Read:
    """The model reads a text and foretells each of its tokens."""

    side: ClassVar[Side] = "right"
    new_tokens: ClassVar[int] = 0
    model: Any
    processor: Any
    task: Task
    limit: int | None

    def rows(self, samples: Sequence[Sample]) -> list[Row]:
        return likelihood.rows_to_read(self.processor, self.task, samples, self.limit)

    def run(self, inputs: Inputs, rows: Sequence[Row]) -> list[Outcome]:
        return likelihood.foretell_texts(self.model, inputs, rows)

    def answer(self, sample: Sample, outcomes: Sequence[tuple[Row, Outcome]]) -> str:
        ((_, (found,)),) = outcomes
        return likelihood.reading(found)


@dataclass(frozen=True)
class Respond:
    """The model responds to the requests of a sample."""

    # Rows that are continued are padded anew, on the left.
    side: ClassVar[Side] = "right"
    # The room for what is written is taken from the prompt.
    new_tokens: ClassVar[int] = 0
    model: Any
    processor: Any
    limit: int | None

    def rows(self, samples: Sequence[Sample]) -> list[Row]:
        return requests.rows_to_respond(self.model, self.processor, samples, self.limit)

    def run(self, inputs: Inputs, rows: Sequence[Row]) -> list[Outcome]:
        return requests.respond(self.model, self.processor, inputs, rows)

    def answer(self, sample: Sample, outcomes: Sequence[tuple[Row, Outcome]]) -> str:
        return requests.responses(sample, outcomes)
