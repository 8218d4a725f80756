"""The removal: the blocks left out, as a sorted tuple of block indices; `()` is the baseline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

from depthprune.base.errors import RemovalError
from depthprune.base.language import counted

_Value = TypeVar("_Value")

Removal = tuple[int, ...]
"""Sorted, duplicate-free block indices of the original model, counted from 0."""

Objective = Literal["loss", "accuracy"]
"""What removals are ranked by: their loss where options are compared, or their accuracy."""


def make_removal(blocks: Iterable[int]) -> Removal:
    """Return `blocks` as a removal: sorted, each block once.

    Raises:
        RemovalError: an entry is not a non-negative int, or occurs twice.
    """
    given = list(blocks)
    for block in given:
        if isinstance(block, bool) or not isinstance(block, int) or block < 0:
            raise RemovalError(
                f"{block!r} is not a block index",
                mend="block indices are whole numbers that count from 0",
            )
    removal = tuple(sorted(set(given)))
    if len(removal) != len(given):
        twice = sorted({block for block in given if given.count(block) > 1})
        raise RemovalError(
            f"block {twice[0]} is named twice in the removal {given}",
            mend="name each block once",
        )
    return removal


def parse_removal(text: str) -> Removal:
    """Read a removal as users and file names write it: `"4,13"`, `"4 13"`, `"4-13"`, `"[4, 13]"`.

    `""`, `"()"`, `"[]"`, `"none"` and `"baseline"` are the baseline.

    Raises:
        RemovalError: the text is not a list of block indices.
    """
    inner = text.strip()
    if inner[:1] + inner[-1:] in {"()", "[]"}:
        inner = inner[1:-1].strip()
    if inner.lower() in {"", "none", "baseline"}:
        return ()
    parts = re.split(r"\s*[,\-]\s*|\s+", inner)
    if not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):
        raise RemovalError(f"{text!r} is not a removal", mend="write block indices such as 4,13")
    return make_removal(int(part) for part in parts)


def format_removal(removal: Removal, separator: str = "-") -> str:
    """Return a removal as text, `"4-13"`; the baseline is `"baseline"`."""
    return separator.join(map(str, removal)) if removal else "baseline"


def check_removal(removal: Removal, num_blocks: int) -> Removal:
    """Return `removal` when a model of `num_blocks` blocks can leave these blocks out.

    Raises:
        RemovalError: a block does not exist, or no block would be left.
    """
    outside = [block for block in removal if not 0 <= block < num_blocks]
    if outside:
        raise RemovalError(
            f"block {outside[0]} does not exist: the model has {counted(num_blocks, 'block')}",
            mend=f"name blocks from 0 to {num_blocks - 1}",
        )
    if num_blocks and len(removal) >= num_blocks:
        raise RemovalError(
            f"removing all {counted(num_blocks, 'block')} leaves no model",
            mend="leave at least one block active",
        )
    return removal


def active_blocks(removal: Removal, num_blocks: int) -> tuple[int, ...]:
    """Return the indices of the blocks that stay, ascending.

    Raises:
        RemovalError: see `check_removal`.
    """
    gone = set(check_removal(removal, num_blocks))
    return tuple(block for block in range(num_blocks) if block not in gone)


DECIMALS = 6
"""Of a drop (a fraction) that mean something; one sample in 100,000 changes the fifth."""


def rounded(drop: float) -> float:
    """Return a drop without rounding noise, so that equal drops compare as equal.

    A third of a point, as VQA accuracy gives, is no float32; means of such scores differ in the
    eighth decimal although they are the same.
    """
    return round(drop, DECIMALS) + 0.0


def single_blocks(values: Mapping[Removal, _Value]) -> dict[int, _Value]:
    """Return by block what a mapping holds of removals of one block, in its order."""
    return {removal[0]: value for removal, value in values.items() if len(removal) == 1}
