"""The table of models as CSV and JSON, for programs, and as Markdown."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any

from depthprune.base.language import language
from depthprune.report.model_table.grid import UNKNOWN, Cell, model_grid, windows
from depthprune.report.structure_values import FORMULA_SIGNS
from depthprune.structure.kept import is_located, layers_below, shares_kept
from depthprune.structure.model_columns import COLUMNS, Column
from depthprune.structure.model_row import ModelRow
from depthprune.structure.model_table import ModelTable
from depthprune.structure.performance import Conditions

MARKDOWN_SIGNS = str.maketrans({sign: f"\\{sign}" for sign in "\\|*`<>[]"})


@language("en")
def model_csv(table: ModelTable) -> str:
    """Return the table as CSV for programs: the same in every language, nothing rounded.

    Behind the 24 columns stands the window of each perplexity. Text that a spreadsheet would take
    for a formula begins with an apostrophe.
    """
    grid = model_grid(table)
    texts = [column for column in COLUMNS if column.kind == "ppl"]
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.key for column in COLUMNS] + [f"{one.key}_window" for one in texts])
    for row, cells in zip(table.rows, grid.rows, strict=True):
        told = windows(row)
        writer.writerow(
            [_field(cell) for cell in cells] + [told.get(one.key, UNKNOWN) for one in texts]
        )
    return out.getvalue()


def model_markdown(table: ModelTable) -> str:
    """Return the table in Markdown with notes below; the best of each column is bold."""
    grid = model_grid(table)
    lines = [_line(list(grid.headings)), "|" + "".join(map(_rule, grid.columns))]
    lines += [_line([_markdown(cell) for cell in cells]) for cells in grid.rows]
    lines.append("")
    lines += [f"- [{n}] {one.translate(MARKDOWN_SIGNS)}" for n, one in enumerate(grid.marked, 1)]
    lines += [f"- {one.translate(MARKDOWN_SIGNS)}" for one in grid.notes]
    return "\n".join(lines) + "\n"


def model_value(table: ModelTable) -> dict[str, Any]:
    """Return the table as JSON data; numbers as in the files, null where nothing is known."""
    return {
        "columns": [column.key for column in COLUMNS],
        "models": [_row_value(row) for row in table.rows],
        "compared": {
            key: {"basis": one.basis, "details": one.details} for key, one in table.compared.items()
        },
        "best": {key: [table.rows[at].name for at in places] for key, places in table.best.items()},
        "apart": {
            key: [table.rows[at].name for at in places] for key, places in table.apart.items()
        },
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
            key: {"basis": one.under.basis, "details": one.under.details}
            for key, one in row.numbers.items()
            if one.under != Conditions()
        },
        "keep_ratios": None if located is None else shares_kept(located),
        "missing_layers": 0 if comparison is None else comparison.missing_layers,
        "notes": list(row.notes),
    }


def _field(cell: Cell) -> float | str:
    if cell.value is None:
        return UNKNOWN
    if isinstance(cell.value, str) and cell.value.startswith(FORMULA_SIGNS):
        return f"'{cell.value}"
    return cell.value


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(column: Column) -> str:
    return "---|" if column.kind in ("name", "layers") else "--:|"


def _markdown(cell: Cell) -> str:
    text = cell.text.translate(MARKDOWN_SIGNS)
    text = f"**{text}**" if cell.is_best else text
    return text if cell.mark is None else f"{text} [{cell.mark}]"
