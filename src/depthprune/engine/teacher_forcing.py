"""Rows of a prompt and its right answer: what a model reads when it is told how to answer.

Teacher forcing: the answer's tokens are predicted from the prompt and from each other, in one pass.
Rows are padded on the right, as for likelihoods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import TaskError
from depthprune.base.language import counted
from depthprune.base.prompting import USUAL_PROMPTS, PromptSettings
from depthprune.engine.chat import tokenizer_of
from depthprune.engine.inputs import Inputs, Row, prompt_of
from depthprune.engine.likelihood import (
    LETTERS,
    options_of,
    predictions,
    rows_of_texts,
    rows_to_read,
)
from depthprune.engine.requests import encode_pair
from depthprune.tasks.task import Request, Sample, Task

if TYPE_CHECKING:
    import torch


def rows_with_reference(
    processor: Any,
    task: Task,
    samples: Sequence[Sample],
    limit: int | None,
    settings: PromptSettings = USUAL_PROMPTS,
) -> list[Row]:
    """Return one row per sample: its prompt, then the reference as its only continuation.

    The reference is the first that is not empty; of a task that chooses among options, the right
    option as the model would answer it (letter or text); of one that reads texts, the text itself,
    without prompt, cut after `limit` tokens. Of a task that responds to requests, the context and
    the right continuation: the only one, or where several compete, that whose place the reference
    is; what is too long loses its beginning, as when it is measured, a whole text its end.

    Raises:
        TaskError: a sample has no reference, or one that leaves no room for its question.
    """
    if task.answer == "read":
        return rows_to_read(processor, task, samples, limit)
    if task.answer == "respond":
        tokenizer = tokenizer_of(processor)
        return [
            _row_of_requests(tokenizer, index, task, sample, limit)
            for index, sample in enumerate(samples)
        ]
    rows = []
    for index, sample in enumerate(samples):
        prompt = prompt_of(processor, task, sample, settings)
        text = prompt.answered(_reference(task, sample))
        rows += rows_of_texts(processor, index, sample, prompt, [text])
    return rows


def num_reference_tokens(rows: Sequence[Row]) -> int:
    """Return how many tokens the references of `rows` have."""
    return sum(len(row.continuations[0]) for row in rows)


def reference_loss(model: Any, inputs: Inputs, rows: Sequence[Row]) -> torch.Tensor:
    """Return the negative log-likelihood of all references of a batch, summed, in nats.

    A scalar in float32 from which gradients can be taken.

    Args:
        inputs: right-padded, on the model's device.
    """
    import torch

    losses = []
    for row, logits in zip(rows, predictions(model, inputs, rows), strict=True):
        tokens = torch.tensor(row.continuations[0], device=logits.device)
        losses.append(torch.nn.functional.cross_entropy(logits.float(), tokens, reduction="sum"))
    return torch.stack(losses).sum()


def _row_of_requests(
    tokenizer: Any, index: int, task: Task, sample: Sample, limit: int | None
) -> Row:
    request = _right_request(task, sample)
    context, target = encode_pair(tokenizer, request.context, request.continuation)
    if limit is not None and request.kind == "rolling":
        target = target[: limit - len(context)]
    if not context or not target or (limit is not None and len(target) >= limit):
        raise TaskError(
            f"the model, which reads {limit} tokens at most, cannot be told an answer "
            "of "
            f"{counted(len(target), 'token')} to a question of {len(context)}",
            where=f"sample {sample.id} of {task.name}",
            mend="leave the sample out, or choose a model that reads more",
        )
    tokens = (context + target)[-limit:] if limit is not None else context + target
    text = request.context + request.continuation
    return Row(index, sample, text, tokens, continuations=(target,))


def _right_request(task: Task, sample: Sample) -> Request:
    """Return what is asked with the right answer as its continuation."""
    first = sample.requests[0]
    if first.kind == "generate":
        space = "" if first.context[-1:].isspace() else " "
        return replace(first, continuation=space + _reference(task, sample))
    if len(sample.requests) == 1:
        return first
    place = sample.references[0] if sample.references else ""
    if place.isdecimal() and int(place) < len(sample.requests):
        return sample.requests[int(place)]
    raise _no_reference(task, sample)


def _reference(task: Task, sample: Sample) -> str:
    if task.answer == "choose":
        options = options_of(task, sample)
        for reference in sample.references:
            if len(reference) == 1 and reference in LETTERS[: len(options)]:
                return options[LETTERS.index(reference)]
    else:
        for reference in sample.references:
            if reference.strip():
                return reference.strip()
    raise _no_reference(task, sample)


def _no_reference(task: Task, sample: Sample) -> TaskError:
    return TaskError(
        "the sample has no reference answer that could be told to the model",
        where=f"sample {sample.id} of {task.name}",
        mend="mend the data, or leave the sample out",
    )
