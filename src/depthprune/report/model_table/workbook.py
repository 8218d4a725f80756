"""The table of models as a workbook: the table, the layers of every model, the notes."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from depthprune.base.errors import MissingDependencyError
from depthprune.base.language import t
from depthprune.base.shown import shown
from depthprune.report.model_table.grid import (
    SIZES,
    SMALL,
    UNKNOWN,
    Cell,
    Grid,
    all_notes,
    model_grid,
    windows,
)
from depthprune.report.structure_values import FORMULA_SIGNS
from depthprune.structure.kept import num_layers, shares_kept
from depthprune.structure.model_columns import Column
from depthprune.structure.model_row import ModelRow
from depthprune.structure.model_table import ModelTable

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

NUMBER_FORMATS = {
    "gigabytes": "0.00",
    "billions": "0.000",
    "ppl": "0.00",
    "accuracy": "0.00%",
    "rate": "0.00",
    "time": "0.00",
    "megabytes": "#,##0",
    "spread": "0.0000",
}

WHITE, GOOD, BAD, MIDDLE = "FFFFFF", "9CCBEB", "D55E00", "F6D9B8"
"""The better end of a column is blue; a layer that keeps nothing is vermilion."""

HEADING, REFERENCE, BEST, SOFT = "DDE6EE", "F2F2F2", "0A5A9C", "808080"

LONGEST_NAME = 44

MOST_LAYERS = 1000
"""No model has so many; a broken file may tell of any number."""


def model_workbook(table: ModelTable) -> bytes:
    """Return the table as the content of an .xlsx file.

    The first sheet has the 24 columns, and behind them the window of each perplexity; the second
    has the share that each layer keeps; the third has the notes. Numbers are not rounded, only
    shown so. Text is text, whatever it begins with.

    Raises:
        MissingDependencyError: openpyxl is not installed.
    """
    try:
        from openpyxl import Workbook
    except ImportError as error:
        raise MissingDependencyError(
            "a workbook needs openpyxl", mend='install it: pip install "depthprune[report]"'
        ) from error
    grid = model_grid(table)
    book: Workbook = Workbook()
    models = book.active
    models.title = t("table of models")
    _write_models(models, table, grid)
    _write_layers(book.create_sheet(t("keep ratios")), table)
    notes = book.create_sheet(t("notes on models"))
    for line, note in enumerate(all_notes(grid), 1):
        _write_text(notes, line, 1, note)
    notes.column_dimensions["A"].width = 120
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def _write_models(sheet: Worksheet, table: ModelTable, grid: Grid) -> None:
    texts = [column for column in grid.columns if column.kind == "ppl"]
    headings = [*grid.headings]
    headings += [t("window of {column}").format(column=_short(grid, one)) for one in texts]
    _write_headings(sheet, headings)
    for line, (row, cells) in enumerate(zip(table.rows, grid.rows, strict=True), 2):
        for place, (column, cell) in enumerate(zip(grid.columns, cells, strict=True), 1):
            _write_cell(sheet, line, place, column, cell)
        told = windows(row)
        for place, column in enumerate(texts, len(cells) + 1):
            _write_text(sheet, line, place, told.get(column.key, UNKNOWN))
        if row.is_reference:
            _fill(sheet, line, len(headings), REFERENCE)
    _set_widths(sheet, grid)
    for place, column in enumerate(grid.columns, 1):
        _colour(sheet, table, column, place)
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = sheet.dimensions


def _write_layers(sheet: Worksheet, table: ModelTable) -> None:
    """Write the share that every layer of every original keeps, as far as files tell."""
    counts = [
        min(MOST_LAYERS, num_layers(row.comparison)) if row.comparison is not None else 0
        for row in table.rows
    ]
    _write_headings(sheet, [t("model"), *map(str, range(max(counts, default=0)))])
    for line, (row, count) in enumerate(zip(table.rows, counts, strict=True), 2):
        _write_text(sheet, line, 1, row.name)
        if row.comparison is None:
            _write_text(sheet, line, 2, UNKNOWN)
            continue
        shares = shares_kept(row.comparison)
        formats = _layer_formats(row)
        for layer in range(count):
            if layer in shares:
                cell = sheet.cell(line, layer + 2, shares[layer])
                cell.number_format = formats.get(layer, "0%")
                cell.alignment = _alignment("center")
            else:
                _write_text(sheet, line, layer + 2, "?", centre=True)
    sheet.column_dimensions["A"].width = _name_width([row.name for row in table.rows])
    for place in range(2, max(counts, default=0) + 2):
        sheet.column_dimensions[_letter(place)].width = 7
    if len(table.rows) and max(counts, default=0):
        from openpyxl.formatting.rule import ColorScaleRule

        scale = {"start_type": "num", "start_value": 0, "start_color": BAD}
        scale |= {"mid_type": "num", "mid_value": 0.5, "mid_color": MIDDLE}
        scale |= {"end_type": "num", "end_value": 1, "end_color": WHITE}
        area = f"B2:{_letter(max(counts) + 1)}{len(table.rows) + 1}"
        sheet.conditional_formatting.add(area, ColorScaleRule(**scale))
    sheet.freeze_panes = "B2"


def _layer_formats(row: ModelRow) -> dict[int, str]:
    """Return number formats that say what is gone: the number stays one."""
    assert row.comparison is not None
    formats = {}
    for layer in row.comparison.layers:
        if layer.removed:
            formats[layer.index] = '"×"'
        elif layer.attention_removed and not layer.mlp_removed:
            formats[layer.index] = '0%" A"'
        elif layer.mlp_removed and not layer.attention_removed:
            formats[layer.index] = '0%" M"'
    return formats


def _write_headings(sheet: Worksheet, headings: list[str]) -> None:
    from openpyxl.styles import Border, Font, PatternFill, Side

    for place, heading in enumerate(headings, 1):
        cell = _write_text(sheet, 1, place, heading)
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", HEADING)
        cell.border = Border(bottom=Side("thin"))
        cell.alignment = _alignment("center" if place > 1 else "left", wrap=True)


def _write_cell(sheet: Worksheet, line: int, place: int, column: Column, cell: Cell) -> None:
    from openpyxl.styles import Font

    if not isinstance(cell.value, float | int):
        written = _write_text(sheet, line, place, cell.text)
        if cell.value is None:
            written.font = Font(color=SOFT)
            written.alignment = _alignment("right")
        return
    number = sheet.cell(line, place, cell.value)
    is_small = column.kind in SIZES and abs(cell.value) < SMALL
    number.number_format = "0.00000" if is_small else NUMBER_FORMATS[column.kind]
    if cell.mark is not None:
        number.number_format += f'" [{cell.mark}]"'
        number.font = Font(italic=True, color=SOFT)
    if cell.is_best:
        number.font = Font(bold=True, color=BEST)


def _write_text(sheet: Worksheet, line: int, place: int, text: str, *, centre: bool = False) -> Any:
    """Write text as text, whatever it begins with, and return its cell."""
    cell = sheet.cell(line, place)
    cell.value = shown(text)
    cell.data_type = "s"
    cell.quotePrefix = text.startswith(FORMULA_SIGNS)
    if centre:
        cell.alignment = _alignment("center")
    return cell


def _fill(sheet: Worksheet, line: int, width: int, colour: str) -> None:
    from openpyxl.styles import PatternFill

    for place in range(1, width + 1):
        sheet.cell(line, place).fill = PatternFill("solid", colour)


def _colour(sheet: Worksheet, table: ModelTable, column: Column, place: int) -> None:
    """Colour the numbers of a column that compare, the better the bluer."""
    from openpyxl.formatting.rule import ColorScaleRule

    apart = table.apart.get(column.key, ())
    lines = [
        at + 2 for at, row in enumerate(table.rows) if column.key in row.numbers and at not in apart
    ]
    if column.better is None or len(lines) < 2:
        return
    low, high = (GOOD, WHITE) if column.better == "low" else (WHITE, GOOD)
    rule = ColorScaleRule(start_type="min", start_color=low, end_type="max", end_color=high)
    sheet.conditional_formatting.add(_area(_letter(place), lines), rule)


def _area(letter: str, lines: Sequence[int]) -> str:
    """Return cells of a column as `C2:C4 C7:C7`."""
    coloured = set(lines)
    starts = [line for line in lines if line - 1 not in coloured]
    ends = [line for line in lines if line + 1 not in coloured]
    runs = zip(starts, ends, strict=True)
    return " ".join(f"{letter}{start}:{letter}{end}" for start, end in runs)


def _set_widths(sheet: Worksheet, grid: Grid) -> None:
    for place, column in enumerate(grid.columns, 1):
        texts = [cells[place - 1].text for cells in grid.rows]
        width = 12.0 if column.kind != "layers" else 20.0
        if column.kind == "name":
            width = _name_width(texts)
        sheet.column_dimensions[_letter(place)].width = width
    sheet.row_dimensions[1].height = 45


def _name_width(names: Sequence[str]) -> int:
    return min(LONGEST_NAME, max(map(cell_len, names), default=10) + 2)


def _short(grid: Grid, column: Column) -> str:
    return grid.headings[grid.columns.index(column)].partition(" (")[0]


def _letter(place: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(place))


def _alignment(horizontal: str, *, wrap: bool = False) -> Any:
    from openpyxl.styles import Alignment

    return Alignment(horizontal=horizontal, vertical="center", wrap_text=wrap)
