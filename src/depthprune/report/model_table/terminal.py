"""The table of models for the terminal, in as many tables as its width asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from depthprune.base.language import t
from depthprune.report.render.text import cell_text
from depthprune.report.sections.models import model_grid, own_names
from depthprune.report.table import Table, all_notes, cell_of
from depthprune.report.tables import MAX_WIDTH
from depthprune.structure.model_columns import GROUPS
from depthprune.structure.model_table import ModelTable

LONGEST_NAME, LONGEST_LIST = 32, 24
"""Letters in one line of a cell; what is longer is folded."""

EDGES, BETWEEN = 2, 3
"""Spaces at both ends of a line, and between columns."""


def model_parts(
    table: ModelTable, *, most: int | None = None, width: int = MAX_WIDTH
) -> list[RenderableType]:
    """Return the tables of sizes, accuracies, speed and layers, and what is to be noted.

    A group of columns of which nothing is known is left out.

    Args:
        table: of models.
        most: rows of each table, and notes; None for all.
        width: of the terminal in letters; no column is cut off.
    """
    grid = model_grid(table)
    names = own_names(table)
    parts: list[RenderableType] = [
        _table(grid, names, places, most)
        for keys in GROUPS.values()
        for places in _fitting(grid, names, keys, width)
    ]
    notes = all_notes(grid)
    parts += notes[:most]
    if most is not None and max(len(grid.rows), len(notes)) > most:
        shown = t("Shown: {rows} of {all_rows} models, {notes} of {all_notes} notes.")
        rows, told = min(most, len(grid.rows)), min(most, len(notes))
        parts.append(
            shown.format(rows=rows, all_rows=len(grid.rows), notes=told, all_notes=len(notes))
        )
    return parts


def _fitting(
    grid: Table, names: Sequence[str], keys: Sequence[str], width: int
) -> Iterator[list[int]]:
    """Yield the columns of a group in parts that fit, none of them empty."""
    places = [place for place, column in enumerate(grid.columns) if column.key in keys]
    if all(cell_of(cells[place]).value is None for cells in grid.rows for place in places):
        return
    used = first = EDGES + _name_width(grid, names)
    part: list[int] = []
    for place in places:
        needed = _width(grid, place) + BETWEEN
        if part and used + needed > width:
            yield part
            part, used = [], first
        part.append(place)
        used += needed
    yield part


def _table(grid: Table, names: Sequence[str], places: Sequence[int], most: int | None) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(grid.columns[0].name, overflow="fold", width=_name_width(grid, names))
    for place in places:
        is_list = grid.columns[place].kind == "list"
        justify = "left" if is_list else "right"
        table.add_column(
            grid.columns[place].name,
            justify=justify,  # type: ignore[arg-type]
            overflow="fold",
            width=_width(grid, place),
        )
    for place, (name, cells) in enumerate(zip(names[:most], grid.rows[:most], strict=True)):
        style = "italic" if place == grid.reference else None
        table.add_row(name, *(_text(grid, cells, at) for at in places), style=style)
    return table


def _name_width(grid: Table, names: Sequence[str]) -> int:
    return min(LONGEST_NAME, max(map(cell_len, (grid.columns[0].name, *names))))


def _width(grid: Table, place: int) -> int:
    """Return the width of a column in which no word of its heading and no number is broken."""
    column = grid.columns[place]
    words = max(map(cell_len, column.name.split()))
    texts = max((cell_len(cell_text(column, cells[place])) for cells in grid.rows), default=0)
    if column.kind == "list":
        texts = min(texts, LONGEST_LIST)
    return max(words, texts)


def _text(grid: Table, cells: Sequence[Any], place: int) -> Text:
    text = cell_text(grid.columns[place], cells[place])
    return Text(text, style="bold" if cell_of(cells[place]).is_best else "")
