"""Names that fit where there is little room: of datasets, and the blocks of a removal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby, pairwise

from depthprune.base.removal import Removal

ELLIPSIS = "…"

LONG_RUN = 5
"""Neighbouring blocks from which on only the first and the last are named."""


def short_names(names: Sequence[str], letters: int = 24) -> list[str]:
    """Return names of at most about `letters` letters that stay different from each other.

    The middle goes: names of datasets often begin alike, and often end alike.
    """
    shortened: list[str] = []
    taken: set[str] = set()
    for name in names:
        short = _short(" ".join(name.split()), letters)
        repeated = short
        number = 2
        while repeated in taken:
            repeated = f"{short} #{number}"
            number += 1
        taken.add(repeated)
        shortened.append(repeated)
    return shortened


def removal_label(removal: Removal, letters: int = 24, lines: int = 2) -> str:
    """Return the blocks of a removal for an axis: long runs as `3 to 9`, the rest as `…`.

    Not `3-9`: file names write the two blocks 3 and 9 so.
    """
    parts = [
        (f"{run[0]} to {run[-1]}" if len(run) >= LONG_RUN else ", ".join(map(str, run)))
        for run in _runs(removal)
    ]
    wrapped = textwrap.wrap(", ".join(parts), letters)
    if len(wrapped) > lines:
        count = f"{ELLIPSIS} ({len(removal)})"
        last = textwrap.wrap(" ".join(wrapped[lines - 1 :]), letters - len(count))[0]
        wrapped = [*wrapped[: lines - 1], last + count]
    return "\n".join(wrapped)


def _short(name: str, letters: int) -> str:
    if len(name) <= letters:
        return name
    start = (letters - 1) // 2
    return name[:start] + ELLIPSIS + name[-(letters - 1 - start) :]


def _runs(removal: Removal) -> list[list[int]]:
    breaks = [0, *(int(after != before + 1) for before, after in pairwise(removal))]
    numbered: list[tuple[int, int]] = []
    run = 0
    for block, starts in zip(removal, breaks, strict=False):
        run += starts
        numbered.append((run, block))
    return [[block for _, block in those] for _, those in groupby(numbered, lambda one: one[0])]
