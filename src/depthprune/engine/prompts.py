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
    if task.answer == "read":
        return [tuple(sample.references) for sample in samples]
    if task.answer == "respond":
        return [
            tuple(request.context + request.continuation for request in sample.requests)
            for sample in samples
        ]
    return [(prompt_of(processor, task, sample, settings).text,) for sample in samples]
