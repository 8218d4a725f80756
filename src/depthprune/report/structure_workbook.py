"""The summary of many models as a workbook: models, ratios layer by layer, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.cells import cell_len

from depthprune.base.errors import MissingDependencyError
from depthprune.base.language import t
from depthprune.base.shown import shown
from depthprune.report.strategy_text import strategy_names
from depthprune.report.structure_summary import (
    UNKNOWN,
    num_emptied,
    remarks,
    summary_rows,
    without_analysis,
)
from depthprune.structure.comparison import Comparison
from depthprune.structure.kept import is_located, num_layers
from depthprune.structure.summary import Summary

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

COUNT, SHARE = "#,##0", "0.00%"
"""Number formats."""

MOST_LAYERS = 10_000
"""A sheet has 16,384 columns."""

WIDEST = 70

_LEFT, _GONE = "FFFFFF", "F8696B"
"""Colours of a layer that is whole, and of one that is gone."""


def summary_workbook(summary: Summary) -> bytes:
    """Return the content of an xlsx file: one row for each model, frozen headings, real numbers.

    Raises:
        MissingDependencyError: openpyxl is not installed.
    """
    try:
        from openpyxl import Workbook
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "xlsx files need the package openpyxl, which is not installed",
            mend="pip install 'depthprune[report]'",
        ) from error
    strategies = strategy_names()
    rows = summary_rows(summary)
    book = Workbook()
    models = book.active
    assert models is not None
    models.title = t("Models")
    _fill(
        models,
        (
            t("Model"),
            t("Total parameters"),
            t("Original"),
            t("Pruning ratio"),
            t("Layers"),
            t("Removed or emptied"),
            t("Strategy"),
            t("Remarks on layers"),
        ),
        [
            (
                shown(one.name),
                facts.params,
                facts.original,
                facts.ratio,
                facts.num_layers,
                num_emptied(facts),
                strategies.get(facts.strategy or ""),
                "; ".join(remarks(facts)),
            )
            for one, facts in rows
        ],
        formats={1: COUNT, 2: COUNT, 3: SHARE},
    )
    _fill_ratios(book.create_sheet(t("Pruning ratio of layers")), summary)
    lacking = [(shown(one.name), shown(one.mend or "")) for one in without_analysis(summary)]
    problems = [(shown(one.name), shown(text)) for one in summary.models for text in one.problems]
    for title, found in ((t("Without analysis"), lacking), (t("Problems in files"), problems)):
        if found:
            _fill(book.create_sheet(title), (t("Model"), ""), found)
    content = BytesIO()
    book.save(content)
    return content.getvalue()


def _fill_ratios(sheet: Worksheet, summary: Summary) -> None:
    """Fill a sheet with the share that each layer of the original lost, coloured by it.

    Where layers are missing and no file says which, no layer's share is known: `?`.
    """
    from openpyxl.formatting.rule import ColorScaleRule

    compared = [(one.name, one.comparison) for one, _ in summary_rows(summary) if one.comparison]
    indices = sorted({index for _, comparison in compared for index in _indices(comparison)})
    indices = indices[:MOST_LAYERS]
    rows: list[tuple[str | float | None, ...]] = []
    for name, comparison in compared:
        ratios: dict[int, str | float] = dict.fromkeys(_indices(comparison), "?")
        if is_located(comparison):
            known = ((layer.index, layer.total.ratio) for layer in comparison.layers)
            ratios = {index: "?" if ratio is None else ratio for index, ratio in known}
        rows.append((shown(name), *map(ratios.get, indices)))
    formats = dict.fromkeys(range(1, len(indices) + 1), "0%")
    _fill(sheet, (t("Model"), *indices), rows, formats)
    if not all(is_located(comparison) for _, comparison in compared):
        note = t("?: layers are missing, and no file says which; nothing is known of a single one.")
        sheet.cell(len(rows) + 3, 1, note)
    scale = ColorScaleRule(
        start_type="num", start_value=0, start_color=_LEFT,
        end_type="num", end_value=1, end_color=_GONE,
    )  # fmt: skip
    sheet.conditional_formatting.add(sheet.dimensions, scale)


def _indices(comparison: Comparison) -> Iterable[int]:
    if is_located(comparison):
        return (layer.index for layer in comparison.layers)
    return range(min(num_layers(comparison), MOST_LAYERS))


def _fill(
    sheet: Worksheet,
    headings: Sequence[str | int],
    rows: Sequence[Sequence[str | int | float | None]],
    formats: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Write headings that stay in view and rows below them; `formats` of numbers by column."""
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    for line, values in enumerate((headings, *rows), start=1):
        for column, value in enumerate(values):
            cell = sheet.cell(line, column + 1, UNKNOWN if value is None else value)
            if isinstance(value, str):
                cell.data_type = "s"  # a name that begins with = is no formula
            elif line > 1:
                cell.number_format = formats.get(column, "General")
            if line == 1:
                cell.font = Font(bold=True)
            if value in (None, "?") or (line == 1 and column > 0):
                cell.alignment = Alignment(horizontal="right")
    for column in range(len(headings)):
        texts = (str(values[column]) for values in (headings, *rows) if values[column] is not None)
        sheet.column_dimensions[get_column_letter(column + 1)].width = min(
            WIDEST, 3 + max(map(cell_len, texts), default=0)
        )
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = sheet.dimensions
