"""Figures: how large drops are, and where in the stack blocks can go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from depthprune.analysis.drop_table import Distribution
from depthprune.analysis.findings import Analysis, AnalysisFindings
from depthprune.analysis.intervals import Interval
from depthprune.analysis.responses import BlockDrop, Position, PositionByNumber
from depthprune.base.language import counted
from depthprune.report.figures.marks import (
    MOST_POINTS,
    block_ticks,
    cut_axis,
    draw_boxes,
    evenly,
    few_ticks,
    frame,
    legend_beside,
    name_groups,
    thinned,
    upper_limit,
    write_beyond,
)
from depthprune.report.figures.style import (
    BLACK,
    BLUE,
    DROP_AXIS,
    GREEN,
    GREY,
    HATCH,
    INTERVAL,
    ORANGE,
    SKY,
    UNMEASURED,
    add_panels,
    new_figure,
    ordered_colours,
    say,
    scope,
    shown_of,
    span,
    styled,
)
from depthprune.report.formatting import percent

MOST_SIZES = 8
BINS = 40


@styled
def drop_distributions(analysis: Analysis) -> Figure:
    """Draw all drops as a histogram, by number removed as boxes, and cumulatively."""
    findings = analysis.findings
    numbers = evenly(sorted(findings.by_number), MOST_SIZES)
    limit = upper_limit(findings.overall.values)
    caption = (
        "Every measured cell counts once: one removal on one dataset (n = cells). Below zero the "
        "model got better. Boxes: middle half, line = median, whiskers from the "
        "least to the greatest, dots are cells; ↑ greatest value beyond the axis. Searches prefer "
        "cheap removals: these are drops of what was measured, not of all removals. "
        f"{shown_of(len(numbers), len(findings.by_number), 'numbers of removed blocks')}\n"
        f"{scope(analysis)}"
    )
    figure = new_figure(13.0, 8.0, "How large the measured drops are", caption)
    histogram, boxes, cumulative = add_panels(
        figure,
        "AA;BC",
        A=("All drops", 10),
        B=("By number of removed blocks", 5),
        C=("Share of drops that are at most so large", 5),
        empty="" if findings.overall.count else "no drop was measured",
    )
    if not findings.overall.count:
        return figure
    _draw_histogram(histogram, findings.overall, limit)
    _draw_sizes(boxes, findings.by_number, numbers, limit)
    _draw_cumulative(cumulative, findings.by_number, numbers, limit)
    return figure


def _draw_histogram(panel: Axes, overall: Distribution, limit: float | None) -> None:
    top = overall.maximum if limit is None else limit
    inside = overall.values[overall.values <= top]
    panel.hist(100 * inside, bins=BINS, color=SKY, edgecolor="white", linewidth=0.4)
    panel.axvline(0, color=BLACK, linewidth=0.8)
    low, high = overall.quartiles
    panel.axvspan(
        100 * low,
        100 * high,
        color="#EEEEEE",
        zorder=0,
        label=f"middle half {percent(low, 1)} to {percent(high, 1)}",
    )
    panel.axvline(
        100 * overall.median,
        color=BLACK,
        linewidth=1.6,
        linestyle="--",
        label=f"median {percent(overall.median, 2)}",
    )
    panel.plot(
        [],
        [],
        " ",
        label=f"least {percent(overall.minimum, 1)}, greatest {percent(overall.maximum, 1)}, "
        f"n = {overall.count:,}",
    )
    beyond = overall.count - len(inside)
    note = f"; {counted(beyond, 'drop')} right of the axis" if beyond else ""
    frame(panel, f"{DROP_AXIS}{note}", "number of drops")
    panel.grid(axis="y")
    few_ticks(panel, "x", 12)
    few_ticks(panel, "y", 5, whole=True)
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2)


def _draw_sizes(
    panel: Axes,
    by_number: Mapping[int, Distribution],
    numbers: Sequence[int],
    limit: float | None,
) -> None:
    drops = [by_number[number] for number in numbers]
    labels = [f"{number}\nn = {one.count:,}" for number, one in zip(numbers, drops, strict=True)]
    draw_boxes(panel, drops, ordered_colours(len(drops)), labels, limit=limit)
    frame(panel, "number of removed blocks", DROP_AXIS, zero="y", y_ticks=6)


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
    frame(panel, DROP_AXIS, "share of drops (%)", zero="x", x_ticks=6)
    if limit is not None:
        panel.set_xlim(None, 100 * limit)
    panel.set_ylim(0, 101)
    panel.grid(True, axis="y")
    legend_beside(panel, "blocks removed")


COLOURS = {"early": BLUE, "middle": ORANGE, "late": GREEN, "mixed": GREY}
MOST_NUMBERS = 6
NO_SINGLES = "no block was removed alone"


@styled
def block_position_analysis(analysis: Analysis) -> Figure:
    """Draw what each block costs, each third of the stack, and combinations within a third."""
    findings = analysis.findings
    numbers = sorted({one.number for one in findings.positions_by_number})
    shown = evenly(numbers, MOST_NUMBERS)
    coverage = span(one.coverage for one in findings.blocks)
    intervals = known_intervals(analysis)
    bars = (
        "95% paired interval where scores per sample are known (black), else " if intervals else ""
    )
    caption = (
        f"Top: mean over datasets (n = {coverage} per block), error bars: {bars}± population std "
        "over datasets; hatched: not measured; ↑ beyond the axis. Bottom left: every "
        "single-block drop; box = middle half, line = median, whiskers from the "
        "least to the greatest. Bottom right: mean over combinations, error bars ± population std "
        "over combinations, n above = combinations; mixed: blocks from several thirds. "
        f"{shown_of(len(shown), len(numbers), 'numbers of removed blocks')}\n{scope(analysis)}"
    )
    figure = new_figure(
        12.0, 8.4, "Where in the stack blocks can go: early, middle and late", caption
    )
    blocks, parts, numbered = add_panels(
        figure,
        "AA;BC",
        A=("What each block costs when it is removed alone", 10),
        B=("Single blocks of each third of the stack", 4.5),
        C=("Combinations whose blocks all lie in one third", 5.5),
        widths=(1, 1.35),
        heights=(1.15, 1),
    )
    _draw_blocks(blocks, findings, analysis.table.num_blocks, intervals)
    _draw_parts(parts, findings.positions)
    _draw_by_number(numbered, findings.positions_by_number, shown)
    return figure


def known_intervals(analysis: Analysis) -> dict[int, Interval]:
    """Return the intervals of single-block drops that the ranking of single blocks knows."""
    singles = analysis.recommendations.independent.get(1)
    return {
        one.removal[0]: one.interval
        for one in (singles.combinations if singles else ())
        if one.interval is not None
    }


def _draw_blocks(
    panel: Axes, findings: AnalysisFindings, num_blocks: int, intervals: Mapping[int, Interval]
) -> None:
    if not findings.blocks:
        say(panel, NO_SINGLES)
        return
    ends = {one.block: _error_ends(one, intervals.get(one.block)) for one in findings.blocks}
    limit = upper_limit([high for _, high in ends.values()])
    measured = {one.block for one in findings.blocks}
    for part in findings.positions:
        if not part.blocks:
            continue
        those = [one for one in findings.blocks if one.block in part.blocks]
        panel.bar(
            [one.block for one in those],
            [100 * one.mean for one in those],
            width=0.75,
            color=COLOURS[part.name],
            label=_part_label(part),
        )
    for one in findings.blocks:
        _draw_error(panel, one, intervals.get(one.block))
    for block in range(num_blocks):
        if block not in measured:
            panel.axvspan(block - 0.5, block + 0.5, facecolor=UNMEASURED, hatch=HATCH, zorder=0)
    if limit is not None:
        cut_axis(panel, "y", 100 * min(low for low, _ in ends.values()), 100 * limit)
        _write_tall(panel, {one.block: one.mean for one in findings.blocks if one.mean > limit})
    panel.set_xlim(-0.7, num_blocks - 0.3)
    panel.set_xticks(block_ticks(num_blocks, 10.5))
    name = f"mean {DROP_AXIS}".replace(" (", "\n(")
    frame(panel, "block removed", name, zero="y", y_ticks=6)
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.2)


def _draw_error(panel: Axes, one: BlockDrop, interval: Interval | None) -> None:
    if interval is None and one.coverage < 2:
        return
    low, high = _error_ends(one, interval)
    panel.errorbar(
        one.block,
        100 * one.mean,
        yerr=[[100 * (one.mean - low)], [100 * (high - one.mean)]],
        fmt="none",
        ecolor="#777777" if interval is None else INTERVAL,
        elinewidth=1.0,
        capsize=2,
    )


def _error_ends(one: BlockDrop, interval: Interval | None) -> tuple[float, float]:
    if interval is not None:
        return min(interval.low, one.mean), max(interval.high, one.mean)
    return one.mean - one.std, one.mean + one.std


def _write_tall(panel: Axes, drops: dict[int, float]) -> None:
    """Write the values of bars beyond the axis, as many as find room beside each other."""
    start, stop = panel.get_xlim()
    room = (stop - start) * 0.045
    written: float | None = None
    for block, drop in sorted(drops.items()):
        if written is None or block - written >= room:
            write_beyond(panel, block, 100 * drop)
            written = block


def _part_label(part: Position) -> str:
    return f"{part.name} ({part.blocks[0]}-{part.blocks[-1]})"


def _draw_parts(panel: Axes, parts: Sequence[Position]) -> None:
    measured = [(part, part.cells) for part in parts if part.cells is not None]
    if not measured:
        say(panel, NO_SINGLES)
        return
    limit = upper_limit(np.concatenate([cells.values for _, cells in measured]))
    draw_boxes(
        panel,
        [cells for _, cells in measured],
        [COLOURS[part.name] for part, _ in measured],
        [f"{_part_label(part)}\nn = {cells.count:,}" for part, cells in measured],
        limit=limit,
    )
    frame(panel, y=DROP_AXIS, zero="y", y_ticks=6)


def _draw_by_number(panel: Axes, found: Sequence[PositionByNumber], numbers: Sequence[int]) -> None:
    several = [one for one in found if one.number in numbers]
    if not several:
        say(panel, "no removal was measured")
        return
    names = [name for name in COLOURS if any(one.name == name for one in several)]
    width = 0.8 / len(names)
    limit = upper_limit([one.drops.mean + one.drops.std for one in several])
    lowest = min(one.drops.mean - one.drops.std for one in several)
    cut_axis(panel, "y", 100 * lowest, None if limit is None else 100 * limit)
    for place, name in enumerate(names):
        those = [one for one in several if one.name == name]
        across = [
            numbers.index(one.number) + (place - (len(names) - 1) / 2) * width for one in those
        ]
        panel.bar(
            across,
            [100 * one.drops.mean for one in those],
            width=width * 0.92,
            color=COLOURS[name],
            yerr=[100 * one.drops.std if one.drops.count > 1 else np.nan for one in those],
            error_kw={"ecolor": "#555555", "elinewidth": 1.0, "capsize": 2},
            label=name,
        )
        for x, one in zip(across, those, strict=True):
            _write_count(panel, x, one, turned=len(numbers) * len(names) > 20)
    for left, _ in pairwise(range(len(numbers))):
        panel.axvline(left + 0.5, color="#DDDDDD", linewidth=0.6)
    name_groups(panel, [str(number) for number in numbers])
    frame(panel, "number of removed blocks", f"mean {DROP_AXIS}", zero="y", y_ticks=6)
    legend_beside(panel)


def _write_count(panel: Axes, x: float, one: PositionByNumber, *, turned: bool) -> None:
    panel.text(
        x,
        0.99,
        f"{one.drops.count:,}",
        transform=panel.get_xaxis_transform(),
        ha="center",
        va="top",
        rotation=90 if turned else 0,
        fontsize=6.5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
    )
