"""Figures: combinations against their blocks one by one, and how far datasets agree about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from depthprune.analysis.dataset_agreement import Consistency, variation_by_coverage
from depthprune.analysis.drop_table import Distribution
from depthprune.analysis.findings import Analysis
from depthprune.analysis.synergy import Synergy, antagonistic, synergistic, trusted_coverage
from depthprune.base.language import counted
from depthprune.report.figures.marks import (
    MOST_POINTS,
    Bar,
    cut_axis,
    draw_bars,
    draw_boxes,
    evenly,
    frame,
    jitter,
    legend_beside,
    number_ticks,
    upper_limit,
)
from depthprune.report.figures.style import (
    BLACK,
    BLUE,
    DROP_AXIS,
    GREEN,
    SKY,
    VERMILION,
    add_panels,
    name_panel,
    new_figure,
    ordered_colours,
    say,
    scope,
    shown_of,
    styled,
)
from depthprune.report.formatting import percent, removal_label
from depthprune.report.sections.evidence import samples_text

TOP = 10
MOST_NUMBERS = 8
NO_SYNERGY = "no combination of two blocks or more was measured together with each of its blocks"
NEAR_ZERO = 0.01
"""A mean drop this close to 0 makes a std divided by it arbitrary."""

NEAR_ZERO_ALONE = "every mean drop is near zero: no coefficient of variation says anything"
NO_REMOVAL_LEFT = "every removal loses an essential block or more than half of the accuracy"
NO_COVERAGE = "no removal was measured on two datasets or more"


@styled
def combination_vs_individual(analysis: Analysis) -> Figure:
    """Draw the drop of each combination against the summed drops of its blocks."""
    found = analysis.findings.synergies
    shown = evenly(found, MOST_POINTS)
    caption = (
        "Interaction = drop of a combination minus the sum of the drops of its blocks alone, both "
        "means over the datasets that measured all of them. Below the diagonal (blue bars): better "
        "together, the blocks cost less together than one by one; above: worse "
        "together. Error bars: ± population std over these datasets. Boxes: middle half, line = "
        "median, whiskers from the least to the greatest. "
        f" {shown_of(len(shown), len(found), 'points, evenly chosen')}\n"
        f"{scope(analysis)}"
    )
    figure = new_figure(
        13.0, 8.2, "Do blocks cost more together than one by one? (interaction)", caption
    )
    scatter, extremes, boxes = add_panels(
        figure,
        "AB;CB",
        A=("Each combination: drop measured against drop expected", 5.0),
        B=(
            f"Strongest interactions on {counted(trusted_coverage(found), 'dataset')} or more "
            f"(up to {TOP} better and {TOP} worse together)",
            5.0,
        ),
        C=("Interaction by number of removed blocks", 5.0),
        widths=(1.25, 1),
        heights=(1.5, 1),
        empty="" if found else NO_SYNERGY,
    )
    if not found:
        return figure
    _draw_expected(scatter, shown, analysis.findings.synergies_by_number)
    _draw_extremes(extremes, found)
    _draw_synergy_boxes(boxes, analysis.findings.synergies_by_number)
    return figure


@styled
def consistency_analysis(analysis: Analysis) -> Figure:
    """Draw how far the datasets agree about each combination, against its coverage."""
    essential = analysis.recommendations.essential_blocks
    every = analysis.findings.consistency
    found = [one for one in every if not (one.ruinous or essential.intersection(one.removal))]
    relative = [one for one in found if abs(one.mean) >= NEAR_ZERO]
    shown = evenly(found, MOST_POINTS)
    least = _least_coverage(analysis)
    caption = (
        "Coefficient of variation = population std over datasets / |mean drop|: small where the "
        "datasets agree. It is left out (A, C) within "
        f"{percent(NEAR_ZERO, 0)} point of a mean drop of 0, where it says nothing: "
        f"{counted(len(found) - len(relative), 'removal')}. Left out everywhere: "
        f"{counted(len(every) - len(found), 'removal')} that no one would carry out (an essential "
        "block, or more than half of the accuracy lost). Values of two or three datasets are "
        "rough. Points stand beside their coverage so that they do not hide each other; black "
        "lines: medians. Bars: mean drop ± population std, with coefficient of variation and "
        "coverage. "
        f"{shown_of(len(shown), len(found), 'points, evenly chosen')}\n{scope(analysis)}"
    )
    figure = new_figure(
        13.0, 7.6, "How far the datasets agree about each removal (consistency)", caption
    )
    variation, spreads, steady = add_panels(
        figure,
        "AC;BC",
        A=("A. Disagreement by coverage", 5.0),
        B=("B. Spread over datasets against mean drop", 5.0),
        C=(f"C. Up to {TOP} most consistent of {counted(least, 'dataset')} or more", 5.0),
        empty="" if found else NO_REMOVAL_LEFT if every else NO_COVERAGE,
    )
    if not found:
        return figure
    _draw_variation(variation, relative)
    _draw_spreads(figure, spreads, found, shown)
    _draw_steady(steady, [one for one in relative if one.coverage >= least][:TOP], analysis)
    return figure


def _draw_expected(
    panel: Axes, found: Sequence[Synergy], by_number: Mapping[int, Distribution]
) -> None:
    numbers = sorted({len(one.removal) for one in found})
    groups = _number_groups(numbers)
    for (first, last), colour in zip(groups, ordered_colours(len(groups)), strict=True):
        those = [one for one in found if first <= len(one.removal) <= last]
        label = f"{first}" if first == last else f"{first}-{last}"
        count = sum(one.count for number, one in by_number.items() if first <= number <= last)
        panel.scatter(
            [100 * one.expected for one in those],
            [100 * one.actual for one in those],
            s=26 if len(found) < 500 else 8,
            color=colour,
            alpha=0.75,
            linewidths=0,
            label=f"{label} (n = {count:,})",
            rasterized=len(found) > 1000,
        )
    beyond = _zoom(panel, found)
    panel.axline(
        (0, 0),
        slope=1,
        color=BLACK,
        linewidth=1.0,
        linestyle="--",
        label="together = one by one",
    )
    frame(
        panel,
        f"sum of single-block drops (percentage points){beyond}",
        "measured drop (percentage points)",
        x_ticks=6,
        y_ticks=6,
    )
    legend_beside(panel, "blocks removed")


def _zoom(panel: Axes, found: Sequence[Synergy]) -> str:
    """End both axes where the points are, and return what lies beyond them, as a note."""
    places = 100 * np.array([(one.expected, one.actual) for one in found])
    inside = np.ones(len(found), dtype=np.bool_)
    for which, column in zip("xy", places.T, strict=True):
        limit, low = upper_limit(column), float(column.min())
        high = float(column.max()) if limit is None else limit
        room = 0.06 * (high - low) or 1.0
        panel.set(**{f"{which}lim": (low - room, high + room)})
        inside &= column <= high + room
    hidden = int((~inside).sum())
    return f"\n{counted(hidden, 'combination')} beyond the axes" if hidden else ""


def _draw_extremes(panel: Axes, found: Sequence[Synergy]) -> None:
    least = trusted_coverage(found)
    chosen = [
        *synergistic(found, top=TOP, min_coverage=least),
        *reversed(antagonistic(found, top=TOP, min_coverage=least)),
    ]
    if not chosen:
        say(panel, "every combination costs exactly the sum of its blocks")
        return
    draw_bars(
        panel,
        [
            Bar(
                removal_label(one.removal),
                one.synergy,
                (one.std, one.std) if one.coverage > 1 else None,
                BLUE if one.synergy < 0 else VERMILION,
                f"{percent(one.synergy, 1)} ({counted(one.coverage, 'set')}, "
                f"n = {samples_text(one.num_samples)})",
            )
            for one in chosen
        ],
    )
    frame(
        panel,
        "interaction (percentage points)\nbetter together ← 0 → worse together",
        "blocks removed",
    )


def _draw_synergy_boxes(panel: Axes, by_number: Mapping[int, Distribution]) -> None:
    numbers = evenly(sorted(by_number), MOST_NUMBERS)
    drawn = [by_number[number] for number in numbers]
    limit = upper_limit(np.concatenate([one.values for one in drawn]))
    labels = [f"{number}\n({by_number[number].count:,})" for number in numbers]
    draw_boxes(panel, drawn, ordered_colours(len(drawn)), labels, limit=limit)
    frame(
        panel,
        "number of removed blocks (n combinations)",
        "interaction\n(percentage points)",
        zero="y",
        y_ticks=5,
    )


def _draw_variation(panel: Axes, found: Sequence[Consistency]) -> None:
    defined = [(one.coverage, one.variation) for one in found if one.variation is not None]
    if not defined:
        say(panel, NEAR_ZERO_ALONE)
        return
    by_coverage = variation_by_coverage(found)
    limit = upper_limit([variation for _, variation in defined])
    coverages = sorted(by_coverage)
    dots = np.array(evenly(defined, MOST_POINTS), dtype=float)
    panel.scatter(
        dots[:, 0] + 0.6 * jitter(len(dots)),
        dots[:, 1],
        s=18 if len(dots) < 500 else 6,
        color=SKY,
        alpha=0.7,
        linewidths=0,
        rasterized=len(dots) > 1000,
    )
    panel.hlines(
        [by_coverage[coverage].median for coverage in coverages],
        [coverage - 0.38 for coverage in coverages],
        [coverage + 0.38 for coverage in coverages],
        color=BLACK,
        linewidth=2,
    )
    panel.set_ylim(0, limit)
    beyond = 0 if limit is None else sum(variation > limit for _, variation in defined)
    title = f"{panel.get_title(loc='left')}: "
    title += f"n = {sum(one.count for one in by_coverage.values()):,} removals"
    title += f", of them {beyond:,} above the axis" if beyond else ""
    name_panel(panel, title, 5.5)
    number_ticks(panel, list(range(coverages[0], coverages[-1] + 1)), 4.5)
    frame(panel, "coverage (datasets that measured the removal)", "coefficient of variation")
    panel.grid(axis="y")


def _draw_spreads(
    figure: Figure, panel: Axes, found: Sequence[Consistency], shown: Sequence[Consistency]
) -> None:
    drawn = panel.scatter(
        [100 * one.mean for one in shown],
        [100 * one.std for one in shown],
        c=[one.coverage for one in shown],
        cmap="viridis_r",
        s=22 if len(shown) < 500 else 7,
        alpha=0.8,
        linewidths=0,
        rasterized=len(found) > 1000,
    )
    limit = upper_limit([one.mean for one in found])
    beyond = [] if limit is None else [one for one in found if one.mean > limit]
    lowest = min(one.mean for one in found)
    cut_axis(panel, "x", 100 * lowest, None if limit is None else 100 * limit)
    bar = figure.colorbar(drawn, ax=panel, aspect=18, pad=0.015)
    bar.set_label("coverage (datasets)", fontsize=8)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    note = f"; {counted(len(beyond), 'removal')} right of the axis" if beyond else ""
    frame(
        panel,
        f"mean {DROP_AXIS}{note}",
        "std over datasets\n(percentage points)",
        zero="x",
        x_ticks=6,
        y_ticks=5,
    )


def _draw_steady(panel: Axes, chosen: Sequence[Consistency], analysis: Analysis) -> None:
    if not chosen:
        say(panel, NEAR_ZERO_ALONE)
        return
    total = len(analysis.table.datasets)
    draw_bars(
        panel,
        [
            Bar(
                removal_label(one.removal),
                one.mean,
                (one.std, one.std),
                GREEN,
                f"{one.variation:.2f} ({one.coverage}/{total} sets)",
            )
            for one in chosen
        ],
    )
    panel.set_ylim(max(TOP, len(chosen)) - 0.4, -0.6)
    frame(panel, f"mean {DROP_AXIS}", "blocks removed")


def _least_coverage(analysis: Analysis) -> int:
    most = max((one.coverage for one in analysis.findings.consistency), default=2)
    return max(2, min(analysis.recommendations.robust_coverage, most))


def _number_groups(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return numbers of removed blocks in at most eight runs, for a legend that can be read."""
    parts = np.array_split(np.asarray(numbers), min(len(numbers), MOST_NUMBERS))
    return [(int(part[0]), int(part[-1])) for part in parts if len(part)]
