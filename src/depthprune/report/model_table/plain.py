"""The table of models as CSV and JSON, for programs, and as Markdown."""

from __future__ import annotations

from typing import Any

from depthprune.base.language import language
from depthprune.report.render import markdown
from depthprune.report.render.csv import table_csv
from depthprune.report.sections.models import UNKNOWN, model_grid, with_windows
from depthprune.structure.kept import is_located, layers_below, shares_kept
from depthprune.structure.model_columns import COLUMNS
from depthprune.structure.model_row import ModelRow
from depthprune.structure.model_table import ModelTable
from depthprune.structure.performance import Conditions


@language("en")
def model_csv(table: ModelTable) -> str:
    """Return the table as CSV; behind the 24 columns stands the window of each perplexity."""
    return table_csv(with_windows(model_grid(table), table), UNKNOWN)


def model_markdown(table: ModelTable) -> str:
    """Return the table in Markdown with notes below; the best of each column is bold."""
    grid = model_grid(table)
    marked = (f"- [{n}] {markdown.escape(one)}" for n, one in enumerate(grid.marked, 1))
    notes = (f"- {markdown.escape(one)}" for one in grid.notes)
    return "\n".join([*markdown.table_lines(grid), "", *marked, *notes]) + "\n"


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
