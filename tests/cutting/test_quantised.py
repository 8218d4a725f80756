"""Quantised checkpoints are cut with all that belongs to their blocks, or refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import ModelError
from depthprune.checkpoint.safetensors_files import make_header, read_safetensors
from depthprune.checkpoint.stored import num_bytes
from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import plan_cut

NUM_BLOCKS, REMOVAL = 6, (1, 3)
NEW_PLACE = {0: 0, 2: 1, 4: 2, 5: 3}
LAYERS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj")

Tensors = dict[str, tuple[str, tuple[int, ...]]]
"""Number type and shape by what stands after the name of a layer."""

FORMATS: dict[str, Tensors] = {
    "gptq": {
        ".qweight": ("I32", (4, 32)),
        ".qzeros": ("I32", (1, 4)),
        ".scales": ("F16", (1, 32)),
        ".g_idx": ("I32", (32,)),
    },
    "awq": {
        ".qweight": ("I32", (32, 4)),
        ".qzeros": ("I32", (1, 4)),
        ".scales": ("F16", (1, 32)),
    },
    "bitsandbytes 4 bit": {
        ".weight": ("U8", (512, 1)),
        ".weight.absmax": ("U8", (16,)),
        ".weight.quant_map": ("F32", (16,)),
        ".weight.nested_absmax": ("F32", (1,)),
        ".weight.nested_quant_map": ("F32", (256,)),
        ".weight.quant_state.bitsandbytes__nf4": ("U8", (81,)),
    },
    "bitsandbytes 8 bit": {
        ".weight": ("I8", (32, 32)),
        ".SCB": ("F32", (32,)),
        ".weight_format": ("U8", ()),
    },
    "fp8": {".weight": ("F8_E4M3", (32, 32)), ".weight_scale_inv": ("F32", (1, 1))},
    "compressed-tensors": {
        ".weight_packed": ("I32", (32, 4)),
        ".weight_scale": ("BF16", (32, 1)),
        ".weight_zero_point": ("I32", (4, 1)),
        ".weight_shape": ("I64", (2,)),
        ".input_scale": ("F32", (1,)),
    },
    "mxfp4": {"_blocks": ("U8", (4, 32, 1, 16)), "_scales": ("F8_E8M0", (4, 32, 1))},
    "nvfp4": {".weight": ("F4", (32, 32)), ".weight_scale": ("F8_E4M3", (32, 2))},
}


def keys_of(tensors: Tensors, prefix: str = "model.") -> Tensors:
    """Return all tensors of a Llama whose layers are stored in this way."""
    found: Tensors = {f"{prefix}embed_tokens.weight": ("BF16", (64, 32))}
    for block in range(NUM_BLOCKS):
        start = f"{prefix}layers.{block}."
        found[f"{start}input_layernorm.weight"] = ("BF16", (32,))
        for layer in LAYERS:
            found |= {f"{start}{layer}{end}": kind for end, kind in tensors.items()}
    return found | {f"{prefix}norm.weight": ("BF16", (32,)), "lm_head.weight": ("BF16", (64, 32))}


def checkpoint(
    folder: Path,
    section: dict[str, Any],
    tensors: Tensors | None = None,
    *,
    config: dict[str, Any] | None = None,
    files: dict[str, Any] | None = None,
) -> Path:
    """Write a checkpoint of random bytes with this quantisation section in its configuration."""
    folder.mkdir(parents=True)
    base = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_attention_heads": 4,
        "num_hidden_layers": NUM_BLOCKS,
        "vocab_size": 64,
        "quantization_config": section,
    }
    (folder / "config.json").write_text(json.dumps(base if config is None else config))
    found = keys_of(FORMATS["fp8"]) if tensors is None else tensors
    # Wide numbers first, as the safetensors library writes them.
    ordered = sorted(found.items(), key=lambda entry: -num_bytes(entry[1][0], (8,)))
    header = make_header((name, dtype, shape) for name, (dtype, shape) in ordered)
    chance = random.Random(0)
    body = [chance.randbytes(num_bytes(dtype, shape)) for _, (dtype, shape) in ordered]
    (folder / "model.safetensors").write_bytes(header + b"".join(body))
    for name, value in (files or {}).items():
        (folder / name).write_text(json.dumps(value))
    return folder


def content(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return number type, shape and bytes of every tensor."""
    found = read_safetensors(folder / "model.safetensors")
    return {name: (one.dtype, one.shape, b"".join(one.pieces())) for name, one in found.items()}


def new_name(name: str) -> str | None:
    """Return a name in the smaller model, the slow and obvious way; None when it goes."""
    for block in range(NUM_BLOCKS):
        if f"layers.{block}." in name:
            if block not in NEW_PLACE:
                return None
            return name.replace(f"layers.{block}.", f"layers.{NEW_PLACE[block]}.")
    return name


@pytest.mark.parametrize("probed", [False, True], ids=["table", "probed"])
@pytest.mark.parametrize("kind", FORMATS)
def test_all_that_a_format_stores_of_a_layer_moves_with_its_block(
    tmp_path: Path, kind: str, probed: bool
) -> None:
    source = checkpoint(tmp_path / "whole", {"quant_method": "any"}, keys_of(FORMATS[kind]))
    plan = plan_cut(source, REMOVAL, probed=probed)
    execute_cut(plan, tmp_path / "smaller")
    expected = {new_name(name): value for name, value in content(source).items()}
    expected.pop(None)
    assert content(tmp_path / "smaller") == expected
    assert plan.quantized
    config = json.loads((tmp_path / "smaller" / "config.json").read_text())
    assert config["num_hidden_layers"] == 4
    assert config["quantization_config"] == {"quant_method": "any"}


SECTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gptq": (
        {
            "quant_method": "gptq",
            "bits": 4,
            "group_size": 128,
            "desc_act": False,
            "damp_percent": 0.1,
            "checkpoint_format": "gptq_v2",
            "modules_in_block_to_quantize": [["self_attn.q_proj"], ["mlp.down_proj"]],
            "block_name_to_quantize": "model.layers",
            "meta": {"quantizer": ["gptqmodel:1.9.0"]},
            "dynamic": {
                r"-:model\.layers\.1\..*": {},
                r"-:model\.layers\.4\.self_attn.*": {},
                r"+:.*down.*": {"bits": 8},
            },
        },
        {
            "dynamic": {r"-:model\.layers\.2\.self_attn.*": {}, r"+:.*down.*": {"bits": 8}},
        },
    ),
    "awq": (
        {
            "quant_method": "awq",
            "version": "gemm",
            "zero_point": True,
            "modules_to_not_convert": ["model.layers.0.mlp", "model.layers.3.mlp", "lm_head"],
        },
        {"modules_to_not_convert": ["model.layers.0.mlp", "lm_head"]},
    ),
    "bitsandbytes": (
        {
            "quant_method": "bitsandbytes",
            "_load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "llm_int8_threshold": 6.0,
            "llm_int8_skip_modules": ["lm_head", "model.layers.5.mlp.down_proj"],
        },
        {"llm_int8_skip_modules": ["lm_head", "model.layers.3.mlp.down_proj"]},
    ),
    "fp8": (
        {
            "quant_method": "fp8",
            "activation_scheme": "dynamic",
            "fmt": "e4m3",
            "weight_block_size": [128, 128],
            "modules_to_not_convert": ["lm_head", *(f"model.layers.{i}.mlp" for i in range(6))],
            "ignored_layers": ["model.layers.2.self_attn.q_proj", "layers.3.mlp.down_proj"],
        },
        {
            "modules_to_not_convert": ["lm_head", *(f"model.layers.{i}.mlp" for i in range(4))],
            "ignored_layers": ["model.layers.1.self_attn.q_proj"],
        },
    ),
    "compressed-tensors": (
        {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "version": "0.12.2",
            "quantization_status": "compressed",
            "ignore": ["lm_head", "re:.*gate$", r"re:model\.layers\.4\.mlp.*"],
            "config_groups": {
                "group_0": {
                    "targets": ["Linear", "model.layers.5.mlp.down_proj"],
                    "weights": {"num_bits": 4, "strategy": "group", "block_structure": None},
                },
                "group_1": {"targets": ["model.layers.1.self_attn.q_proj"]},
            },
        },
        {
            "ignore": ["lm_head", "re:.*gate$", r"re:model\.layers\.2\.mlp.*"],
            "config_groups": {
                "group_0": {
                    "targets": ["Linear", "model.layers.3.mlp.down_proj"],
                    "weights": {"num_bits": 4, "strategy": "group", "block_structure": None},
                },
                "group_1": {"targets": []},
            },
        },
    ),
    "auto-round": (
        {
            "quant_method": "auto-round",
            "block_name_to_quantize": "model.layers",
            "extra_config": {
                "model.layers.2.mlp.down_proj": {"bits": 8},
                "model.layers.3.mlp.down_proj": {"bits": 8},
            },
        },
        {"extra_config": {"model.layers.1.mlp.down_proj": {"bits": 8}}},
    ),
    "aqlm": (
        {"linear_weights_not_to_quantize": ["model.layers.4.input_layernorm.weight"]},
        {"linear_weights_not_to_quantize": ["model.layers.2.input_layernorm.weight"]},
    ),
    "vptq": (
        {"config_for_layers": {"model.layers.5.mlp.down_proj": {"num_centroids": [-1, 65536]}}},
        {"config_for_layers": {"model.layers.3.mlp.down_proj": {"num_centroids": [-1, 65536]}}},
    ),
    "mxfp4": (
        {
            "quant_method": "mxfp4",
            "modules_to_not_convert": ["model.layers.*.self_attn", "model.embed_tokens"],
        },
        {},
    ),
}


@pytest.mark.parametrize("kind", SECTIONS)
def test_lists_of_layers_follow_the_blocks(tmp_path: Path, kind: str) -> None:
    before, changed = SECTIONS[kind]
    plan = plan_cut(checkpoint(tmp_path / "whole", before), REMOVAL)
    assert plan.config["quantization_config"] == before | changed


def test_files_beside_the_configuration_follow_the_blocks(tmp_path: Path) -> None:
    exclude = {"quantization": {"exclude_modules": ["model.layers.1.mlp*", "model.layers.2.mlp*"]}}
    files = {"hf_quant_config.json": exclude | {"producer": {"version": "0.23.0"}}}
    plan = plan_cut(
        checkpoint(tmp_path / "whole", {"quant_method": "modelopt"}, files=files), REMOVAL
    )
    execute_cut(plan, tmp_path / "smaller")
    assert json.loads((tmp_path / "smaller" / "hf_quant_config.json").read_text()) == {
        "quantization": {"exclude_modules": ["model.layers.1.mlp*"]},
        "producer": {"version": "0.23.0"},
    }


def test_lists_of_another_stack_stay(tmp_path: Path) -> None:
    tower = "vision_tower.vision_model.encoder.layers."
    tensors = {
        f"{tower}{block}.mlp.fc1.weight": ("BF16", (8, 8)) for block in range(NUM_BLOCKS)
    } | keys_of(FORMATS["fp8"], "language_model.model.")
    text = {"model_type": "llama", "num_hidden_layers": NUM_BLOCKS}
    excluded = [f"{tower}1.mlp.fc1", f"{tower}3", "language_model.model.layers.2.mlp"]
    section = {"modules_to_not_convert": [*excluded, "language_model.model.layers.3.mlp"]}
    config = {"model_type": "llava", "text_config": text, "quantization_config": section}
    plan = plan_cut(checkpoint(tmp_path / "whole", {}, tensors, config=config), REMOVAL)
    assert plan.config["quantization_config"]["modules_to_not_convert"] == [
        f"{tower}1.mlp.fc1",
        f"{tower}3",
        "language_model.model.layers.1.mlp",
    ]


PATTERNS = {
    "blocks in turns": ({"ignore": [r"re:.*layers\.(1|3)\..*"]}, {"ignore": []}),
    "a range of blocks": (
        {"ignore": [r"re:model\.layers\.[0-3]\..*"]},
        {"ignore": [r"re:model\.layers\.(?:0|1)(?!\d)\..*"]},
    ),
    "the start of a number": (
        {"quant_method": "modelopt", "ignore": ["model.layers.2*", "model.layers.1*"]},
        {"ignore": ["model.layers.1*"]},
    ),
    "a block in any list": ({"ignore": [r"re:.*\.2\.mlp.*"]}, {"ignore": [r"re:.*\.1\.mlp.*"]}),
    "a pattern as a key": (
        {"dynamic": {r"+:.*\.(?:4|5)\..*": {"bits": 8}}},
        {"dynamic": {r"+:.*\.(?:2|3)(?!\d)\..*": {"bits": 8}}},
    ),
    "another name of the list": (
        {"ignore": ["decoder.layers.2.mlp"]},
        {"ignore": ["decoder.layers.1.mlp"]},
    ),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_mean_the_same_layers_afterwards(tmp_path: Path, name: str) -> None:
    before, changed = PATTERNS[name]
    plan = plan_cut(checkpoint(tmp_path / "whole", before), REMOVAL)
    assert plan.config["quantization_config"] == before | changed


def test_settings_of_mlx_follow_the_blocks(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "whole", {})
    path = source / "config.json"
    section = {"group_size": 64, "model.layers.1.mlp": {"bits": 8}, "model.layers.2.mlp": False}
    config = json.loads(path.read_text()) | {"quantization": section}
    path.write_text(json.dumps(config))
    plan = plan_cut(source, REMOVAL)
    assert plan.quantized
    assert plan.config["quantization"] == {"group_size": 64, "model.layers.1.mlp": False}


REFUSED = {
    "blocks of an unknown list": {"ignore": [r"re:blocks\.(3|4)\.mlp\.down_proj"]},
    "an entry for every block": {"bits_per_block": [4, 4, 4, 4, 4, 8]},
    "numbers of blocks": {"skip_layers": [0, 5]},
    "numbers of blocks as keys": {"overrides": {"0": {"bits": 8}, "5": {"bits": 8}}},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_understood_is_refused(tmp_path: Path, name: str) -> None:
    source = checkpoint(tmp_path / "whole", REFUSED[name])
    with pytest.raises(ModelError) as caught:
        plan_cut(source, REMOVAL)
    assert "quantization_config" in str(caught.value)
    assert caught.value.mend


def test_a_quantised_checkpoint_that_lacks_a_block_is_refused(tmp_path: Path) -> None:
    tensors = {
        name: kind for name, kind in keys_of(FORMATS["gptq"]).items() if "layers.5." not in name
    }
    with pytest.raises(ModelError, match="block 5 is missing"):
        plan_cut(checkpoint(tmp_path / "whole", {}, tensors), REMOVAL)
