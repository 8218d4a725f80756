"""The summary of many models as a workbook: models, ratios layer by layer, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from depthprune.base.language import t
from depthprune.base.shown import shown
from depthprune.report.render.xlsx import LOST, Sheet, workbook
from depthprune.report.strategy_text import strategy_names
from depthprune.report.structure_summary import (
    UNKNOWN,
    num_emptied,
    remarks,
    summary_rows,
    without_analysis,
)
from depthprune.report.table import Cell, Column, Table
from depthprune.structure.comparison import Comparison
from depthprune.structure.kept import is_located, num_layers
from depthprune.structure.summary import Summary

MOST_LAYERS = 10_000
"""A sheet has 16,384 columns."""


def summary_workbook(summary: Summary) -> bytes:
    """Return the content of an xlsx file: one row for each model.

    Raises:
        MissingDependencyError: openpyxl is not installed.
    """
    sheets = [
        Sheet(t("Models"), _models(summary)),
        Sheet(t("Pruning ratio of layers"), _ratios(summary), LOST),
    ]
    lacking = [[shown(one.name), shown(one.mend or "")] for one in without_analysis(summary)]
    problems = [[shown(one.name), text] for one in summary.models for text in one.problems]
    for title, rows in ((t("Without analysis"), lacking), (t("Problems in files"), problems)):
        if rows:
            sheets.append(Sheet(title, Table([Column(t("Model")), Column("")], rows)))
    return workbook(sheets)


def _models(summary: Summary) -> Table:
    strategies = strategy_names()
    return Table(
        [
            Column(t("Model")),
            Column(t("Total parameters"), "amount"),
            Column(t("Original"), "amount"),
            Column(t("Pruning ratio"), "points"),
            Column(t("Layers"), "count"),
            Column(t("Removed or emptied"), "count"),
            Column(t("Strategy")),
            Column(t("Remarks on layers")),
        ],
        [
            [
                shown(one.name),
                *map(_known, (facts.params, facts.original, facts.ratio, facts.num_layers)),
                num_emptied(facts),
                _known(strategies.get(facts.strategy or "")),
                "; ".join(remarks(facts)),
            ]
            for one, facts in summary_rows(summary)
        ],
    )


def _ratios(summary: Summary) -> Table:
    """Return the share that each layer of the original lost.

    Where layers are missing and no file says which, no layer's share is known: `?`.
    """
    compared = [(one.name, one.comparison) for one, _ in summary_rows(summary) if one.comparison]
    indices = sorted({index for _, comparison in compared for index in _indices(comparison)})
    indices = indices[:MOST_LAYERS]
    rows: list[list[Any]] = []
    for name, comparison in compared:
        unlocated = Cell(None, "?")
        ratios: dict[int, float | Cell] = dict.fromkeys(_indices(comparison), unlocated)
        if is_located(comparison):
            known = ((layer.index, layer.total.ratio) for layer in comparison.layers)
            ratios = {at: unlocated if ratio is None else ratio for at, ratio in known}
        rows.append([shown(name), *(ratios.get(at, Cell(None, UNKNOWN)) for at in indices)])
    note = t("?: layers are missing, and no file says which; nothing is known of a single one.")
    is_missing = not all(is_located(comparison) for _, comparison in compared)
    columns = [Column(t("Model")), *(Column(str(at), "share") for at in indices)]
    return Table(columns, rows, notes=[note] * is_missing)


def _known(value: Any) -> Any:
    return Cell(None, UNKNOWN) if value is None else value


def _indices(comparison: Comparison) -> Iterable[int]:
    if is_located(comparison):
        return (layer.index for layer in comparison.layers)
    return range(min(num_layers(comparison), MOST_LAYERS))
