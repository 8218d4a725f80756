"""Tables as a workbook: frozen headings, numbers that are numbers, text that is only text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from depthprune.base.errors import MissingDependencyError
from depthprune.base.terminal import shown
from depthprune.report.render.plain import FORMULA_SIGNS
from depthprune.report.render.text import SMALL, cell_text
from depthprune.report.table import Cell, Column, Kind, Table, cell_of

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

WHITE, GOOD, MIDDLE, GONE = "FFFFFF", "9CCBEB", "F6D9B8", "D55E00"
"""The better end of a column is blue; a layer of which nothing is left is vermilion."""

KEPT, LOST = (GONE, MIDDLE, WHITE), (WHITE, MIDDLE, GONE)
"""Colours of shares from 0 to 1: of what is kept, and of what is lost."""

HEADING, REFERENCE, BEST, SOFT = "DDE6EE", "F2F2F2", "0A5A9C", "808080"

WIDEST = 60

FORMATS: dict[Kind, str] = {"points": "0.00%", "share": "0%", "count": "General", "amount": "#,##0"}


@dataclass(frozen=True)
class Sheet:
    """A table in a workbook; `colours` of its numbers, where all are shares from 0 to 1."""

    title: str
    table: Table
    colours: Sequence[str] = ()


def workbook(sheets: Sequence[Sheet]) -> bytes:
    """Return the content of an .xlsx file; numbers are not rounded, only shown so.

    Raises:
        MissingDependencyError: openpyxl is not installed.
    """
    try:
        from openpyxl import Workbook
    except ImportError as error:
        raise MissingDependencyError(
            "xlsx files need the package openpyxl, which is not installed",
            mend="pip install 'depthprune[report]'",
        ) from error
    book = Workbook()
    book.remove(book.active)
    for sheet in sheets:
        _fill(book.create_sheet(sheet.title), sheet)
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def _fill(sheet: Worksheet, content: Sheet) -> None:
    table = content.table
    if table.columns:
        _write_headings(sheet, table.columns)
        for line, row in enumerate(table.rows, 2):
            for place, (column, value) in enumerate(zip(table.columns, row, strict=True), 1):
                _write(sheet, line, place, column, cell_of(value))
            if line - 2 == table.reference:
                _set_apart(sheet, line)
        sheet.freeze_panes = "B2"
        sheet.auto_filter.ref = sheet.dimensions
    _colour(sheet, table, content.colours)
    _set_widths(sheet, table)
    first = len(table.rows) + 3 if table.columns else 1
    for line, note in enumerate(table.notes, first):
        _write_text(sheet, line, 1, note)


def _write_headings(sheet: Worksheet, columns: Sequence[Column]) -> None:
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side

    for place, column in enumerate(columns, 1):
        cell = _write_text(sheet, 1, place, column.name)
        if column.name.isdecimal():
            cell.value = int(column.name)
        cell.font, cell.fill = Font(bold=True), PatternFill("solid", HEADING)
        cell.border = Border(bottom=Side("thin"))
        aligned = "left" if place == 1 else "center"
        cell.alignment = Alignment(horizontal=aligned, vertical="center", wrap_text=True)


def _write(sheet: Worksheet, line: int, place: int, column: Column, cell: Cell) -> None:
    from openpyxl.styles import Alignment, Font

    if not isinstance(cell.value, float | int):
        if not (text := cell_text(column, cell)):
            return
        written = _write_text(sheet, line, place, text)
        if cell.value is None or column.is_number:
            written.font, written.alignment = Font(color=SOFT), Alignment(horizontal="right")
        return
    written = sheet.cell(line, place, cell.value)
    written.number_format = _number_format(column, cell)
    if cell.is_best:
        written.font = Font(bold=True, color=BEST)
    elif isinstance(cell.mark, int):
        written.font = Font(italic=True, color=SOFT)


def _number_format(column: Column, cell: Cell) -> str:
    digits = 5 if column.kind == "size" and abs(cell.value) < SMALL else column.digits
    form = FORMATS.get(column.kind, f"0.{'0' * digits}")
    if cell.mark is None:
        return form
    return f'{form}" [{cell.mark}]"' if isinstance(cell.mark, int) else f'{form}" {cell.mark}"'


def _write_text(sheet: Worksheet, line: int, place: int, text: str) -> Any:
    """Write text as text, whatever it begins with, and return its cell."""
    cell = sheet.cell(line, place)
    cell.value = shown(text)
    cell.data_type = "s"
    cell.quotePrefix = text.startswith(FORMULA_SIGNS)
    return cell


def _set_apart(sheet: Worksheet, line: int) -> None:
    from openpyxl.styles import PatternFill

    for cell in sheet[line]:
        cell.fill = PatternFill("solid", REFERENCE)


def _colour(sheet: Worksheet, table: Table, colours: Sequence[str]) -> None:
    """Colour the numbers of columns that compare, the better the bluer; shares by their colours."""
    from openpyxl.formatting.rule import ColorScaleRule

    rows = [list(map(cell_of, row)) for row in table.rows]
    for place, column in enumerate(table.columns):
        lines = {
            line
            for line, row in enumerate(rows, 2)
            if row[place].value is not None and not isinstance(row[place].mark, int)
        }
        if column.better is not None and len(lines) > 1:
            low, high = (GOOD, WHITE) if column.better == "low" else (WHITE, GOOD)
            rule = ColorScaleRule(start_type="min", start_color=low, end_type="max", end_color=high)
            sheet.conditional_formatting.add(_area(_letter(place + 1), lines), rule)
    if colours and rows and len(table.columns) > 1:
        low, middle, high = colours
        scale = ColorScaleRule("num", 0, low, "num", 0.5, middle, "num", 1, high)
        area = f"B2:{_letter(len(table.columns))}{len(rows) + 1}"
        sheet.conditional_formatting.add(area, scale)


def _area(letter: str, lines: set[int]) -> str:
    """Return cells of a column as `C2:C4 C7:C7`."""
    starts = sorted(line for line in lines if line - 1 not in lines)
    ends = sorted(line for line in lines if line + 1 not in lines)
    runs = zip(starts, ends, strict=True)
    return " ".join(f"{letter}{start}:{letter}{end}" for start, end in runs)


def _set_widths(sheet: Worksheet, table: Table) -> None:
    """Give each column room for its texts, and for each word of its heading."""
    for place, column in enumerate(table.columns):
        texts = [cell_text(column, row[place]) for row in table.rows]
        widest = max(map(cell_len, [*texts, *column.name.split()]), default=0)
        sheet.column_dimensions[_letter(place + 1)].width = min(WIDEST, widest + 3)
    if not table.columns:
        sheet.column_dimensions["A"].width = 120


def _letter(place: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(place))
