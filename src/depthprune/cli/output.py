"""The options of every command that prints, and how it prints; quick to import."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from depthprune.base.language import Lang, t
from depthprune.base.terminal import terminal

if TYPE_CHECKING:
    from depthprune.report.table import Section

Language = Annotated[
    Lang, Parameter(name="--lang", help="Language of what is printed: en or zh (Chinese).")
]

AsJson = Annotated[
    bool, Parameter(name="--json", help="Print one JSON object on stdout, for scripts.")
]


NARROWEST = 80
"""Columns that every table needs."""


def show(parts: Iterable[Any]) -> None:
    """Print tables and lines; where a line is too long, the terminal breaks it."""
    console = terminal(markup=False)
    for part in parts:
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def show_wrapped(parts: Iterable[Any]) -> None:
    """Print tables and sentences; long ones are wrapped between words."""
    # In less room a table would leave out its blocks, which are the answer; a line may be folded.
    console = terminal(markup=False, width=max(NARROWEST, terminal().width))
    for part in parts:
        console.print(part, highlight=False)


def show_sections(sections: Sequence[Section], files: Iterable[Path] = ()) -> None:
    """Print sections, no wider than the terminal, and which files were written."""
    from depthprune.report.render.text import sections_parts

    parts = sections_parts(sections, terminal().width)
    if names := ", ".join(map(str, files)):
        parts += [""] if sections[-1].title else []
        parts.append(t("Written: {files}", files=names))
    show(parts)
