"""The narrower checkpoint: slices of the whole one's tensors, and what config.json says of them."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from depthprune.base.errors import DepthpruneError, ModelError, option
from depthprune.blocks.skeleton import Loader
from depthprune.checkpoint.folder import read_config, source_folder
from depthprune.cutting.configuration import field_changes
from depthprune.cutting.keys import CutNote
from depthprune.cutting.plan import CutPlan, Pruned, plan_cut
from depthprune.cutting.quantization import is_quantized
from depthprune.cutting.shards import BlockSlices, TargetTensor, make_shards, parse_size
from depthprune.widths import PruneOptions
from depthprune.widths.choose import Kept, removed_parameters
from depthprune.widths.layout import FAMILIES, UnitMap

MODELLING_FILE = "modeling_widths.py"

_MODELLING = '''\
"""{base} whose blocks have different widths: heads and MLP channels by {field}."""

import copy

from transformers import {base}


class {name}({base}):
    def __init__(self, config):
        super().__init__(config)
        text = config.get_text_config()
        queries = text.num_attention_heads // text.num_key_value_heads
        blocks = self.get_submodule("{path}")
        for index, (block, (groups, channels)) in enumerate(zip(blocks, text.{field})):
            own = copy.deepcopy(text)
            own.num_attention_heads, own.num_key_value_heads = groups * queries, groups
            own.intermediate_size = channels
{attention}            block.mlp = type(block.mlp)(own)
        self.post_init()
'''
_ATTENTION = """\
            block.self_attn = type(block.self_attn)(own, index)
"""
_FIELD = "block_widths"


def plan_whole(
    source: str | Path,
    *,
    name: str | None = None,
    max_shard_size: str = PruneOptions.max_shard_size,
    revision: str | None = None,
    download: bool = False,
) -> CutPlan:
    """Return the plan of a copy of a model that can be pruned: what is there before anything goes.

    Raises:
        ModelError: there is no such checkpoint, it is damaged, quantised, or of an architecture
            that is not known to be pruned.
    """
    folder = source_folder(source, revision=revision, download=download)
    config = read_config(folder)
    text = config.get("text_config")
    section = text if isinstance(text, dict) else config
    model_type = section.get("model_type")
    if config.get("auto_map") or model_type not in FAMILIES:
        raise ModelError(
            f"it is not known what can be pruned within the blocks of {model_type!r}"
            + (" with code of its own" if config.get("auto_map") else ""),
            where=str(folder),
            mend=f"whole blocks can be cut (`depthprune cut`); known are {', '.join(FAMILIES)}",
        )
    if is_quantized(config):
        raise ModelError(
            "the weights are quantised",
            where=str(folder),
            mend="prune the model before it is quantised",
        )
    return plan_cut(
        folder,
        (),
        name=name or (None if Path(source).expanduser().is_dir() else str(source)),
        max_shard_size=max_shard_size,
        may_stay_whole=True,
    )


def plan_widths(
    whole: CutPlan, layout: UnitMap, kept: Sequence[Kept], total: int, how: PruneOptions
) -> tuple[CutPlan, dict[str, str]]:
    """Return how to write the narrower checkpoint, and further files that it needs, by name.

    Args:
        whole: the plan of the whole model, from `plan_whole`.
        layout: of its blocks.
        kept: the units of each block that stay.
        total: parameters of the whole model.
        how: the options.

    Raises:
        DepthpruneError: transformers loads no model of such widths.
    """
    pruned = Pruned(
        how.method,
        tuple(one.groups for one in kept),
        tuple(one.channels for one in kept),
        layout.groups,
        layout.channels,
        total,
        total - removed_parameters(layout, kept),
    )
    files: dict[str, str] = {}
    targets = [
        replace(one, slices=_slices(layout, kept, one))
        for shard in whole.shards
        for one in shard.tensors
    ]
    loader, notes = whole.loader, whole.notes
    if how.widths == "uniform":
        config, changed = _uniform_config(whole, layout, *pruned.widths[0])
        notes += (CutNote("other class", changed),) if changed else ()
    else:
        path, names = _names_in_memory(whole)
        config, files = _global_config(whole, layout, pruned, path)
        targets = [replace(one, name=names[one.name]) for one in targets]
        loader = Loader(loader.name, remote_code=True)
        notes += (CutNote("modelling file", MODELLING_FILE),)
    plan = replace(
        whole,
        config=config,
        fields=(*whole.fields, *field_changes(whole.config, config)),
        shards=make_shards(targets, parse_size(how.max_shard_size)),
        loader=loader,
        notes=notes,
        pruned=pruned,
    )
    return plan, files


def _slices(layout: UnitMap, kept: Sequence[Kept], target: TargetTensor) -> BlockSlices | None:
    """Return which slices of a tensor stay; None for one that stays whole."""
    key = target.name
    if not key.startswith(layout.prefix):
        return target.slices
    number, _, name = key[len(layout.prefix) :].partition(".")
    if not number.isdecimal() or int(number) >= len(kept) or name not in layout.family.tensors:
        return target.slices
    count, unit, table = layout.slices(name)
    units = getattr(kept[int(number)], unit)
    if len(units) == layout.count(unit):
        return None
    stays = tuple(sorted(table[list(units)].ravel().tolist()))
    return BlockSlices(layout.family.tensors[name][0], count, stays)


def _uniform_config(
    whole: CutPlan, layout: UnitMap, groups: int, channels: int
) -> tuple[dict[str, Any], str]:
    """Return config.json of equal widths, and the class that stands in for its own, if any."""
    config = copy.deepcopy(dict(whole.config))
    section = config[layout.section] if layout.section else config
    section[layout.family.width] = channels
    if groups == layout.groups:
        return config, ""
    heads = layout.heads // layout.groups * groups
    section[layout.family.heads] = heads
    section["num_key_value_heads"], section["head_dim"] = groups, layout.head_dim
    hidden = section.get("hidden_size")
    if not layout.family.divides or (isinstance(hidden, int) and hidden % heads == 0):
        return config, ""
    if layout.family.like is None or section.get("attention_bias") or section.get("mlp_bias"):
        raise DepthpruneError(
            f"the class of {layout.model_type} refuses {heads} query heads, which do not divide "
            f"the hidden size {hidden}",
            option="keep_kv_heads",
            mend=f"keep another number, or all: leave {option('keep_kv_heads')} out",
        )
    other, named = layout.family.like
    section["model_type"], section["sliding_window"] = other, None
    # What the two classes take for granted differently, and a version that reads the tokenizer of
    # such a folder as it is: older ones are suspected of a fault of early Mistral tokenizers.
    section.setdefault("max_position_embeddings", 2048)
    config["transformers_version"] = "5.0.0"
    for place in (config, section):
        if isinstance(place.get("architectures"), list):
            place["architectures"] = [
                str(one).replace("Llama", named, 1) for one in place["architectures"]
            ]
    return config, f"{named}ForCausalLM"


def _names_in_memory(whole: CutPlan) -> tuple[str, dict[str, str]]:
    """Return the path of the blocks, and what transformers calls the tensors, by their keys.

    Keys of older versions are renamed when they are loaded, but not for code of a checkpoint.
    """
    from depthprune.blocks.models import load_config
    from depthprune.blocks.skeleton import build_model
    from depthprune.blocks.stack import find_stack
    from depthprune.cutting.probe import key_namer

    config = load_config(str(whole.source), trust_remote_code=False, local_files_only=True)
    model = build_model(config, trust_remote_code=False)
    keys = [one.name for shard in whole.shards for one in shard.tensors]
    name = key_namer(model, keys)
    return find_stack(model, "text").path, {key: name(key) for key in keys}


def _global_config(
    whole: CutPlan, layout: UnitMap, pruned: Pruned, path: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return config.json of blocks that differ, and the modelling file that builds them."""
    named = whole.config.get("architectures") or [""]
    base = str(named[0])
    known = re.fullmatch(r"[A-Za-z]\w*(ForCausalLM|ForConditionalGeneration)", base, re.ASCII)
    if not known or layout.family.inputs_first:
        raise DepthpruneError(
            f"blocks of different widths are not written for {base or layout.model_type}",
            option="widths",
            mend=f"choose {option('widths', 'uniform')}",
        )
    own = f"Pruned{base}"
    config = copy.deepcopy(dict(whole.config))
    section = config[layout.section] if layout.section else config
    config |= {
        "architectures": [own],
        "auto_map": {whole.loader.name: f"{MODELLING_FILE.removesuffix('.py')}.{own}"},
    }
    section[_FIELD] = [list(widths) for widths in pruned.widths]
    if layout.groups:
        section |= {
            "num_attention_heads": layout.heads,
            "num_key_value_heads": layout.groups,
            "head_dim": layout.head_dim,
        }
    text = _MODELLING.format(
        base=base,
        name=own,
        field=_FIELD,
        path=path,
        attention=_ATTENTION if layout.groups else "",
    )
    return config, {MODELLING_FILE: text}
