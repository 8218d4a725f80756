"""Rows of a prompt and its right answer: what a model reads when it is told how to answer.

Teacher forcing: the answer's tokens are foretold from the prompt and from each other, in one pass.
Rows are padded on the right, as for likelihoods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import TaskError
from depthprune.evaluate.inputs import Inputs, Row, lengths, prompt_of
from depthprune.evaluate.likelihood import (
    LETTERS,
    logits_between,
    options_of,
    rows_of_texts,
    rows_to_read,
)
from depthprune.tasks.task import Sample, Task

if TYPE_CHECKING:
    import torch


def rows_with_reference(
    processor: Any, task: Task, samples: Sequence[Sample], limit: int | None
) -> list[Row]:
    """Return one row per sample: its prompt, then the reference as its only continuation.

    The reference is the first that is not empty; of a task that chooses among options, the right
    option as the model would answer it (letter or text); of one that reads texts, the text itself,
    without prompt, cut after `limit` tokens.

    Raises:
        TaskError: a sample has no reference, or its task answers in a way that has none.
    """
    if task.answer == "read":
        return rows_to_read(processor, task, samples, limit)
    if task.answer not in ("generate", "choose"):
        raise TaskError(
            f"{task.name} has no reference answers that a model could be told",
            where=f"answer mode {task.answer}",
            mend="use a task whose answers are generated, chosen or read",
        )
    rows = []
    for index, sample in enumerate(samples):
        prompt = prompt_of(processor, task, sample)
        # A chat template ends where the answer begins; after a plain prompt stands a space.
        space = "" if prompt.is_chat or prompt.text[-1:].isspace() else " "
        text = prompt.text + space + _reference(task, sample)
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

    ends = lengths(inputs)
    starts = [end - len(row.continuations[0]) - 1 for row, end in zip(rows, ends, strict=True)]
    first = min(starts)
    logits = logits_between(model, inputs, first, max(ends) - 1)
    losses = []
    for index, row in enumerate(rows):
        foretold = logits[index, starts[index] - first : ends[index] - 1 - first].float()
        tokens = torch.tensor(row.continuations[0], device=foretold.device)
        losses.append(torch.nn.functional.cross_entropy(foretold, tokens, reduction="sum"))
    return torch.stack(losses).sum()


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
    raise TaskError(
        "the sample has no reference answer that could be told to the model",
        where=f"sample {sample.id} of {task.name}",
        mend="mend the data, or leave the sample out",
    )
