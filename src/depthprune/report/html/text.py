"""Numbers and names as the page writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from depthprune.analysis.combinations import Combination
from depthprune.base.language import t
from depthprune.report.tables import percent

NOTHING = "–"

LONG = 8
"""Blocks that are listed one by one; of more, runs are drawn together."""


@dataclass(frozen=True)
class Column:
    """A heading; numbers stand to the right."""

    name: str
    number: bool = True


@dataclass(frozen=True)
class TextTable:
    """A table of texts, ready for the template.

    Attributes:
        title: what it shows.
        columns: with their headings.
        rows: as wide as `columns`.
        note: how to read it; empty where that is plain.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    note: str = ""


def points(fraction: float | None, decimals: int = 2) -> str:
    """Return a fraction in percentage points, with a minus sign; a dash where nothing is known."""
    if fraction is None or isnan(fraction):
        return NOTHING
    return percent(fraction, decimals).replace("-", "\N{MINUS SIGN}")


def signed(fraction: float | None) -> str:
    """Return a difference in percentage points, with its sign."""
    text = points(fraction)
    return f"+{text}" if fraction is not None and fraction > 0 and float(text) != 0 else text


def count(number: int) -> str:
    """Return a count; a dash for 0, which means unknown."""
    return f"{number:,}" if number else NOTHING


def rho(value: float | None) -> str:
    """Return a correlation."""
    if value is None or isnan(value):
        return NOTHING
    text = f"{value:.3f}"
    return (text.removeprefix("-") if float(text) == 0 else text).replace("-", "\N{MINUS SIGN}")


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


def spread_text(one: Combination) -> str:
    """Return the 95% interval, or the standard deviation where there is none."""
    if one.interval is not None:
        return f"[{points(one.interval.low)}, {points(one.interval.high)}]"
    return f"± {points(one.std)}" if one.coverage > 1 else NOTHING


def known_type(name: str) -> str:
    """Return a task type, or that it is unknown."""
    return name if name and name != "Unknown" else t("unknown type")
