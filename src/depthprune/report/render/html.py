"""Tables and sections for the template of a page; a table as an HTML file that needs no other."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isnan
from typing import Any

from depthprune.base.language import TAGS, current_language
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


STYLE = """
:root { color-scheme: light dark; }
body { margin: 1.5rem; font: 14px/1.45 system-ui, "Segoe UI", "Noto Sans", "PingFang SC",
  "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 1.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #8884; text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
thead th { vertical-align: bottom; white-space: normal; min-width: 4.5rem;
  border-bottom: 2px solid #8888; }
tbody th { position: sticky; left: 0; background: Canvas; font-weight: 500; }
tbody th, thead th:first-child, .list { text-align: left; }
.list { white-space: normal; min-width: 8rem; }
.reference > * { font-style: italic; }
.best { font-weight: 700; color: light-dark(#0a5a9c, #84bdf4); }
.unknown, .apart, .notes { color: light-dark(#566072, #a6b0be); }
sup { line-height: 0; }
.notes { font-size: .88rem; max-width: 95ch; overflow-wrap: anywhere; }
"""


def table_page(title: str, table: Table) -> str:
    """Return a table as a page without scripts; text is text, whatever it holds."""
    title = escape(title)
    digest = base64.b64encode(hashlib.sha256(STYLE.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'"
    marked = "".join(f"<li>{escape(text)}</li>\n" for text in table.marked)
    notes = "".join(f"<li>{escape(text)}</li>\n" for text in table.notes)
    return (
        f'<!DOCTYPE html>\n<html lang="{TAGS[current_language()]}">\n<head>\n'
        '<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<div class="wide">\n<table>\n<thead>\n<tr>{_headings(table)}</tr>\n</thead>\n'
        f"<tbody>\n{_rows(table)}</tbody>\n</table>\n</div>\n"
        f'<ol class="notes">\n{marked}</ol>\n<ul class="notes">\n{notes}</ul>\n'
        "</body>\n</html>\n"
    )


def _headings(table: Table) -> str:
    return "".join(f'<th scope="col">{escape(column.name)}</th>' for column in table.columns)


def _rows(table: Table) -> str:
    lines = []
    for place, (name, *values) in enumerate(table.rows):
        which = ' class="reference"' if place == table.reference else ""
        first = escape(cell_text(table.columns[0], name))
        others = "".join(map(_table_cell, table.columns[1:], values))
        lines.append(f'<tr{which}><th scope="row">{first}</th>{others}</tr>\n')
    return "".join(lines)


def _table_cell(column: Column, value: Any) -> str:
    cell = cell_of(value)
    classes = [
        name
        for name, holds in (
            ("list", not column.is_number),
            ("unknown", cell.value is None),
            ("apart", cell.mark is not None),
            ("best", cell.is_best),
        )
        if holds
    ]
    which = f' class="{" ".join(classes)}"' if classes else ""
    mark = "" if cell.mark is None else f" <sup>{cell.mark}</sup>"
    return f"<td{which}>{escape(plain_cell(column, cell))}{mark}</td>"
