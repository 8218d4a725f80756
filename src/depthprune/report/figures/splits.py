"""Figures: does the training split predict the validation split?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from depthprune.analysis.findings import Analysis
from depthprune.analysis.result_set import SplitAgreement, is_consistent
from depthprune.base.language import counted
from depthprune.importance.compare import THRESHOLD as CONSISTENT
from depthprune.report.figures.marks import (
    block_columns,
    cell_decimals,
    draw_heatmap,
    frame,
    frame_rows,
    hatch_row,
    name_rows,
    note_row,
    upper_limit,
)
from depthprune.report.figures.style import (
    BLACK,
    BLUE,
    SKY,
    SMALL_SIZE,
    VERMILION,
    name_panel,
    new_figure,
    say,
    shown_of,
    styled,
)
from depthprune.report.formatting import short_names

MOST_DATASETS = 50
MOST_PANELS = 12
NO_COMPARISON = "no dataset was measured on both its training and its validation split"


@styled
def train_validation_correlation(analysis: Analysis) -> Figure:
    """Draw Spearman's rho between the splits of each dataset, with the line of consistency."""
    every = analysis.findings.agreements
    shown = every[:MOST_DATASETS]
    caption = (
        "Spearman's rank correlation of the single-block drops of the two splits, n = blocks "
        f"measured on both. From {CONSISTENT} on the training split counts as ordering them as "
        "the validation split does. p: chance of such a rho if the orders were unrelated. Hatched: "
        f"undefined (fewer than 3 blocks, or all the same drop). {_scope(analysis)} "
        f"{shown_of(len(shown), len(every), 'datasets')}"
    )
    figure = new_figure(
        9.5,
        2.6 + 0.36 * max(2, len(shown)),
        "Does the training split order the blocks as the validation split does?",
        caption,
    )
    panel = figure.subplots()
    if not shown:
        say(panel, NO_COMPARISON)
        return figure
    for place, one in enumerate(shown):
        _draw_rho(panel, place, one)
    name_rows(panel, short_names([one.dataset for one in shown], 30))
    panel.axvline(
        CONSISTENT, color=VERMILION, linestyle="--", linewidth=1.4, label=f"rho = {CONSISTENT}"
    )
    panel.set_xlim(min([0.0, *(one.rho for one in shown if one.rho is not None)]) - 0.02, 1.02)
    frame(panel, "Spearman's rho between training and validation split", zero="x", x_ticks=10)
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    return figure


@styled
def train_validation_scatter(analysis: Analysis) -> Figure:
    """Draw the drop of each block on the training split against the validation split."""
    every = analysis.findings.agreements
    shown = every[:MOST_PANELS]
    caption = (
        "A point is a block, removed alone; on the dashed line it costs the same on both splits. "
        "Blocks beyond an axis are named at its top. "
        f"{_scope(analysis)} {shown_of(len(shown), len(every), 'datasets')}"
    )
    columns = min(4, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = new_figure(
        max(6.5, 3.4 * columns),
        1.8 + 3.3 * rows,
        "What each block costs on the training and on the validation split",
        caption,
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    if not shown:
        say(panels[0], NO_COMPARISON)
    names = short_names([one.dataset for one in shown], 26)
    for panel, one, name in zip(panels, shown, names, strict=False):
        _draw_scatter(panel, one, name)
    for panel in panels[max(1, len(shown)) :]:
        panel.set_axis_off()
    return figure


@styled
def train_validation_heatmaps(analysis: Analysis) -> Figure:
    """Draw the single-block drops of every dataset on both splits, side by side."""
    every = analysis.findings.agreements
    shown = every[:MOST_DATASETS]
    num_blocks = analysis.table.num_blocks
    caption = (
        "Drop when one block is removed alone; hatched: not measured. Both maps have the same "
        f"colours. {_scope(analysis)} {shown_of(len(shown), len(every), 'datasets')}"
    )
    rows = max(1, len(shown))
    figure = new_figure(
        13.0,
        2.6 + 2 * (0.34 * rows + 0.55),
        "What each block costs on every dataset, training above validation",
        caption,
    )
    panels = figure.subplots(2, 1)
    for panel, split in zip(panels, ("training", "validation"), strict=True):
        name_panel(panel, f"{split} split", 9)
    if not shown:
        for panel in panels:
            say(panel, NO_COMPARISON)
        return figure
    matrices = [
        score_matrix([one.train_scores for one in shown], num_blocks),
        score_matrix([one.validation_scores for one in shown], num_blocks),
    ]
    draw_heatmap(
        figure,
        panels,
        matrices,
        label="drop (percentage points)",
        length=0.7 * rows + 0.6,
        decimals=cell_decimals(num_blocks),
    )
    for panel in panels:
        frame_rows(panel, short_names([one.dataset for one in shown], 22))
        block_columns(panel, num_blocks, 9.5)
    return figure


def score_matrix(scores: Sequence[Mapping[int, float]], num_blocks: int) -> NDArray[np.float64]:
    """Return drops in percentage points, shape (datasets, num_blocks); NaN where unmeasured."""
    matrix = np.full((len(scores), num_blocks), np.nan)
    for row, drops in enumerate(scores):
        for block, drop in drops.items():
            if 0 <= block < num_blocks:
                matrix[row, block] = 100 * drop
    return matrix


def common_blocks(one: SplitAgreement) -> list[int]:
    """Return the blocks that were measured on both splits."""
    return sorted(one.train_scores.keys() & one.validation_scores.keys())


def _draw_rho(panel: Axes, place: int, one: SplitAgreement) -> None:
    blocks = f"n = {len(common_blocks(one))}"
    if one.rho is None:
        hatch_row(panel, place)
        note = f"undefined ({blocks})"
    else:
        consistent = is_consistent(one.rho)
        panel.barh(place, one.rho, height=0.7, color=BLUE if consistent else SKY)
        chance = "" if one.p_value is None else f", p = {one.p_value:.1e}"
        note = f"{one.rho:.3f} ({blocks}{chance})"
    note_row(panel, place, note)


def _draw_scatter(panel: Axes, one: SplitAgreement, name: str) -> None:
    blocks = common_blocks(one)
    rho = "undefined" if one.rho is None else f"{one.rho:.3f}"
    panel.set_title(f"{name}\nrho = {rho}, n = {counted(len(blocks), 'block')}")
    if not blocks:
        say(panel, "no block was measured on both splits")
        return
    train = [100 * one.train_scores[block] for block in blocks]
    validation = [100 * one.validation_scores[block] for block in blocks]
    limit = upper_limit([*train, *validation])
    panel.scatter(train, validation, s=24, color=BLUE, alpha=0.8, linewidths=0)
    low = min(train + validation)
    panel.axline((low, low), slope=1, color=BLACK, linestyle="--", linewidth=0.9)
    if limit is not None:
        room = 0.06 * (limit - low)
        panel.set_xlim(low - room, limit)
        panel.set_ylim(low - room, limit)
        _name_beyond(panel, blocks, train, validation, limit)
    frame(
        panel,
        "drop on training split (points)",
        "drop on validation split (points)",
        x_ticks=5,
        y_ticks=5,
    )


def _name_beyond(
    panel: Axes,
    blocks: Sequence[int],
    train: Sequence[float],
    validation: Sequence[float],
    limit: float,
) -> None:
    beyond = [
        f"block {block}: {first:.1f}, {second:.1f}"
        for block, first, second in zip(blocks, train, validation, strict=True)
        if max(first, second) > limit
    ]
    if len(beyond) > 3:
        beyond = [*beyond[:2], f"and {len(beyond) - 2} more blocks"]
    panel.text(
        0.02,
        0.98,
        "beyond (training, validation):\n" + "\n".join(beyond),
        transform=panel.transAxes,
        va="top",
        fontsize=SMALL_SIZE - 1,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85},
    )


def _scope(analysis: Analysis) -> str:
    (model,) = short_names([analysis.results.model], 48)
    compared = len(analysis.findings.agreements)
    return (
        f"{model}: {counted(analysis.table.num_blocks, 'block')}, "
        f"{counted(compared, 'dataset')} with both "
        "splits."
    )
