"""What a user should know of a plan: blocks beyond the last, lists that may be the blocks'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from depthprune.base.errors import ModelError, StackError
from depthprune.blocks.cut.keys import KeyChanges
from depthprune.blocks.cut.probe import ProbedStack
from depthprune.blocks.layer_fields import CountField
from depthprune.blocks.layer_rules import Section

_EXTRA_COUNTS = ("num_nextn_predict_layers", "num_mtp_layers", "mtp_num_layers")


@dataclass(frozen=True)
class Note:
    """A remark on a field of the configuration.

    Attributes:
        kind: `extra blocks`: blocks beyond the last are left out, which `field` counts;
            `unknown list`: `field` has an entry for every block, and was left as it is.
        field: its name.
    """

    kind: Literal["extra blocks", "unknown list"]
    field: str

    def __str__(self) -> str:
        """Return the remark as a sentence without its full stop."""
        if self.kind == "extra blocks":
            return (
                f"the extra blocks that predict further tokens ({self.field}) are left out: they "
                "were trained on the whole model"
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
    section = CountField.parse(found.config_path).chain(config)[-1]
    field = next((name for name in _EXTRA_COUNTS if section.get(name)), None)
    if field is None or len(numbers) != section[field]:
        raise ModelError(
            f"config.json counts {found.num_blocks} blocks, but the weights have "
            f"{found.num_blocks + len(numbers)}",
            where=changes.extra[0],
            mend="check that config.json and the weights belong together",
        )
    section[field] = 0
    return config, (Note("extra blocks", field),)


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
