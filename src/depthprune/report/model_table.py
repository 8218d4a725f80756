"""The table of models in every format: for the terminal, as a file, and as JSON data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from rich.console import RenderableType

from depthprune.base.errors import FileError
from depthprune.base.files import write_bytes
from depthprune.base.language import filled, language, t
from depthprune.report.formatting import MAX_WIDTH
from depthprune.report.model_latex import model_latex
from depthprune.report.render.csv import table_csv
from depthprune.report.render.markdown import table_text
from depthprune.report.render.page import table_page
from depthprune.report.render.text import table_parts
from depthprune.report.render.xlsx import KEPT, Sheet, workbook
from depthprune.report.sections.models import (
    UNKNOWN,
    kept_layers,
    model_grid,
    own_names,
    with_windows,
)
from depthprune.report.table import Cell, Table, all_notes, with_columns
from depthprune.structure.kept import is_located, layers_below, shares_kept
from depthprune.structure.model_columns import COLUMNS, GROUPS
from depthprune.structure.model_row import ModelRow
from depthprune.structure.model_table import ModelTable
from depthprune.structure.performance import Conditions

Format = Literal["xlsx", "csv", "md", "html", "latex"]

ENDINGS: Mapping[str, Format] = MappingProxyType(
    {
        ".xlsx": "xlsx",
        ".csv": "csv",
        ".md": "md",
        ".markdown": "md",
        ".html": "html",
        ".htm": "html",
        ".tex": "latex",
        ".latex": "latex",
    }
)


def format_of(path: Path) -> Format:
    """Return the format that a file's ending asks for.

    Raises:
        FileError: none does.
    """
    found = ENDINGS.get(path.suffix.lower())
    if found is None:
        raise FileError(
            f"the ending {path.suffix!r} says no format of a table",
            where=str(path),
            mend=f"end the name with {', '.join(ENDINGS)}, or choose with --format",
        )
    return found


def write_model_table(table: ModelTable, path: Path, kind: Format | None = None) -> Path:
    """Write the table, whole or not at all, and return the path.

    Args:
        table: of models.
        path: of the file.
        kind: its format; None chooses by the ending.

    Raises:
        FileError: no format is known by the ending, or the file cannot be written.
        MissingDependencyError: a workbook needs openpyxl.
    """
    write_bytes(path, model_table_bytes(table, kind or format_of(path)))
    return path


def model_table_bytes(table: ModelTable, kind: Format) -> bytes:
    """Return the table as the content of a file; CSV and LaTeX in English only.

    Raises:
        MissingDependencyError: a workbook needs openpyxl.
    """
    match kind:
        case "xlsx":
            return model_workbook(table)
        case "csv":
            text = model_csv(table)
        case "md":
            text = table_text(model_grid(table))
        case "html":
            text = table_page(t("Pruned models"), model_grid(table))
        case "latex":
            text = model_latex(table)
    return text.encode("utf-8", "backslashreplace")


@language("en")
def model_csv(table: ModelTable) -> str:
    """Return the table as CSV; behind the 24 columns stands the window of each perplexity."""
    return table_csv(with_windows(model_grid(table), table), UNKNOWN)


def model_workbook(table: ModelTable) -> bytes:
    """Return the table as the content of an .xlsx file.

    The first sheet has the 24 columns, and behind them the window of each perplexity; the second
    has the share that each layer keeps; the third has the notes.

    Raises:
        MissingDependencyError: openpyxl is not installed.
    """
    grid = with_windows(model_grid(table), table)
    return workbook(
        [
            Sheet(t("table of models"), replace(grid, notes=())),
            Sheet(t("keep ratios"), kept_layers(table), KEPT),
            Sheet(t("notes on models"), Table((), (), notes=all_notes(grid))),
        ]
    )


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
    notes = all_notes(grid)
    named = [[Cell(name), *row[1:]] for name, row in zip(own_names(table), grid.rows, strict=True)]
    grid = replace(grid, rows=named, names=1, is_spaced=True, notes=(), marked=())
    parts: list[RenderableType] = []
    for keys in GROUPS.values():
        group = with_columns(grid, ["model", *keys])
        if any(cell.value is not None for _, *cells in group.rows for cell in cells):
            parts += table_parts(replace(group, rows=group.rows[:most]), width)
    parts += notes[:most]
    if most is not None and max(len(grid.rows), len(notes)) > most:
        shown = t(
            "Shown: {rows} of {all_rows} {all_rows:model|models}, {notes} of {all_notes} "
            "{all_notes:note|notes}."
        )
        rows, told = min(most, len(grid.rows)), min(most, len(notes))
        parts.append(
            filled(shown, rows=rows, all_rows=len(grid.rows), notes=told, all_notes=len(notes))
        )
    return parts


def model_value(table: ModelTable) -> dict[str, Any]:
    """Return the table as JSON data; numbers as in the files, null where nothing is known."""

    def names(places: Mapping[str, Any]) -> dict[str, list[str]]:
        return {key: [table.rows[at].name for at in found] for key, found in places.items()}

    return {
        "columns": [column.key for column in COLUMNS],
        "models": [_row_value(row) for row in table.rows],
        "compared": {key: _condition(one) for key, one in table.compared.items()},
        "best": names(table.best),
        "apart": names(table.apart),
    }


def _row_value(row: ModelRow) -> dict[str, Any]:
    comparison = row.comparison
    located = comparison if comparison is not None and is_located(comparison) else None
    value: dict[str, Any] = {
        column.key: None if column.key not in row.numbers else row.numbers[column.key].value
        for column in COLUMNS
    }
    for column in COLUMNS:
        if column.kind == "layers" and located is not None:
            value[column.key] = list(layers_below(located, int(column.of)))
    return value | {
        "model": row.name,
        "is_reference": row.is_reference,
        "conditions": {
            key: _condition(one.under)
            for key, one in row.numbers.items()
            if one.under != Conditions()
        },
        "keep_ratios": None if located is None else shares_kept(located),
        "missing_layers": 0 if comparison is None else comparison.missing_layers,
        "notes": list(row.notes),
    }


def _condition(one: Conditions) -> dict[str, Any]:
    return {"basis": one.basis, "details": one.details}
