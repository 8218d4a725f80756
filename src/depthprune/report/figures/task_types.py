"""Figures: how task types differ, at a glance and block by block."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from depthprune.analysis.findings import Analysis
from depthprune.analysis.responses import TaskTypeFinding
from depthprune.base.language import counted
from depthprune.report.figures.marks import (
    Bar,
    block_columns,
    cell_decimals,
    draw_bars,
    draw_boxes,
    draw_heatmap,
    evenly,
    frame,
    frame_rows,
    legend_beside,
    name_rows,
    number_ticks,
    upper_limit,
)
from depthprune.report.figures.style import (
    BLACK,
    BLUE,
    CATEGORIES,
    DROP_AXIS,
    MARKERS,
    SKY,
    SMALL_SIZE,
    add_panels,
    new_figure,
    say,
    scope,
    shown_of,
    styled,
)
from depthprune.report.formatting import percent, removal_label, short_names

MOST_TYPES = 14
MOST_NUMBERS = 5
NO_SINGLES = "no block was removed alone"


@styled
def task_type_comparison(analysis: Analysis) -> Figure:
    """Draw the mean single-block drop of each task type, and its drop by number removed."""
    every = sorted(analysis.findings.by_task_type, key=_median, reverse=True)
    types = every[:MOST_TYPES]
    lines = min(len(types), len(CATEGORIES))
    caption = (
        "Left: median over all single blocks and datasets of the type, whiskers hold the middle "
        "half; every dataset measured (nearly) the same ones, so task types can be compared. "
        "Right: median over every measured removal of that size; searches measure different ones "
        "on different datasets. n: drops (removal on dataset). "
        f"{shown_of(len(types), len(every), 'task types, the most sensitive')} "
        f"{shown_of(lines, len(types), 'task types in the right panel')}\n{scope(analysis)}"
    )
    figure = new_figure(
        12.0,
        max(4.6, 2.2 + 0.42 * len(types)),
        "How sensitive each task type is to the removal of blocks",
        caption,
    )
    left, right = add_panels(
        figure,
        "AB",
        A=("One block removed, most sensitive task type first", 4.5),
        B=("By number of removed blocks", 4.5),
        empty="" if types else "no drop was measured",
    )
    if not types:
        return figure
    _draw_medians(left, types)
    _draw_by_number(right, types[:lines])
    return figure


@styled
def task_type_detailed_comparison(analysis: Analysis) -> Figure:
    """Draw block by block what each task type loses, and the best removals of each."""
    every = analysis.findings.by_task_type
    types = every[:MOST_TYPES]
    num_blocks = analysis.table.num_blocks
    numbers = sorted({number for one in types for number in one.best})
    shown = evenly(numbers, MOST_NUMBERS)
    caption = (
        "Drops are means over the datasets of a task type; hatched: not measured. Below: boxes "
        "hold the middle half of the single-block drops, line = median, whiskers "
        "reach from the least to the greatest; dots are drops. Best removals: among those measured "
        "on the most datasets of the type (in brackets). "
        f"{shown_of(len(types), len(every), 'task types, the most sensitive')} "
        f"{shown_of(len(shown), len(numbers), 'numbers of removed blocks')}\n{scope(analysis)}"
    )
    rows = max(1, len(types))
    height = 2.2 + rows * (0.34 + 0.5)
    figure = new_figure(
        13.5, max(6.0, height + 0.8), "What each task type loses, block by block", caption
    )
    heat, boxes, best = add_panels(
        figure,
        "AA;BC",
        A=("Mean drop when one block is removed", 10),
        B=("Spread of the single-block drops", 5),
        C=("Best removal of each size for each task type: blocks, mean drop", 6),
        heights=(0.36 * rows + 0.6, 0.5 * rows + 0.6),
        empty="" if types else "no drop was measured",
    )
    if not types:
        return figure
    labels = short_names([one.task_type for one in types], 22)
    _draw_blocks(figure, heat, types, labels, num_blocks)
    _draw_spread(boxes, types, labels)
    _draw_best(best, types, labels, shown)
    return figure


def _median(one: TaskTypeFinding) -> float:
    return -inf if one.single_drops is None else one.single_drops.median


def _draw_medians(panel: Axes, types: Sequence[TaskTypeFinding]) -> None:
    bars = []
    for one, label in zip(types, short_names([one.task_type for one in types], 22), strict=True):
        sets = counted(len(one.datasets), "dataset")
        singles = one.single_drops
        if singles is None:
            bars.append(Bar(f"{label}\n{sets}", None, None, BLUE, "not measured"))
        else:
            low, high = singles.quartiles
            error = (singles.median - low, high - singles.median) if singles.count > 1 else None
            note = f"{percent(singles.median, 1)}, n = {singles.count:,}"
            bars.append(Bar(f"{label}\n{sets}", singles.median, error, BLUE, note))
    draw_bars(panel, bars)
    panel.set_xlabel(f"median {DROP_AXIS}")


def _draw_by_number(panel: Axes, types: Sequence[TaskTypeFinding]) -> None:
    numbers = sorted({number for one in types for number in one.by_number})
    if len(numbers) < 2:
        say(panel, f"only removals of {counted(numbers[0], 'block')} were measured")
        return
    labels = short_names([one.task_type for one in types], 22)
    for place, (one, label) in enumerate(zip(types, labels, strict=True)):
        given = sorted(one.by_number.items())
        # Side by side, so that marks at the same number do not hide each other.
        offset = (place - (len(types) - 1) / 2) * 0.08
        panel.plot(
            [number + offset for number, _ in given],
            [100 * drops.median for _, drops in given],
            color=CATEGORIES[place],
            marker=MARKERS[place],
            markersize=5,
            linewidth=1.4,
            label=f"{label} (n = {one.drops.count:,})",
        )
    number_ticks(panel, numbers, 4.0)
    frame(panel, "number of removed blocks", f"median {DROP_AXIS}", zero="y", y_ticks=7)
    legend_beside(panel)


def _draw_blocks(
    figure: Figure,
    panel: Axes,
    types: tuple[TaskTypeFinding, ...],
    labels: list[str],
    num_blocks: int,
) -> None:
    if not any(one.blocks for one in types):
        say(panel, NO_SINGLES)
        return
    matrix = np.full((len(types), num_blocks), np.nan)
    for row, one in enumerate(types):
        for found in one.blocks:
            matrix[row, found.block] = 100 * found.mean
    draw_heatmap(
        figure,
        [panel],
        [matrix],
        label="drop (percentage points)",
        length=0.36 * len(types) + 0.2,
        decimals=cell_decimals(num_blocks),
    )
    sets = [counted(len(one.datasets), "set") for one in types]
    frame_rows(panel, [f"{label} ({count})" for label, count in zip(labels, sets, strict=True)])
    block_columns(panel, num_blocks, 9.5)


def _draw_spread(panel: Axes, types: tuple[TaskTypeFinding, ...], labels: list[str]) -> None:
    drops = [one.single_drops for one in types]
    measured = [one.values for one in drops if one is not None]
    if not measured:
        say(panel, NO_SINGLES)
        return
    counted_labels = [
        f"{label}\n" + ("not measured" if one is None else f"n = {one.count:,}")
        for label, one in zip(labels, drops, strict=True)
    ]
    limit = upper_limit(np.concatenate(measured))
    draw_boxes(panel, drops, [SKY] * len(drops), counted_labels, vertical=False, limit=limit)
    frame(panel, DROP_AXIS, zero="x", x_ticks=5)


def _draw_best(
    panel: Axes, types: tuple[TaskTypeFinding, ...], labels: list[str], numbers: Sequence[int]
) -> None:
    for row, one in enumerate(types):
        for column, number in enumerate(numbers):
            if number not in one.best:
                text, colour = "not measured", "#888888"
            else:
                removal, drop, coverage = one.best[number]
                sets = f"{coverage}/{len(one.datasets)}"
                text = f"{removal_label(removal, 16, 1)}\n{percent(drop, 1)} ({sets})"
                colour = BLACK
            panel.text(
                column + 0.5,
                row,
                text,
                ha="center",
                va="center",
                fontsize=SMALL_SIZE - (0.5 if len(numbers) <= 4 else 1.5),
                color=colour,
            )
        panel.axhline(row + 0.5, color="#DDDDDD", linewidth=0.6)
    name_rows(panel, labels)
    panel.set_xlim(0, max(1, len(numbers)))
    panel.set_xticks([place + 0.5 for place in range(len(numbers))], [str(n) for n in numbers])
    panel.set_xlabel("number of removed blocks")
    panel.tick_params(length=0)
    for spine in panel.spines.values():
        spine.set_visible(False)
