"""What a model is sent for single samples: texts, tokens, and pictures as it sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from depthprune.base.prompting import USUAL_PROMPTS, PromptSettings
from depthprune.engine.chat import in_words
from depthprune.engine.inputs import Row, encode, lengths, open_images, prompt_of, tokenize
from depthprune.tasks.task import Sample, Task, messages


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


PLACEHOLDER = "<image>"
"""Stands for a picture where no model says what does."""


@dataclass(frozen=True)
class SentPicture:
    """A picture as it is, and as a model's processor makes it; sizes are (width, height).

    Attributes:
        given: its size.
        sent: the size of what the model sees; None where that is not known.
        tiles: how many pieces of that size there are.
    """

    given: tuple[int, int]
    sent: tuple[int, int] | None = None
    tiles: int = 1


@dataclass(frozen=True)
class Sent:
    """What a model is sent for one sample.

    Attributes:
        sample: with its accepted answers.
        texts: as they are sent, with one placeholder for every picture: one text, or one for each
            request.
        tokens: of each text, pictures included; empty without a model.
        picture_tokens: how many of them stand for pictures.
        pictures: of the sample, in order.
    """

    sample: Sample
    texts: tuple[str, ...]
    tokens: tuple[int, ...] = ()
    picture_tokens: int = 0
    pictures: tuple[SentPicture, ...] = ()


def plainly_sent(task: Task, sample: Sample) -> Sent:
    """Return what any model is sent for a sample, before its chat template."""
    texts = texts_without_prompt(task, sample)
    if not texts:
        texts = (in_words(messages(task, sample)[0]["content"], PLACEHOLDER),)
    pictures = tuple(SentPicture(picture.size) for picture in open_images(sample))
    return Sent(sample, texts, pictures=pictures)


def sent(
    processor: Any, task: Task, sample: Sample, settings: PromptSettings = USUAL_PROMPTS
) -> Sent:
    """Return what a model is sent for a sample.

    Args:
        processor: the model's, or its tokenizer.
        task: of the sample.
        sample: with its pictures.
        settings: how questions are put.

    Raises:
        TaskError: the model's template or its processor refuses the sample, or it reads no
            pictures.
    """
    texts = texts_without_prompt(task, sample)
    if texts:
        adds = task.answer == "read"
        tokens = tuple(len(tokenize(processor, text, add_special_tokens=adds)) for text in texts)
        return Sent(sample, texts, tokens)
    prompt = prompt_of(processor, task, sample, settings)
    ids = tokenize(processor, prompt.text, add_special_tokens=prompt.add_special_tokens)
    if not sample.images:
        return Sent(sample, (prompt.text,), (len(ids),))
    import torch

    row = Row(0, sample, prompt.text, ids, prompt.add_special_tokens)
    (length,) = lengths(encode(processor, [row], "left", torch.float32))
    seen = tuple(
        SentPicture(picture.size, *_as_seen(processor, picture)) for picture in open_images(sample)
    )
    return Sent(sample, (prompt.text,), (length,), length - len(ids) + len(seen), seen)


def _as_seen(processor: Any, picture: Any) -> tuple[tuple[int, int] | None, int]:
    """Return the size of what a processor makes of a picture, and how many such pieces."""
    images: Any = getattr(processor, "image_processor", None)
    try:
        made = images(images=[picture], return_tensors="pt")
    except Exception:  # one that wants more than a picture: its processor has shown that it works
        return None, 1
    patch = getattr(images, "patch_size", None)
    grid = made.get("image_grid_thw")
    if grid is not None and isinstance(patch, int):
        _, height, width = grid[0].tolist()
        return (width * patch, height * patch), 1
    pixels = made.get("pixel_values")
    shape: Sequence[int] = getattr(pixels, "shape", ())
    if len(shape) < 4:
        return None, 1
    tiles = 1
    for length in shape[:-3]:
        tiles *= int(length)
    return (int(shape[-1]), int(shape[-2])), tiles
