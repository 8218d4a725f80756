"""The table of models for papers: LaTeX with booktabs, in four tables that fit a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from depthprune.base.language import language
from depthprune.report.formatting import short_names
from depthprune.report.render.latex import HEADER, escape, latex_table
from depthprune.report.sections.models import model_grid, own_names
from depthprune.report.table import Cell, Column, Table, with_columns
from depthprune.structure.model_columns import BATCHES, GROUPS, THRESHOLDS
from depthprune.structure.model_table import ModelTable

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
