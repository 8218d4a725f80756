"""Tiny random configurations for every architecture of transformers: 6 blocks, hidden size 64.

Only test support. The default configuration of a model type is walked field by field, and every
field whose name says a size is given a small one that fits the others.
"""

from __future__ import annotations

import dataclasses
import re
import zlib
from typing import Any

from transformers import BertConfig, PreTrainedConfig, ViTConfig, Wav2Vec2Config
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from tests.architectures.overrides import DEL, OVERRIDES

NUM_BLOCKS = 6
NUM_OTHER_BLOCKS = 2  # of vision towers and the like, when they are not what is tested
VOCABULARY = 160
FIRST_SPECIAL_TOKEN = 100
HIDDEN, HEADS, KEY_VALUE_HEADS, HEAD, FEED_FORWARD = 64, 4, 2, 16, 96

_SIZES_BY_VALUE = {
    HIDDEN: """hidden_size d_model n_embd embed_dim dim width hidden_dim d_embed embedding_size
        projection_dim text_embed_dim vision_embed_dim emb_dim cross_attention_hidden_size
        out_hidden_size proj_dim projection_size output_dim mm_hidden_size encoder_hidden_size
        decoder_hidden_size lru_width text_hidden_size vision_output_dim max_hidden_size
        model_dim image_hidden_size audio_hidden_size d_out out_dim vocab_embed_dim proj_out_dim
        reduced_dim input_embedding_size""",
    HEADS: """num_attention_heads n_head n_heads num_heads encoder_attention_heads
        decoder_attention_heads attention_heads num_encoder_attention_heads
        num_decoder_attention_heads decoder_num_attention_heads encoder_num_attention_heads
        swa_num_attention_heads sliding_num_attention_heads index_n_heads num_mem_heads
        num_experts n_routed_experts num_local_experts moe_num_experts n_experts num_moe_experts
        num_expert experts linear_num_value_heads""",
    KEY_VALUE_HEADS: """num_key_value_heads num_kv_heads n_kv_heads encoder_num_key_value_heads
        decoder_num_key_value_heads num_global_key_value_heads swa_num_key_value_heads
        num_decoder_key_value_heads num_experts_per_tok num_experts_per_token top_k_experts
        moe_top_k moe_topk moe_k num_selected_experts moe_num_experts_per_tok experts_per_token
        linear_num_key_heads spatial_merge_size""",
    HEAD: """head_dim attention_head_dim attention_head_size kv_channels d_kv head_size
        qk_head_dim v_head_dim global_head_dim swa_head_dim swa_v_head_dim linear_key_head_dim
        linear_value_head_dim index_head_dim mamba_d_head mamba_head_dim ssm_state_size
        mamba_d_state state_size index_rope_head_dim linear_head_dim kv_head_dim kv_lora_rank
        o_lora_rank laurel_rank low_rank index_topk""",
    8: """qk_rope_head_dim qk_nope_head_dim mamba_dt_rank time_step_rank mamba_chunk_size
        chunk_size sliding_window attention_chunk_size sliding_window_size local_window_size
        window mamba_n_heads mamba_num_heads attention_window_size hidden_size_per_layer_input
        patch_size rotary_dim""",
    FEED_FORWARD: """intermediate_size ffn_dim encoder_ffn_dim decoder_ffn_dim d_ff n_inner
        mlp_dim ffn_hidden_size mlp_hidden_size intermediate_dim encoder_intermediate_size
        decoder_intermediate_size inner_dim feed_forward_proj_dim dense_intermediate_size
        intermediate_size_mlp dim_ff feedforward_dim ffn_intermediate_size
        shared_intermediate_size block_ff_dim""",
    32: """moe_intermediate_size shared_expert_intermediate_size moe_ffn_hidden_size q_lora_rank
        moe_shared_expert_intermediate_size expert_ffn_hidden_size mlp_expert_size
        n_routed_expert_size image_size moe_shared_intermediate_size shared_expert_size""",
    VOCABULARY: """vocab_size vocab_size_per_layer_input text_vocab_size decoder_vocab_size
        encoder_vocab_size src_vocab_size tgt_vocab_size""",
    128: """max_position_embeddings n_positions max_seq_len seq_length max_source_positions
        max_target_positions max_seq_length n_ctx max_sequence_length
        max_encoder_position_embeddings max_decoder_position_embeddings
        original_max_position_embeddings model_max_length""",
    1: """n_group topk_group num_expert_group moe_topk_group n_groups mamba_n_groups
        n_shared_experts num_shared_experts""",
}
SIZES = {name: value for value, names in _SIZES_BY_VALUE.items() for name in names.split()}

_COUNT = re.compile(
    r"num_hidden_layers|n_layers?|num_layers|encoder_layers|decoder_layers|num_decoder_layers"
    r"|num_encoder_layers|depth|layers|decoder_num_hidden_layers|encoder_num_hidden_layers"
    r"|num_layers_.*|num_transformer_layers|decoder_num_layers|encoder_num_layers"
)
_OTHER_TOWER = re.compile(
    r"vision|audio|vq|qformer|perceiver|protein|speech|backbone|codec|image|video|encoder_config_"
    r"|sam|projector|dac|mimi|depth_decoder|acoustic|semantic|sound|resampler|aligner|draft|dit"
    r"|expert_config_|vit|adapter"
)
_KEPT = {
    "architectures", "id2label", "label2id", "torch_dtype", "dtype", "transformers_version",
    "_name_or_path", "rope_parameters", "rope_scaling", "problem_type", "attribute_map",
}  # fmt: skip
_OPTIONAL = {"num_key_value_heads", "num_kv_heads", "n_inner"}
_OPTIONAL |= {"q_lora_rank", "sliding_window", "attention_chunk_size", "num_experts"}
_OPTIONAL |= {"mamba_dt_rank", "cross_attention_hidden_size", "intermediate_size_mlp"}
_OPTIONAL |= {"v_head_dim", "chunk_size", "embedding_size", "patch_size"}

Arguments = dict[str, Any]
"""Arguments of a configuration class; an inner configuration is a pair (class, arguments)."""


def tiny_config(model_type: str, role: str) -> PreTrainedConfig:
    """Return the tiny configuration of a model type: causal, vlm, mlm, vit, s2s or vision.

    With role `vit` a vision tower has as many blocks as a stack under test, and nothing else has;
    with role `vision`, the vision tower and the text of a vision-language model.
    """
    if model_type in _CUSTOM:
        return _CUSTOM[model_type]()
    config_class = CONFIG_MAPPING[model_type]
    arguments = _shrunk(config_class(), other_tower=False, role=role)
    for name in (model_type, f"{model_type}@{role}"):
        for path, value in OVERRIDES.get(name, {}).items():
            _override(arguments, path, value)
    _override_inner(arguments)
    _fit_multimodal_rope(config_class, arguments)
    return _realize(config_class, arguments)


def _shrunk(default: PreTrainedConfig, *, other_tower: bool, role: str) -> Arguments:
    """Return small arguments for the class of `default`."""
    declared = {field.name for field in dataclasses.fields(type(default))}
    names = sorted(declared | {name for name in vars(default) if not name.startswith("_")})
    aliases = getattr(type(default), "attribute_map", None) or {}
    num_blocks = NUM_OTHER_BLOCKS if other_tower else NUM_BLOCKS
    arguments: Arguments = {}
    count = None
    for name in names:
        if name in _KEPT or (aliases.get(name, name) != name and aliases[name] in names):
            continue
        try:
            value = getattr(default, name)
        except Exception:  # some defaults are ambiguous to read
            continue
        if isinstance(value, PreTrainedConfig):
            other = other_tower or bool(_OTHER_TOWER.search(name))
            if role == "vit":
                other = "vision" not in name
            elif role == "vision":
                other &= "vision" not in name
            arguments[name] = (type(value), _shrunk(value, other_tower=other, role=role))
        elif _COUNT.fullmatch(name) and type(value) is int:
            count, arguments[name] = value, num_blocks
        else:
            small = _small(name, value, name in declared)
            if small is not None:
                arguments[name] = small
    if count:
        arguments |= _cut_lists(default, count, num_blocks, arguments)
    return arguments


def _small(name: str, value: Any, declared: bool) -> Any:
    """Return a small value for a field, or None to leave it."""
    number = type(value) is int
    if name == "pad_token_id":
        return 0
    if name in {"bos_token_id", "decoder_start_token_id", "forced_bos_token_id"}:
        return None if value is None else 1
    if name in {"eos_token_id", "sep_token_id", "forced_eos_token_id"}:
        return None if value is None else 2
    if number and value >= 100 and re.search(r"(token_id|token_index|_id|_idx|_ids)$", name):
        return FIRST_SPECIAL_TOKEN + zlib.crc32(name.encode()) % 55
    if isinstance(value, list | tuple) and value and all(type(entry) is int for entry in value):
        if name == "depths" and len(value) >= 3:
            return type(value)([NUM_BLOCKS if index == 2 else 2 for index in range(len(value))])
        if len(value) == 2 and name in {"image_size", "patch_size"}:
            return type(value)([SIZES[name]] * 2)
    if name in SIZES and (number or value is None):
        if value is None and (not declared or name in _OPTIONAL):
            return None
        if name in {"n_shared_experts", "num_shared_experts"} and value == 0:
            return None
        return SIZES[name]
    if number and value > 256 and "image" not in name:
        sizes = r"(size|dim|hidden|width|rank|channels|experts|features)$"
        return HIDDEN if re.search(sizes, name) else None
    return None


def _cut_lists(
    default: PreTrainedConfig, count: int, num_blocks: int, arguments: Arguments
) -> Arguments:
    """Return the lists of one entry per block that a class writes out in its defaults."""
    cut: Arguments = {}
    for field in dataclasses.fields(type(default)):
        if field.name in arguments:
            continue
        value = field.default
        if field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        if isinstance(value, list | tuple) and len(value) == count:
            cut[field.name] = type(value)(list(value)[:num_blocks])
    return cut


def _override(arguments: Arguments, path: str, value: Any) -> None:
    *sections, name = path.split(".")
    for section in sections:
        arguments = arguments[section][1]
    if value is DEL:
        arguments.pop(name, None)
    else:
        arguments[name] = value


def _override_inner(arguments: Arguments) -> None:
    for inner_class, inner in _inner(arguments):
        for path, value in OVERRIDES.get(inner_class.model_type, {}).items():
            if all(section in inner for section in path.split(".")[:-1]):
                _override(inner, path, value)
        _override_inner(inner)


def _fit_multimodal_rope(config_class: type[PreTrainedConfig], arguments: Arguments) -> None:
    """Give the three parts of a multimodal rotary embedding sizes that add up to half a head."""
    for inner_class, inner in _inner(arguments):
        _fit_multimodal_rope(inner_class, inner)
    default = config_class()
    rope = getattr(default, "rope_parameters", None)
    if not isinstance(rope, dict) or "mrope_section" not in rope or "rope_parameters" in arguments:
        return
    factor = rope.get("partial_rotary_factor", getattr(default, "partial_rotary_factor", None))
    half = int(arguments.get("head_dim", HEAD) * (factor or 1.0)) // 2
    parts = len(rope["mrope_section"])
    sections = [half // parts] * parts
    if parts == 3:
        sections[0] = half - 2 * sections[1]
    arguments["rope_parameters"] = {**rope, "mrope_section": sections}


def _inner(arguments: Arguments) -> list[tuple[type[PreTrainedConfig], Arguments]]:
    return [value for value in arguments.values() if _is_inner(value)]


def _is_inner(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], type)


def _realize(config_class: type[PreTrainedConfig], arguments: Arguments) -> PreTrainedConfig:
    return config_class(
        **{
            name: _realize(*value) if _is_inner(value) else value
            for name, value in arguments.items()
        }
    )


_COMMON = {
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "intermediate_size": FEED_FORWARD,
    "num_hidden_layers": NUM_BLOCKS,
}
_TEXT = {**_COMMON, "vocab_size": VOCABULARY, "max_position_embeddings": 128}


def _musicgen(model_type: str) -> PreTrainedConfig:
    return CONFIG_MAPPING[model_type](
        vocab_size=VOCABULARY,
        max_position_embeddings=128,
        num_hidden_layers=NUM_BLOCKS,
        ffn_dim=FEED_FORWARD,
        num_attention_heads=HEADS,
        hidden_size=HIDDEN,
        num_codebooks=1,
        pad_token_id=0,
        bos_token_id=0,
    )


def _pair(model_type: str, encoder: PreTrainedConfig) -> PreTrainedConfig:
    config = CONFIG_MAPPING[model_type].from_encoder_decoder_configs(encoder, BertConfig(**_TEXT))
    config.decoder_start_token_id, config.pad_token_id = 1, 0
    return config


_CUSTOM = {
    "musicgen": lambda: _musicgen("musicgen_decoder"),
    "musicgen_melody": lambda: _musicgen("musicgen_melody_decoder"),
    "encoder-decoder": lambda: _pair("encoder-decoder", BertConfig(**_TEXT)),
    "vision-encoder-decoder": lambda: _pair(
        "vision-encoder-decoder", ViTConfig(image_size=32, patch_size=8, **_COMMON)
    ),
    "speech-encoder-decoder": lambda: _pair(
        "speech-encoder-decoder",
        Wav2Vec2Config(
            vocab_size=32,
            conv_dim=(32,) * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
            **_COMMON,
        ),
    ),
}
