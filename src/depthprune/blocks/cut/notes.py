"""What a user should know of a plan: blocks beyond the last, lists that may be the blocks'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from depthprune.base.errors import ModelError, StackError
from depthprune.blocks.cut.keys import KeyChanges
from depthprune.blocks.cut.probe import ProbedStack
from depthprune.blocks.cut.stored import StoredTensor
from depthprune.blocks.layer_fields import CountField
from depthprune.blocks.layer_rules import Section
from depthprune.blocks.model_names import Unwrapping

_EXTRA_COUNTS = (
    "num_nextn_predict_layers", "num_mtp_layers", "mtp_num_layers", "num_mtp_modules",
    "mtp_num_hidden_layers", "n_predict",
)  # fmt: skip
"""Fields that count blocks beyond the last, which predict further tokens."""

_OF_EXTRA = re.compile(r"\.(eh_proj|enorm|hnorm|shared_head|mtp\w*)\.")
"""Tensors that only such blocks have."""


@dataclass(frozen=True)
class Note:
    """A remark on a field of the configuration.

    Attributes:
        kind: `extra blocks`: blocks beyond the last are left out, which `field` counts;
            `unknown list`: `field` has an entry for every block, and was left as it is;
            `wrapped keys`: those of the weights had `field` around them, which was taken off.
        field: its name.
    """

    kind: Literal["extra blocks", "unknown list", "wrapped keys"]
    field: str

    def __str__(self) -> str:
        """Return the remark as a sentence without its full stop."""
        if self.kind == "extra blocks":
            return (
                f"the extra blocks that predict further tokens ({self.field}) are left out: they "
                "were trained on the whole model"
            )
        if self.kind == "wrapped keys":
            return (
                f"the keys of the weights have {self.field} of a wrapper around the model; they "
                "are written without it, as transformers expects them"
            )
        return (
            f"{self.field} in config.json has as many entries as there were blocks; it is not "
            "known whether they belong to the blocks, and it was left as it is"
        )


def without_extra_blocks(
    config: Section, found: ProbedStack, changes: KeyChanges
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
        for name in _EXTRA_COUNTS
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


def unknown_lists(before: Section, after: Section, found: ProbedStack) -> tuple[Note, ...]:
    """Return the lists with one entry per block that no rule has shortened.

    Args:
        before: the configuration of the whole model.
        after: of the smaller one.
        found: the stack.
    """
    count = CountField.parse(found.config_path)
    try:
        old, new = count.chain(before)[-1], count.chain(after)[-1]
    except StackError:  # an older file without inner configurations
        return ()
    return tuple(
        Note("unknown list", name)
        for name, value in old.items()
        if isinstance(value, list) and len(value) == found.num_blocks > 2 and new.get(name) == value
    )
