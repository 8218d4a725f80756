"""The table of models in every format: for the terminal, as a file, and as JSON data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from rich.console import RenderableType

from depthprune.base.errors import FileError
from depthprune.base.files import write_bytes
from depthprune.base.language import filled, language, t
from depthprune.report.formatting import MAX_WIDTH, short_names
from depthprune.report.render.html import table_page
from depthprune.report.render.latex import HEADER, escape, latex_table
from depthprune.report.render.markdown import table_text
from depthprune.report.render.plain import table_csv
from depthprune.report.render.text import table_parts
from depthprune.report.render.xlsx import KEPT, Sheet, workbook
from depthprune.report.sections.models import (
    UNKNOWN,
    kept_layers,
    model_grid,
    own_names,
    with_windows,
)
from depthprune.report.table import Cell, Column, Table, all_notes, with_columns
from depthprune.structure.comparison import is_located, layers_below, shares_kept
from depthprune.structure.model_row import (
    BATCHES,
    COLUMNS,
    GROUPS,
    THRESHOLDS,
    ModelRow,
    NumberConditions,
)
from depthprune.structure.model_table import ModelTable

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
        FileError: The ending is unknown.
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
        table: Table of models.
        path: Path of the file.
        kind: Format of the file; None chooses by the ending.

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
        table: Table of models.
        most: Maximum number of rows of each table, and of notes; None for all.
        width: Width of the terminal in letters; no column is cut off.
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
        parts.append(
            filled(
                shown,
                rows=min(most, len(grid.rows)),
                all_rows=len(grid.rows),
                notes=min(most, len(notes)),
                all_notes=len(notes),
            )
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
            if one.under != NumberConditions()
        },
        "keep_ratios": None if located is None else shares_kept(located),
        "missing_layers": 0 if comparison is None else comparison.missing_layers,
        "notes": list(row.notes),
    }


def _condition(one: NumberConditions) -> dict[str, Any]:
    return {"basis": one.basis, "details": one.details}


NAME_LETTERS = 20

ARRAY = "%   \\usepackage{array}\n"
"""Goes on with what the header asks for."""

SHORT = {
    "size_gb": "GB",
    "parameters_b": "Params (B)",
    "ppl_wikitext2": "WikiText-2",
    "ppl_ptb": "PTB",
    "boolq": "BoolQ",
    "piqa": "PIQA",
    "hellaswag": "HellaS.",
    "winogrande": "WinoG.",
    "arc_easy": "ARC-e",
    "arc_challenge": "ARC-c",
    "openbookqa": "OBQA",
    "mean_accuracy": "Mean",
    **{f"tokens_per_second_batch_{rows}": f"tok/s, {rows}" for rows in BATCHES},
    **{f"ms_per_token_batch_{rows}": f"ms/tok, {rows}" for rows in BATCHES},
    "peak_memory_mb": "Peak (MB)",
    "keep_ratio_std": "Std",
    "keep_ratio_variance": "Variance",
    **{f"layers_below_{number}": rf"$<{number}$\%" for number in THRESHOLDS},
}


def _caption(group: str, grid: Table) -> str:
    windows = [escape(column.name) for column in grid.columns if column.kind == "perplexity"]
    return {
        "size": f"Size (GB: $2^{{30}}$ bytes), parameters, perplexity ({'; '.join(windows)}), and "
        "population standard deviation and variance of the share of its parameters that each layer "
        "keeps.",
        "zero-shot": r"Zero-shot accuracy (\%).",
        "speed": "Throughput and latency per token by the number of rows generated at once, and "
        "the most memory in use (MB: $2^{20}$ bytes).",
        "layers": "Layers of the original that keep less than a share of their parameters.",
    }[group]


@language("en")
def model_latex(table: ModelTable) -> str:
    """Return the table as LaTeX, the best of each column in bold. In English only."""
    grid = model_grid(table)
    names = short_names(own_names(table), NAME_LETTERS)
    texts = []
    for group, keys in GROUPS.items():
        part = with_columns(grid, keys)
        columns = [replace(column, name=SHORT[column.key]) for column in part.columns]
        rows = [[name, *row] for name, row in zip(names, part.rows, strict=True)]
        texts.append(
            latex_table(
                Table([Column("Model"), *columns], rows),
                " ".join([_caption(group, grid), *_notes(grid, part.rows)]),
                f"tab:models-{group}",
                space="3pt",
            )
        )
    return HEADER + ARRAY + "\n".join(texts)


def _notes(grid: Table, cells: Sequence[Sequence[Cell]]) -> list[str]:
    """Return what the caption says of marks and best values in the cells of a part."""
    used = sorted({cell.mark for row in cells for cell in row if isinstance(cell.mark, int)})
    notes = [f"$^{{{mark}}}$ {escape(grid.marked[mark - 1])}." for mark in used]
    if any(cell.is_best for row in cells for cell in row):
        notes.append("Bold: best of its column, the original model left out.")
    if any(cell.value is None for row in cells for cell in row):
        notes.append("N/A: not known.")
    return notes
