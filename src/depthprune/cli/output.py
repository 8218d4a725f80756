"""How every command prints: tables and sentences for people, one JSON object for scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.language import t
from depthprune.base.terminal import terminal

if TYPE_CHECKING:
    from depthprune.report.table import Section

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


def show_json(value: Mapping[str, Any], files: Iterable[Path] | None = None) -> None:
    """Print one JSON object for scripts, with the files that were written where it names them."""
    if files is not None:
        value = {**value, "files": list(map(str, files))}
    print(json.dumps(value, indent=1))
