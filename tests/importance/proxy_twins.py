"""The proxies once more, slow and obvious: sample by sample, without padding, by their formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from depthprune.blocks.models import LoadedModel
from depthprune.engine.inputs import prompt_of
from depthprune.tasks.task import TaskSplit
from depthprune.testing.tiny_models import without_blocks


def samples_of(loaded: LoadedModel, split: TaskSplit) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the inputs of every sample, and how many tokens its reference has.

    The tokenizers of these tests make one token of a word.
    """
    for sample in split.samples:
        reference = sample.references[0]
        if split.task.answer == "read":
            inputs = loaded.processor(reference, return_tensors="pt")
            yield inputs, inputs["input_ids"].shape[1] - 1
            continue
        prompt = prompt_of(loaded.processor, split.task, sample)
        text = prompt.text + ("" if prompt.is_chat else " ") + reference
        images = {"images": [[one.open() for one in sample.images]]} if sample.images else {}
        inputs = loaded.processor(
            text=[text],
            return_tensors="pt",
            add_special_tokens=prompt.add_special_tokens,
            **images,
        )
        yield inputs, len(reference.split())


def hidden_states(loaded: LoadedModel, split: TaskSplit, norm: str) -> list[list[torch.Tensor]]:
    """Return, for every sample, the states before each block and after the last one.

    Args:
        loaded: a model and its processor.
        split: the samples.
        norm: the path of the final norm, which transformers applies to the last hidden states.
    """
    parent, _, name = norm.rpartition(".")
    holder = loaded.model.get_submodule(parent)
    kept = getattr(holder, name)
    setattr(holder, name, nn.Identity())
    try:
        with torch.no_grad():
            return [
                [
                    state[0].double()
                    for state in loaded.model(**inputs, output_hidden_states=True).hidden_states
                ]
                for inputs, _ in samples_of(loaded, split)
            ]
    finally:
        setattr(holder, name, kept)


def block_influence(states: list[list[torch.Tensor]], block: int) -> float:
    """1 - the mean over all tokens of all samples of the cosine."""
    cosines = [
        float(torch.dot(x, y) / (x.norm() * y.norm()))
        for sample in states
        for x, y in zip(sample[block], sample[block + 1], strict=True)
    ]
    return 1 - sum(cosines) / len(cosines)


def relative_magnitude(states: list[list[torch.Tensor]], block: int) -> float:
    """The mean over all tokens of |f(x)| / |x + f(x)|."""
    ratios = [
        float((y - x).norm() / y.norm())
        for sample in states
        for x, y in zip(sample[block], sample[block + 1], strict=True)
    ]
    return sum(ratios) / len(ratios)


def angular_distance(
    states: list[list[torch.Tensor]], first: int, length: int, *, last_only: bool = True
) -> float:
    """The mean over the samples of arccos(cos) / pi, at their last token or at all."""
    angles = []
    for sample in states:
        for place in [-1] if last_only else range(len(sample[first])):
            x, y = sample[first][place], sample[first + length][place]
            angles.append(math.acos(float(torch.dot(x, y) / (x.norm() * y.norm()))) / math.pi)
    return sum(angles) / len(angles)


def losses(model: Any, loaded: LoadedModel, split: TaskSplit) -> Iterator[tuple[torch.Tensor, int]]:
    """Yield the mean loss of every sample's reference, by transformers, and its tokens."""
    for inputs, count in samples_of(loaded, split):
        labels = inputs["input_ids"].clone()
        labels[:, :-count] = -100
        yield model(**inputs, labels=labels).loss, count


def mean_loss(model: Any, loaded: LoadedModel, split: TaskSplit) -> float:
    """Return the mean loss over all tokens of all references."""
    with torch.no_grad():
        found = [(float(loss), count) for loss, count in losses(model, loaded, split)]
    return sum(loss * count for loss, count in found) / sum(count for _, count in found)


def perplexity(loaded: LoadedModel, split: TaskSplit, block: int) -> float:
    """Return the loss of a model that was built without the block, minus that of the whole one."""
    shorter = without_blocks(loaded.model, (block,))
    return mean_loss(shorter, loaded, split) - mean_loss(loaded.model, loaded, split)


def taylor(loaded: LoadedModel, split: TaskSplit, block: nn.Module) -> float:
    """Return the sum over the block's weights of |w * gradient of the mean loss|."""
    loaded.model.zero_grad()
    found = list(losses(loaded.model, loaded, split))
    tokens = sum(count for _, count in found)
    for loss, count in found:
        (loss * count / tokens).backward()
    score = sum(
        float((weight.detach() * weight.grad).abs().sum())
        for weight in block.parameters()
        if weight.grad is not None
    )
    loaded.model.zero_grad(set_to_none=True)
    return score
