"""The summary of many models in every format; see `sections/structure_models.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

from rich.cells import cell_len

from depthprune.base.errors import FileError
from depthprune.base.files import check_can_make, write_bytes, write_json, write_text
from depthprune.base.language import t
from depthprune.base.shown import shown
from depthprune.report.formatting import percent
from depthprune.report.render.csv import table_csv
from depthprune.report.render.markdown import table_lines
from depthprune.report.render.text import plain_cell
from depthprune.report.render.xlsx import LOST, Sheet, workbook
from depthprune.report.sections.structure_models import (
    CSV,
    LONG,
    SHORT,
    UNKNOWN,
    Row,
    further_sections,
    lost_table,
    models_table,
    remarks_sections,
    rows_of,
    without_analysis,
)
from depthprune.report.table import Column, Table
from depthprune.structure.comparison import Comparison
from depthprune.structure.labels import is_emptied
from depthprune.structure.summary import Summary

Format = Literal["txt", "json", "csv", "md", "html", "xlsx"]

FORMATS: tuple[Format, ...] = get_args(Format)

RULE, STATISTICS_RULE = 120, 80
WIDTHS = (40, 15, 10, 6, 12)
"""Columns of the documented text, which has one space between them."""


def write_summary(
    summary: Summary, output: Path, formats: Iterable[Format], *, time: datetime
) -> list[Path]:
    """Write `output` with the ending of each format and return the paths.

    Args:
        summary: of models.
        output: without ending; one of its own stays a part of the name (`summary_0.2`).
        formats: each is written once.
        time: when the summary was made; stands in the JSON file.

    Raises:
        FileError: a file cannot be written, or the name is none or that of a folder.
        MissingDependencyError: html and xlsx need packages of the extra `report`.
    """
    written = []
    if not output.name.strip("."):
        raise FileError(
            "this names no file",
            where=str(output),
            mend="name the files without their endings: models_structure_summary",
        )
    check_can_make(output.parent)
    for form in dict.fromkeys(formats):
        path = output.with_name(f"{output.name}.{form}")
        if path.is_dir():
            raise FileError("a folder has this name", where=str(path), mend="choose another name")
        _write(summary, path, form, time)
        written.append(path)
    return written


def _write(summary: Summary, path: Path, form: Format, time: datetime) -> None:
    match form:
        case "txt":
            write_text(path, summary_text(summary))
        case "json":
            write_json(path, summary_value(summary, time))
        case "csv":
            write_text(path, summary_csv(summary))
        case "md":
            write_text(path, summary_markdown(summary))
        case "xlsx":
            write_bytes(path, summary_workbook(summary))
        case "html":
            from depthprune.report.html.structure_page import render_structure_page

            write_text(path, render_structure_page(summary))


def summary_text(summary: Summary) -> str:
    """Return the summary in the documented layout; in Chinese, to the byte that of the old script.

    What that layout has no place for follows behind it: remarks on layers, models without analysis,
    files that could not be read.
    """
    rows = rows_of(summary.models)
    headings = (
        t("Model"), t("Total parameters"), t("Pruning ratio"), t("Layers"), t("Removed or emptied")
    )  # fmt: skip
    table = models_table(rows, SHORT)
    cells = [list(map(plain_cell, table.columns, row)) for row in table.rows]
    for row, cell in zip(rows, cells, strict=True):
        cell[2] += "%" * (row.facts.ratio is not None)
    # The old script counted characters, not columns: its Chinese headings stand a bit to the left.
    widths = [max(width, len(text)) for width, text in zip(WIDTHS, headings, strict=True)]
    widths[0] = max(widths[0], *(cell_len(name) for name, *_ in cells), 0)
    lines = [
        "=" * RULE,
        t("Summary of the structure of models"),
        "=" * RULE,
        "",
        headings[0].ljust(widths[0]) + _right(headings[1:], widths[1:]),
        "-" * RULE,
        *(
            name + " " * (widths[0] - cell_len(name)) + _right(numbers, widths[1:])
            for name, *numbers in cells
        ),
        *("", "=" * RULE, "", ""),
        *_statistics(rows),
        *("", "=" * STATISTICS_RULE),
    ]
    for section in [*remarks_sections(rows), *further_sections(summary)]:
        lines += ["", section.title, "-" * STATISTICS_RULE, *section.sentences]
    return "\n".join(lines)


def _right(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f" {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _statistics(rows: Sequence[Row]) -> list[str]:
    counts = [row.facts.params for row in rows if row.facts.params is not None]
    ratios = [row.facts.ratio for row in rows if row.facts.ratio is not None]
    return [
        "=" * STATISTICS_RULE,
        t("Statistics"),
        "=" * STATISTICS_RULE,
        "",
        t("Models: {n}", n=len(rows)),
        "",
        t("Number of parameters:"),
        *_extremes(counts, lambda value: format(value, ",.0f")),
        "",
        t("Pruning ratios:"),
        *_extremes(ratios, lambda value: f"{percent(value)}%"),
    ]


def _extremes(values: Sequence[float], form: Callable[[float], str]) -> list[str]:
    texts = (t("  min: {value}"), t("  max: {value}"), t("  mean: {value}"))
    found = map(form, (min(values), max(values), fmean(values))) if values else [UNKNOWN] * 3
    return [text.format(value=value) for text, value in zip(texts, found, strict=True)]


def summary_markdown(summary: Summary) -> str:
    """Return the summary as a document in Markdown."""
    table = models_table(rows_of(summary.models), (*SHORT, "remarks"))
    lines = [f"# {t('Summary of the structure of models')}", "", *table_lines(table)]
    for section in further_sections(summary):
        lines += ["", f"## {section.title}", "", *(f"    {line}" for line in section.sentences)]
    return "\n".join(lines) + "\n"


def summary_csv(summary: Summary) -> str:
    """Return one line for each analysed model, for programs; what is not known is empty."""
    return table_csv(models_table(rows_of(summary.models), CSV))


def summary_workbook(summary: Summary) -> bytes:
    """Return the content of an xlsx file: models, ratios layer by layer, and what is missing.

    Raises:
        MissingDependencyError: openpyxl is not installed.
    """
    rows = rows_of(summary.models)
    lacking = [[shown(one.name), shown(one.mend or "")] for one in without_analysis(summary)]
    problems = [[shown(one.name), text] for one in summary.models for text in one.problems]
    sheets = [
        Sheet(t("Models"), models_table(rows, LONG)),
        Sheet(t("Pruning ratio of layers"), lost_table(rows), LOST),
    ]
    for title, lines in ((t("Without analysis"), lacking), (t("Problems in files"), problems)):
        if lines:
            sheets.append(Sheet(title, Table([Column(t("model")), Column("")], lines)))
    return workbook(sheets)


def summary_value(summary: Summary, time: datetime) -> dict[str, Any]:
    """Return the summary as JSON data; counts are parameters, ratios 0..1.

    Args:
        summary: of models.
        time: when it was made.
    """
    rows = rows_of(summary.models)
    return {
        "timestamp": time.isoformat(timespec="seconds"),
        "total_models": len(rows),
        "models": list(map(_model_value, rows)),
        "dirs": list(summary.dirs),
        "without_analysis": [
            {"name": one.name, "folder": str(one.folder), "mend": one.mend}
            for one in without_analysis(summary)
        ],
        "problems": [problem for one in summary.models for problem in one.problems],
    }


def _model_value(row: Row) -> dict[str, Any]:
    one, facts = row
    anatomy, comparison = one.anatomy, one.comparison
    params: dict[str, Any] = {"total": facts.params, "num_layers": facts.num_layers}
    if anatomy is not None:
        params |= {
            "embedding": anatomy.embedding,
            "lm_head": anatomy.lm_head,
            "layers": anatomy.layer_params,
            "norm": anatomy.norm,
            "other": anatomy.other,
            "towers": dict(anatomy.towers),
        }
    elif comparison is not None:
        params["layers"] = comparison.layer_params.pruned
    pruning = None
    if facts.original is not None and facts.params is not None:
        pruning = {
            "original": facts.original,
            "pruned": facts.params,
            "reduced": facts.original - facts.params,
            "reduction_ratio": facts.ratio,
            "strategy": facts.strategy,
        }
    return {
        "name": one.name,
        "folder": str(one.folder),
        "original_name": None if comparison is None else comparison.original_name,
        "params": params,
        "pruning": pruning,
        "num_layers": facts.num_layers,
        "original_num_layers": facts.of_layers,
        "zero_layers": list(facts.emptied),
        "removed_layers": list(facts.removed),
        "missing_layers": facts.missing,
        "attention_removed": list(facts.no_attention),
        "mlp_removed": list(facts.no_mlp),
        "layer_pruning": [] if comparison is None else _layer_values(comparison),
        "problems": list(one.problems),
        "unknown": list(facts.unknown),
    }


def _layer_values(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "layer_idx": layer.index,
            "original": layer.total.original,
            "pruned": layer.total.pruned,
            "pruning_ratio": layer.total.ratio,
            "reduction_ratio": layer.total.ratio,
            "attention_ratio": layer.attention.ratio,
            "mlp_ratio": layer.mlp.ratio,
            "removed": layer.removed,
            "is_zero_layer": layer.is_zero or is_emptied(layer),
            "is_zero": layer.is_zero or is_emptied(layer),
        }
        for layer in comparison.layers
    ]
