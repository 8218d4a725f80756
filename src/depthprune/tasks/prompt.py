"""Put a sample into words: the prompt's text, and the chat message with its images."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

from depthprune.base.errors import TaskError
from depthprune.tasks.task import Sample, Task


def render_prompt(task: Task, sample: Sample) -> str:
    """Return the text of the question as the model reads it, without chat template or images.

    Raises:
        TaskError: the template holds a field other than `{question}` and `{choices}`, or the
            sample has more options than there are letters.
    """
    if len(sample.choices) > len(ascii_uppercase):
        raise TaskError(
            f"a question with {len(sample.choices)} options cannot be lettered", where=sample.id
        )
    options = [
        _fill(task, task.choice_format, letter=letter, text=text)
        for letter, text in zip(ascii_uppercase, sample.choices, strict=False)
    ]
    choices = task.choice_separator.join(options)
    # An open question among multiple choice leaves no blank end behind.
    return _fill(task, task.prompt, question=sample.question, choices=choices).rstrip()


def messages(task: Task, sample: Sample) -> list[dict[str, Any]]:
    """Return the sample as one user message for a chat template: its images, then the text.

    The entries `{"type": "image"}` stand for the sample's images in order; the caller hands the
    pictures themselves to the processor.
    """
    content: list[dict[str, Any]] = [{"type": "image"} for _ in sample.images]
    content.append({"type": "text", "text": render_prompt(task, sample)})
    return [{"role": "user", "content": content}]


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
