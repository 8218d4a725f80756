"""Put a sample into words: the prompt's text, and the chat message with its images."""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import Any

from depthprune.base.errors import TaskError
from depthprune.base.language import counted
from depthprune.tasks.task import Sample, Task

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
