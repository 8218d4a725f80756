"""The configuration of the smaller checkpoint: what changes in it, and what names blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from depthprune.base.errors import ModelError
from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.cut.keys import Numbering
from depthprune.blocks.layer_rules import Section

ABSENT: Final = "(absent)"
"""Stands for the value of a field that is not there."""

QUANTIZATION_FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json",
                      "quantization_config.json")  # fmt: skip
"""Files beside config.json that say how a checkpoint was quantised."""

_QUANTIZATION_SECTIONS = ("quantization_config", "compression_config")


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


@dataclass(frozen=True)
class BlockNames:
    """How to rename what names modules of blocks: lists of layers that are not quantised.

    Attributes:
        lists: paths of the lists of blocks, as the model and as the checkpoint call them.
        modules: the paths of all modules in the checkpoint, which tell other stacks apart.
        num_blocks: of the whole model.
        removal: the blocks that go.
    """

    lists: tuple[str, ...]
    modules: frozenset[str]
    num_blocks: int
    removal: Removal

    def rename(self, text: str, where: str) -> str | None:
        """Return a name or pattern for the smaller model; None when its block goes.

        Raises:
            ModelError: it has numbers that could mean blocks, and is neither a name of a module
                nor a pattern with one block written out.
        """
        if not re.search(r"\d", text):
            return text
        plain = text.replace("\\", "")
        mark = re.match(r"^(re:)?([+-]:)?\^?(\.\*\.?)?", plain)
        start = mark.end() if mark else 0
        for path in self.lists:
            found = re.match(rf"{re.escape(path)}\.(\d+)(?=$|\.|\$)", plain[start:])
            if found:
                return self._renumbered(text, path, int(found[1]), where)
        if self._is_elsewhere(plain[start:].removesuffix("$")):
            return text
        last_names = {path.rpartition(".")[2] for path in self.lists}
        any_list = re.search(r"[*?|\[]", plain) and re.search(r"(^|[.*])\d+($|[.*$])", plain)
        if (
            any_list
            or "(" in plain
            or any(re.search(rf"(^|[.*]){name}[.\[(]", plain) for name in last_names)
        ):
            raise ModelError(
                f"{text!r} may mean blocks of the stack that is cut, and cannot be renumbered",
                where=where,
                mend="write it as the names of modules, such as model.layers.3.mlp",
            )
        return text

    def _renumbered(self, text: str, path: str, block: int, where: str) -> str | None:
        if block >= self.num_blocks:
            return None
        if block in self.removal:
            return None
        kept = active_blocks(self.removal, self.num_blocks)
        pattern = re.escape(path).replace(r"\.", r"\\?\.") + r"\\?\."
        renamed, count = re.subn(
            rf"({pattern}){block}(?!\d)", rf"\g<1>{kept.index(block)}", text, count=1
        )
        if count != 1:
            raise ModelError(f"{text!r} cannot be renumbered", where=where)
        return renamed

    def _is_elsewhere(self, name: str) -> bool:
        """Return whether a name is that of a module or tensor outside the lists."""
        return any(
            module == name or module.startswith(f"{name}.") or name.startswith(f"{module}.")
            for module in self.modules
            if module
        )


def rename_in_quantization(config: Section, names: BlockNames) -> Section:
    """Return `config` with the blocks renamed in its quantisation sections; others are the same.

    Raises:
        ModelError: a list in it may name blocks in a way that is not understood.
    """
    return {
        name: rename_blocks(value, names, name)
        if name in _QUANTIZATION_SECTIONS
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
        renamed = {}
        for key, entry in value.items():
            place = f"{where}.{key}"
            new_key = names.rename(key, where) if isinstance(key, str) else key
            if new_key is not None:
                renamed[new_key] = rename_blocks(entry, names, place)
        return renamed
    if isinstance(value, list):
        if len(value) == names.num_blocks and not all(isinstance(entry, str) for entry in value):
            raise ModelError(
                f"{where} has an entry for every block, and it is not known what they mean",
                where="config.json",
                mend="cut the model before it is quantised",
            )
        if re.search(r"layers|blocks", where.rpartition(".")[2]) and int in map(type, value):
            raise _unknown_numbers(where)
        kept = [
            names.rename(entry, where)
            if isinstance(entry, str)
            else rename_blocks(entry, names, where)
            for entry in value
        ]
        return [entry for entry in kept if entry is not None]
    return value


def _unknown_numbers(where: str) -> ModelError:
    return ModelError(
        f"{where} has numbers that may mean blocks, and it is not known how they follow them",
        where="config.json",
        mend="cut the model before it is quantised",
    )


def is_quantized(config: Section) -> bool:
    """Return whether a configuration, or one inside it, says that the weights are quantised."""
    return any(
        (name in _QUANTIZATION_SECTIONS and bool(value))
        or (isinstance(value, dict) and is_quantized(value))
        for name, value in config.items()
    )


def block_lists(numberings: Sequence[Numbering], containers: Iterable[str]) -> tuple[str, ...]:
    """Return all paths by which the lists of blocks may be named, the longest first.

    The keys of the checkpoint, the modules of the model, and either without the `model.` before.
    """
    paths = [numbering.prefix.rstrip(".") for numbering in numberings]
    paths += list(containers)
    shorter: Callable[[str], str] = lambda path: path.removeprefix("model.")  # noqa: E731
    return tuple(sorted({*paths, *map(shorter, paths)}, key=lambda path: (-len(path), path)))
