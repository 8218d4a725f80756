"""What a model reads of a sample, in words: for people who want to see it."""

from __future__ import annotations

from typing import Any

from depthprune.base.prompting import USUAL_PROMPTS, PromptSettings
from depthprune.evaluate.inputs import prompt_of
from depthprune.tasks.task import Sample, Task


def sent_text(
    processor: Any, task: Task, sample: Sample, settings: PromptSettings = USUAL_PROMPTS
) -> str:
    """Return the text that the model is given: with chat template, where one is used.

    Of several options that compete, what stands before them; an image is its placeholder.

    Raises:
        TaskError: see `prompt_of`.
    """
    if task.answer == "read":
        return sample.references[0]
    if task.answer == "respond":
        first = sample.requests[0]
        return first.context or first.continuation
    return prompt_of(processor, task, sample, settings).text
