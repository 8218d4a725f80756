"""Tables and sections as text, for terminals and text files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from depthprune.base.files import format_size
from depthprune.base.removal import format_removal
from depthprune.report.formatting import blocks, interval_text, percent
from depthprune.report.table import Column, Kind, Section, Table, all_notes, cell_of

NOTHING = "-"
"""Stands where nothing was measured."""

SMALL, HUGE = 0.1, 10_000
"""A size below the one, and a perplexity from the other on, have three digits."""

WORD = 26
"""Letters of a word that is not broken, where there is room."""

STYLES = {None: "", "bad": "bold red", "warn": "yellow", "weak": "dim"}

WIDE = 4
"""Columns behind those that name the rows; of more, further tables are made."""


WIDTH_OF_ALL = 90
"""Letters in a line from which on also columns are shown that can be spared."""


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


def section_parts(
    section: Section, width: int | None = None, *, is_part: bool = False
) -> list[RenderableType]:
    """Return a section: its title, the sentences, the tables, the notes; see `table_parts`.

    Args:
        section: Section to be shown.
        width: Width of the terminal in letters.
        is_part: Whether it is part of something larger, so that its title is a plain line.
    """
    title = section.title if is_part else f"== {section.title} =="
    tables = (part for one in section.tables for part in table_parts(one, width))
    return [*(["", title] if section.title else []), *section.sentences, *tables, *section.notes]


def sections_parts(sections: Iterable[Section], width: int | None = None) -> list[RenderableType]:
    """Return sections, with an empty line before each that does not follow a table."""
    parts: list[RenderableType] = []
    for section in sections:
        if parts and isinstance(parts[-1], str) and not section.title:
            parts.append("")
        parts += section_parts(section, width)
    return parts


def table_parts(table: Table, width: int | None = None) -> list[RenderableType]:
    """Return the title of a table, the table in parts that fit, and its notes.

    Args:
        table: Table to be shown; where `names` is set, no word and no number is broken.
        width: Width of the terminal in letters; None: each part has a few columns.
    """
    titles = [table.title] if table.title else []
    parts = _fitting(table, width) if table.names else [table]
    return [*titles, *parts, *all_notes(table)]


def without_spare(table: Table, width: int) -> Table:
    """Return a table as it is shown in so many letters: in few, without what can be spared."""
    if width >= WIDTH_OF_ALL or not any(column.is_spare for column in table.columns):
        return table
    places = [place for place, column in enumerate(table.columns) if not column.is_spare]
    return _only(table, places)


def rich_table(table: Table, widths: Sequence[int | None] = ()) -> RichTable:
    """Return a table as rich prints it: where it is too wide, words and numbers stay whole."""
    padding = (0, 1) if table.is_spaced else (0, 1, 0, 0)
    has_head = any(column.name for column in table.columns)
    form = box.SIMPLE_HEAD if has_head else None
    made = RichTable(box=form, show_header=has_head, pad_edge=False, padding=padding)
    for place, (column, texts) in enumerate(zip(table.columns, _texts(table), strict=True)):
        width = widths[place] if widths else None
        if column.is_number:
            # The unit stands below the name, where it takes no room.
            name = re.sub(r" ?[(（](points|百分点)[)）]$", r"\n\1", column.name)
            is_whole = (column.kind == "interval" or " " not in name) and width is None
            made.add_column(name, justify="right", no_wrap=is_whole, width=width)
        else:
            is_whole = all(" " not in text and cell_len(text) <= WORD for text in texts)
            made.add_column(
                column.name,
                overflow="fold",
                no_wrap=is_whole and width is None,
                min_width=None if table.names else column.room or None,
                width=width,
            )
    for line, row in enumerate(table.rows):
        style = "italic" if line == table.reference else None
        cells = map(_styled, table.columns, row)
        made.add_row(*cells, style=style, end_section=line in table.ends)
    return made


def _styled(column: Column, value: Any) -> Text:
    cell = cell_of(value)
    return Text(cell_text(column, cell), "bold" if cell.is_best else STYLES[cell.tone])


def _texts(table: Table) -> list[list[str]]:
    """Return the texts of each column."""
    return [
        [cell_text(column, row[place]) for row in table.rows]
        for place, column in enumerate(table.columns)
    ]


def _fitting(table: Table, width: int | None) -> Iterator[RichTable]:
    """Yield the table in parts, each with the columns that name the rows and a few others."""
    needed = list(map(_widths, table.columns, _texts(table)))
    names, part = list(range(table.names)), list[int]()
    for place in range(table.names, len(table.columns)):
        if part and (
            len(part) == WIDE
            if width is None
            else _room(table, [needed[at][0] for at in (*names, *part, place)]) > width
        ):
            yield _part(table, [*names, *part], needed, width)
            part = []
        part.append(place)
    yield _part(table, [*names, *part], needed, width)


def _part(
    table: Table, places: Sequence[int], needed: Sequence[tuple[int, int]], width: int | None
) -> RichTable:
    part = _only(table, places)
    if width is None or _room(part, [needed[place][1] for place in places]) <= width:
        return rich_table(part)
    widths = [needed[place][0] for place in places]
    left = max(0, width - _room(part, widths))
    for at, place in enumerate(places):
        if not part.columns[at].is_number:
            more = min(left, needed[place][1] - needed[place][0])
            widths[at] += more
            left -= more
    return rich_table(part, widths)


def _only(table: Table, places: Sequence[int]) -> Table:
    columns = [table.columns[place] for place in places]
    return replace(table, columns=columns, rows=[[row[at] for at in places] for row in table.rows])


def _room(table: Table, widths: Sequence[int]) -> int:
    """Return the width of a table with columns of these widths."""
    return 2 + sum(widths) + (len(widths) - 1) * (3 if table.is_spaced else 2)


def _widths(column: Column, texts: Sequence[str]) -> tuple[int, int]:
    """Return the least width of a column in which no word is broken, and that without any break."""
    word = max(map(cell_len, column.name.split()), default=0)
    longest = max(map(cell_len, texts), default=0)
    least = longest if column.is_number else min(longest, column.room or WORD)
    return max(word, least), max(cell_len(column.name), longest)


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
    "amount": lambda value, _: f"{value:,}" if isinstance(value, int) else f"{value:,.0f}",
    "samples": lambda value, _: str(value or NOTHING),
    "number": lambda value, digits: f"{value:.{digits}f}",
    "size": _size,
    "perplexity": lambda value, digits: f"{value:.{digits}f}" if value < HUGE else f"{value:.3g}",
    "bytes": lambda value, _: format_size(value),
    "p-value": lambda value, digits: f"{value:.{digits}e}",
    "interval": lambda value, _: interval_text(value),
    "range": lambda value, _: ", ".join(map(percent, value)),
}
