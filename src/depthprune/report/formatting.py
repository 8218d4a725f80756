"""How numbers, blocks, intervals and names are written in tables, sentences and figures."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from depthprune.base.language import t
from depthprune.base.removal import Removal
from depthprune.base.terminal import terminal
from depthprune.report.table import Column

if TYPE_CHECKING:
    from depthprune.analysis.combinations import Combination, RankedCombinations
    from depthprune.analysis.drop_table import Distribution
    from depthprune.analysis.intervals import Interval


MAX_WIDTH = 100
"""Columns of the tables in text files."""


def percent(fraction: float, decimals: int = 2) -> str:
    """Return a fraction as percentage points; a number that rounds to zero has no sign."""
    text = f"{100 * fraction:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def blocks(removal: Removal) -> str:
    """Return the blocks of a removal for a table cell."""
    return ", ".join(map(str, removal)) if removal else t("none")


def interval_text(interval: Interval | None) -> str:
    """Return an interval as `[low, high]` in percentage points, or `-` where none is known."""
    if interval is None:
        return "-"
    return f"[{percent(interval.low, 1)}, {percent(interval.high, 1)}]"


def interval_note() -> str:
    """Return what the intervals of a report are about, and where there is none."""
    return t(
        "Interval: 95%, paired by sample; about these datasets, what other samples of them would "
        "give. None without scores per sample or below 10 samples; a bootstrap where scores may "
        "exceed 1 (CIDEr-D)."
    )


def below_limit_note(rankings: Iterable[RankedCombinations]) -> str:
    """Return the sentence that counts what `--min-drop` left out; nothing where it left out none.

    Only an option leaves them out: by default nothing is too small to be ranked.
    """
    count = sum(ranking.improving for ranking in rankings)
    text = t(" {count} with a mean drop below --min-drop.")
    return text.format(count=count) if count else ""


def as_text(parts: Sequence[RenderableType], width: int = MAX_WIDTH) -> str:
    """Return tables and lines as plain text of at most `width` columns."""
    console = terminal(
        file=StringIO(), width=width, color_system=None, legacy_windows=False, markup=False
    )
    for part in parts:
        console.print(part, highlight=False)
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


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


def distribution(
    of: Callable[[Any], Distribution | None],
) -> list[tuple[Column, Callable[[Any], Any]]]:
    """Return the columns that tell the distribution of the drops that an item has."""

    def value(name: str) -> Callable[[Any], Any]:
        return lambda one: getattr(of(one), name, None)

    names = {
        "mean": t("mean (points)"),
        "std": t("std (points)"),
        "minimum": t("min (points)"),
        "median": t("median (points)"),
        "maximum": t("max (points)"),
    }
    numbers = [(Column(text, "points"), value(name)) for name, text in names.items()]
    return [(Column(t("count"), "count"), lambda one: getattr(of(one), "count", 0)), *numbers]


def std_of(one: Combination) -> float | None:
    """Return the deviation of a drop over datasets; over one dataset there is none."""
    return one.std if one.coverage > 1 else None


def removed_columns(numbers: Sequence[int]) -> list[Column]:
    """Return columns for a removal of each of these numbers of blocks."""
    name = t("{number} removed")
    return [Column(name.format(number=number), "choice") for number in numbers]
