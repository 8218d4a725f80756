"""Tables in Markdown."""

from __future__ import annotations

import re
from typing import Any

from depthprune.base.terminal import printable
from depthprune.report.render.text import cell_text, plain_cell
from depthprune.report.table import Cell, Column, Section, Table, all_notes, cell_of

SIGNS = str.maketrans({sign: f"\\{sign}" for sign in "\\|*`<>[]"})


def escape(text: str) -> str:
    """Return text in which Markdown sees nothing but text; inside a word, `_` is nothing else."""
    return re.sub(r"\b_|_\b", r"\\_", printable(text).translate(SIGNS))


def section_lines(section: Section) -> list[str]:
    """Return a section: its title, its sentences as a list, its tables with their notes."""
    lines = ["", f"## {escape(section.title)}", "", *map(item, section.sentences)]
    for table in section.tables:
        lines += ["", escape(table.title), ""] if table.title else [""]
        lines += [*table_lines(table), "", *map(item, all_notes(table))]
    return [*lines, *map(item, section.notes)]


def item(sentence: str) -> str:
    """Return an item of a list; one that stands further to the right belongs to that above."""
    text = sentence.lstrip()
    return f"{sentence[: len(sentence) - len(text)]}- {escape(text)}"


def table_lines(table: Table) -> list[str]:
    """Return a table as lines; the best of each column is bold."""
    rules = ["--:" if column.is_number else "---" for column in table.columns]
    lines = [_line([column.name.replace("|", r"\|") for column in table.columns])]
    lines.append(f"|{'|'.join(rules)}|")
    return lines + [_line(list(map(_cell, table.columns, row))) for row in table.rows]


def table_text(table: Table) -> str:
    """Return a table with its notes below it, as a document."""
    marked = [f"[{number}] {escape(one)}" for number, one in enumerate(table.marked, 1)]
    notes = [*marked, *map(escape, table.notes)]
    return "\n".join([*table_lines(table), "", *(f"- {one}" for one in notes)]) + "\n"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(column: Column, value: Any) -> str:
    cell = cell_of(value)
    text = plain_cell(column, value)
    text = text if column.kind == "interval" else escape(text)
    return cell_text(column, Cell(None, f"**{text}**" if cell.is_best else text, cell.mark))
