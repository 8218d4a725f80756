"""Fields that no table knows follow their blocks as the modules show, or the removal is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import DiffLlamaConfig, DiffLlamaForCausalLM, LlamaConfig, LlamaForCausalLM

from depthprune.base.errors import InadmissibleRemovalError
from depthprune.blocks.admissible import inadmissible_reason
from depthprune.blocks.removal_plan import RemovalPlan, plan_removal
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import find_stack
from tests.architectures.passing import passed_through

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 6,
}


class OwnConfig(LlamaConfig):
    """A configuration with one more field, as checkpoints with code of their own have it."""

    model_type = "own"

    def __init__(self, own: Any = None, **fields: Any) -> None:
        super().__init__(**fields)
        self.own = own


def model_with(own: Any, scale: Callable[[Any, int], float]) -> LlamaForCausalLM:
    """Return a Llama whose attention is scaled block by block, as its code reads `own`."""

    class Own(LlamaForCausalLM):
        config_class = OwnConfig

        def __init__(self, config: OwnConfig) -> None:
            super().__init__(config)
            for index, block in enumerate(self.model.layers):
                block.self_attn.scaling *= scale(config.own, index)

    torch.manual_seed(0)
    model = Own(OwnConfig(own, **SIZES)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    return model


IDS = torch.arange(3, 15)[None]


def logits(model: LlamaForCausalLM) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS, use_cache=False).logits


READINGS = {
    "a list of one entry per block": ([1, 9, 4, 2, 7, 3], lambda own, i: 1 / own[i]),
    "a list whose entries are the indices": ([0, 1, 2, 3, 4, 5], lambda own, i: 0.1 + own[i]),
    "a boundary": (3, lambda own, i: 0.1 if i < own else 1.0),
    "a number of blocks at the end": (2, lambda own, i: 0.1 if i >= 6 - own else 1.0),
    "numbers of blocks": ([0, 3, 4], lambda own, i: 0.1 if i in own else 1.0),
    "numbers of blocks that count from 1": ([2, 4, 5], lambda own, i: 0.1 if i + 1 in own else 1.0),
    "entries by block": ({"1": 0.1, "4": 3.0}, lambda own, i: own.get(str(i), 1.0)),
    "a pattern": ("abbaab", lambda own, i: 0.1 if own[i] == "a" else 1.0),
    "a dictionary with a list": ({"a": [1, 9, 4, 2, 7, 3]}, lambda own, i: 1 / own["a"][i]),
}  # fmt: skip


@pytest.mark.parametrize("removal", [(1,), (2, 4), (0, 3)])
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS.keys())
def test_what_a_field_says_stays_with_its_block(
    reading: tuple[Any, Callable[[Any, int], float]], removal: tuple[int, ...]
) -> None:
    own, scale = reading
    if reading is READINGS["a number of blocks at the end"]:
        scale = lambda own, i: 0.1 if i >= own else 1.0  # noqa: E731
    model = model_with(own, scale)
    stack = find_stack(model)
    with passed_through(model, stack, removal):
        expected = logits(model)
    with skip(model, removal, stack):
        assert torch.allclose(logits(model), expected, atol=1e-4)


def test_a_pattern_that_no_field_holds_is_refused_with_all_there_is_to_say() -> None:
    model = model_with(None, lambda own, i: 0.5 if i % 2 else 1.0)
    reason = inadmissible_reason(find_stack(model), (1,))
    assert reason is not None
    assert "model.layers.2.self_attn.scaling is 0.35" in reason
    assert "would be 0.17" in reason
    assert "set=FIELD=JSON" in reason
    with pytest.raises(InadmissibleRemovalError), skip(model, (1,)):
        pass


class Silent(LlamaForCausalLM):
    """Its modules do not show what its configuration says."""

    config_class = OwnConfig


def plan_of(own: Any, removal: tuple[int, ...] = (1,), field: str = "own") -> RemovalPlan:
    config = OwnConfig(**SIZES)
    setattr(config, field, own)
    return plan_removal(find_stack(Silent(config)), removal)


def test_a_list_of_one_entry_per_block_that_nothing_shows_is_shortened() -> None:
    plan = plan_of([0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
    assert plan.problem is None
    assert plan.data["own"] == [0.5, 1.5, 2.0, 2.5, 3.0]
    assert plan.fields == ("own",)


def test_numbers_that_may_be_those_of_blocks_are_refused_by_name_where_nothing_shows_it() -> None:
    plan = plan_of([1, 3], field="special_layers")
    assert plan.problem is not None
    assert plan.problem.startswith("special_layers may hold numbers of blocks")
    assert plan_of([1, 3], field="sizes").problem is None
    assert plan_of([0, 1, 2, 3, 4, 5]).problem is not None


def test_what_the_user_sets_is_taken() -> None:
    config = OwnConfig(**SIZES)
    config.special_layers = [1, 3]
    stack = find_stack(Silent(config)).with_settings({"special_layers": [2]})
    plan = plan_removal(stack, (1,))
    assert plan.problem is None
    assert plan.data["special_layers"] == [2]


def test_a_list_that_other_parts_of_the_model_are_built_from_is_left() -> None:
    class Elsewhere(LlamaForCausalLM):
        config_class = OwnConfig

        def __init__(self, config: OwnConfig) -> None:
            super().__init__(config)
            self.heads = torch.nn.ModuleList(torch.nn.Linear(32, size) for size in config.own)

    plan = plan_removal(find_stack(Elsewhere(OwnConfig([4, 5, 6, 7, 8, 9], **SIZES))), (1,))
    assert plan.problem is None
    assert plan.data["own"] == [4, 5, 6, 7, 8, 9]


def test_a_constant_of_the_place_is_named() -> None:
    model = DiffLlamaForCausalLM(DiffLlamaConfig(**SIZES))
    plan = plan_removal(find_stack(model), (1,))
    assert plan.problem is None
    assert plan.constants == ("lambda_init",)
    assert plan_removal(find_stack(model), (5,)).constants == ()


def test_a_model_that_would_name_other_blocks_is_refused() -> None:
    class Named(LlamaForCausalLM):
        def __init__(self, config: LlamaConfig) -> None:
            super().__init__(config)
            kinds = config.layer_types
            wide = [index for index, kind in enumerate(kinds) if kind == "full_attention"]
            self.model.value_layers = {wide[0], wide[-1]}

    kinds = ["sliding_attention", "full_attention"] * 3
    config = LlamaConfig(**SIZES)
    config.layer_types = kinds
    stack = find_stack(Named(config))
    assert inadmissible_reason(stack, (0,)) is None
    assert inadmissible_reason(stack, (3,)) is None
    assert "value_layers" in str(inadmissible_reason(stack, (1,)))


def test_what_no_value_can_say_is_a_reason_and_no_failure() -> None:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    text = {name: value for name, value in SIZES.items() if name != "num_hidden_layers"}
    vision = {
        "depth": 4,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": 32,
        "deepstack_visual_indexes": [0, 2],
    }
    text |= {"num_hidden_layers": 4, "head_dim": 8}
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(
            Qwen3VLConfig(text_config=text, vision_config=vision)
        )
    vision_stack = find_stack(model, "vision")
    assert "no block before it" in str(inadmissible_reason(vision_stack, (0,)))
    text_stack = find_stack(model)
    reasons = [inadmissible_reason(text_stack, (block,)) for block in range(4)]
    assert [reason is None for reason in reasons] == [False, False, True, True]
