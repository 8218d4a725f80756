"""The table of models for the terminal, in tables that are narrow enough for it."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from depthprune.report.language import Lang, translator
from depthprune.report.model_table.grid import Cell, Grid, all_notes, model_grid
from depthprune.structure.model_columns import GROUPS
from depthprune.structure.model_table import ModelTable


def model_parts(
    table: ModelTable, *, most: int | None = None, lang: Lang = "en"
) -> list[RenderableType]:
    """Return the tables of sizes, accuracies, speed and layers, and what is to be noted.

    A group of columns of which nothing is known is left out.

    Args:
        table: of models.
        most: rows of each table, and notes; None for all.
        lang: of the texts.
    """
    t = translator(lang)
    grid = model_grid(table, lang=lang)
    parts: list[RenderableType] = [
        part for keys in GROUPS.values() if (part := _group(grid, keys, most)) is not None
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


def _group(grid: Grid, keys: tuple[str, ...], most: int | None) -> Table | None:
    places = [place for place, column in enumerate(grid.columns) if column.key in keys]
    if all(cells[place].value is None for cells in grid.rows for place in places):
        return None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(grid.headings[0], overflow="fold")
    for place in places:
        is_list = grid.columns[place].kind == "layers"
        table.add_column(grid.headings[place], justify="left" if is_list else "right")
    for place, cells in enumerate(grid.rows[:most]):
        style = "italic" if place == grid.reference else None
        table.add_row(cells[0].text, *(_text(cells[at]) for at in places), style=style)
    return table


def _text(cell: Cell) -> Text:
    mark = "" if cell.mark is None else f" [{cell.mark}]"
    return Text(cell.text + mark, style="bold" if cell.is_best else "")
