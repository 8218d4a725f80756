"""Tables and sections for the template of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from depthprune.report.html.text import NOTHING, TextTable, block_list
from depthprune.report.html.text import Column as Heading
from depthprune.report.render.text import plain_cell
from depthprune.report.table import Column, Section, Table, cell_of

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class PageSection:
    """A section as the template reads it; `open`: its tables are seen at once."""

    name: str
    title: str
    open: bool
    sentences: Sequence[str]
    tables: Sequence[TextTable]
    notes: Sequence[str]


def page_section(section: Section, *, is_open: bool = False) -> PageSection:
    """Return a section for the template."""
    tables = [page_table(table, section.title) for table in section.tables]
    return PageSection(
        section.name, section.title, is_open, section.sentences, tables, section.notes
    )


def page_table(table: Table, about: str) -> TextTable:
    """Return a table for the template.

    Args:
        table: to be shown.
        about: what it shows, where it has no title of its own.
    """
    return TextTable(
        (table.title or about).rstrip(":："),
        [Heading(column.name, column.is_number) for column in table.columns],
        [list(map(_cell, table.columns, row)) for row in table.rows],
        " ".join(table.notes),
    )


def _cell(column: Column, value: Any) -> str:
    cell = cell_of(value)
    mark = "" if cell.mark is None else f" {cell.mark}"
    if cell.value and column.kind == "blocks":
        return block_list(cell.value) + mark
    if cell.value and column.kind in ("count", "samples") and isinstance(cell.value, int):
        return f"{cell.value:,}{mark}"
    text = plain_cell(column, cell)
    if text == "-":
        return NOTHING
    return (text if column.kind == "text" else text.replace("-", MINUS)) + mark
