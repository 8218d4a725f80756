"""Tables for papers: LaTeX with booktabs, to be read with \\input. In English only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depthprune.analysis.findings import Analysis
from depthprune.analysis.result_set import SplitAgreement, is_consistent
from depthprune.base.files import write_text
from depthprune.importance.compare import THRESHOLD
from depthprune.report.formatting import short_names
from depthprune.report.render.latex import HEADER, escape, latex_table
from depthprune.report.sections.findings import samples_by_removal
from depthprune.report.table import Column, Table

CONSISTENCY_TABLE = "consistency_table.tex"
IMPORTANCE_TABLE = "block_importance_table.tex"

NAME_LETTERS = 24
LINE_LETTERS = 80
"""Letters that fit across a page of text beside the first columns, in small print."""

FIRST = (
    Column("Mean", "points"),
    Column("Std", "points"),
    Column("Sets", "count"),
    Column("$n$", "samples"),
)


def consistency_table(agreements: Sequence[SplitAgreement]) -> str:
    """Return, as LaTeX, how well the training split of each dataset predicts its validation split.

    Columns: dataset, blocks measured on both splits, Spearman's rho, p-value, consistent or not.
    """
    names = short_names([one.dataset for one in agreements], 40)
    rows = [
        [
            name,
            len(one.train_scores.keys() & one.validation_scores.keys()),
            one.rho,
            one.p_value,
            None if one.rho is None else ("yes" if is_consistent(one.rho) else "no"),
        ]
        for name, one in zip(names, agreements, strict=True)
    ]
    caption = (
        "Spearman's rank correlation of single-block drops between the training and the "
        rf"validation split; consistent: $\rho \geq {THRESHOLD}$. $n$: blocks measured on both; "
        "--: undefined."
    )
    columns = [
        Column("Dataset"),
        Column("$n$", "count"),
        Column(r"$\rho$", "number", 3),
        Column("$p$", "p-value"),
        Column("Consistent"),
    ]
    return HEADER + latex_table(Table(columns, rows), caption, "tab:consistency")


def block_importance_table(analysis: Analysis) -> str:
    """Return, as LaTeX, the drop of every single block: mean, std, and on each dataset, in points.

    More datasets than fit across a page go on in further tables.
    """
    table = analysis.table
    blocks = {one.block: one for one in analysis.findings.blocks}
    singles = table.single_drops
    samples = samples_by_removal(table)
    names = short_names(table.datasets, NAME_LETTERS)
    parts = _parts(names)
    texts = []
    for number, places in enumerate(parts):
        columns = [Column("Block", "count"), *(FIRST if number == 0 else ())]
        columns += [Column(escape(names[place]), "points") for place in places]
        rows = []
        for block in range(table.num_blocks):
            one = blocks.get(block)
            first: list[Any] = [None, None, 0, 0]
            if one is not None:
                std = one.std if one.coverage > 1 else None
                first = [one.mean, std, one.coverage, samples[(block,)]]
            drops = [float(singles[block, place]) for place in places]
            rows.append([block, *(first if number == 0 else ()), *drops])
        which = f" (part {number + 1} of {len(parts)})" if len(parts) > 1 else ""
        caption = (
            f"Accuracy drop when one block is removed, in percentage points{which}. Mean and "
            "population standard deviation over the datasets that measured it (Sets; $n$: their "
            "samples); "
            "negative: better without the block; --: not measured."
        )
        label = "tab:block-importance" + (f"-{number + 1}" if number else "")
        texts.append(latex_table(Table(columns, rows), caption, label))
    return HEADER + "\n".join(texts)


def write_latex(analysis: Analysis, folder: Path) -> list[Path]:
    """Write the tables that the analysis has rows for, whole or not at all; return their paths.

    Raises:
        FileError: the folder cannot be written.
    """
    texts = {}
    if analysis.findings.agreements:
        texts[CONSISTENCY_TABLE] = consistency_table(analysis.findings.agreements)
    if analysis.findings.blocks:
        texts[IMPORTANCE_TABLE] = block_importance_table(analysis)
    written = []
    for name, text in texts.items():
        path = Path(folder) / name
        write_text(path, text)
        written.append(path)
    return written


def _parts(names: Sequence[str]) -> list[list[int]]:
    """Return the indices of the names in runs that fit across a page, at least one run."""
    parts: list[list[int]] = [[]]
    # The first part has mean, std, sets and n besides.
    used = 25
    for index, name in enumerate(names):
        letters = max(len(name), 5) + 2
        if parts[-1] and used + letters > LINE_LETTERS:
            parts.append([])
            used = 0
        parts[-1].append(index)
        used += letters
    return parts
