"""What an architecture cannot express or survive is refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from transformers import (
    BeitConfig,
    BeitForImageClassification,
    Gemma3nForCausalLM,
    Gemma3nTextConfig,
    JambaConfig,
    JambaForCausalLM,
    PreTrainedModel,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
    SwitchTransformersConfig,
    SwitchTransformersForConditionalGeneration,
)

from depthprune.base.errors import InadmissibleRemovalError, RemovalError
from depthprune.blocks.admissible import admissibility, check_admissible, inadmissible_reason
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import find_stack
from tests import models as tiny
from tests.architectures.check import build


def jamba() -> PreTrainedModel:
    config = JambaConfig(
        **tiny.SIZES,
        num_hidden_layers=6,
        num_key_value_heads=2,
        attn_layer_period=3,
        attn_layer_offset=1,
        expert_layer_period=100,
        expert_layer_offset=99,
        use_mamba_kernels=False,
        mamba_d_state=4,
    )
    return JambaForCausalLM(config)


def gemma3n() -> PreTrainedModel:
    config = Gemma3nTextConfig(
        **{**tiny.SIZES, "intermediate_size": 48},
        num_hidden_layers=4,
        num_key_value_heads=2,
        head_dim=8,
        num_kv_shared_layers=1,
        layer_types=["full_attention"] * 4,
        activation_sparsity_pattern=[0.0] * 4,
        vocab_size_per_layer_input=64,
        hidden_size_per_layer_input=8,
        laurel_rank=4,
    )
    return Gemma3nForCausalLM(config)


def qwen3_next() -> PreTrainedModel:
    config = Qwen3NextConfig(
        **tiny.SIZES,
        num_hidden_layers=3,
        num_key_value_heads=2,
        head_dim=8,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
    )
    return Qwen3NextForCausalLM(config)


def switch() -> PreTrainedModel:
    config = SwitchTransformersConfig(
        vocab_size=64,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_heads=4,
        num_layers=6,
        num_sparse_encoder_layers=3,
        num_decoder_layers=6,
        num_sparse_decoder_layers=3,
        num_experts=2,
    )
    return SwitchTransformersForConditionalGeneration(config)


def reason(model: Any, removal: tuple[int, ...], part: str = "text") -> str | None:
    return inadmissible_reason(find_stack(model, part), removal)


def test_every_block_of_a_plain_decoder_can_go() -> None:
    verdict = admissibility(tiny.llama())
    assert verdict.reasons == (None,) * 6
    assert verdict.blocks == (0, 1, 2, 3, 4, 5)


def test_the_only_block_cannot_go() -> None:
    assert admissibility(tiny.llama(1)).reasons == ("it is the only block",)


def test_a_refusal_names_the_blocks_the_stack_and_the_reason() -> None:
    stack = find_stack(tiny.swin(), "depths[1]")
    with pytest.raises(InadmissibleRemovalError) as caught:
        check_admissible(stack, (1,))
    text = str(caught.value)
    assert "block 1 cannot be removed" in text
    assert "shifts its windows" in text
    assert "swin.encoder.layers.1.blocks" in text


def test_skipping_refuses_as_well_and_leaves_the_model() -> None:
    model = tiny.swin()
    stack = find_stack(model, "depths[1]")
    with pytest.raises(InadmissibleRemovalError), skip(model, (1,), stack):
        pass
    assert len(model.get_submodule(stack.path)) == 4


def test_pairs_of_shifted_blocks_can_go() -> None:
    assert reason(tiny.swin(), (1, 2), "depths[1]") is None


def test_the_donor_of_shared_keys_and_values_cannot_go() -> None:
    assert admissibility(gemma3n()).blocks == (0, 1, 3)
    found = reason(gemma3n(), (2,))
    assert found is not None
    assert "keys and values" in found


def test_the_last_block_with_attention_cannot_go() -> None:
    found = reason(qwen3_next(), (1,))
    assert found is not None
    assert "no block with attention" in found
    assert reason(qwen3_next(), (0,)) is None


def test_the_kinds_of_blocks_need_not_be_written_out_for_that() -> None:
    found = reason(jamba(), (1, 4))
    assert found is not None
    assert "no block with attention" in found


def test_a_pattern_of_kinds_that_no_period_expresses_is_refused() -> None:
    # Attention in blocks 1 and 4 of 6; without block 2 in 1 and 3 of 5: every second one, and then
    # in none other. Without blocks 2 and 3 they are neighbours, which no period gives.
    assert reason(jamba(), (2,)) is None
    found = reason(jamba(), (2, 3))
    assert found is not None
    assert "Mamba" in found


def test_a_sparse_pattern_that_the_configuration_cannot_write_is_refused() -> None:
    found = reason(switch(), (1, 3), "decoder")
    assert found is not None
    assert "SwitchTransformersSparseMLP" in found


def test_an_encoder_shorter_than_its_decoder_is_refused_where_the_cache_breaks() -> None:
    found = reason(tiny.t5(4, 4), (1,), "encoder")
    assert found is not None
    assert "cache" in found
    assert reason(tiny.t5(6, 4), (1,), "encoder") is None
    assert reason(tiny.t5(4, 4), (1,), "decoder") is None


def test_what_only_training_does_is_no_reason() -> None:
    config = BeitConfig(
        hidden_size=32,
        intermediate_size=48,
        num_attention_heads=4,
        num_hidden_layers=3,
        image_size=16,
        patch_size=8,
        drop_path_rate=0.1,  # none in block 0
    )
    assert reason(BeitForImageClassification(config), (0,)) is None


def test_what_only_one_block_has_keeps_that_block() -> None:
    assert admissibility(find_stack(tiny.t5(), "decoder")).blocks == (1, 2, 3)
    found = reason(tiny.t5(), (0,), "decoder")
    assert found is not None
    assert "relative_attention_bias" in found


def test_a_model_that_cannot_be_built_shorter_is_refused_with_its_words() -> None:
    # Gemma 4 insists on full attention in its last block, and these differ in size.
    found = reason(build("causal", "gemma4_text"), (5,))
    assert found is not None
    assert "cannot be built: Layer type 'full_attention'" in found


def test_a_block_that_does_not_exist_is_no_question_of_admissibility() -> None:
    with pytest.raises(RemovalError):
        check_admissible(find_stack(tiny.llama()), (6,))


def test_the_baseline_is_admissible() -> None:
    check_admissible(find_stack(tiny.llama()), ())


def test_a_verdict_is_worked_out_once() -> None:
    stack = find_stack(tiny.llama())
    check_admissible(stack, (1,))
    plan = stack.plans[1,]
    check_admissible(stack, (1,))
    assert stack.plans[1,] is plan
