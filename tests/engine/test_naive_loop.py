"""Why blocks are skipped as they are: the obvious ways give wrong answers without any error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn

from depthprune.engine.reference import ReferenceEvaluator
from depthprune.testing import tiny_models as tiny


@contextmanager
def identity_in_place(model: Any) -> Iterator[None]:
    """Block 0 hands on what it gets, and so never writes to the cache."""
    block = model.model.layers[0]
    block.forward = lambda hidden_states, *_, **__: hidden_states
    try:
        yield
    finally:
        del block.forward


@contextmanager
def dropped_but_not_renumbered(model: Any) -> Iterator[None]:
    """Block 0 is taken out of the list, and its neighbours go on with their old indices."""
    before = model.model.layers
    model.model.layers = nn.ModuleList(before[1:])
    try:
        yield
    finally:
        model.model.layers = before


@contextmanager
def renumbered_with_old_layer_types(model: Any) -> Iterator[None]:
    """Block 0 is taken out and the others are renumbered, but not the kinds of their attention."""
    before = model.model.layers
    model.model.layers = nn.ModuleList(before[1:])
    model.config.num_hidden_layers -= 1
    for index, block in enumerate(model.model.layers):
        block.self_attn.layer_idx = index
    try:
        yield
    finally:
        model.model.layers = before
        model.config.num_hidden_layers += 1
        for index, block in enumerate(before):
            block.self_attn.layer_idx = index


Way = Callable[[Any], Any]

NAIVE: tuple[tuple[Way, Callable[[], Any]], ...] = (
    (identity_in_place, tiny.llama),
    (dropped_but_not_renumbered, tiny.llama),
    (renumbered_with_old_layer_types, tiny.sliding_qwen2),
)


def generated(model: Any) -> list[str]:
    """Answer all questions in one batch, padded on the left, as everybody does."""
    tokenizer = tiny.word_tokenizer()
    batch = tokenizer(
        list(tiny.QUESTIONS),
        padding=True,
        padding_side="left",
        return_tensors="pt",
        return_token_type_ids=False,
    )
    tokens = model.generate(**batch, max_new_tokens=8, do_sample=False)
    new = tokens[:, batch["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]


@pytest.mark.parametrize(("way", "build"), NAIVE, ids=lambda value: value.__name__)
def test_the_naive_way_answers_wrongly(way: Way, build: Callable[[], Any]) -> None:
    model = build()
    with way(model):
        naive = generated(model)
    assert naive != generated(tiny.without_blocks(build(), (0,)))


@pytest.mark.parametrize(
    "build", [tiny.llama, tiny.sliding_qwen2], ids=lambda value: value.__name__
)
def test_the_reference_answers_like_the_model_built_without_the_block(
    build: Callable[[], Any],
) -> None:
    evaluator = ReferenceEvaluator(tiny.loaded(build(), tiny.word_tokenizer()), batch_size=8)
    found = evaluator.evaluate(tiny.split_of(tiny.text_samples()), [(0,)]).answers[0]
    assert list(found) == generated(tiny.without_blocks(build(), (0,)))


def test_the_naive_way_goes_unnoticed_without_padding() -> None:
    """Which is why it goes unnoticed: one prompt at a time, or one forward pass, is right."""
    model = tiny.llama()
    tokens = torch.tensor([[1, 7, 8, 9]])
    shorter = tiny.without_blocks(model, (0,))
    with identity_in_place(model), torch.inference_mode():
        naive = model(tokens).logits
    torch.testing.assert_close(naive, shorter(tokens).logits)
