"""The keys of a checkpoint without some blocks: which go, and the new names of the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from depthprune.base.errors import ModelError
from depthprune.base.language import counted
from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.layer_fields import EXTRA_COUNTS, CountField, own_fields
from depthprune.blocks.layer_rules import Section
from depthprune.checkpoint.stored import StoredTensor

if TYPE_CHECKING:
    from depthprune.cutting.probe import CutStack


# Of compiled modules, of sharded ones, of checkpointed ones, and of layers with an adapter.
_WRAPPING = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer"}

# Of models on many devices, and of models with adapters.
_PREFIXES = ("module.", "base_model.model.")

Value = TypeVar("Value")


class Unwrapping:
    """How the names of a model's tensors and modules become those of the model itself.

    Args:
        tensors: all names; a prefix is taken off when all have it.
    """

    def __init__(self, tensors: Iterable[str]) -> None:
        names = [_inner(name) for name in tensors]
        self._prefix = ""
        while names and (prefix := _shared_prefix(names)):
            self._prefix += prefix
            names = [name.removeprefix(prefix) for name in names]
        # Two names that would become one are better left as they are.
        self._keeps = len(set(names)) < len(names)

    def tensor(self, name: str) -> str:
        """Return a tensor's name in the model."""
        return name if self._keeps else _inner(name).removeprefix(self._prefix)

    def modules(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return values of modules by their paths in the model, without those of wrappers."""
        if self._keeps:
            return dict(values)
        found: dict[str, Value] = {}
        for path, value in values.items():
            inner = f"{_inner(path)}." if path else ""
            if inner.startswith(self._prefix):
                found[inner.removeprefix(self._prefix).removesuffix(".")] = value
        return found


def _inner(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPING)


def _shared_prefix(names: list[str]) -> str | None:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in names):
            return prefix
    return None


@dataclass(frozen=True, order=True)
class Numbering:
    """A place in the keys where blocks are counted: `model.layers.` and a number.

    Attributes:
        prefix: what stands before the number.
        offset: the block is the number plus this; 0 but for a few checkpoints that count the parts
            which only some blocks have by themselves.
    """

    prefix: str
    offset: int = 0

    def block(self, key: str) -> int | None:
        """Return the block that a key belongs to, or None when it stands elsewhere."""
        number = self._number(key)
        return None if number is None else int(number) + self.offset

    def moved(self, key: str, block: int) -> str:
        """Return the key of the same tensor in another block."""
        number = self._number(key)
        assert number is not None
        rest = key[len(self.prefix) + len(number) :]
        return f"{self.prefix}{block - self.offset}{rest}"

    def _number(self, key: str) -> str | None:
        if not key.startswith(self.prefix):
            return None
        match = re.match(r"\d+(?=\.|$)", key[len(self.prefix) :])
        return match[0] if match else None


@dataclass(frozen=True)
class KeyChanges:
    """What becomes of the keys of a checkpoint.

    Attributes:
        new_names: the keys that stay, in the order given, with their new names.
        dropped: the keys of the blocks that go.
        extra: keys that are numbered as blocks beyond the last (heads that predict further tokens),
            with these numbers.
    """

    new_names: dict[str, str]
    dropped: tuple[str, ...]
    extra: dict[str, int]


def change_keys(
    keys: Iterable[str], numberings: Sequence[Numbering], num_blocks: int, removal: Removal
) -> KeyChanges:
    """Return the keys of the checkpoint without the blocks `removal`.

    Raises:
        RemovalError: a block does not exist, or no block would be left.
        ModelError: the weights have fewer blocks than the configuration says.
    """
    kept = active_blocks(removal, num_blocks)
    position = {block: index for index, block in enumerate(kept)}
    new_names: dict[str, str] = {}
    dropped: list[str] = []
    extra: dict[str, int] = {}
    seen: dict[Numbering, set[int]] = {numbering: set() for numbering in numberings}
    for key in keys:
        numbering = next((one for one in numberings if one.block(key) is not None), None)
        block = None if numbering is None else numbering.block(key)
        if numbering is None or block is None:
            new_names[key] = key
        elif block >= num_blocks:
            extra[key] = block
        else:
            seen[numbering].add(block)
            if block in position:
                new_names[key] = numbering.moved(key, position[block])
            else:
                dropped.append(key)
    _check_complete(seen, num_blocks)
    if len(set(new_names.values())) < len(new_names):
        names = list(new_names.values())
        raise ModelError(
            "two tensors of the smaller checkpoint would have the same name",
            where=next(name for name in names if names.count(name) > 1),
            mend="save the model anew with transformers, then cut it",
        )
    return KeyChanges(new_names, tuple(dropped), extra)


def _check_complete(seen: dict[Numbering, set[int]], num_blocks: int) -> None:
    # A part that only some blocks have may be numbered apart: together they must be complete.
    found = set().union(*seen.values())
    missing = sorted(set(range(num_blocks)) - found)
    if missing:
        places = ", ".join(f"{numbering.prefix}N" for numbering in seen) or "no numbered keys"
        raise ModelError(
            f"config.json counts {counted(num_blocks, 'block')}, but the weights have "
            f"{len(found)}: "
            f"block {missing[0]} is missing",
            where=places,
            mend="check that config.json and the weights belong together",
        )


_OF_EXTRA = re.compile(r"\.(eh_proj|enorm|hnorm|shared_head|mtp\w*)\.")
"""Tensors that only such blocks have."""


Kind = Literal[
    "extra blocks", "found field", "place constant", "no alignment", "wrapped keys", "other class",
    "modelling file",
]  # fmt: skip


@dataclass(frozen=True)
class CutNote:
    """A remark on a field of the configuration, or on an attribute of the blocks.

    Attributes:
        kind: `extra blocks`: blocks beyond the last are left out, which `field` counts;
            `found field`: `field` is in no table, and follows the blocks as their modules show;
            `place constant`: the attribute `field` is computed from the place of a block;
            `no alignment`: no block is left that `field` of generation_config.json names;
            `wrapped keys`: those of the weights had `field` around them, which was taken off;
            `other class`: the model is loaded by the class `field`, not by that of the source;
            `modelling file`: it is built by the code in the file `field`.
        field: its name.
    """

    kind: Kind
    field: str

    def __str__(self) -> str:
        """Return the remark as a sentence without its full stop."""
        return NOTES[self.kind].format(field=self.field)


NOTES = {
    "extra blocks": (
        "the extra blocks that predict further tokens ({field}) are left out: they were trained "
        "on the whole model"
    ),
    "wrapped keys": (
        "the keys of the weights have {field} of a wrapper around the model; they are written "
        "without it, as transformers expects them"
    ),
    "found field": (
        "{field} is not a known field: it was shortened so that every block that stays is built "
        "as it was in the whole model"
    ),
    "place constant": (
        "the model computes {field} from the place of a block or from the number of blocks, and "
        "no checkpoint stores it: every block takes the value of its new place, in the measured "
        "drops (skip) as in this checkpoint"
    ),
    "other class": (
        "the class of the source refuses this number of heads; {field} computes the same and "
        "takes it"
    ),
    "modelling file": (
        "the blocks have different widths, which no class of transformers builds: load it with "
        "trust_remote_code=True, which runs {field} of this folder"
    ),
    "no alignment": (
        "all blocks that {field} in generation_config.json names are gone, and with them the "
        "field: word timestamps are not available"
    ),
}
"""The sentences, by kind, without their full stops."""


def without_extra_blocks(
    config: Section, found: CutStack, changes: KeyChanges, removal: Removal
) -> tuple[Section, tuple[CutNote, ...]]:
    """Count no more heads that predict further tokens, which are numbered beyond the last block.

    They were trained on the last block's output, and no model of transformers uses them.

    Raises:
        ModelError: there are other blocks beyond the last than the configuration says.
    """
    if not changes.extra:
        return config, ()
    numbers = set(changes.extra.values())
    sections = CountField.parse(found.config_path).chain(config)
    counted = {
        name: section
        for section in sections
        for name in EXTRA_COUNTS
        if isinstance(section.get(name), int) and section[name]
    }
    field = next(iter(counted), None)
    said = counted[field][field] if field else 0
    named = {block for key, block in changes.extra.items() if _OF_EXTRA.search(key)}
    if said != len(numbers) and named != numbers:
        beside = f" and {said} that predict further tokens ({field})" if field else ""
        raise ModelError(
            f"config.json counts {found.num_blocks} blocks{beside}, but the weights have "
            f"{found.num_blocks + len(numbers)}",
            where=next(iter(changes.extra)),
            mend="check that config.json and the weights belong together",
        )
    for name, section in counted.items():
        section[name] = 0
    num_left = found.num_blocks - len(removal)
    for path, value in list(own_fields(config, found.config_path)):
        if isinstance(value, list) and len(value) == num_left + len(numbers):
            inner: Any = config
            for name in path[:-1]:
                inner = inner[name]
            inner[path[-1]] = value[:num_left]
    return config, (CutNote("extra blocks", field or "config.json does not count them"),)


def without_wrappers(
    tensors: Mapping[str, StoredTensor],
) -> tuple[dict[str, StoredTensor], tuple[CutNote, ...]]:
    """Return the tensors by their names in the model: without those of what was wrapped around it.

    `module.` (DataParallel), `_orig_mod.` (torch.compile), `base_model.model.` (PEFT), ...

    Raises:
        ModelError: there is an adapter among them that was not merged.
    """
    unwrapping = Unwrapping(tensors)
    names = {name: unwrapping.tensor(name) for name in tensors}
    changed = next((name for name, inner in names.items() if name != inner), None)
    if changed is None:
        return dict(tensors), ()
    adapter = next((name for name in names if ".lora_" in name), None)
    if adapter is not None:
        raise ModelError(
            "the weights hold an adapter that is not merged into them",
            where=adapter,
            mend="merge it (`merge_and_unload`), save the model, and cut that",
        )
    wrapper = changed.removesuffix(names[changed]) if changed.endswith(names[changed]) else changed
    return {names[name]: one for name, one in tensors.items()}, (CutNote("wrapped keys", wrapper),)
