"""What a configuration says layer by layer, and the configuration of a model without some blocks.

One table (`LAYER_FIELDS`) says for every known field how it follows the blocks that stay. All of it
works on plain dictionaries, so that a `config.json` on disk is shortened by the same code.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import StackError, option
from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.layer_rules import (
    Rule,
    Section,
    Shortening,
    count_leading,
    count_trailing,
    enter_leading,
    filter_list,
    keep_middle,
    refit_period,
    refit_step,
    regenerate,
    remap_feature_layers,
    remap_first_of_pairs,
    remap_indices,
    remap_keys,
    remap_last,
    remap_one_based,
    remap_outputs,
    remap_pair_states,
    remap_pairs,
    remap_states,
    remap_text,
    rewrite_runs,
    scale_by_root,
    tile,
)
from depthprune.blocks.skeleton import rebuild_config

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class LayerField:
    """One row of the table.

    Attributes:
        name: the field, a regular expression for its whole name; `a.b` lies in a dictionary.
        rule: how its value follows the blocks that stay.
        counts: the count fields it belongs to, a regular expression for the whole name.
        outer: whether it lies in a configuration around the one that holds the count.
        within: the sections that hold the count, a regular expression.
    """

    name: str
    rule: Rule
    counts: str = ".*"
    outer: bool = False
    within: str = ".*"


_NOT_DECODER = r"(?!.*decoder).*"
_NOT_ENCODER = r"(?!.*encoder).*"
_VISION = r"(.*\.)?(vision|visual|vit|image)\w*(\.\w+)*"
_TEXT = rf"(?!{_VISION}$).*"
_TEXT_CONFIG = r"(.*\.)?text_config"

LAYER_FIELDS: tuple[LayerField, ...] = (
    # Scalars that must be read before the lists which they are rewritten into.
    LayerField("decoder_sparse_step", refit_step, counts=_NOT_ENCODER),
    LayerField("encoder_sparse_step", refit_step, counts=".*encoder.*"),
    LayerField("attn_layer_period", refit_period("attn_layer_offset")),
    LayerField("expert_layer_period", refit_period("expert_layer_offset")),
    # One entry per block.
    LayerField("layer_types", filter_list),
    LayerField("mlp_layer_types", filter_list),
    LayerField("indexer_types", filter_list),
    LayerField("layers_block_type", filter_list),
    LayerField("hybrid_override_pattern", filter_list),
    LayerField("attention_layers", filter_list),
    LayerField("attn_layers", filter_list),
    LayerField("attention_window", filter_list, counts=_NOT_DECODER),
    LayerField("no_rope_layers", filter_list),
    LayerField("layer_rope_theta", filter_list),
    LayerField("num_attention_heads_per_layer", filter_list),
    LayerField("num_key_value_heads_per_layer", filter_list),
    LayerField("num_attention_heads", filter_list),
    LayerField("num_key_value_heads", filter_list),
    LayerField("num_query_heads", filter_list),
    LayerField("num_kv_heads", filter_list),
    LayerField("intermediate_size", filter_list),
    LayerField("ffn_multipliers", filter_list),
    LayerField("activation_sparsity_pattern", filter_list),
    LayerField("moe_layer_freq", filter_list),
    LayerField("compress_ratios", filter_list),
    LayerField("block_configs", filter_list),
    LayerField("attention_types", rewrite_runs),
    LayerField("block_types", tile),
    # Lists of block indices.
    LayerField("moe_layers_enum", remap_text),
    LayerField("moe_layers", remap_indices),
    LayerField("cross_attention_layers", remap_indices),
    LayerField("attn_layer_indices", remap_indices),
    LayerField("mlp_only_layers", remap_indices),
    LayerField("kv_source_layers", remap_indices),
    LayerField("rope_scaling_layers", remap_indices),
    LayerField("full_attn_idxs", remap_indices),
    LayerField("hybrid_layer_ids", remap_indices),
    LayerField("local_layer_ids", remap_indices),
    LayerField("ple_layer_ids", remap_one_based),
    LayerField("global_attn_indexes", remap_indices),
    LayerField("fullatt_block_indexes", remap_indices),
    LayerField("window_block_indices", remap_indices),
    LayerField("residual_block_indices", remap_indices),
    LayerField("deepstack_layer_map", remap_pairs, outer=True, within=_TEXT),
    LayerField(r"linear_attn_config\.(kda_layers|full_attn_layers)", remap_one_based),
    # Dictionaries by block index.
    LayerField("per_layer_config", remap_keys),
    LayerField("pruned_heads", remap_keys),
    # Hidden states that are taken from between the blocks.
    LayerField("intermediate_layers_indices", remap_states),
    LayerField("feature_layer", remap_states),
    LayerField(
        "(mm_)?(vision_feature|vision_select|vision_feature_select|spatial_vision|select)_layers?",
        remap_states,
        outer=True,
        within=_VISION,
    ),
    LayerField(
        r"adapter_config\.vision_feature_layers?", remap_feature_layers, outer=True, within=_VISION
    ),
    LayerField("deepstack_layer_map", remap_pair_states, outer=True, within=_VISION),
    LayerField("extract_layers", remap_outputs, outer=True, within=_VISION),
    # The output of these blocks is taken.
    LayerField("deepstack_visual_indexes", remap_outputs),
    # What the model does after a block that only its place names.
    LayerField(
        r"vision_config\.deepstack_visual_indexes", enter_leading, outer=True, within=_TEXT_CONFIG
    ),
    LayerField("model_type", keep_middle),
    # Numbers of blocks at one end.
    LayerField("first_k_dense_replace", count_leading),
    LayerField("num_dense_layers", count_leading),
    LayerField("num_hash_layers", count_leading),
    LayerField("max_window_layers", count_leading),
    LayerField("num_first_full_attention_layers", count_leading),
    LayerField("moe_layer_start_index", count_leading),
    LayerField("moe_layer_end_index", remap_last),
    LayerField("num_last_full_attention_layers", count_trailing),
    LayerField("num_kv_shared_layers", count_trailing),
    # Numbers that depend on how many blocks there are.
    LayerField("scale_depth", scale_by_root),
    # Derived from the other fields.
    LayerField("out_features", regenerate),
    LayerField("_out_features", regenerate),
    LayerField("out_indices", regenerate),
    LayerField("_out_indices", regenerate),
    LayerField("stage_names", regenerate),  # last: the rule above looks at it
)

GENERATION_FIELDS: tuple[LayerField, ...] = (
    LayerField("alignment_heads", remap_first_of_pairs),
    LayerField("assistant_early_exit", remap_states),
    LayerField("dola_layers", remap_states),
)
"""What generation_config.json says of the blocks that generate."""

EXTRA_COUNTS = (
    *("num_nextn_predict_layers", "num_mtp_layers", "mtp_num_layers", "num_mtp_modules"),
    *("mtp_num_hidden_layers", "n_predict"),
)
"""Fields that count heads which predict further tokens; lists may have entries for them."""


@dataclass(frozen=True)
class CountField:
    """Where a configuration says how many blocks there are.

    `text_config.num_hidden_layers` is a number, `depths[2]` an entry of a list, and
    `layers_block_type` a list whose length is the count.
    """

    sections: tuple[str, ...]
    name: str
    index: int | None = None

    @classmethod
    def parse(cls, path: str) -> CountField:
        """Read `a.b.name` or `a.b.name[index]`."""
        *sections, last = path.split(".")
        match = re.fullmatch(r"(.+)\[(\d+)\]", last)
        if match:
            return cls(tuple(sections), match[1], int(match[2]))
        return cls(tuple(sections), last)

    def chain(self, data: Section) -> list[Section]:
        """Return the sections from the outermost to the one that holds the field.

        Raises:
            StackError: the configuration has no such field.
        """
        chain = [data]
        for section in self.sections:
            inner = chain[-1].get(section)
            if not isinstance(inner, dict):
                raise StackError(f"the configuration has no section {section!r}")
            chain.append(inner)
        if self.name not in chain[-1]:
            raise StackError(f"the configuration has no field {self.name!r}")
        return chain

    def read(self, data: Section) -> int:
        """Return the number of blocks; raises StackError when the field holds none."""
        value = self.chain(data)[-1][self.name]
        if self.index is not None and isinstance(value, list | tuple):
            value = value[self.index] if self.index < len(value) else None
        elif isinstance(value, list | tuple):
            value = len(value)
        if type(value) is not int:
            raise StackError(f"the configuration's field {self.name!r} is not a count of blocks")
        return value

    def write(self, section: Section, count: int) -> None:
        """Set the count in the section that holds the field (a list follows by its own rule)."""
        value = section[self.name]
        if self.index is not None:
            section[self.name] = [*value[: self.index], count, *value[self.index + 1 :]]
        elif type(value) is int:
            section[self.name] = count


def find_layer_fields(data: Section, config_path: str) -> dict[str, Any]:
    """Return the per-layer fields of a configuration that follow the count at `config_path`.

    Keys are the paths of the fields, values what they hold.
    """
    count = CountField.parse(config_path)
    return {
        ".".join((*place, name)): section[name]
        for place, section, name, rule in _rows(count.chain(data), count)
        if isinstance(section[name], list | tuple | dict)
        or (rule not in (filter_list, keep_middle) and section[name])
    }


def shorten_dict(data: Section, config_path: str, removal: Removal) -> Section:
    """Return the configuration `data` (left as it is) of the model without the blocks `removal`.

    Args:
        data: a whole configuration as a dictionary: every field that its class derives is in it
            (`AutoConfig.from_pretrained(...).to_dict()`), or a `config.json` that says it all.
        config_path: the count field of the stack, see `CountField`.
        removal: blocks of that stack.

    Raises:
        StackError: there is no such count field.
        RemovalError: a block does not exist, or no block would be left.
    """
    num_blocks = CountField.parse(config_path).read(data)
    return keep_blocks(data, config_path, active_blocks(removal, num_blocks))


def keep_blocks(data: Section, config_path: str, kept: tuple[int, ...]) -> Section:
    """Return the configuration with the blocks `kept` alone, of which there may be none."""
    data = copy.deepcopy(data)
    count = CountField.parse(config_path)
    chain = count.chain(data)
    short = shortening(data, config_path, kept)
    for _, section, name, rule in _rows(chain, count):
        rule(section, name, short)
    count.write(chain[-1], len(kept))
    return data


def shortening(data: Section, config_path: str, kept: tuple[int, ...]) -> Shortening:
    """Return what the rules need to know of a configuration and the blocks that stay."""
    count = CountField.parse(config_path)
    section = count.chain(data)[-1]
    extra = [section.get(name) for name in EXTRA_COUNTS]
    num_extra = next((number for number in extra if type(number) is int), 0)
    return Shortening(kept, count.read(data), num_extra)


def known_fields(data: Section, config_path: str) -> frozenset[tuple[str, ...]]:
    """Return the paths of the fields that the table has a rule for."""
    count = CountField.parse(config_path)
    return frozenset((*place, name) for place, _, name, _ in _rows(count.chain(data), count))


def shorten_generation(data: Section, config_path: str, short: Shortening) -> Section:
    """Return a generation configuration that fits the blocks that stay; see GENERATION_FIELDS."""
    shorter = dict(data)
    if re.fullmatch(_VISION, config_path) or re.search("audio|encoder", config_path):
        return shorter  # these do not generate
    for field in GENERATION_FIELDS:
        if shorter.get(field.name) is not None:
            field.rule(shorter, field.name, short)
    return shorter


def shorten_config(
    config: PreTrainedConfig, config_path: str, removal: Removal
) -> PreTrainedConfig:
    """Return a new configuration of the model without the blocks `removal`; see `shorten_dict`."""
    return rebuild_config(config, shorten_dict(config.to_dict(), config_path, removal))


Place = tuple[str, ...]
"""The names that lead from the outermost configuration to a section."""


def _rows(chain: Sequence[Section], count: CountField) -> list[tuple[Place, Section, str, Rule]]:
    """Return (place, section, field name, rule) for every field that is there."""
    found = []
    for field in LAYER_FIELDS:
        if not re.fullmatch(field.counts, count.name) or count.index is not None:
            continue
        if not re.fullmatch(field.within, ".".join(count.sections)):
            continue
        for depth in range(len(chain) - 1) if field.outer else [len(chain) - 1]:
            place = count.sections[:depth]
            for inner, holder, name in _matching(chain[depth], field.name):
                found.append(((*place, *inner), holder, name, field.rule))
    return found


def _matching(section: Section, pattern: str) -> list[tuple[Place, Section, str]]:
    """Return the fields whose names, or paths through one dictionary, match a row's name."""
    named: list[tuple[Place, Section, str]] = [
        ((), section, name) for name in section if _is_match(pattern, str(name))
    ]
    if r"\." in pattern:
        named += [
            ((outer,), inner, name)
            for outer, inner in section.items()
            if isinstance(inner, dict)
            for name in inner
            if _is_match(pattern, f"{outer}.{name}")
        ]
    return [(place, holder, name) for place, holder, name in named if holder[name] is not None]


@cache
def _is_match(pattern: str, name: str) -> bool:
    # Asked for every field of a configuration once per removal: a tenth of the time of a plan.
    return re.fullmatch(pattern, name) is not None


Path = tuple[str, ...]
"""The names that lead to a field of a configuration."""

_NOT_PER_BLOCK = re.compile(
    r".*token.*|.*_(mean|std)|image_.*|.*(patch|pixel|grid|kernel|window)_(size|shape|pinpoints)s?"
    r"|architectures|id2label|label2id|rope_(parameters|scaling).*|(mtp|num_mtp)_.*|auto_map"
    r"|.*_config|_?out_(features|indices)|stage_names|.*mrope_section|conv_(dim|stride|kernel)"
    r"|quantiles|langs|languages|time_step_limit|layer_norm_.*|ssm_multipliers|mlp_multipliers"
)
"""Fields that say nothing block by block, whatever their length."""

_SOUNDS_LIKE_BLOCKS = re.compile(
    r"(.*_)?(layers?|blocks?)(_\w+)?|.*(layer|block)_?(ids?|idxs?|indices|indexes|numbers)|.*_idxs"
)


def own_fields(data: Section, config_path: str) -> Iterator[tuple[Path, Any]]:
    """Yield the fields beside a count of blocks, and those of plain dictionaries beside it."""
    count = CountField.parse(config_path)
    for name, value in count.chain(data)[-1].items():
        if name == count.name or _NOT_PER_BLOCK.fullmatch(str(name)):
            continue
        yield (*count.sections, name), value
        if isinstance(value, dict) and "model_type" not in value:
            for inner, entry in value.items():
                yield (*count.sections, name, inner), entry


def unknown_fields(data: Section, config_path: str, short: Shortening) -> list[tuple[Path, Any]]:
    """Return the fields that the table lacks and that have entries, or numbers, for blocks."""
    if CountField.parse(config_path).index is not None or short.num_blocks < 2:
        return []
    known = known_fields(data, config_path)
    return [
        (path, value)
        for path, value in own_fields(data, config_path)
        if path not in known and (short.is_per_block(value) or readings(path, value, short))
    ]


def readings(path: Path, value: Any, short: Shortening) -> tuple[Rule, ...]:
    """Return what a list or dictionary may mean, where more than its length speaks for it."""
    num_blocks = short.num_blocks
    named = _SOUNDS_LIKE_BLOCKS.fullmatch(str(path[-1]))
    if not isinstance(value, list | tuple | dict) or not value:
        return ()
    if isinstance(value, dict):
        return (remap_keys, leave) if keyed_by_block(value, num_blocks) and named else ()
    indices = (
        all(type(entry) is int and -num_blocks <= entry <= num_blocks for entry in value)
        and len(set(value)) == len(value)
        and len(value) <= num_blocks
    )
    if not indices:
        return ()
    if short.is_per_block(value):
        in_order = list(value) in (list(range(num_blocks)), list(range(1, num_blocks + 1)))
        return (filter_list, remap_indices) if named or in_order else ()
    return (remap_indices, remap_one_based, leave) if named else ()


def keyed_by_block(value: dict[Any, Any], num_blocks: int) -> bool:
    """Return whether all keys could be numbers of blocks."""
    return all(str(key).isdecimal() and int(key) <= num_blocks for key in value)


def leave(section: Section, name: str, short: Shortening) -> None:
    """Leave a field as it is: a rule for what is not about blocks."""


def unclear(path: Path, meaning: str) -> str:
    """Return the sentence that refuses a field whose meaning nothing shows."""
    return (
        f"{'.'.join(map(str, path))} may hold {meaning}, and nothing in the model shows how it "
        f"follows the blocks: {way_out()}"
    )


def way_out() -> str:
    """Return how a user says what cannot be found out."""
    return f"give its new value with `cut {option('set', 'FIELD=JSON')}`"


MEANINGS: dict[Rule, str] = {
    filter_list: "one entry per block",
    remap_indices: "numbers of blocks",
    remap_one_based: "numbers of blocks that count from 1",
    remap_keys: "entries by the number of a block",
    leave: "something else than numbers of blocks",
}
