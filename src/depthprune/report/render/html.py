"""Tables and sections for the template of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from depthprune.report.html.text import NOTHING, block_list
from depthprune.report.render.text import cell_text, plain_cell
from depthprune.report.table import Cell, Column, Section, Table, all_notes, cell_of

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
