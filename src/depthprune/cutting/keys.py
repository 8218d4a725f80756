"""The keys of a checkpoint without some blocks: which go, and the new names of the others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from depthprune.base.errors import ModelError
from depthprune.base.language import counted
from depthprune.base.removal import Removal, active_blocks


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
        extra: keys that are numbered as blocks beyond the last: heads that predict further tokens.
    """

    new_names: dict[str, str]
    dropped: tuple[str, ...]
    extra: tuple[str, ...]


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
    dropped, extra = [], []
    seen: dict[Numbering, set[int]] = {numbering: set() for numbering in numberings}
    for key in keys:
        numbering = next((one for one in numberings if one.block(key) is not None), None)
        block = None if numbering is None else numbering.block(key)
        if numbering is None or block is None:
            new_names[key] = key
        elif block >= num_blocks:
            extra.append(key)
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
    return KeyChanges(new_names, tuple(dropped), tuple(extra))


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
