"""Tables and sections as text, for terminals and text files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table as RichTable

from depthprune.base.files import format_size
from depthprune.base.removal import format_removal
from depthprune.report.table import Column, Kind, Section, Table, all_notes, cell_of
from depthprune.report.tables import blocks, interval_text, percent

NOTHING = "-"
"""Stands where nothing was measured."""

SMALL, HUGE = 0.1, 10_000
"""A size below the one, and a perplexity from the other on, have three digits."""

WORD = 26
"""Letters of a word that is not broken, where there is room."""

WIDE = 4
"""Columns behind those that name the rows; of more, further tables are made."""


def cell_text(column: Column, value: Any) -> str:
    """Return a value as text, with its mark."""
    mark = cell_of(value).mark
    text = plain_cell(column, value)
    if mark is None:
        return text
    return f"{text} [{mark}]" if isinstance(mark, int) else f"{text} {mark}"


def plain_cell(column: Column, value: Any) -> str:
    """Return a value as text, without its mark."""
    cell = cell_of(value)
    return value_text(column, cell.value) if cell.text is None else cell.text


def value_text(column: Column, value: Any) -> str:
    """Return a value as text."""
    if value is None or value != value:  # NaN
        return NOTHING
    return value if isinstance(value, str) else _FORMS[column.kind](value, column.digits)


def section_parts(section: Section) -> list[RenderableType]:
    """Return a section: its title, the sentences, the tables, the notes."""
    tables = (part for one in section.tables for part in table_parts(one))
    return ["", f"== {section.title} ==", *section.sentences, *tables, *section.notes]


def table_parts(table: Table) -> list[RenderableType]:
    """Return the title of a table, the table in parts that fit, and its notes."""
    titles = [table.title] if table.title else []
    return [*titles, *map(rich_table, _fitting(table)), *all_notes(table)]


def rich_table(table: Table) -> RichTable:
    """Return a table as rich prints it: where it is too wide, words and numbers stay whole."""
    padding = (0, 1) if table.is_spaced else (0, 1, 0, 0)
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=padding)
    rows = [list(map(cell_text, table.columns, row)) for row in table.rows]
    for place, column in enumerate(table.columns):
        texts = [row[place] for row in rows]
        if column.is_number:
            # The unit stands below the name, where it takes no room.
            name = re.sub(r" ?[(（](points|百分点)[)）]$", r"\n\1", column.name)
            is_whole = column.kind == "interval" or " " not in name
            made.add_column(name, justify="right", no_wrap=is_whole)
        else:
            is_whole = all(" " not in text and cell_len(text) <= WORD for text in texts)
            least = column.room or None
            made.add_column(column.name, overflow="fold", no_wrap=is_whole, min_width=least)
    for line, row in enumerate(rows):
        made.add_row(*row, end_section=line in table.ends)
    return made


def _fitting(table: Table) -> Iterator[Table]:
    """Yield the table in parts, each with the columns that name the rows and a few others."""
    if not table.names:
        yield table
        return
    for start in range(table.names, len(table.columns), WIDE):
        places = [*range(table.names), *range(start, min(start + WIDE, len(table.columns)))]
        columns = [table.columns[place] for place in places]
        yield Table(columns, [[row[place] for place in places] for row in table.rows])


def _size(value: float, digits: int) -> str:
    return f"{value:.3g}" if 1e-4 <= abs(value) < SMALL else f"{value:.{digits}f}"


def _choice(value: Sequence[Any], _: int) -> str:
    removal, drop, *coverage = value
    return f"{format_removal(removal, ', ')} ({', '.join([percent(drop), *map(str, coverage)])})"


_FORMS: dict[Kind, Callable[[Any, int], str]] = {
    "text": lambda value, _: str(value),
    "blocks": lambda value, _: blocks(value),
    "choice": _choice,
    "choices": lambda value, _: "; ".join(_choice(one, 0) for one in value) or NOTHING,
    "points": percent,
    "share": lambda value, _: percent(value, 0),
    "count": lambda value, _: str(value),
    "amount": lambda value, _: f"{value:,.0f}",
    "samples": lambda value, _: str(value or NOTHING),
    "number": lambda value, digits: f"{value:.{digits}f}",
    "size": _size,
    "perplexity": lambda value, digits: f"{value:.{digits}f}" if value < HUGE else f"{value:.3g}",
    "bytes": lambda value, _: format_size(value),
    "p-value": lambda value, digits: f"{value:.{digits}e}",
    "interval": lambda value, _: interval_text(value),
    "range": lambda value, _: ", ".join(map(percent, value)),
}
