"""What the names of tensors mean, over all the architectures, and which list holds the layers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from depthprune.structure.count_stored import Stored


Part = Literal["attention", "mlp", "norm", "other"]
"""Of a transformer block."""

Role = Literal["q", "k", "v", "o", "qkv", "kv", "kv_b", "gate", "up", "down", "gate_up", ""]
"""Of a projection; empty for what is none. `qkv`, `kv` and `gate_up` are fused, `kv_b` makes keys
and values out of the latent of multi-head latent attention."""

BUFFERS = re.compile(
    r"(^|\.)("
    r"inv_freq|original_inv_freq|\w+_inv_freq|cos_cached|sin_cached|rope\.freqs"  # rotary tables
    r"|masked_bias|causal_mask|position_ids|token_type_ids"
    r"|num_batches_tracked|running_mean|running_var|global_mean|global_invstd"
    r"|e_score_correction_bias|expert_bias|router_bias|balancing_biases|tid2eid"  # of routers
    r"|slope_rate|query_decay|key_decay|diagonal_decay"
    r"|layer_scalar|lerope\.alpha|pos_idx_to_embed|act_fn\.beta|act_fn\.eps|embed_scale"
    r"|final_logits_bias"
    r")$"
)
"""Tensors that a checkpoint holds though they are no parameters."""

LEARNT = (
    ("afmoe", re.compile(r"expert_bias$")),
    ("ernie4_5", re.compile(r"e_score_correction_bias$")),
    ("laguna", re.compile(r"e_score_correction_bias$")),
)
"""Exceptions from `BUFFERS`: beginning of the model type, and what is a parameter there."""

CONSTANT = (
    ("deepseek_v4", re.compile(r"ffn\.gate\.bias$")),
    ("inkling", re.compile(r"mlp\.gate\.bias$")),
)
"""Additions to `BUFFERS`: beginning of the model type, and what is no parameter there."""

MASKS = re.compile(r"(^|\.)(attn|attention)\.bias$")
"""Causal masks (1 x 1 x n x n) of GPT-2 and the like; a projection's bias has one dimension."""

TOWERS: dict[str, re.Pattern[str]] = {
    "prediction": re.compile(r"mtp|mtp_.*|nextn.*|medusa.*|eagle.*|draft.*|assistant"),
    "projector": re.compile(
        r".*projector.*|mm_proj.*|.*connector.*|.*merger.*|.*aligner.*|.*resampler.*|.*qformer.*"
        r"|.*perceiver.*|multi_modal.*|multimodal.*|modality_projection|language_projection"
        r"|.*(image|vision|visual|vit|video|audio|speech)_?(newline|proj|projection|adapter)"
        r"|embed_vision|embed_audio|abstractor|query_tokens|mlp1|mlp_AR|patch_merge_mlp"
        r"|view_sep[ae]rator"
    ),
    "audio": re.compile(
        r".*(audio|speech|sound|acoustic|codec|mimi|whisper|conformer|talker).*|apm"
        r"|perception"
    ),
    "vision": re.compile(
        r".*(vision|visual|image|img|video|siglip|pixel).*|vpm|vit|vit_.*|clip.*|sam|sam_.*|vq.*"
        r"|patch_embed(der|ding|dings)?|embed_patches|deepstack.*|qwen2_model|generation_\w+"
    ),
    "depth decoder": re.compile(r"depth_decoder|depformer|code_predictor"),
    "encoder": re.compile(r"(?!text_).*_encoder"),
}
"""Parts beside the text decoder, by a component of the name; the first that fits counts. A plain
`encoder` is one where a decoder stands beside it."""

EMBEDDING = re.compile(
    r"embed|embed_in|\w+_embedding|wte|wpe|w|shared|embeddings?|tok_embeddings|.*embed_tokens.*|.*token_embedding"
    r"|(word|tok|tokens?|positions?|pos|token_type|segment|language|ngram|lang|type)_?embed\w*"
    r"|(tokens|positions|pos|segment|vocab)_embed|embed_positions?|embed_pos|project_in"
    r"|mask_emb|.*word_embedding.*|.*(position|shape|pronunciation|type|hash_tok)_embed.*"
    r"|segment_emb|embedding_hidden_mapping_in"
)
"""A module outside the blocks that makes vectors of tokens and positions."""

HEAD = re.compile(
    r"lm_heads?|cls|predictions|.*_lm_head|generator_predictions|output_projection|pred_layer"
    r"|embed_out|unembed|lm_loss|qa_outputs|proj_out|output_layer"
)
"""A module outside the blocks that makes scores of vectors."""

_ENDS = re.compile(r"head|output|score|classifier|decoder|project_out|ff_out")
"""What is a head when nothing lies in it."""

_NORM = re.compile(r".*(norm|Norm|layrnorm).*|ln|ln_?\d+|ln_\w+|\w+_ln|input_ln|rms_\w*")
_CONTAINS_NORMS = frozenset({"norm_attn_norm"})
"""Modules named after norms that hold more than norms."""

_OTHER = re.compile(
    r".*hyper_connection.*|hc_.*|.*residual.*|laurel|altup|.*adapter.*|lora_\w*|.*shortcut_Q"
    r"|layer_scalar|per_layer_\w+|dora_\w*|prompt\w*|gate_ffwd|ia3_\w*|mamba|mamba2|ssm|conv|rg_lru"
    r"|mlstm_layer|slstm_layer|short_conv|\w+_sconv"
)
"""What is neither attention nor MLP nor norm: shortcuts, adapters, state-space mixers."""

_ATTENTION = re.compile(
    r"(.*_)?(attn|attention|att)s?|attentions|(Self|EncDec|Local\w*|Transient\w*)Attention"
    r"|cross_?attention|crossattention|attn_sconv|attn_sinks?"
)
_MLP = re.compile(
    r"(.*_)?(mlp|mlps|moe|ffn|ffns|ff|feed_?forward|feedforward)s?|mlp_block|experts?|DenseReluDense"
    r"|shared_experts?|router|feed_forward_(in|out)"
)
_BLOCK_NORMS = re.compile(
    r"LayerNorm|layer_norm|ln|self_attn_layer_norm|layernorm_before_(attention|ffn)"
)
"""Norms of the block that some models keep inside its attention or MLP."""

_ATTENTION_NAMES: dict[Role, str] = {
    "q": """q_proj q query query_proj wq Wq q_lin q_attn project_q q_a_proj q_b_proj q_a q_b
        wq_a wq_b wq_du to_q queries receptance""",
    "k": """k_proj k key key_proj wk Wk k_lin project_k wk_dv to_k keys kv_a_proj_with_mqa
        kv_a_proj kv_a""",
    "v": """v_proj v value value_proj wv Wv v_lin project_v wv_dv to_v values v_proj_current
        v_proj_delayed""",
    "o": """o_proj o out_proj dense c_proj wo Wo out_lin attention_out proj attn_out output
        linear_out wo_a wo_b wo_ud to_out o_a_proj o_b_proj out""",
    "qkv": "c_attn qkv_proj query_key_value Wqkv wqkv qkv in_proj W_pack att_proj fused_qkv",
    "kv": "kv_proj key_value kv Wkv wkv kv_linear",
    "kv_b": "kv_b_proj kv_b",
}
_MLP_NAMES: dict[Role, str] = {
    "gate": "gate_proj linear_gate proj_up_gate wi_0 w_0 linear_v c_fc_0 c_fc2",
    "up": """up_proj fc1 c_fc dense_h_to_4h fc_in wi wi_1 Wi w_1 lin1 layer_1 proj_up up key
        intermediate linear_in dense c_fc_1 proj_1""",
    "down": """down_proj fc2 c_proj dense_4h_to_h fc_out wo Wo w_out lin2 layer_2 proj_down
        down output output_linear ff_out value linear_out proj_2""",
    "gate_up": "gate_up_proj input_linear w13 ff_proj gate_and_up gate_up",
}


def _by_name(table: dict[Role, str]) -> dict[str, Role]:
    return {name: role for role, names in table.items() for name in names.split()}


_ATTENTION_ROLES = _by_name(_ATTENTION_NAMES)
_MLP_ROLES = _by_name(_MLP_NAMES)

NUMBERED_ROLES: tuple[dict[str, Role], ...] = (
    {"w1": "up", "w2": "gate", "c_proj": "down"},  # Qwen 1
    {"w13": "gate_up", "w2": "down"},
    {"w1": "gate", "w3": "up", "w2": "down"},
    {"w1": "gate", "v1": "up", "w2": "down"},
    {"w1": "up", "w2": "down"},
    {"gate": "gate", "up": "up", "down": "down"},
)
"""Names that mean something only together; the first set that a layer has counts."""

_BARE_NAMES: dict[Part, str] = {
    "attention": "q_proj k_proj v_proj o_proj q_lin k_lin v_lin out_lin qkv_proj att_proj attn_out",
    "mlp": """fc1 fc2 intermediate output lin1 lin2 dense_h_to_4h dense_4h_to_h up_proj down_proj
        gate_proj gate gate_up_proj experts shared_experts ff_proj ff_out c_fc""",
}
_BARE = {name: part for part, names in _BARE_NAMES.items() for name in names.split()}
"""Projections that lie in a block without a module around them."""

_BESIDES = frozenset({"experts", "indexer", "compressor"})
"""Modules of an attention whose projections are not those of its heads."""

_WRAPPERS = frozenset({"linear", "base_layer", "layer", "original_module", "weight", "bias"})


def is_number(component: str) -> bool:
    """Return whether a component of a name is a place in a list; longer numbers are names."""
    return len(component) <= _MOST_DIGITS and component.isascii() and component.isdecimal()


_MOST_DIGITS = 6


def without_numbers(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return the components of a name that are no places in lists, or all."""
    return tuple(component for component in path if not is_number(component)) or path


@cache
def part_and_role(path: tuple[str, ...]) -> tuple[Part, Role, str]:
    """Return what a tensor of a block is, from its name below the block, numbers left out.

    The third value is the name of the projection; it decides where `NUMBERED_ROLES` apply.
    """
    modules = list(path)
    while len(modules) > 1 and modules[-1] in _WRAPPERS:
        modules.pop()
    leaf = re.sub(r"_(weight|bias)$", "", modules[-1])
    modules[-1] = leaf
    part = _part(modules)
    if part == "attention":
        return part, "" if _BESIDES & set(modules) else _ATTENTION_ROLES.get(leaf, ""), leaf
    if part == "mlp":
        inner = {"gate", "router"} & set(modules[:-1])
        if leaf == "dense" and len(modules) > 1:
            leaf = modules[-2]
        if leaf == "fc1" and "experts" in modules:  # of Aria
            return part, "gate_up", leaf
        return part, "" if inner else _MLP_ROLES.get(leaf, ""), "" if inner else leaf
    return part, "", leaf


def _part(modules: list[str]) -> Part:
    if any(_OTHER.fullmatch(module) for module in modules):
        return "other"
    for place, module in enumerate(modules):
        if module in _CONTAINS_NORMS:
            continue
        if _NORM.fullmatch(module):
            return "norm"
        for pattern, part in _CONTAINERS:
            if pattern.fullmatch(module):
                inner = modules[place + 1 :]
                return "norm" if any(map(_BLOCK_NORMS.fullmatch, inner)) else part
        if module in _BARE:
            inner = modules[place + 1 :]
            return "norm" if any(map(_BLOCK_NORMS.fullmatch, inner)) else _BARE[module]
        if module in {"mixer", "temporal_block"}:
            bare = [_BARE[inner] for inner in modules[place + 1 :] if inner in _BARE]
            return bare[0] if bare else "other"
    return "other"


_CONTAINERS: tuple[tuple[re.Pattern[str], Part], ...] = ((_ATTENTION, "attention"), (_MLP, "mlp"))


def is_attention(module: str) -> bool:
    """Return whether a module of a block is its attention, by its name."""
    return bool(_ATTENTION.fullmatch(module))


def is_mlp(module: str) -> bool:
    """Return whether a module of a block is its MLP, by its name."""
    return bool(_MLP.fullmatch(module))


@cache
def tower_of(path: tuple[str, ...], *, encoder: bool) -> str | None:
    """Return which tower a tensor belongs to, by the components of its name.

    Args:
        path: components of the name.
        encoder: whether a plain `encoder` is a tower: there is a decoder as well.
    """
    found = None
    for module in path:
        if found is None and module in DECODERS:
            return None
        for tower, pattern in TOWERS.items():
            if pattern.fullmatch(module):
                return tower
        if encoder and module == "encoder":
            found = "encoder"  # unless a part of it is more than that
    return found


DECODERS = frozenset({"decoder", "text_decoder"})
"""Modules that hold the text decoder of an encoder-decoder."""

TEXT_MODULES = (frozenset({"language_model", "text_model", "llm", "language"}), DECODERS)
"""Modules that hold the text model where there are others; the first kind comes before."""

Place = Literal["embedding", "lm_head", "norm", "other"]


@cache
def place_of(path: tuple[str, ...]) -> Place:
    """Return what a tensor outside the blocks and towers is."""
    modules = [module for module in path if module not in {"weight", "bias"}] or list(path)
    if any(map(HEAD.fullmatch, modules)) or _ENDS.fullmatch(modules[-1]):
        return "lm_head"
    if _NORM.fullmatch(modules[-1]):
        return "norm"
    if any(map(EMBEDDING.fullmatch, modules)):
        return "embedding"
    return "other"


Path = tuple[str, ...]

TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "thinker_config", "decoder")
"""Sections of a configuration that describe the text decoder; one may lie in another."""

COUNTS = (
    "num_layers_per_stack",
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_layers",
    "decoder_layers",
    "num_decoder_layers",
)
"""Fields that count the layers of the text decoder."""


@dataclass(frozen=True)
class TextStack:
    """The layers of the text decoder.

    Attributes:
        prefixes: of the lists that hold them; several where parts of a layer lie in parallel lists.
        indices: of the layers that hold tensors, ascending.
        encoder: whether an `encoder` in the same model is a tower beside it.
    """

    prefixes: tuple[Path, ...]
    indices: tuple[int, ...]
    encoder: bool


def split_path(name: str) -> Path:
    """Return the components of a tensor's name."""
    return tuple(name.split("."))


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the section of a configuration that describes the text decoder, or all of it."""
    for section in TEXT_CONFIGS:
        inner = config.get(section)
        if isinstance(inner, Mapping):
            return text_config(inner)
    return config


def number_in(config: Mapping[str, Any], names: Iterable[str]) -> int | None:
    """Return the first of these fields that holds a whole number above 0."""
    for name in names:
        value = config.get(name)
        if type(value) is int and value > 0:
            return value
    return None


def list_of(path: Path) -> tuple[Path, int] | None:
    """Return the outermost numbered list that a tensor lies in, and its number there."""
    for place, component in enumerate(path):
        if place and is_number(component) and place + 1 < len(path):
            return path[:place], int(component)
    return None


def find_text_stack(stored: Iterable[Stored], config: Mapping[str, Any]) -> TextStack | None:
    """Return the layers of the text decoder: None when no list of modules can be it.

    The list that the configuration counts comes before others, then the one with most parameters.
    """
    lists: dict[Path, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for each in stored:
        if place := list_of(split_path(each.name)):
            known = each.parameters is not None
            lists[place[0]][place[1]] += each.parameters or 0 if known else prod(each.shape)
    marked = ([prefix for prefix in lists if marks & set(prefix)] for marks in TEXT_MODULES)
    named = next(filter(None, marked), [])
    encoder = any(tower_of(prefix, encoder=True) is None for prefix in named)
    text = {
        prefix: counts
        for prefix, counts in lists.items()
        if tower_of(prefix, encoder=encoder) is None
        and place_of(prefix) not in ("embedding", "lm_head")
    }
    if not text:
        return None
    if any(prefix in text for prefix in named):
        text = {prefix: text[prefix] for prefix in named if prefix in text}
    count = number_in(text_config(config), COUNTS)

    def rank(prefix: Path) -> tuple[bool, int]:
        counts = text[prefix]
        return len(counts) == count, sum(counts.values())

    first = max(text, key=rank)
    prefixes = tuple(prefix for prefix in text if _is_parallel(prefix, first, text))
    indices = sorted(set().union(*(text[prefix] for prefix in prefixes)))
    return TextStack(prefixes, tuple(indices), encoder)


_TWINS = re.compile(r"[HL]_module")
"""Lists that differ in a component like this are run in turn: layer i has a part in each."""


def _is_parallel(prefix: Path, first: Path, lists: Mapping[Path, Mapping[int, int]]) -> bool:
    """Return whether a list holds parts of the same layers: beside the first, equally long."""
    if prefix == first:
        return True
    if len(prefix) != len(first) or set(lists[prefix]) != set(lists[first]):
        return False
    different = [(a, b) for a, b in zip(prefix, first, strict=True) if a != b]
    if len(different) != 1:
        return False
    return prefix[:-1] == first[:-1] or all(map(_TWINS.fullmatch, different[0]))
