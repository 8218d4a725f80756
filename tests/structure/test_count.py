"""What a model consists of is told by the names and shapes of its tensors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from depthprune.structure.count import anatomy_of
from depthprune.structure.reading import read_checkpoint
from tests.structure.counted import counted, describe, in_layer
from tests.structure.shapes import (
    LLAMA_3_8B,
    LLAMA_3_8B_PARAMETERS,
    SMALL_LLAMA,
    llama_shapes,
    write_llama,
)

PLAIN = {
    "self_attn.q_proj.weight": (32, 32),
    "mlp.up_proj.weight": (48, 32),
    "mlp.down_proj.weight": (32, 48),
}
OUTSIDE = {"model.embed_tokens.weight": (64, 32), "model.norm.weight": (32,)}
HEAD = {"lm_head.weight": (64, 32)}


def test_llama_3_8b(tmp_path: Path) -> None:
    anatomy = anatomy_of(read_checkpoint(write_llama(tmp_path / "Llama-3-8B", shards=4)))
    assert anatomy.total == LLAMA_3_8B_PARAMETERS
    assert (anatomy.name, len(anatomy.layers), anatomy.tied) == ("Llama-3-8B", 32, False)
    assert (anatomy.embedding, anatomy.lm_head, anatomy.norm) == (525336576, 525336576, 4096)
    assert (anatomy.hidden_size, anatomy.other, anatomy.towers) == (4096, 0, {})
    assert anatomy.dtypes == {"BF16": LLAMA_3_8B_PARAMETERS}
    assert anatomy.bytes == 2 * LLAMA_3_8B_PARAMETERS
    layer = anatomy.layers[31]
    assert (layer.index, layer.total, layer.norm, layer.other) == (31, 218112000, 8192, 0)
    attention, mlp = layer.attention, layer.mlp
    assert attention.total == 41943040
    assert (attention.q, attention.k, attention.v, attention.o) == (
        16777216, 4194304, 4194304, 16777216,
    )  # fmt: skip
    assert (attention.num_heads, attention.num_kv_heads) == (32, 8)
    assert (mlp.total, mlp.gate, mlp.up, mlp.down) == (176160768, 58720256, 58720256, 58720256)
    assert (mlp.intermediate_size, mlp.num_experts) == (14336, 0)
    assert not layer.is_zero


def test_pruned_heads_and_channels_are_told_by_shapes() -> None:
    """Layer 0 of Magnitude_2000: half of the heads, and an MLP of 1698."""
    shapes = llama_shapes(LLAMA_3_8B)
    attention, mlp = "model.layers.0.self_attn", "model.layers.0.mlp"
    shapes |= {
        f"{attention}.q_proj.weight": (2048, 4096),
        f"{attention}.k_proj.weight": (512, 4096),
        f"{attention}.v_proj.weight": (512, 4096),
        f"{attention}.o_proj.weight": (4096, 2048),
        f"{mlp}.gate_proj.weight": (1698, 4096),
        f"{mlp}.up_proj.weight": (1698, 4096),
        f"{mlp}.down_proj.weight": (4096, 1698),
    }
    layer = counted(shapes, LLAMA_3_8B).layers[0]
    assert layer.total == 41844736
    assert (layer.attention.total, layer.mlp.total) == (20971520, 20865024)
    assert (layer.attention.num_heads, layer.attention.num_kv_heads) == (16, 4)
    assert layer.mlp.intermediate_size == 1698


def test_a_layer_without_attention_has_attention_zero() -> None:
    shapes = llama_shapes(SMALL_LLAMA)
    shapes = {name: shape for name, shape in shapes.items() if "layers.1.self_attn" not in name}
    types = {"model.layers.1.self_attn": "ZeroAttention", "model.layers.1": "LlamaDecoderLayer"}
    anatomy = counted(shapes, SMALL_LLAMA, types=types)
    layer = anatomy.layers[1]
    attention = layer.attention
    assert (attention.total, attention.q, attention.k, attention.v, attention.o) == (0,) * 5
    assert (attention.num_heads, attention.num_kv_heads) == (0, 0)
    assert attention.type == "ZeroAttention"
    assert not layer.is_zero
    assert layer.total == layer.mlp.total + layer.norm


def test_types_of_a_pickled_model_are_told() -> None:
    types = {
        "model.layers.0": "LlamaDecoderLayer",
        "model.layers.0.self_attn": "LlamaSdpaAttention",
        "model.layers.0.mlp": "LlamaMLP",
        "model.layers.0.mlp.act_fn": "SiLU",
    }
    layer = counted(in_layer(PLAIN), SMALL_LLAMA, types=types).layers[0]
    assert (layer.attention.type, layer.mlp.type) == ("LlamaSdpaAttention", "LlamaMLP")


def test_heads_come_from_the_module_where_no_configuration_tells_their_size() -> None:
    attributes = {"model.layers.0.self_attn": {"head_dim": 8}}
    (layer,) = counted(in_layer(PLAIN), attributes=attributes).layers
    assert layer.attention.num_heads == 4


def test_heads_that_the_module_counts() -> None:
    attributes = {"model.layers.0.self_attn": {"num_heads": 7, "num_key_value_heads": 3}}
    (layer,) = counted(in_layer(PLAIN), attributes=attributes).layers
    assert (layer.attention.num_heads, layer.attention.num_kv_heads) == (7, 3)


def test_heads_are_unknown_when_nothing_says_their_size() -> None:
    (layer,) = counted(in_layer(PLAIN)).layers
    assert layer.attention.num_heads is None


def test_a_layer_that_is_missing_between_others_is_empty() -> None:
    shapes = in_layer(PLAIN) | in_layer(PLAIN, 2)
    anatomy = counted(shapes, {"num_hidden_layers": 3})
    assert [layer.is_zero for layer in anatomy.layers] == [False, True, False]
    empty = anatomy.layers[1]
    assert (empty.index, empty.total, empty.attention.num_heads, empty.mlp.total) == (1, 0, 0, 0)


def test_a_layer_that_the_configuration_does_not_count_is_not_there() -> None:
    shapes = in_layer(PLAIN) | in_layer(PLAIN, 2)
    anatomy = counted(shapes, {"num_hidden_layers": 2})
    assert [layer.index for layer in anatomy.layers] == [0, 2]


def test_empty_layers_at_the_end_are_there_when_modules_stand_for_them() -> None:
    types = {"model.layers.0": "LlamaDecoderLayer", "model.layers.1": "ZeroLayer"}
    anatomy = counted(in_layer(PLAIN), types=types)
    assert [layer.is_zero for layer in anatomy.layers] == [False, True]


def test_a_module_that_stands_in_for_a_layer_is_zero_though_it_holds_something() -> None:
    types = {"model.layers.0": "IdentityLayer"}
    anatomy = counted(in_layer({"input_layernorm.weight": (32,)}), types=types)
    assert anatomy.layers[0].is_zero


def test_fewer_layers_than_configured_are_said() -> None:
    anatomy = counted(in_layer(PLAIN), {"num_hidden_layers": 32})
    assert len(anatomy.layers) == 1
    assert anatomy.notes == ("the configuration says 32 layers, the weights have 1",)


def test_a_number_beyond_all_layers_is_no_reason_to_count_those_before() -> None:
    anatomy = counted(in_layer(PLAIN, 999_999))
    assert [layer.index for layer in anatomy.layers] == [999_999]
    assert counted({f"model.layers.{'9' * 5000}.mlp.up_proj.weight": (2, 2)}).layers == ()


def test_a_model_without_layers_has_its_sums() -> None:
    anatomy = counted(OUTSIDE)
    assert (anatomy.layers, anatomy.total) == ((), 64 * 32 + 32)
    assert "no numbered list of layers" in anatomy.unknown[0]
    assert (anatomy.layer_params, anatomy.norm) == (None, None)


def test_tied_heads_are_not_stored() -> None:
    anatomy = counted(OUTSIDE | in_layer(PLAIN), {"tie_word_embeddings": True})
    assert (anatomy.tied, anatomy.lm_head, anatomy.embedding) == (True, 0, 64 * 32)


def test_a_base_model_has_no_head_and_ties_nothing() -> None:
    anatomy = counted(OUTSIDE | in_layer(PLAIN), {"tie_word_embeddings": False})
    assert (anatomy.tied, anatomy.lm_head) == (False, 0)


def test_a_head_that_shares_the_bytes_of_the_embedding_counts_once() -> None:
    """Whichever of them comes first in the file."""
    ties = {"lm_head.weight": "same", "model.embed_tokens.weight": "same"}
    for shapes in (HEAD | OUTSIDE, OUTSIDE | HEAD):
        anatomy = counted(shapes | in_layer(PLAIN), tied=ties)
        assert (anatomy.lm_head, anatomy.embedding) == (0, 64 * 32)
        assert (anatomy.tied, anatomy.total) == (True, 64 * 32 + 32 + 32 * 32 + 2 * 48 * 32)
        assert anatomy.dtypes == {"BF16": anatomy.total}
        assert anatomy.bytes == 2 * anatomy.total


def test_a_copy_of_the_embedding_counts_once_when_the_configuration_ties_them() -> None:
    copies = {"lm_head.weight": "model.embed_tokens.weight"}
    shapes = OUTSIDE | HEAD | in_layer(PLAIN)
    tied = counted(shapes, {"tie_word_embeddings": True}, copies=copies)
    apart = counted(shapes, {"tie_word_embeddings": False}, copies=copies)
    assert (tied.tied, tied.lm_head) == (True, 0)
    assert (apart.tied, apart.lm_head) == (False, 64 * 32)
    assert apart.total - tied.total == 64 * 32


def test_a_head_that_differs_counts_though_the_configuration_ties_it() -> None:
    """As transformers does: it ties equal weights only."""
    anatomy = counted(OUTSIDE | HEAD | in_layer(PLAIN), {"tie_word_embeddings": True})
    assert (anatomy.tied, anatomy.lm_head) == (False, 64 * 32)


def test_the_hidden_size_of_a_sliced_model_is_that_of_its_embedding() -> None:
    assert counted(OUTSIDE | in_layer(PLAIN), {"hidden_size": 40}).hidden_size == 32


AROUND: dict[str, tuple[tuple[str, str, str, str], Mapping[str, Any]]] = {
    "hugging face": (
        ("model.embed_tokens", "model.layers", "model.norm", "lm_head"), {},
    ),
    "meta": (("tok_embeddings", "layers", "norm", "output"), {}),
    "gpt-2": (("transformer.wte", "transformer.h", "transformer.ln_f", "lm_head"), {}),
    "gpt-neox": (
        ("gpt_neox.embed_in", "gpt_neox.layers", "gpt_neox.final_layer_norm", "embed_out"), {},
    ),
    "olmo 1": (
        ("model.transformer.wte", "model.transformer.blocks", "model.transformer.ln_f",
         "model.transformer.ff_out"), {},
    ),
    "chatglm": (
        ("transformer.embedding.word_embeddings", "transformer.encoder.layers",
         "transformer.encoder.final_layernorm", "transformer.output_layer"), {"num_layers": 1},
    ),
    "minicpm-v": (
        ("llm.model.embed_tokens", "llm.model.layers", "llm.model.norm", "llm.lm_head"), {},
    ),
    "bare": (("embed_tokens", "layers", "norm", "lm_head"), {}),
}  # fmt: skip


@pytest.mark.parametrize(("names", "config"), AROUND.values(), ids=AROUND)
def test_what_lies_around_the_layers(
    names: tuple[str, str, str, str], config: Mapping[str, Any]
) -> None:
    embedding, layers, norm, head = names
    shapes = {
        f"{embedding}.weight": (64, 32),
        f"{layers}.0.mlp.up_proj.weight": (48, 32),
        f"{norm}.weight": (32,),
        f"{head}.weight": (70, 32),
    }
    anatomy = counted(shapes, config)
    assert [layer.total for layer in anatomy.layers] == [48 * 32]
    assert (anatomy.embedding, anatomy.norm, anatomy.lm_head) == (64 * 32, 32, 70 * 32)
    assert (anatomy.other, anatomy.towers) == (0, {})


def test_a_vision_tower_and_its_projector_stand_apart() -> None:
    shapes = {
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight": (64, 64),
        "vision_tower.vision_model.encoder.layers.1.self_attn.q_proj.weight": (64, 64),
        "vision_tower.vision_model.embeddings.patch_embedding.weight": (64, 3, 8, 8),
        "multi_modal_projector.linear_1.weight": (32, 64),
        "language_model.model.embed_tokens.weight": (64, 32),
        "language_model.model.layers.0.self_attn.q_proj.weight": (32, 32),
        "language_model.lm_head.weight": (64, 32),
    }
    config = {"text_config": {"num_hidden_layers": 1}, "vision_config": {"num_hidden_layers": 2}}
    anatomy = counted(shapes, config)
    assert anatomy.towers == {"vision": 2 * 64 * 64 + 64 * 3 * 8 * 8, "projector": 32 * 64}
    assert [layer.total for layer in anatomy.layers] == [32 * 32]
    assert anatomy.total == sum(anatomy.towers.values()) + 32 * 32 + 2 * 64 * 32
    assert anatomy.notes == ()


def test_the_encoder_beside_a_decoder_is_a_tower() -> None:
    shapes = {
        "shared.weight": (64, 32),
        "encoder.block.0.layer.0.SelfAttention.q.weight": (32, 32),
        "encoder.block.1.layer.0.SelfAttention.q.weight": (32, 32),
        "decoder.block.0.layer.0.SelfAttention.q.weight": (32, 32),
        "decoder.block.0.layer.1.EncDecAttention.q.weight": (32, 32),
        "decoder.final_layer_norm.weight": (32,),
    }
    anatomy = counted(shapes, {"num_layers": 2, "num_decoder_layers": 1})
    assert anatomy.towers == {"encoder": 2 * 32 * 32}
    assert [layer.attention.q for layer in anatomy.layers] == [2 * 32 * 32]
    assert (anatomy.embedding, anatomy.norm) == (64 * 32, 32)


def test_an_encoder_alone_is_the_model() -> None:
    shapes = {f"bert.encoder.layer.{index}.attention.self.query.weight": (8, 8) for index in (0, 1)}
    anatomy = counted(shapes)
    assert (len(anatomy.layers), anatomy.towers) == (2, {})


def test_the_text_model_comes_before_a_larger_list_without_a_name_for_it() -> None:
    shapes = {
        "encoder.layers.0.feed_forward1.linear1.weight": (900, 900),
        "language_model.model.layers.0.self_attn.q_proj.weight": (8, 8),
    }
    anatomy = counted(shapes)
    assert (anatomy.layers[0].total, anatomy.towers) == (64, {"encoder": 900 * 900})


def test_layers_that_predict_further_tokens_are_a_tower() -> None:
    shapes = in_layer(PLAIN) | {"mtp.layers.0.mlp.up_proj.weight": (48, 32)}
    assert counted(shapes).towers == {"prediction": 48 * 32}


def test_the_last_layer_of_deepseek_v3_predicts_further_tokens() -> None:
    extra = PLAIN | {"eh_proj.weight": (32, 64), "enorm.weight": (32,)}
    anatomy = counted(in_layer(PLAIN) | in_layer(extra, 1), {"num_hidden_layers": 1})
    assert len(anatomy.layers) == 1
    assert anatomy.towers == {"prediction": anatomy.layers[0].total + 32 * 64 + 32}
    assert anatomy.notes == ()


def test_parts_of_a_layer_may_lie_in_parallel_lists() -> None:
    """XLM has its attentions, MLPs and norms each in a list of its own."""
    shapes = {}
    for index in range(2):
        shapes |= {
            f"transformer.attentions.{index}.q_lin.weight": (32, 32),
            f"transformer.ffns.{index}.lin1.weight": (48, 32),
            f"transformer.layer_norm1.{index}.weight": (32,),
        }
    anatomy = counted(shapes)
    assert len(anatomy.layers) == 2
    layer = anatomy.layers[0]
    assert (layer.attention.q, layer.mlp.up, layer.norm, layer.other) == (1024, 1536, 32, 0)


def test_two_modules_that_are_run_in_turn_have_layers_in_common() -> None:
    shapes = {
        f"model.{module}_module.layers.{index}.mlp.up_proj.weight": (48, 32)
        for module in "HL"
        for index in range(2)
    }
    assert [layer.mlp.up for layer in counted(shapes).layers] == [2 * 48 * 32] * 2


def test_lists_of_other_lengths_are_other() -> None:
    shapes = {f"model.layers.{index}.mlp.up_proj.weight": (48, 32) for index in range(3)}
    shapes |= {f"model.heads.{index}.mlp.up_proj.weight": (48, 32) for index in range(2)}
    anatomy = counted(shapes)
    assert (len(anatomy.layers), anatomy.other) == (3, 2 * 48 * 32)


def test_sliced_models_count_their_shortcuts_as_other() -> None:
    shapes = in_layer(PLAIN | {"attn_shortcut_Q": (32, 32), "mlp_shortcut_Q": (32, 24)})
    (layer,) = counted(shapes).layers
    assert (layer.other, layer.norm) == (32 * 32 + 32 * 24, 0)
    assert layer.attention.q == 32 * 32


def test_the_name_may_be_given() -> None:
    checkpoint = describe(OUTSIDE)
    assert anatomy_of(checkpoint).name == "described"
    assert anatomy_of(checkpoint, "mine").name == "mine"
    assert anatomy_of(checkpoint).path == "somewhere/described"


def test_counting_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; import depthprune.structure.count; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'numpy')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
