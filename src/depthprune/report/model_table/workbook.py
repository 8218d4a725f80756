"""The table of models as a workbook: the table, the layers of every model, the notes."""

from __future__ import annotations

from dataclasses import replace

from depthprune.base.language import t
from depthprune.report.render.xlsx import KEPT, Sheet, workbook
from depthprune.report.sections.models import kept_layers, model_grid, with_windows
from depthprune.report.table import Table, all_notes
from depthprune.structure.model_table import ModelTable


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
