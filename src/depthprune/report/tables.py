"""Tables for the terminal; the same tables are kept as text files. Only formatting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import RenderableType

from depthprune.base.language import t
from depthprune.base.removal import Removal
from depthprune.base.terminal import terminal

if TYPE_CHECKING:  # they load numpy and scipy, which tables of other things do without
    from depthprune.analysis.bootstrap import Interval
    from depthprune.analysis.combinations import Ranking

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


def below_limit_note(rankings: Iterable[Ranking]) -> str:
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
