"""What a user should know of a plan: blocks beyond the last, fields that no table knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from depthprune.base.errors import ModelError
from depthprune.base.removal import Removal
from depthprune.blocks.layer_fields import EXTRA_COUNTS, CountField
from depthprune.blocks.layer_rules import Section
from depthprune.blocks.model_names import Unwrapping
from depthprune.blocks.unknown_fields import own_fields
from depthprune.checkpoint.stored import StoredTensor
from depthprune.cutting.keys import KeyChanges
from depthprune.cutting.probe import ProbedStack

_OF_EXTRA = re.compile(r"\.(eh_proj|enorm|hnorm|shared_head|mtp\w*)\.")
"""Tensors that only such blocks have."""


@dataclass(frozen=True)
class Note:
    """A remark on a field of the configuration, or on an attribute of the blocks.

    Attributes:
        kind: `extra blocks`: blocks beyond the last are left out, which `field` counts;
            `found field`: `field` is in no table, and follows the blocks as their modules show;
            `place constant`: the attribute `field` is computed from the place of a block;
            `no alignment`: no block is left that `field` of generation_config.json names;
            `wrapped keys`: those of the weights had `field` around them, which was taken off.
        field: its name.
    """

    kind: Literal["extra blocks", "found field", "place constant", "no alignment", "wrapped keys"]
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
    "no alignment": (
        "all blocks that {field} in generation_config.json names are gone, and with them the "
        "field: word timestamps are not available"
    ),
}
"""The sentences, by kind, without their full stops."""


def without_extra_blocks(
    config: Section, found: ProbedStack, changes: KeyChanges, removal: Removal
) -> tuple[Section, tuple[Note, ...]]:
    """Count no more heads that predict further tokens, which are numbered beyond the last block.

    They were trained on the last block's output, and no model of transformers uses them.

    Raises:
        ModelError: there are other blocks beyond the last than the configuration says.
    """
    if not changes.extra:
        return config, ()
    numbers = {
        block
        for key in changes.extra
        for numbering in found.numberings
        if (block := numbering.block(key)) is not None
    }
    sections = CountField.parse(found.config_path).chain(config)
    counted = {
        name: section
        for section in sections
        for name in EXTRA_COUNTS
        if isinstance(section.get(name), int) and section[name]
    }
    field = next(iter(counted), None)
    said = counted[field][field] if field else 0
    named = {
        block
        for key in changes.extra
        if _OF_EXTRA.search(key)
        for numbering in found.numberings
        if (block := numbering.block(key)) is not None
    }
    if said != len(numbers) and named != numbers:
        beside = f" and {said} that predict further tokens ({field})" if field else ""
        raise ModelError(
            f"config.json counts {found.num_blocks} blocks{beside}, but the weights have "
            f"{found.num_blocks + len(numbers)}",
            where=changes.extra[0],
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
    return config, (Note("extra blocks", field or "config.json does not count them"),)


def without_wrappers(
    tensors: Mapping[str, StoredTensor],
) -> tuple[dict[str, StoredTensor], tuple[Note, ...]]:
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
    return {names[name]: one for name, one in tensors.items()}, (Note("wrapped keys", wrapper),)
