"""The configuration of the smaller checkpoint: what changes in it, and what names blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from depthprune.base.errors import ModelError
from depthprune.blocks.layer_rules import Section
from depthprune.cutting.block_names import BlockNames, method_of

ABSENT: Final = "(absent)"
"""Stands for the value of a field that is not there."""

QUANTIZATION_FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json",
                      "quantization_config.json")  # fmt: skip
"""Files beside config.json that say how a checkpoint was quantised."""

_QUANTIZATION_SECTIONS = ("quantization_config", "compression_config", "quantization")
# The last is that of MLX.


@dataclass(frozen=True)
class FieldChange:
    """A field of the configuration that has another value in the smaller checkpoint.

    Attributes:
        path: e.g. `text_config.num_hidden_layers`.
        before: its value, or ABSENT.
        after: its new value, or ABSENT.
    """

    path: str
    before: Any
    after: Any


def field_changes(before: Section, after: Section, prefix: str = "") -> tuple[FieldChange, ...]:
    """Return the fields that differ, those of inner configurations by their own paths."""
    changes: list[FieldChange] = []
    for name in (*before, *(name for name in after if name not in before)):
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        if isinstance(old, dict) and isinstance(new, dict):
            changes += field_changes(old, new, f"{prefix}{name}.")
        elif old != new:
            changes.append(FieldChange(f"{prefix}{name}", old, new))
    return tuple(changes)


def rename_in_quantization(config: Section, names: BlockNames) -> Section:
    """Return `config` with the blocks renamed in its quantisation sections; others are the same.

    Raises:
        ModelError: a list in it may name blocks in a way that is not understood.
    """
    return {
        name: rename_blocks(value, replace(names, method=method_of(value)), name)
        if _is_quantization(name, value)
        else (rename_in_quantization(value, names) if isinstance(value, dict) else value)
        for name, value in config.items()
    }


def rename_blocks(value: Any, names: BlockNames, where: str) -> Any:
    """Return a JSON value in which all names of modules are those of the smaller model.

    List entries and keys of objects that name removed blocks go.

    Raises:
        ModelError: a text may name blocks in a way that is not understood, or a list has one entry
            per block.
    """
    if isinstance(value, dict):
        if value and all(re.fullmatch(r"\d+", str(key)) for key in value):
            raise _unknown_numbers(where)
        return {
            new: rename_blocks(entry, names, f"{where}.{key}")
            for key, entry in value.items()
            for new in names.rename(key, where)
        }
    if isinstance(value, list):
        if len(value) == names.num_blocks and not all(isinstance(entry, str) for entry in value):
            raise ModelError(
                f"{where} has an entry for every block, and it is not known what they mean",
                where="config.json",
                mend="cut the model before it is quantised",
            )
        if re.search(r"layers|blocks", where.rpartition(".")[2]) and int in map(type, value):
            raise _unknown_numbers(where)
        renamed: list[Any] = []
        for entry in value:
            if isinstance(entry, str):
                renamed += names.rename(entry, where)
            else:
                renamed.append(rename_blocks(entry, names, where))
        return renamed
    return _rename_text(value, names, where) if isinstance(value, str) else value


def _rename_text(text: str, names: BlockNames, where: str) -> str:
    """Return a text, which may be a name, a pattern or names between commas, with new names."""
    lists = "|".join(re.escape(path.rpartition(".")[2]) for path in names.lists)
    if not lists or not re.search(rf"(^|[.*])({lists})\\?\.\W*\d", text):
        return text
    parts = [text] if text.startswith("re:") else re.split(r"\s*,\s*", text)
    renamed = [new for part in parts for new in names.rename(part, where)]
    if not renamed or (len(parts) == 1 < len(renamed)):
        raise ModelError(
            f"{where} names modules of blocks that go, {text!r}, and cannot say none or several",
            where="config.json",
            mend="write it as a list, or cut the model before it is quantised",
        )
    return (", " if ", " in text else ",").join(renamed)


def _unknown_numbers(where: str) -> ModelError:
    return ModelError(
        f"{where} has numbers that may mean blocks, and it is not known how they follow them",
        where="config.json",
        mend="cut the model before it is quantised",
    )


def is_quantized(config: Section) -> bool:
    """Return whether a configuration, or one inside it, says that the weights are quantised."""
    return any(
        (_is_quantization(name, value) and bool(value))
        or (isinstance(value, dict) and is_quantized(value))
        for name, value in config.items()
    )


def _is_quantization(name: str, value: Any) -> bool:
    return name in _QUANTIZATION_SECTIONS and isinstance(value, dict)
