"""Figure: how much accuracy the best removal of each number of blocks keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from depthprune.analysis.combinations import Combination
from depthprune.analysis.findings import Analysis
from depthprune.analysis.intervals import Interval
from depthprune.analysis.recommend import Recommended
from depthprune.analysis.verified import one_shot_removal
from depthprune.base.language import counted
from depthprune.report.figures.marks import block_ticks, frame, legend_beside
from depthprune.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    INTERVAL,
    ORANGE,
    PURPLE,
    VERMILION,
    add_panels,
    new_figure,
    scope,
    styled,
)
from depthprune.report.formatting import percent, removal_label

MOST_LABELS = 8
"""Numbers of removed blocks whose best removal is written below the axis."""

STRATEGIES = {"conservative": GREEN, "balanced": ORANGE, "aggressive": VERMILION}
BESIDE = 0.12
"""How far what was measured on fresh samples stands from what chose it."""


@styled
def front(analysis: Analysis) -> Figure:
    """Draw the accuracy that the best removal of each number keeps, and what it is compared with.

    The best is that of robust coverage; one of fewer datasets that looks better is drawn hollow.
    """
    found = analysis.recommendations
    best = [one.combinations[0] for _, one in sorted(found.robust.items()) if one.combinations]
    known = {len(one.removal) for one in best}
    rough = [
        one.combinations[0]
        for number, one in sorted(found.independent.items())
        if one.combinations
        and (number not in known or one.combinations[0].coverage < found.robust_coverage)
    ]
    one_shot = _one_shot(analysis)
    numbers = sorted({len(one.removal) for one in (*best, *rough)})
    unmeasured = [number for number in numbers if number not in one_shot]
    whiskers = (
        "Whiskers: 95% paired intervals."
        if any(one.interval for one in (*best, *rough))
        else "No intervals: the scores per sample are not known."
    )
    missing = f"; not measured for {', '.join(map(str, unmeasured))}" if unmeasured else ""
    caption = (
        "Higher is better; 0 is the unpruned model. Change = minus the mean drop over the datasets "
        f"that measured the removal, written below as datasets of all. {whiskers} Line: the best "
        f"removals measured on at least {counted(found.robust_coverage, 'dataset')}; each was "
        "chosen as the best of many, so that it looks better than it is. One-shot: the blocks that "
        f"cost least alone, removed together{missing}. Limit: a tenth of the mean baseline "
        f"accuracy.\n{scope(analysis)}"
    )
    figure = new_figure(9.5, 6.2, "How much accuracy is left when blocks are removed", caption)
    (panel,) = add_panels(
        figure,
        "A",
        A=("Best measured removal of each size", 6),
        empty="" if numbers else "no removal is ranked",
    )
    if not numbers:
        return figure
    panel.plot(
        [0, *(len(one.removal) for one in best)],
        [0.0, *(-100 * one.mean for one in best)],
        "o-",
        color=BLUE,
        markersize=6,
        label="best removal",
    )
    for one in (*best, *rough):
        _whisker(panel, len(one.removal), one.interval)
    if rough:
        panel.plot(
            [len(one.removal) for one in rough],
            [-100 * one.mean for one in rough],
            "o",
            color=BLUE,
            markerfacecolor="white",
            label=f"best on fewer than {found.robust_coverage} datasets",
        )
    if any(number > 1 for number in one_shot):
        panel.plot(
            list(one_shot),
            [-100 * drop for drop in one_shot.values()],
            "s--",
            color=GREY,
            markerfacecolor="none",
            markersize=9,
            label="one-shot",
            zorder=1.8,
        )
    _draw_strategies(panel, found)
    _draw_verified(panel, found)
    panel.axhline(
        -100 * found.limit.drop,
        color=BLACK,
        linestyle=":",
        label=f"limit: {percent(found.limit.drop, 1)} points lost",
    )
    _name_numbers(panel, numbers, {len(one.removal): one for one in (*rough, *best)}, found)
    frame(
        panel,
        "number of removed blocks",
        "change of accuracy (percentage points)",
        zero="y",
        y_ticks=7,
    )
    legend_beside(panel)
    for handle in panel.get_legend().legend_handles:  # type: ignore[union-attr]
        if isinstance(handle, Line2D):
            handle.set_markersize(7)
    return figure


def _one_shot(analysis: Analysis) -> dict[int, float]:
    """Return the mean drop of the one-shot removal of each number, where it was measured."""
    table, found = analysis.table, analysis.recommendations
    rows = {removal: row for row, removal in enumerate(table.removals)}
    drops = {}
    for number in sorted(found.independent):
        removal = one_shot_removal(found, number)
        row = None if removal is None else rows.get(removal)
        if row is not None and table.coverage[row] >= found.min_coverage:
            drops[number] = float(np.nanmean(table.drops[row]))
    return drops


def _whisker(panel: Axes, place: float, interval: Interval | None, colour: str = BLUE) -> None:
    if interval is not None:
        ends = [-100 * interval.high, -100 * interval.low]
        panel.plot([place, place], ends, "_-", color=colour, linewidth=1.1, zorder=1.9)


def _draw_strategies(panel: Axes, found: Recommended) -> None:
    for size, one in enumerate(found.strategies):
        if one.combinations:
            panel.plot(
                [len(each.removal) for each in one.combinations],
                [-100 * each.mean for each in one.combinations],
                "o",
                markersize=12 + 4 * size,
                markerfacecolor="none",
                markeredgewidth=1.6,
                color=STRATEGIES[one.name],
                label=one.name,
            )


def _draw_verified(panel: Axes, found: Recommended) -> None:
    fresh = found.verified.removals if found.verified else ()
    for label, colour, beside, those in (
        ("on fresh samples", PURPLE, BESIDE, [one for one in fresh if "one_shot" not in one.roles]),
        ("one-shot, fresh", GREY, 2 * BESIDE, [one for one in fresh if "one_shot" in one.roles]),
    ):
        for one in those:
            _whisker(panel, len(one.removal) + beside, one.interval, INTERVAL)
        if those:
            panel.plot(
                [len(one.removal) + beside for one in those],
                [-100 * one.drop for one in those],
                "D",
                color=colour,
                markeredgecolor=BLACK,
                markersize=6,
                label=label,
            )


def _name_numbers(
    panel: Axes, numbers: Sequence[int], best: Mapping[int, Combination], found: Recommended
) -> None:
    """Number the axis, and write below each number its best removal and coverage where they fit."""
    panel.set_xlim(-0.4, max(numbers) + 0.5)
    if len(numbers) > MOST_LABELS or max(numbers) > MOST_LABELS:
        panel.set_xticks(block_ticks(max(numbers) + 1, 6))
        return
    labels = [
        f"{number}\n{removal_label(best[number].removal, 14, 2)}\n"
        f"({best[number].coverage}/{found.num_datasets})"
        for number in numbers
    ]
    panel.set_xticks([0, *numbers], ["0", *labels])
