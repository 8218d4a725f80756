"""What a stored tensor counts for: buffers and scales nothing, packed weights as if unpacked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.structure.counted import counted, in_layer, one_layer

UP = "mlp.up_proj"
Shapes = dict[str, tuple[int, ...]]

PACKED: dict[str, tuple[Shapes, dict[str, str], dict[str, Any]]] = {
    "gptq, 4 bits": (
        {".qweight": (8, 48), ".qzeros": (2, 6), ".scales": (2, 48), ".g_idx": (64,)},
        {".qweight": "I32", ".qzeros": "I32", ".g_idx": "I32"},
        {"quant_method": "gptq", "bits": 4},
    ),
    "gptq, 3 bits": (
        {".qweight": (6, 64), ".qzeros": (2, 6), ".scales": (2, 64), ".g_idx": (64,)},
        {".qweight": "I32", ".qzeros": "I32", ".g_idx": "I32"},
        {"quant_method": "gptq", "bits": 3},
    ),
    "gptq, bits not told": (
        {".qweight": (8, 48), ".qzeros": (2, 6), ".scales": (2, 48), ".g_idx": (64,)},
        {".qweight": "I32", ".qzeros": "I32", ".g_idx": "I32"},
        {},
    ),
    "awq": (
        {".qweight": (64, 6), ".qzeros": (1, 6), ".scales": (1, 48)},
        {".qweight": "I32", ".qzeros": "I32"},
        {"quant_method": "awq", "bits": 4},
    ),
    "bitsandbytes, 4 bits": (
        {".weight": (1536, 1), ".weight.absmax": (48,), ".weight.quant_map": (16,),
         ".weight.quant_state.bitsandbytes__nf4": (90,)},
        {".weight": "U8", "absmax": "U8", "bitsandbytes__nf4": "U8"},
        {"quant_method": "bitsandbytes"},
    ),
    "bitsandbytes, 8 bits": (
        {".weight": (48, 64), ".SCB": (48,), ".weight_format": ()},
        {".weight": "I8", ".weight_format": "U8"},
        {"quant_method": "bitsandbytes"},
    ),
    "fp8": (
        {".weight": (48, 64), ".weight_scale_inv": (1, 1), ".input_scale": (1,)},
        {".weight": "F8_E4M3"},
        {"quant_method": "fp8"},
    ),
    "compressed-tensors": (
        {".weight_packed": (48, 8), ".weight_scale": (48, 1), ".weight_shape": (2,)},
        {".weight_packed": "I32", ".weight_shape": "I64"},
        {"quant_method": "compressed-tensors",
         "config_groups": {"group_0": {"weights": {"num_bits": 4}}}},
    ),
    "nvfp4, compressed-tensors": (
        {".weight_packed": (48, 32), ".weight_scale": (48, 4), ".weight_global_scale": (1,),
         ".input_global_scale": (1,)},
        {".weight_packed": "U8", ".weight_scale": "F8_E4M3"},
        {"quant_method": "compressed-tensors"},
    ),
    "nvfp4, modelopt": (
        {".weight": (48, 32), ".weight_scale": (48, 4), ".weight_scale_2": (), ".input_scale": ()},
        {".weight": "U8", ".weight_scale": "F8_E4M3"},
        {"quant_method": "modelopt"},
    ),
    "mlx": (
        {".weight": (48, 8), ".scales": (48, 1), ".biases": (48, 1)},
        {".weight": "U32"},
        {"bits": 4, "group_size": 64},
    ),
    "masked by torch.nn.utils.prune": (
        {".weight_orig": (48, 64), ".weight_mask": (48, 64)},
        {},
        {},
    ),
    "bitnet": (
        {".weight": (12, 64), ".weight_scale": (1,)},
        {".weight": "U8"},
        {"quant_method": "bitnet"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("below", "dtypes", "quantised"), PACKED.values(), ids=PACKED)
def test_packed_weights_count_unpacked(
    below: Shapes, dtypes: dict[str, str], quantised: dict[str, Any]
) -> None:
    """A projection from 64 to 48 (with 3 bits, 64 to 64)."""
    inner = 64 if quantised.get("bits") == 3 else 48
    config = {"hidden_size": 64, "quantization_config": quantised}
    shapes = {f"{UP}{ending}": shape for ending, shape in below.items()}
    layer = one_layer(shapes, config, dtypes=dtypes)
    assert layer.mlp.up == layer.total == 64 * inner


def test_what_is_stored_is_told_by_type_and_bytes() -> None:
    shapes = in_layer({f"{UP}.qweight": (8, 48), f"{UP}.qzeros": (2, 6), f"{UP}.scales": (2, 48)})
    dtypes = {".qweight": "I32", ".qzeros": "I32", ".scales": "F16"}
    config = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    anatomy = counted(shapes, config, dtypes=dtypes)
    assert anatomy.dtypes == {"I32": 8 * 48 + 2 * 6, "F16": 2 * 48}
    assert anatomy.bytes == anatomy.layers[0].bytes == 4 * (8 * 48 + 12) + 2 * 96
    assert anatomy.notes == ("quantised by gptq: parameters are those of the unpacked weights",)


def test_sizes_of_unpacked_weights_are_known() -> None:
    shapes = {
        "mlp.up_proj.qweight": (8, 48), "mlp.up_proj.scales": (2, 48), "mlp.up_proj.qzeros": (2, 6),
        "mlp.down_proj.qweight": (6, 64), "mlp.down_proj.scales": (1, 64),
        "mlp.down_proj.qzeros": (1, 8),
    }  # fmt: skip
    config = {"quantization_config": {"bits": 4}}
    mlp = one_layer(shapes, config, dtypes={".qweight": "I32", ".qzeros": "I32"}).mlp
    assert (mlp.up, mlp.down, mlp.intermediate_size) == (48 * 64, 48 * 64, 48)


def test_sizes_of_weights_in_a_row_follow_from_the_hidden_size() -> None:
    below = {"self_attn.q_proj": 64 * 64, "self_attn.k_proj": 32 * 64, "self_attn.o_proj": 64 * 64,
             "mlp.up_proj": 48 * 64, "mlp.down_proj": 48 * 64}  # fmt: skip
    shapes: Shapes = {f"{name}.weight": (size // 2, 1) for name, size in below.items()}
    shapes |= {f"{name}.weight.absmax": (8,) for name in below}
    config = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
              "quantization_config": {"quant_method": "bitsandbytes"}}  # fmt: skip
    layer = one_layer(shapes, config, dtypes={".weight": "U8"})
    assert (layer.attention.num_heads, layer.attention.num_kv_heads) == (4, 2)
    assert (layer.mlp.intermediate_size, layer.total) == (48, sum(below.values()))


def test_mxfp4_experts() -> None:
    shapes = {
        "mlp.experts.gate_up_proj_blocks": (4, 96, 2, 16),
        "mlp.experts.gate_up_proj_scales": (4, 96, 2),
        "mlp.experts.gate_up_proj_bias": (4, 96),
        "mlp.experts.down_proj_blocks": (4, 64, 3, 8),
        "mlp.experts.down_proj_scales": (4, 64, 3),
    }
    dtypes = {"_blocks": "U8", "_scales": "U8"}
    mlp = one_layer(shapes, {"hidden_size": 64}, dtypes=dtypes).mlp
    assert (mlp.num_experts, mlp.intermediate_size) == (4, 48)
    assert mlp.down == 4 * 64 * 48
    assert mlp.total == 3 * 4 * 64 * 48 + 4 * 96


@pytest.mark.parametrize(
    ("shapes", "quantised"),
    [
        ({"qweight": (7, 5), "scales": (1, 48), "qzeros": (1, 6)}, {"bits": 4}),
        ({"qweight": (7,), "scales": (1, 48), "qzeros": (1, 6)}, {"bits": 4}),
        ({"qweight": (8, 48), "scales": (1, 48), "qzeros": (6,)}, {}),
        ({"weight_packed": (48, 8), "weight_scale": (48, 1)}, {"config_groups": "none"}),
        ({"weight_packed": (48,), "weight_scale": (48, 1)}, {}),
        ({"weight": (48, 8), "scales": (48, 1), "biases": (48, 1)}, {"bits": "four"}),
        ({"codes": (48, 8), "codebooks": (1, 256, 1, 8)}, {"quant_method": "aqlm"}),
        ({"weight": (48, 8)}, {}),
    ],
)
def test_what_cannot_be_unpacked_is_not_known_and_is_named(
    shapes: Shapes, quantised: dict[str, Any]
) -> None:
    packed = next(iter(shapes))
    below = in_layer({f"{UP}.{name}": shape for name, shape in shapes.items()})
    dtypes = {f".{packed}": "I32", "qzeros": "I32"}
    anatomy = counted(below, {"quantization_config": quantised}, dtypes=dtypes)
    weight = packed if packed in ("codes", "weight") else "weight"
    assert anatomy.unknown == (
        f"1 tensor, e.g. model.layers.0.{UP}.{weight}: packed numbers, and nothing says how many "
        "parameters they hold",
    )
    assert (anatomy.total, anatomy.layers[0].total, anatomy.layers[0].mlp.total) == (None,) * 3


BUFFERS: dict[str, tuple[tuple[int, ...], str]] = {
    "self_attn.rotary_emb.inv_freq": ((16,), "F32"),
    "attn.masked_bias": ((), "F32"),
    "attn.bias": ((1, 1, 64, 64), "F32"),
    "attention.bias": ((1, 1, 64, 64), "BOOL"),
    "position_ids": ((1, 64), "I64"),
    "norm.num_batches_tracked": ((), "I64"),
    "norm.running_mean": ((16,), "F32"),
    "mlp.gate.e_score_correction_bias": ((4,), "F32"),
    "mlp.lookup": ((64,), "I64"),
}


@pytest.mark.parametrize("name", BUFFERS)
def test_buffers_are_no_parameters(name: str) -> None:
    shape, dtype = BUFFERS[name]
    layer = one_layer({f"{UP}.weight": (48, 32), name: shape}, dtypes={name: dtype})
    assert layer.total == 48 * 32
    assert layer.bytes > 2 * 48 * 32 or shape == ()


def test_the_bias_of_a_fused_projection_is_a_parameter() -> None:
    assert one_layer({"attn.c_attn.bias": (96,)}).attention.total == 96


def test_what_is_a_buffer_may_depend_on_the_architecture() -> None:
    shapes: Shapes = {f"{UP}.weight": (48, 32), "mlp.expert_bias": (4,)}
    assert one_layer(shapes, {"model_type": "hy_v3"}).total == 48 * 32
    assert one_layer(shapes, {"model_type": "afmoe"}).total == 48 * 32 + 4
    shapes = {"ffn.up_proj.weight": (48, 32), "ffn.gate.bias": (4,)}
    assert one_layer(shapes, {"model_type": "deepseek_v4"}).total == 48 * 32
    assert one_layer(shapes, {"model_type": "llama"}).total == 48 * 32 + 4
