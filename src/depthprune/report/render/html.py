"""Tables and sections for the template of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from depthprune.report.formatting import percent
from depthprune.report.render.text import cell_text, plain_cell
from depthprune.report.table import Cell, Column, Section, Table, all_notes, cell_of

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


MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Heading:
    """A heading; numbers stand to the right."""

    name: str
    number: bool = True


@dataclass(frozen=True)
class PageTable:
    """A table of texts, ready for the template.

    Attributes:
        title: what it shows.
        columns: with their headings.
        rows: as wide as `columns`.
        note: how to read it; empty where that is plain.
    """

    title: str
    columns: Sequence[Heading]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class PageSection:
    """A section as the template reads it; `open`: its tables are seen at once."""

    name: str
    title: str
    open: bool
    sentences: Sequence[str]
    tables: Sequence[PageTable]
    notes: Sequence[str]


def page_section(section: Section, *, is_open: bool = False) -> PageSection:
    """Return a section for the template."""
    tables = [page_table(table, section.title) for table in section.tables]
    return PageSection(
        section.name, section.title, is_open, section.sentences, tables, section.notes
    )


def page_table(table: Table, about: str) -> PageTable:
    """Return a table for the template.

    Args:
        table: to be shown.
        about: what it shows, where it has no title of its own.
    """
    return PageTable(
        (table.title or about).rstrip(":："),
        [Heading(column.name, column.is_number) for column in table.columns],
        [list(map(_cell, table.columns, row)) for row in table.rows],
        " ".join(all_notes(table)),
    )


def _cell(column: Column, value: Any) -> str:
    cell = cell_of(value)
    return cell_text(column, Cell(None, _text(column, cell), cell.mark))


def _text(column: Column, cell: Cell) -> str:
    if isinstance(cell.value, tuple) and column.kind == "blocks":
        return block_list(cell.value)
    if cell.value and column.kind in ("count", "samples") and isinstance(cell.value, int):
        return f"{cell.value:,}"
    text = plain_cell(column, cell)
    if text == "-":
        return NOTHING
    return text if column.kind in ("text", "list") else text.replace("-", MINUS)
