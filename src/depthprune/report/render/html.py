"""Tables and sections for the template of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from depthprune.report.html.text import NOTHING, TextTable, block_list
from depthprune.report.html.text import Column as Heading
from depthprune.report.render.text import cell_text
from depthprune.report.table import Column, Marked, Section, Table

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
    if isinstance(value, Marked):
        return f"{_cell(column, value.value)} {value.mark}".rstrip()
    if value is None or value != value:
        return NOTHING
    if column.kind == "blocks":
        return block_list(value)
    if column.kind in ("count", "samples") and isinstance(value, int):
        return f"{value:,}" if value or column.kind == "count" else NOTHING
    text = cell_text(column, value)
    if column.kind == "text":
        return text
    return NOTHING if text == "-" else text.replace("-", MINUS)
