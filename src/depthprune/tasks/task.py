"""What a task is: samples, prompt, metric, answer length, task type and splits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, runtime_checkable

from annotated_types import Ge

from depthprune.base.errors import TaskError
from depthprune.base.language import counted

if TYPE_CHECKING:
    from PIL.Image import Image


TaskType = Literal[
    "VQA",
    "Captioning",
    "Multiple Choice",
    "Document QA",
    "Scene Text QA",
    "Exact Match",
    "Language Modeling",
]

AnswerMode = Literal["generate", "choose", "read", "respond"]
"""How a model answers: it generates text; it chooses the likeliest of `choices`; it reads a given
text and is scored on the probability of its tokens; or it responds to the sample's `requests`."""

PICTURE_TASKS: tuple[TaskType, ...] = ("VQA", "Captioning", "Document QA", "Scene Text QA")
"""The types of tasks that are about pictures."""

RequestKind = Literal["loglikelihood", "rolling", "generate"]
"""What is asked of a model: how likely a continuation of a context is; how likely a whole text is,
however long; or what it writes after a context."""


@dataclass(frozen=True)
class Request:
    """One thing that is asked of a model about a sample, without chat template.

    Attributes:
        kind: see `RequestKind`.
        context: what the model reads first; may be empty.
        continuation: the text whose likelihood is asked for (not for `generate`).
        until: texts that end what is generated; they are no part of it.
        max_new_tokens: the longest text that is generated.
    """

    kind: RequestKind
    context: str
    continuation: str = ""
    until: tuple[str, ...] = ()
    max_new_tokens: int = 0


class ImageSource(Protocol):
    """An image that is opened when it is needed.

    It may also have a method `digest()` that returns a text which identifies the picture; without
    it the pixels are hashed.
    """

    def open(self) -> Image:
        """Return the picture in RGB; raises TaskError that names the file when unreadable."""
        ...


@dataclass(frozen=True)
class Sample:
    """One question (or text) with what is needed to score an answer to it.

    Attributes:
        id: unique within the task, stable over runs and machines, e.g. `validation/17`.
        question: the question alone; the task's prompt template puts it into words.
        images: pictures that belong to the question, in order (empty for text tasks).
        references: the accepted answers; annotator answers in order for VQA; captions; for a
            text that is read, the text itself as the only entry.
        choices: the options of a multiple choice question, in order A, B, C, ...
        requests: what is asked of the model, in place of the prompt (mode `respond`).
    """

    id: str
    question: str
    images: tuple[ImageSource, ...] = ()
    references: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    requests: tuple[Request, ...] = ()


class CutAnswer(str):
    """A generated answer that did not end: it reached the limit of its length."""


class ChosenOption(str):
    """The letter of the option that is the likeliest, with the loss of every option.

    Attributes:
        losses: in the order of the options, in nats per byte.
    """

    losses: tuple[float, ...]

    def __new__(cls, letter: str, losses: Sequence[float] = ()) -> ChosenOption:
        self = super().__new__(cls, letter)
        self.losses = tuple(losses)
        return self


class Scorer(Protocol):
    """Scores answers to the samples of one split (it may know statistics of the whole split)."""

    name: str
    """The metric with what it depends on, e.g. `cider_d (nltk Treebank tokens)`."""

    def score(self, sample: Sample, answer: str) -> float:
        """Return the score of `answer`, usually 0..1 (caption metrics may exceed 1).

        `answer` is the generated text (mode `generate`), the letter of the chosen option (mode
        `choose`), the JSON text `{"nll": float, "tokens": int, "correct": int}` (mode `read`), or
        a JSON list with the response to each request (mode `respond`, see `parse_responses`).
        """
        ...

    def score_many(self, samples: Sequence[Sample], answers: Sequence[str]) -> list[float]:
        """Return `score` of each pair; a metric that is quicker with many at once overrides it."""
        return [self.score(sample, answer) for sample, answer in zip(samples, answers, strict=True)]


@dataclass(frozen=True)
class TaskSplit:
    """The seeded sample of one split (or combined splits) of a task, ready to be evaluated.

    Attributes:
        task: the definition it was loaded from.
        split: e.g. `validation` or `train+validation`.
        samples: in a fixed order.
        scorer: scores any of these samples.
        fingerprint: identifies data, sample ids, prompt and metric; equal fingerprints mean that
            scores may be compared sample by sample.
        metric_version: of the metric's rule; None where a source scores by rules of its own.
        pictures: digests of each sample's pictures.
    """

    task: Task
    split: str
    samples: tuple[Sample, ...]
    scorer: Scorer
    fingerprint: str
    metric_version: int | None = None
    pictures: tuple[tuple[str, ...], ...] = ()


class Source(Protocol):
    """Where the samples of a task come from."""

    def splits(self) -> tuple[str, ...]:
        """Return the names of the splits that are there."""
        ...

    def samples(self, split: str) -> SampleSequence:
        """Return the samples of one split; raises TaskError where data are missing or broken."""
        ...

    def describe(self) -> str:
        """Return a line that tells a user where the data lie."""
        ...


@runtime_checkable
class ScoringSource(Source, Protocol):
    """A source that scores answers by rules of its own, in place of the task's metric."""

    def scorer(self, samples: Sequence[Sample]) -> Scorer:
        """Return the scorer of these samples.

        It may have an attribute `identity`: a text about whatever else can change its scores.
        """
        ...


class SampleSequence(Protocol):
    """A sequence of samples whose entries are made when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True)
class Task:
    """A dataset plus its prompt, metric, answer length and task type.

    Attributes:
        name: with underscores, e.g. `coco_2014_vqa`; result folders use hyphens.
        task_type: groups tasks in the findings.
        source: where the samples come from.
        prompt: template with `{question}` and, for multiple choice, `{choices}`.
        metric: a name known to `depthprune.tasks.metrics`.
        metric_options: passed to the metric.
        answer: how the model answers, see `AnswerMode`.
        max_new_tokens: the longest answer that is generated.
        choice_format: how one option is written into `{choices}`, with `{letter}` and `{text}`.
        choice_separator: between two options.
        train_split: the data's name for the split that plays `train`.
        validation_split: the data's name for the split that plays `validation` (`test` for
            tally_qa).
        enabled: whether `--task all` includes it.
        note: what a user should know about it, e.g. why it is off.
        open_prompt: the template for samples without options among multiple choice; empty means
            `prompt`.
    """

    name: str
    task_type: TaskType
    source: Source
    prompt: str = "{question}"
    metric: str = "exact_match"
    metric_options: Mapping[str, Any] = field(default_factory=dict)
    answer: AnswerMode = "generate"
    max_new_tokens: Annotated[int, Ge(1)] = 16
    choice_format: str = "{letter}. {text}"
    choice_separator: str = "\n"
    train_split: str = "train"
    validation_split: str = "validation"
    enabled: bool = True
    note: str = ""
    open_prompt: str = ""

    @property
    def folder(self) -> str:
        """The name of this task's result folder: hyphens instead of underscores."""
        return self.name.replace("_", "-")


_IMAGE = re.compile(r"<image[ _]?(\d{1,3})>")


def render_prompt(task: Task, sample: Sample) -> str:
    """Return the text of the question as the model reads it, without chat template or images.

    Raises:
        TaskError: the template holds a field other than `{question}` and `{choices}`, or the
            sample has more options than there are letters.
    """
    if len(sample.choices) > len(ascii_uppercase):
        raise TaskError(
            f"a question with {counted(len(sample.choices), 'option')} cannot be lettered",
            where=sample.id,
        )
    options = [
        _fill(task, task.choice_format, letter=letter, text=text)
        for letter, text in zip(ascii_uppercase, sample.choices, strict=False)
    ]
    choices = task.choice_separator.join(options)
    template = task.prompt if sample.choices or not task.open_prompt else task.open_prompt
    # An open question among multiple choice leaves no blank end behind.
    return _fill(task, template, question=sample.question, choices=choices).rstrip()


def messages(task: Task, sample: Sample, system_prompt: str = "") -> list[dict[str, Any]]:
    """Return the sample as one user message for a chat template: its images, then the text.

    Where the text says `<image 1>`, `<image 2>`, ... in this order (MMMU), each image stands in
    that place. The entries `{"type": "image"}` stand for the sample's images in order; the caller
    hands the pictures themselves to the processor. A system prompt is a message in front.
    """
    text = render_prompt(task, sample)
    pieces = _around_images(text, len(sample.images))
    content: list[dict[str, Any]] = [{"type": "image"} for _ in sample.images[len(pieces) - 1 :]]
    for number, piece in enumerate(pieces):
        content += [{"type": "image"}] if number else []
        content += [_words(piece)] if piece.strip() or len(pieces) == 1 else []
    turns = [{"role": "system", "content": [_words(system_prompt)]}] if system_prompt else []
    return [*turns, {"role": "user", "content": content}]


def _words(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _around_images(text: str, images: int) -> list[str]:
    """Split a text where it names its images; whole unless it names all of them once, in order."""
    found = list(_IMAGE.finditer(text))
    if [int(match[1]) for match in found] != list(range(1, images + 1)):
        return [text]
    ends = [0, *(match.end() for match in found)]
    starts = [*(match.start() for match in found), len(text)]
    return [text[end:start] for end, start in zip(ends, starts, strict=True)]


def _fill(task: Task, template: str, **values: str) -> str:
    try:
        return template.format(**values)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        known = " and ".join(f"{{{name}}}" for name in values)
        raise TaskError(
            f"the template {template!r} cannot be filled: {error}",
            where=f"task {task.name}",
            mend=f"use only {known}; write other braces twice",
        ) from error
