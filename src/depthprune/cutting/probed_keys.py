"""Which number in a checkpoint's keys is the block's: asked of transformers, which loads them.

The keys of a checkpoint need not be the paths of the model's modules: `from_pretrained` renames
many. So a number is the block's when changing it leads to the same tensor of another block.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from depthprune.base.errors import ModelError
from depthprune.base.removal import Removal, active_blocks
from depthprune.cutting.keys import Numbering, change_keys

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from depthprune.blocks.stack import Stack

Shapes = Mapping[str, tuple[int, ...]]
"""The shape of every tensor of a checkpoint by its key."""

Namer = Callable[[str], str]
"""From a key of a checkpoint to the tensor of the model that it is loaded into."""


def _namer(model: PreTrainedModel, keys: Iterable[str]) -> Namer:
    """Return what `from_pretrained` makes of the keys of a checkpoint."""
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import (
        WeightConverter,
        WeightRenaming,
        dot_natural_key,
        rename_source_key,
    )

    mapping = get_model_conversion_mapping(model)
    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    tensors = model.state_dict()
    prefix = model.base_model_prefix

    def name(key: str) -> str:
        target: str = rename_source_key(key, renamings, converters, prefix, tensors)[0]
        if target not in tensors and key in tensors:
            target = rename_source_key(key, [], [], prefix, tensors)[0]
        return target

    for key in sorted(keys, key=dot_natural_key):
        name(key)  # some renamings begin to act when they have seen a certain key
    return name


def find_numberings(
    model: PreTrainedModel, stack: Stack, shapes: Shapes
) -> tuple[tuple[Numbering, ...], dict[str, int]]:
    """Return where the keys count the blocks, and which tensors have a slice per block."""
    name = _namer(model, shapes)
    own = model.state_dict()
    axes = {tensor.name: tensor.axis for tensor in stack.tensors}
    numberings: dict[str, Numbering] = {}
    slices = {}
    for key, shape in shapes.items():
        target = name(key)
        if target in axes:
            if tuple(shape) != tuple(own[target].shape):
                raise ModelError(
                    f"{key} has a slice per block and another shape than in the model",
                    where=f"{list(shape)} instead of {list(own[target].shape)}",
                    mend="cut the model before it is quantised",
                )
            slices[key] = axes[target]
        place = _place(target, stack)
        if place is None or any(one.block(key) == place[1] for one in numberings.values()):
            continue
        numbering = _numbering(key, *place, stack.num_blocks, name)
        other = numberings.setdefault(numbering.prefix, numbering)
        if other != numbering:
            raise _unclear(key)
    return tuple(sorted(numberings.values(), key=lambda one: (-len(one.prefix), one))), slices


def _place(target: str, stack: Stack) -> tuple[str, int, str] | None:
    """Return the list of blocks, the block and the rest of a tensor's name in the model."""
    for container in stack.containers:
        match = re.match(rf"{re.escape(container)}\.(\d+)\.", target)
        if match:
            return container, int(match[1]), target[match.end() :]
    return None


def _numbering(
    key: str, container: str, block: int, rest: str, num_blocks: int, name: Namer
) -> Numbering:
    """Return which number in a key is that of the block: changing it leads to another block."""
    other = block + 1 if block + 1 < num_blocks else block - 1
    for match in re.finditer(r"(?:^|(?<=\.))\d+(?=\.|$)", key):
        number = int(match[0]) + other - block
        if number < 0:
            continue
        moved = f"{key[: match.start()]}{number}{key[match.end() :]}"
        if name(moved) == f"{container}.{other}.{rest}":
            return Numbering(key[: match.start()], block - int(match[0]))
    raise _unclear(key)


def _unclear(key: str) -> ModelError:
    return ModelError(
        f"it is not clear which number in the key {key!r} is that of the block",
        mend="save the model with this version of transformers, then cut it",
    )


def check_keys(
    whole: PreTrainedModel,
    shorter: PreTrainedModel,
    stack: Stack,
    numberings: tuple[Numbering, ...],
    keys: Collection[str],
    removal: Removal,
) -> None:
    """Raise when the new keys would not be loaded into the tensors that they belong to."""
    kept = active_blocks(removal, stack.num_blocks)
    changes = change_keys(keys, numberings, stack.num_blocks, removal)
    before = _namer(whole, keys)
    after = _namer(shorter, changes.new_names.values())
    own = whole.state_dict()

    def at_new_place(target: str) -> str | None:
        place = _place(target, stack)
        if place is None:
            return target
        return f"{place[0]}.{kept.index(place[1])}.{place[2]}" if place[1] in kept else None

    for key, new_key in changes.new_names.items():
        target = before(key)
        if target in own and after(new_key) != at_new_place(target):
            raise ModelError(
                f"the key {key!r} cannot be renumbered: {new_key!r} would be loaded as "
                f"{after(new_key)!r}",
                mend="save the model with this version of transformers, then cut it",
            )
    missing_before = _missing(whole, {before(key) for key in keys})
    missing = _missing(shorter, {after(key) for key in changes.new_names.values()})
    new = missing - {at_new_place(target) for target in missing_before}
    if new:
        raise ModelError(
            f"without these blocks, the checkpoint would lack {min(new)}",
            where=stack.path,
            mend="the blocks that stay share tensors with one that goes: keep that one",
        )


def _missing(model: PreTrainedModel, loaded: set[str]) -> set[str]:
    """Return the tensors that a checkpoint does not bring, and no tie to one that it brings."""
    tied: dict[str, str] = getattr(model, "all_tied_weights_keys", None) or {}
    partners: dict[str, set[str]] = {}
    for target, source in tied.items():
        group = partners.get(target, {target}) | partners.get(source, {source})
        for name in group:
            partners[name] = group
    return {
        name
        for name in model.state_dict()
        if name not in loaded and not partners.get(name, set()) & loaded
    }
