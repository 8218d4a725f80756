"""Numbers and names as the page writes them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from depthprune.report.tables import percent

NOTHING = "–"

LONG = 8
"""Blocks that are listed one by one; of more, runs are drawn together."""


def points(fraction: float | None, decimals: int = 2) -> str:
    """Return a fraction in percentage points, with a minus sign; a dash where nothing is known."""
    if fraction is None or isnan(fraction):
        return NOTHING
    return percent(fraction, decimals).replace("-", "\N{MINUS SIGN}")


def block_list(blocks: Sequence[int]) -> str:
    """Return blocks as a list; in a long one runs stand as `3–7`. The script does the same."""
    if len(blocks) <= LONG:
        return ", ".join(map(str, blocks))
    runs: list[list[int]] = []
    for block in blocks:
        if runs and block == runs[-1][-1] + 1:
            runs[-1].append(block)
        else:
            runs.append([block])
    return ", ".join(
        f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
    )
