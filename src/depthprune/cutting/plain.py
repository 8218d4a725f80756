"""Architectures that are plain enough to be cut by a table, without building their skeletons.

For these the configuration says block by block all that there is to say, the keys of the checkpoint
are counted in one place, and every removal is admissible. `tests/cutting/test_plain.py` compares
each row with what probing finds.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from depthprune.base.errors import ModelError
from depthprune.base.language import counted
from depthprune.base.removal import Removal, check_removal
from depthprune.blocks.layer_fields import shorten_dict, shortening, unknown_fields
from depthprune.blocks.layer_rules import Section
from depthprune.blocks.skeleton import Loader
from depthprune.cutting.keys import Numbering
from depthprune.cutting.probe import CutStack


@dataclass(frozen=True)
class PlainType:
    """One row of the table.

    Attributes:
        lists: how checkpoints call the list of blocks, a regular expression.
        count: the field that counts them.
        written: per-layer fields that the class derives when they are missing, from what may not be
            true of the smaller model: only a config.json that has them is plain.
        unless: a field that says by being false or missing that all blocks are of one kind, so that
            nothing need be written.
    """

    lists: str = r"(model\.)?layers"
    count: str = "num_hidden_layers"
    written: tuple[str, ...] = ()
    unless: str = ""


_DECODER = PlainType()
_KINDS = PlainType(written=("layer_types",))
_WINDOWS = PlainType(written=("layer_types",), unless="use_sliding_window")

PLAIN_TYPES: dict[str, PlainType] = {
    "llama": _DECODER,
    "mistral": _DECODER,
    "mixtral": _DECODER,
    "phi3": _DECODER,
    "olmo": _DECODER,
    "olmo2": _DECODER,
    "granite": _DECODER,
    "gemma": _DECODER,
    "starcoder2": _DECODER,
    "stablelm": _DECODER,
    "qwen2": _WINDOWS,
    "qwen3": _WINDOWS,
    "gemma2": _KINDS,
    "gemma3_text": _KINDS,
    "qwen2_vl_text": _WINDOWS,
    "qwen2_5_vl_text": _WINDOWS,
    # Older files of these have the text model's fields at the top, and no `text_config`.
    "qwen2_vl": _WINDOWS,
    "qwen2_5_vl": _WINDOWS,
    "gpt2": PlainType(r"(transformer\.)?h", "n_layer"),
    "gpt_neox": PlainType(r"(gpt_neox\.)?layers"),
    "opt": PlainType(r"((model\.)?decoder\.)?layers"),
}
"""Language models by `model_type`."""

_LANGUAGE_MODEL = r"(model\.)?language_model\.(model\.)?layers"

# Beside `visual.blocks`; older checkpoints call it as a language model alone does.
_BESIDE_VISUAL = r"(model\.)?(language_model\.)?layers"

PLAIN_WRAPPERS: dict[str, str] = {
    "llava": _LANGUAGE_MODEL,
    "gemma3": _LANGUAGE_MODEL,
    "qwen2_vl": _BESIDE_VISUAL,
    "qwen2_5_vl": _BESIDE_VISUAL,
}
"""Models around one of them in `text_config`, by `model_type`, and how the list is called there."""


_LOADERS = {
    "ForConditionalGeneration": "AutoModelForImageTextToText",
    "ForCausalLM": "AutoModelForCausalLM",
    "LMHeadModel": "AutoModelForCausalLM",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
}
"""The class that loads a plain checkpoint, by the end of the name of its architecture."""


# What makes attributes follow the place of a block, which is to be said.
_PLACED = ("scale_attn_by_inverse_layer_idx",)

_COUNTS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def find_plain(config: Section, tensors: Collection[str], removal: Removal) -> CutStack | None:
    """Return the stack of the language model of a plain checkpoint, None when it is not plain.

    Args:
        config: the content of config.json.
        tensors: the keys of the checkpoint.
        removal: the blocks that go; where none goes, more models are plain.

    Raises:
        ModelError: config.json counts more blocks than there are tensors.
        RemovalError: a block does not exist, or no block would be left.
    """
    found = _plain_type(config)
    loader = _loader(config)
    if found is None or loader is None:
        return None
    kind, section, prefix = found
    num_blocks = section.get(kind.count)
    if type(num_blocks) is not int or num_blocks < 1:
        return None
    if any(name != kind.count and name in section for name in _COUNTS):
        return None  # said twice, and a class may take either
    if removal and not _follows_blocks(section, kind, num_blocks):
        return None
    paths = {match[1] for key in tensors if (match := re.match(rf"({kind.lists})\.\d+\.", key))}
    if len(paths) != 1:
        return None
    path = str(paths.pop())
    count = f"{prefix}.{kind.count}" if prefix else kind.count
    if num_blocks > len(tensors):  # a number that only a broken file can say
        raise ModelError(
            f"config.json counts {counted(num_blocks, 'block')}, but there are "
            f"{counted(len(tensors), 'tensor')}",
            where=count,
            mend="check that config.json and the weights belong together",
        )
    check_removal(removal, num_blocks)
    return CutStack(
        path=path,
        config_path=count,
        num_blocks=num_blocks,
        containers=(path,),
        numberings=(Numbering(f"{path}."),),
        slices={},
        config=shorten_dict(config, count, removal) if removal else config,
        loader=loader,
    )


def _plain_type(config: Section) -> tuple[PlainType, Section, str] | None:
    """Return the row, the section that it describes and the name of that section."""
    model_type = config.get("model_type")
    if config.get("auto_map") or not isinstance(model_type, str):
        return None
    text = config.get("text_config")
    lists = PLAIN_WRAPPERS.get(model_type)
    if lists is not None and isinstance(text, dict):
        inner = PLAIN_TYPES.get(str(text.get("model_type")))
        return None if inner is None else (replace(inner, lists=lists), text, "text_config")
    row = PLAIN_TYPES.get(model_type)
    return None if row is None else (row, config, "")


def _loader(config: Section) -> Loader | None:
    """Return how a checkpoint is loaded; None where its architecture is none of the usual."""
    named = config.get("architectures") or [
        "ForConditionalGeneration" if config.get("model_type") in PLAIN_WRAPPERS else "ForCausalLM"
    ]
    architecture = str(named[0]) if isinstance(named, list) else ""
    for ending, name in _LOADERS.items():
        if architecture.endswith(ending):
            return Loader(name)
    return None


def _follows_blocks(section: Section, kind: PlainType, num_blocks: int) -> bool:
    """Return whether all is known that fields say of single blocks."""
    if not _says_all(section, kind, num_blocks) or any(section.get(name) for name in _PLACED):
        return False
    return not unknown_fields(section, kind.count, shortening(section, kind.count, ()))


def _says_all(section: Section, kind: PlainType, num_blocks: int) -> bool:
    """Return whether the section has the lists that its class would otherwise derive."""
    for name in kind.written:
        value = section.get(name)
        if isinstance(value, list) and len(value) == num_blocks:
            continue
        if value is not None or not kind.unless or section.get(kind.unless):
            return False
    return True
