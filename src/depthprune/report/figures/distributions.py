"""Figure: how large drops are, over everything that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from depthprune.analysis.drop_table import Distribution
from depthprune.analysis.findings import Analysis
from depthprune.base.language import counted
from depthprune.report.figures.marks import (
    MOST_POINTS,
    draw_boxes,
    few_ticks,
    thinned,
    upper_limit,
)
from depthprune.report.figures.style import (
    BLACK,
    DROP_AXIS,
    SKY,
    VERMILION,
    name_panel,
    new_figure,
    ordered_colours,
    say,
    styled,
)
from depthprune.report.figures.words import points, scope, shown_of, spread

MOST_NUMBERS = 8
BINS = 40


@styled
def drop_distributions(analysis: Analysis) -> Figure:
    """Draw all drops as a histogram, by number removed as boxes, and cumulatively."""
    findings = analysis.findings
    numbers = spread(sorted(findings.by_number), MOST_NUMBERS)
    limit = upper_limit(findings.overall.values)
    caption = (
        "Every measured cell counts once: one removal on one dataset (n = cells). Below zero the "
        "model got better. Boxes: middle half, line = median, diamond = mean, whiskers from the "
        "least to the greatest, dots are cells; ↑ greatest value beyond the axis. Searches prefer "
        "cheap removals: these are drops of what was measured, not of all removals. "
        f"{shown_of(len(numbers), len(findings.by_number), 'numbers of removed blocks')}\n"
        f"{scope(analysis)}"
    )
    figure = new_figure(13.0, 8.0, "How large the measured drops are", caption)
    grid = figure.add_gridspec(2, 2)
    histogram = figure.add_subplot(grid[0, :])
    boxes = figure.add_subplot(grid[1, 0])
    cumulative = figure.add_subplot(grid[1, 1])
    name_panel(histogram, "All drops", 10)
    name_panel(boxes, "By number of removed blocks", 5)
    name_panel(cumulative, "Share of drops that are at most so large", 5)
    if not findings.overall.count:
        for panel in (histogram, boxes, cumulative):
            say(panel, "no drop was measured")
        return figure
    _draw_histogram(histogram, findings.overall, limit)
    _draw_boxes(boxes, findings.by_number, numbers, limit)
    _draw_cumulative(cumulative, findings.by_number, numbers, limit)
    return figure


def _draw_histogram(panel: Axes, overall: Distribution, limit: float | None) -> None:
    top = overall.maximum if limit is None else limit
    inside = overall.values[overall.values <= top]
    panel.hist(100 * inside, bins=BINS, color=SKY, edgecolor="white", linewidth=0.4)
    panel.axvline(0, color=BLACK, linewidth=0.8)
    panel.axvline(
        100 * overall.mean,
        color=VERMILION,
        linewidth=1.6,
        label=f"mean {points(overall.mean, 2)} ± std {points(overall.std, 2)}",
    )
    panel.axvline(
        100 * overall.median,
        color=BLACK,
        linewidth=1.6,
        linestyle="--",
        label=f"median {points(overall.median, 2)}",
    )
    panel.plot(
        [],
        [],
        " ",
        label=f"least {points(overall.minimum)}, greatest {points(overall.maximum)}, "
        f"n = {overall.count:,}",
    )
    beyond = overall.count - len(inside)
    note = f"; {counted(beyond, 'drop')} right of the axis" if beyond else ""
    panel.set_xlabel(f"{DROP_AXIS}{note}")
    panel.set_ylabel("number of drops")
    panel.grid(axis="y")
    few_ticks(panel, "x", 12)
    few_ticks(panel, "y", 5, whole=True)
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2)


def _draw_boxes(
    panel: Axes,
    by_number: Mapping[int, Distribution],
    numbers: Sequence[int],
    limit: float | None,
) -> None:
    drops = [by_number[number] for number in numbers]
    draw_boxes(panel, list(range(len(drops))), drops, ordered_colours(len(drops)), limit=limit)
    labels = [f"{number}\nn = {one.count:,}" for number, one in zip(numbers, drops, strict=True)]
    panel.set_xticks(range(len(drops)), labels)
    panel.set_xlim(-0.6, len(drops) - 0.4)
    panel.axhline(0, color=BLACK, linewidth=0.8)
    panel.set_xlabel("number of removed blocks")
    panel.set_ylabel(DROP_AXIS)
    panel.grid(axis="y")
    few_ticks(panel, "y", 6)


def _draw_cumulative(
    panel: Axes,
    by_number: Mapping[int, Distribution],
    numbers: Sequence[int],
    limit: float | None,
) -> None:
    for number, colour in zip(numbers, ordered_colours(len(numbers)), strict=True):
        drops = by_number[number]
        values, shares = thinned(drops.values, MOST_POINTS), thinned(drops.shares, MOST_POINTS)
        panel.step(
            100 * np.concatenate([values[:1], values]),
            100 * np.concatenate([[0.0], shares]),
            where="post",
            color=colour,
            linewidth=1.6,
            label=f"{number} (n = {drops.count:,})",
        )
    panel.axvline(0, color=BLACK, linewidth=0.8)
    if limit is not None:
        panel.set_xlim(None, 100 * limit)
    panel.set_ylim(0, 101)
    panel.set_xlabel(DROP_AXIS)
    panel.set_ylabel("share of drops (%)")
    panel.grid()
    few_ticks(panel, "x", 6)
    panel.legend(
        title="blocks removed",
        title_fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
    )
