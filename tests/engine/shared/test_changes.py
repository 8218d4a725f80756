"""What is known of a model is forgotten when the model becomes another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from depthprune.base.errors import RemovalError
from depthprune.base.removal import Removal
from depthprune.blocks.skipping import skip
from depthprune.engine import ReferenceEvaluator, SharedEvaluator
from depthprune.testing import evaluators as conformance
from depthprune.testing import tiny_models as tiny
from depthprune.testing.evaluators import assert_same

REMOVALS: tuple[Removal, ...] = ((), (0,), (3,), (1, 2))


def other_block(model: Any) -> None:
    model.model.layers[0].mlp.down_proj.weight.mul_(-1)


def other_embedding(model: Any) -> None:
    model.model.embed_tokens.weight.mul_(-1)


def other_ends(model: Any) -> None:
    model.generation_config.eos_token_id = [2, 7, 9]


def other_attention(model: Any) -> None:
    model.set_attn_implementation("eager")


@pytest.mark.parametrize("change", [other_block, other_embedding, other_ends, other_attention])
def test_a_model_that_was_changed_is_another(change: Callable[[Any], None]) -> None:
    subject = conformance.llama_writes()
    evaluator = SharedEvaluator(subject.loaded, batch_size=3)
    # At the second time hidden states are kept.
    for _ in range(2):
        evaluator.evaluate(subject.split, REMOVALS)
    with torch.no_grad():
        change(subject.loaded.model)
    plain = ReferenceEvaluator(subject.loaded, batch_size=3).evaluate(subject.split, REMOVALS)
    for _ in range(2):
        assert_same(evaluator.evaluate(subject.split, REMOVALS), plain)
    assert evaluator.statistics.fallbacks == 0


def test_blocks_that_are_being_skipped_are_refused_and_spoil_nothing() -> None:
    subject = conformance.llama_writes()
    plain = ReferenceEvaluator(subject.loaded, batch_size=3).evaluate(subject.split, REMOVALS)
    evaluator = SharedEvaluator(subject.loaded, batch_size=3)
    for _ in range(2):
        with (
            skip(subject.loaded.model, (1,)),
            pytest.raises(RemovalError, match="being skipped already"),
        ):
            evaluator.evaluate(subject.split, [()])
        assert_same(evaluator.evaluate(subject.split, REMOVALS), plain)
    assert evaluator.statistics.fallbacks == 0


@pytest.mark.parametrize(("turn", "is_shared"), [(12, False), (100, True)])
@pytest.mark.parametrize("answer", ["generate", "read"])
def test_angles_that_depend_on_the_length_are_left_to_the_reference(
    answer: Any, turn: int, is_shared: bool
) -> None:
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4}
    rope |= {"long_factor": [4.0, 5.0, 6.0, 7.0], "original_max_position_embeddings": turn}
    config = LlamaConfig(
        **tiny.llama().config.to_dict() | {"rope_parameters": rope, "max_position_embeddings": 128}
    )
    loaded = tiny.loaded(tiny.spread(LlamaForCausalLM(config)), tiny.word_tokenizer())
    samples = tiny.read_samples() if answer == "read" else tiny.text_samples()
    split = tiny.split_of(samples, answer=answer, max_new_tokens=6)
    plain = ReferenceEvaluator(loaded, batch_size=3).evaluate(split, REMOVALS)
    evaluator = SharedEvaluator(loaded, batch_size=3, self_check=False)
    assert_same(evaluator.evaluate(split, REMOVALS), plain)
    assert (evaluator.statistics.fallbacks == 0) is is_shared


def test_a_task_with_another_length_is_another_split() -> None:
    subject = conformance.llama_writes()
    evaluator = SharedEvaluator(subject.loaded, batch_size=3)
    for longest in (2, 8, 1):
        task = replace(subject.split.task, max_new_tokens=longest)
        split = replace(subject.split, task=task)
        plain = ReferenceEvaluator(subject.loaded, batch_size=3).evaluate(split, REMOVALS)
        assert_same(evaluator.evaluate(split, REMOVALS), plain)


def test_samples_with_pictures_and_without_are_kept_apart() -> None:
    subject = conformance.llava_sees()
    samples = tuple(
        sample if place % 2 else replace(sample, images=())
        for place, sample in enumerate(subject.split.samples)
    )
    split = replace(subject.split, samples=samples)
    plain = ReferenceEvaluator(subject.loaded, batch_size=4).evaluate(split, REMOVALS)
    evaluator = SharedEvaluator(subject.loaded, batch_size=4, self_check=False)
    for _ in range(2):
        assert_same(evaluator.evaluate(split, REMOVALS), plain)
    assert evaluator.statistics.fallbacks == 0
