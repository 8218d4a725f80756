"""Attention and MLP of a layer, whatever their tensors are called and however they are fused."""

from __future__ import annotations

import pytest

from tests.structure.counted import one_layer

HIDDEN, HEADS, KV_HEADS, HEAD, INNER = 32, 4, 2, 8, 48
CONFIG = {"hidden_size": HIDDEN, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS}
Q, KV = HIDDEN * HIDDEN, KV_HEADS * HEAD * HIDDEN

Shapes = dict[str, tuple[int, ...]]

SPLIT: dict[str, Shapes] = {
    "llama": {
        "self_attn.q_proj.weight": (32, 32),
        "self_attn.k_proj.weight": (16, 32),
        "self_attn.v_proj.weight": (16, 32),
        "self_attn.o_proj.weight": (32, 32),
    },
    "bert": {
        "attention.self.query.weight": (32, 32),
        "attention.self.key.weight": (16, 32),
        "attention.self.value.weight": (16, 32),
        "attention.output.dense.weight": (32, 32),
    },
    "w": {
        "attention.wq.weight": (32, 32),
        "attention.wk.weight": (16, 32),
        "attention.wv.weight": (16, 32),
        "attention.wo.weight": (32, 32),
    },
    "phi-3": {"self_attn.qkv_proj.weight": (64, 32), "self_attn.o_proj.weight": (32, 32)},
    "falcon": {
        "self_attention.query_key_value.weight": (64, 32),
        "self_attention.dense.weight": (32, 32),
    },
    "mpt": {"attn.Wqkv.weight": (64, 32), "attn.out_proj.weight": (32, 32)},
    "baichuan": {"self_attn.W_pack.weight": (64, 32), "self_attn.o_proj.weight": (32, 32)},
    "olmo 1": {"att_proj.weight": (64, 32), "attn_out.weight": (32, 32)},
    "kv fused": {
        "attn.q_proj.weight": (32, 32),
        "attn.kv_proj.weight": (32, 32),
        "attn.o_proj.weight": (32, 32),
    },
    "a wrapper": {
        "self_attn.q_proj.linear.weight": (32, 32),
        "self_attn.k_proj.base_layer.weight": (16, 32),
        "self_attn.v_proj.weight": (16, 32),
        "self_attn.o_proj.weight": (32, 32),
    },
}


@pytest.mark.parametrize("shapes", SPLIT.values(), ids=SPLIT)
def test_attention(shapes: Shapes) -> None:
    attention = one_layer(shapes, CONFIG).attention
    assert (attention.q, attention.k, attention.v, attention.o) == (Q, KV, KV, Q)
    assert (attention.num_heads, attention.num_kv_heads) == (HEADS, KV_HEADS)
    assert attention.total == 2 * Q + 2 * KV


def test_gpt2_is_stored_transposed() -> None:
    shapes: Shapes = {
        "attn.c_attn.weight": (32, 96),
        "attn.c_attn.bias": (96,),
        "attn.c_proj.weight": (32, 32),
        "attn.c_proj.bias": (32,),
        "attn.bias": (1, 1, 64, 64),
        "mlp.c_fc.weight": (32, 128),
        "mlp.c_fc.bias": (128,),
        "mlp.c_proj.weight": (128, 32),
        "mlp.c_proj.bias": (32,),
    }
    layer = one_layer(shapes, {"n_embd": 32, "n_head": 4})
    attention, mlp = layer.attention, layer.mlp
    assert (attention.q, attention.k, attention.v) == (32 * 33, 32 * 33, 32 * 33)
    assert (attention.num_heads, attention.num_kv_heads) == (4, 4)
    assert (mlp.gate, mlp.up, mlp.down, mlp.intermediate_size) == (None, 128 * 33, 129 * 32, 128)


def test_a_pruned_fused_projection_is_split_by_what_the_output_takes() -> None:
    """Two of four heads are gone, with one of two key-value heads."""
    shapes: Shapes = {"self_attn.qkv_proj.weight": (32, 32), "self_attn.o_proj.weight": (32, 16)}
    attention = one_layer(shapes, CONFIG).attention
    assert (attention.q, attention.k, attention.v) == (16 * 32, 8 * 32, 8 * 32)
    assert (attention.num_heads, attention.num_kv_heads) == (2, 1)


def test_a_fused_projection_without_output_is_split_as_configured() -> None:
    attention = one_layer({"self_attn.qkv_proj.weight": (64, 32)}, CONFIG).attention
    assert (attention.q, attention.k, attention.v) == (Q, KV, KV)


def test_norms_of_heads_count_with_the_attention_and_tell_the_size_of_a_head() -> None:
    shapes: Shapes = {
        "self_attn.q_proj.weight": (64, 32),
        "self_attn.k_proj.weight": (16, 32),
        "self_attn.o_proj.weight": (32, 64),
        "self_attn.q_norm.weight": (16,),
        "self_attn.k_norm.weight": (16,),
        "input_layernorm.weight": (32,),
    }
    layer = one_layer(shapes, CONFIG)
    attention = layer.attention
    assert (attention.num_heads, attention.num_kv_heads) == (4, 1)
    assert attention.total == 64 * 32 * 2 + 16 * 32 + 32
    assert layer.norm == 32


def test_norms_of_the_block_that_lie_within_its_parts_are_norms() -> None:
    shapes: Shapes = {
        "attention.self.query.weight": (32, 32),
        "attention.output.LayerNorm.weight": (32,),
        "output.dense.weight": (32, 48),
        "output.LayerNorm.weight": (32,),
    }
    layer = one_layer(shapes)
    assert (layer.norm, layer.attention.total, layer.mlp.total) == (64, 32 * 32, 32 * 48)


def test_a_module_named_after_norms_may_hold_an_attention() -> None:
    """Of DBRX."""
    shapes: Shapes = {
        "norm_attn_norm.attn.Wqkv.weight": (64, 32),
        "norm_attn_norm.attn.out_proj.weight": (32, 32),
        "norm_attn_norm.norm_1.weight": (32,),
    }
    layer = one_layer(shapes, CONFIG)
    assert (layer.attention.total, layer.norm) == (2 * Q + 2 * KV, 32)


def test_the_gate_of_an_attention_makes_no_heads() -> None:
    """Qwen3-Next has queries twice as wide as heads: the other half is a gate."""
    shapes: Shapes = {"self_attn.q_proj.weight": (64, 32), "self_attn.o_proj.weight": (32, 32)}
    assert one_layer(shapes, CONFIG).attention.num_heads == 4


def test_latent_attention() -> None:
    config = {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "kv_lora_rank": 12,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 4,
        "v_head_dim": 16,
    }
    shapes: Shapes = {
        "self_attn.q_a_proj.weight": (20, 32),
        "self_attn.q_a_layernorm.weight": (20,),
        "self_attn.q_b_proj.weight": (4 * 12, 20),
        "self_attn.kv_a_proj_with_mqa.weight": (16, 32),
        "self_attn.kv_b_proj.weight": (4 * 24, 12),
        "self_attn.o_proj.weight": (32, 64),
    }
    attention = one_layer(shapes, config).attention
    assert attention.q == 20 * 32 + 48 * 20
    assert attention.k == 16 * 32 + 4 * 8 * 12
    assert attention.v == 4 * 16 * 12
    assert (attention.num_heads, attention.num_kv_heads) == (4, 4)
    assert attention.total == attention.q + attention.k + attention.v + 32 * 64 + 20


def test_the_halves_of_a_latent_are_equal_where_nothing_says_more() -> None:
    attention = one_layer({"self_attn.kv_b_proj.weight": (96, 12)}).attention
    assert (attention.k, attention.v) == (48 * 12, 48 * 12)


def test_cross_attention_counts_with_self_attention() -> None:
    shapes: Shapes = {
        "self_attn.q_proj.weight": (32, 32),
        "encoder_attn.q_proj.weight": (32, 32),
        "encoder_attn.out_proj.bias": (32,),
        "encoder_attn_layer_norm.weight": (32,),
    }
    layer = one_layer(shapes, CONFIG)
    assert layer.attention.q == 2 * Q
    assert (layer.attention.num_heads, layer.norm) == (4, 32)


def test_linear_attention_has_a_total_alone() -> None:
    shapes: Shapes = {
        "linear_attn.in_proj_qkvz.weight": (96, 32),
        "linear_attn.out_proj.weight": (32, 32),
        "linear_attn.A_log": (4,),
        "linear_attn.norm.weight": (8,),
    }
    attention = one_layer(shapes, CONFIG).attention
    assert attention.total == 96 * 32 + 32 * 32 + 12
    assert (attention.q, attention.k, attention.v, attention.o) == (None, None, None, 1024)


def test_other_mixers_are_neither_attention_nor_mlp() -> None:
    shapes: Shapes = {
        "mixer.in_proj.weight": (64, 32),
        "mixer.norm.weight": (32,),
        "norm.weight": (32,),
    }
    layer = one_layer(shapes)
    assert (layer.attention.total, layer.mlp.total) == (0, 0)
    assert (layer.other, layer.norm) == (64 * 32 + 32, 32)


def test_a_mixer_may_be_an_attention_or_an_mlp() -> None:
    """In Nemotron-H every layer is one of three, under the same name."""
    assert one_layer({"mixer.q_proj.weight": (32, 32)}).attention.q == Q
    assert one_layer({"mixer.up_proj.weight": (48, 32)}).mlp.up == 48 * 32


def test_adapters_are_other() -> None:
    shapes: Shapes = {
        "self_attn.q_proj.weight": (32, 32),
        "self_attn.q_proj.lora_A.default.weight": (4, 32),
        "self_attn.q_proj.lora_B.default.weight": (32, 4),
    }
    layer = one_layer(shapes, CONFIG)
    assert (layer.attention.total, layer.other) == (Q, 2 * 4 * 32)


GATED: dict[str, Shapes] = {
    "llama": {
        "mlp.gate_proj.weight": (48, 32),
        "mlp.up_proj.weight": (48, 32),
        "mlp.down_proj.weight": (32, 48),
    },
    "phi-3": {"mlp.gate_up_proj.weight": (96, 32), "mlp.down_proj.weight": (32, 48)},
    "w1 w2 w3": {
        "feed_forward.w1.weight": (48, 32),
        "feed_forward.w2.weight": (32, 48),
        "feed_forward.w3.weight": (48, 32),
    },
    "qwen 1": {
        "mlp.w1.weight": (48, 32),
        "mlp.w2.weight": (48, 32),
        "mlp.c_proj.weight": (32, 48),
    },
    "t5": {
        "layer.1.DenseReluDense.wi_0.weight": (48, 32),
        "layer.1.DenseReluDense.wi_1.weight": (48, 32),
        "layer.1.DenseReluDense.wo.weight": (32, 48),
    },
    "chatglm": {
        "mlp.dense_h_to_4h.weight": (96, 32),
        "mlp.dense_4h_to_h.weight": (32, 48),
    },
    "olmo 1": {"ff_proj.weight": (96, 32), "ff_out.weight": (32, 48)},
    "openelm": {"ffn.proj_1.weight": (96, 32), "ffn.proj_2.weight": (32, 48)},
    "exaone": {
        "mlp.c_fc_0.weight": (48, 32),
        "mlp.c_fc_1.weight": (48, 32),
        "mlp.c_proj.weight": (32, 48),
    },
    "modernbert": {"mlp.Wi.weight": (96, 32), "mlp.Wo.weight": (32, 48)},
}


@pytest.mark.parametrize("shapes", GATED.values(), ids=GATED)
def test_gated_mlp(shapes: Shapes) -> None:
    mlp = one_layer(shapes).mlp
    assert (mlp.gate, mlp.up, mlp.down) == (48 * 32, 48 * 32, 48 * 32)
    assert (mlp.intermediate_size, mlp.num_experts) == (48, 0)
    assert mlp.total == 3 * 48 * 32


PLAIN: dict[str, Shapes] = {
    "opt": {"fc1.weight": (48, 32), "fc2.weight": (32, 48)},
    "bert": {"intermediate.dense.weight": (48, 32), "output.dense.weight": (32, 48)},
    "gpt-neox": {"mlp.dense_h_to_4h.weight": (48, 32), "mlp.dense_4h_to_h.weight": (32, 48)},
    "w": {"mlp.w1.weight": (48, 32), "mlp.w2.weight": (32, 48)},
    "in a row": {"ffn.0.weight": (48, 32), "ffn.2.weight": (32, 48)},
}


@pytest.mark.parametrize("shapes", PLAIN.values(), ids=PLAIN)
def test_plain_mlp(shapes: Shapes) -> None:
    mlp = one_layer(shapes).mlp
    assert (mlp.gate, mlp.up, mlp.down, mlp.intermediate_size) == (None, 1536, 1536, 48)


def test_an_mlp_of_unknown_names_has_a_total_alone() -> None:
    mlp = one_layer({"mlp.something.weight": (48, 32)}).mlp
    assert (mlp.total, mlp.up, mlp.intermediate_size) == (48 * 32, None, None)


def test_experts_one_by_one_with_router_and_shared_expert() -> None:
    shapes: Shapes = {
        "mlp.gate.weight": (3, 32),
        "mlp.shared_expert.up_proj.weight": (64, 32),
        "mlp.shared_expert_gate.weight": (1, 32),
    }
    for expert in range(3):
        shapes |= {
            f"mlp.experts.{expert}.gate_proj.weight": (48, 32),
            f"mlp.experts.{expert}.up_proj.weight": (48, 32),
            f"mlp.experts.{expert}.down_proj.weight": (32, 48),
        }
    mlp = one_layer(shapes).mlp
    assert (mlp.num_experts, mlp.intermediate_size) == (3, 48)
    assert (mlp.gate, mlp.up, mlp.down) == (3 * 1536, 3 * 1536 + 64 * 32, 3 * 1536)
    assert mlp.total == 9 * 1536 + 64 * 32 + 4 * 32


STACKED: dict[str, Shapes] = {
    "outputs first": {
        "mlp.experts.gate_up_proj": (5, 96, 32),
        "mlp.experts.down_proj": (5, 32, 48),
    },
    "inputs first": {
        "mlp.experts.gate_up_proj": (5, 32, 96),
        "mlp.experts.down_proj": (5, 48, 32),
    },
    "granite": {
        "block_sparse_moe.input_linear.weight": (5, 96, 32),
        "block_sparse_moe.output_linear.weight": (5, 32, 48),
    },
    "dbrx": {
        "ffn.experts.mlp.w1": (5 * 48, 32),
        "ffn.experts.mlp.v1": (5 * 48, 32),
        "ffn.experts.mlp.w2": (5 * 48, 32),
        "ffn.router.layer.weight": (5, 32),
    },
    "apart": {
        "mlp.experts.gate_proj": (5, 48, 32),
        "mlp.experts.up_proj": (5, 48, 32),
        "mlp.experts.down_proj": (5, 32, 48),
    },
}


@pytest.mark.parametrize("shapes", STACKED.values(), ids=STACKED)
def test_stacked_experts(shapes: Shapes) -> None:
    mlp = one_layer(shapes, {"hidden_size": 32}).mlp
    assert (mlp.num_experts, mlp.intermediate_size) == (5, 48)
    assert (mlp.gate, mlp.up, mlp.down) == (5 * 1536, 5 * 1536, 5 * 1536)
