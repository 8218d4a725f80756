"""Models of pictures: their blocks are run apart from them, or left to the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from depthprune.base.removal import Removal
from depthprune.blocks.admissible import inadmissible_reason
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import find_stack
from depthprune.engine.shared.block_calls import NotShareable
from depthprune.engine.shared.block_tracing import Statistics
from depthprune.engine.shared.prefill import prefill
from depthprune.engine.shared.shared_model import follows, share
from depthprune.engine.shared.trie_schedule import plan_schedule
from depthprune.testing import tiny_models as tiny
from tests.architectures.check import build
from tests.architectures.inputs import make_inputs


def removals_of(model: Any) -> tuple[Removal, ...]:
    stack = find_stack(model)
    wanted = ((), (0,), (5,), (1, 3), (0, 4, 5))
    return tuple(
        removal
        for removal in wanted
        if inadmissible_reason(stack, removal) is None and follows(model, stack, removal)
    )


def most_apart(model_type: str) -> float:
    """Return how far logits at the end of two rows are apart from the model's own, as a share.

    Raises:
        NotShareable: the architecture is left to the reference.
    """
    model: Any = build("vlm", model_type)
    inputs = make_inputs(model, "vlm")
    removals = removals_of(model)
    assert len(removals) > 2
    stack = find_stack(model)
    with torch.inference_mode():
        shared = share(model, tiny.word_tokenizer(), stack, Statistics(), "read")
        prefix = shared.prefix(inputs, 0)
        schedule = plan_schedule(removals, stack.num_blocks)
        found = prefill(shared.traced, schedule, prefix, prefix.hidden, prefix.prompt - 1)
        apart = 0.0
        for removal, hidden in zip(removals, found.hidden, strict=True):
            with skip(model, removal, stack):
                expected = model(**inputs, use_cache=False).logits[:, -1]
            ours = shared.traced.logits(hidden, shared.filler)[:, -1]
            apart = max(apart, float((ours - expected).abs().max() / expected.abs().max()))
    return apart


@pytest.mark.parametrize("model_type", ["llava", "qwen2_vl", "qwen2_5_vl", "gemma3", "idefics3"])
def test_logits_are_the_model_s_own(model_type: str) -> None:
    assert most_apart(model_type) < 1e-4


@pytest.mark.parametrize("model_type", ["qwen3_vl", "git"])
def test_what_pictures_do_elsewhere_is_noticed(model_type: str) -> None:
    with pytest.raises(NotShareable):
        most_apart(model_type)
