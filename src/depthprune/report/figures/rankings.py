"""Figure: the cheapest removals for each number of removed blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from depthprune.analysis.combinations import Combination, RankedCombinations
from depthprune.analysis.findings import Analysis
from depthprune.base.language import counted
from depthprune.report.figures.marks import Bar, Colour, draw_bars, evenly
from depthprune.report.figures.style import (
    DEVIATION,
    DROP_AXIS,
    INTERVAL,
    SMALL_SIZE,
    combination_note,
    name_panel,
    new_figure,
    ordered_colours,
    say,
    scope,
    shown_of,
    styled,
)
from depthprune.report.formatting import removal_label

TOP = 15
MOST_PANELS = 8
MOST_COLOURS = 8
"""Colours that the legend explains; those between them lie between them."""

BAR_HEIGHT = 0.2
"""Inches of one bar, with the room around it."""

LINE_HEIGHT = 0.14
"""Inches of every further line of a bar's label."""

PANEL_TITLE = 0.6
LEGEND_HEIGHT = 0.35
"""Inches of each."""

WHISKER_OFFSET = 0.17
"""How far interval and standard deviation lie from the middle of a bar, where both are known."""


@styled
def rankings_by_num_removed(analysis: Analysis) -> Figure:
    """Draw up to fifteen of the smallest mean drops of each number removed, a panel for each."""
    rankings = analysis.recommendations.independent
    numbers = evenly(sorted(rankings), MOST_PANELS)
    shown = {number: rankings[number].combinations[:TOP] for number in numbers}
    columns = 1 if len(numbers) < 2 else 2
    rows = [numbers[start : start + columns] for start in range(0, len(numbers), columns)] or [[]]
    bars = [max((len(shown[number]) for number in row), default=0) for row in rows]
    labels = [
        max((_lines(one) for number in row for one in shown[number]), default=1) for row in rows
    ]
    heights = [
        max(1.4, PANEL_TITLE + (BAR_HEIGHT + LINE_HEIGHT * (lines - 1)) * count)
        for lines, count in zip(labels, bars, strict=True)
    ]
    caption = (
        f"{_whiskers([one for those in shown.values() for one in those])} "
        "Beside each bar: mean drop, datasets it was measured on of all datasets, samples n where "
        "known. A mean over few datasets says little about the others. "
        f"{shown_of(len(numbers), len(rankings), 'numbers of removed blocks')}\n{scope(analysis)}"
    )
    figure = new_figure(
        11.5,
        1.6 + LEGEND_HEIGHT + sum(heights),
        "Which blocks to remove: the smallest mean drops for each number of removed blocks",
        caption,
    )
    grid = figure.add_gridspec(1 + len(rows), columns, height_ratios=[LEGEND_HEIGHT, *heights])
    colours = ordered_colours(analysis.recommendations.num_datasets)
    coverages = sorted({one.coverage for those in shown.values() for one in those})
    named = evenly(coverages, MOST_COLOURS)
    _draw_legend(figure.add_subplot(grid[0, :]), named, colours)
    panels: list[Axes] = []
    for row, column in product(range(len(rows)), range(columns)):
        shared = panels[0] if panels else None
        panels.append(figure.add_subplot(grid[1 + row, column], sharex=shared))
    if not numbers:
        say(panels[0], "no removal is ranked")
    for place, (panel, number) in enumerate(zip(panels, numbers, strict=False)):
        _draw_ranking(panel, number, rankings[number], analysis, colours)
        if rankings[number].combinations:
            # Bars are as thick in every panel of a row.
            panel.set_ylim(bars[place // columns] - 0.4, -0.6)
        is_lowest = place >= len(numbers) - columns
        panel.tick_params(axis="x", labelbottom=is_lowest)
        if is_lowest:
            panel.set_xlabel(DROP_AXIS)
    for panel in panels[max(1, len(numbers)) :]:
        panel.set_axis_off()
    return figure


def _lines(one: Combination) -> int:
    return removal_label(one.removal).count("\n") + 1


def _draw_legend(axes: Axes, coverages: Sequence[int], colours: Sequence[Colour]) -> None:
    axes.set_axis_off()
    if coverages:
        axes.legend(
            handles=[
                Patch(color=colours[coverage - 1], label=counted(coverage, "dataset"))
                for coverage in coverages
            ],
            loc="center left",
            bbox_to_anchor=(0, 0.5),
            ncols=len(coverages),
            borderaxespad=0,
        )


def _whiskers(shown: Sequence[Combination]) -> str:
    """Return what the whiskers are."""
    kinds = []
    if any(one.interval is not None for one in shown):
        kinds.append("95% interval of the mean drop (black)")
    if any(one.coverage > 1 for one in shown):
        kinds.append("± population std over the datasets (grey)")
    return f"Whiskers: {'; '.join(kinds)}." if kinds else "No whiskers: one dataset each."


def _draw_ranking(
    panel: Axes,
    number: int,
    ranking: RankedCombinations,
    analysis: Analysis,
    colours: Sequence[Colour],
) -> None:
    recommendations = analysis.recommendations
    active = recommendations.num_blocks - number
    title = f"{counted(number, 'block')} removed, {active} active: "
    ranked = len(ranking.combinations)
    title += f"best {min(TOP, ranked)} of {ranked:,}" if ranked else "none ranked"
    left_out = []
    if ranking.low_coverage:
        least = recommendations.min_coverage
        left_out.append(f"{ranking.low_coverage:,} on fewer than {counted(least, 'dataset')}")
    if ranking.improving:
        left_out.append(f"{ranking.improving:,} with a drop below the ranked range")
    if left_out:
        title += f"\nleft out: {'; '.join(left_out)}"
    name_panel(panel, title, 4.7)
    if not ranked:
        # The axis is shared: its ticks must stay for the other panels.
        panel.text(
            0.5,
            0.5,
            "every combination of this size was left out",
            transform=panel.transAxes,
            ha="center",
            va="center",
            color="#555555",
            fontsize=SMALL_SIZE,
        )
        panel.set_yticks([])
        return
    top = ranking.combinations[:TOP]
    draw_bars(
        panel,
        [
            Bar(
                removal_label(one.removal),
                one.mean,
                None,
                colours[one.coverage - 1],
                combination_note(one, recommendations.num_datasets),
            )
            for one in top
        ],
    )
    for place, one in enumerate(top):
        _draw_whiskers(panel, place, one)
    panel.set_ylabel("blocks removed")


def _draw_whiskers(panel: Axes, place: int, one: Combination) -> None:
    """Draw the interval of a combination and, beside it, its standard deviation."""
    known = []
    if one.interval is not None:
        known.append((one.interval.low, one.interval.high, INTERVAL))
    if one.coverage > 1:
        known.append((one.mean - one.std, one.mean + one.std, DEVIATION))
    offsets = (-WHISKER_OFFSET, WHISKER_OFFSET) if len(known) == 2 else (0.0,)
    for (low, high, colour), offset in zip(known, offsets, strict=False):
        panel.errorbar(
            100 * (low + high) / 2,
            place + offset,
            xerr=100 * (high - low) / 2,
            fmt="none",
            ecolor=colour,
            elinewidth=1.1,
            capsize=2,
        )
