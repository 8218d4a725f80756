"""What a model is sent for each sample, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthprune.base.prompting import USUAL_PROMPTS, PromptSettings
from depthprune.engine.inputs import prompt_of
from depthprune.tasks.task import Sample, Task


def prompts_of(
    processor: Any,
    task: Task,
    samples: Sequence[Sample],
    settings: PromptSettings = USUAL_PROMPTS,
) -> list[tuple[str, ...]]:
    """Return the texts that are sent for each sample, with one placeholder for every picture.

    A question is one text, up to where the answer begins; a text that is read is itself; requests
    are one text each, what is asked about included.

    Raises:
        TaskError: the model's template refuses a sample, or it reads no pictures.
    """
    return [
        texts_without_prompt(task, sample) or (prompt_of(processor, task, sample, settings).text,)
        for sample in samples
    ]


def texts_without_prompt(task: Task, sample: Sample) -> tuple[str, ...]:
    """Return the texts of a sample that is asked as it stands; nothing for a question."""
    if task.answer == "read":
        return tuple(sample.references)
    return tuple(request.context + request.continuation for request in sample.requests)
