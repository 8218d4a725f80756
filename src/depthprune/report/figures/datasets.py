"""Figures: how each dataset responds to removals, and how alike datasets are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from depthprune.analysis.dataset_agreement import Pair, dataset_pairs
from depthprune.analysis.drop_table import Distribution, measured_distribution
from depthprune.analysis.findings import Analysis, AnalysisFindings
from depthprune.analysis.responses import DatasetResponse
from depthprune.report.figures.marks import (
    FEWEST_VALUES,
    Bar,
    cut_axis,
    draw_bars,
    draw_boxes,
    draw_heatmap,
    frame,
    frame_columns,
    frame_rows,
    hatch_row,
    jitter,
    name_rows,
    note_row,
    thinned,
    upper_limit,
    write_beyond,
)
from depthprune.report.figures.style import (
    BLACK,
    CATEGORIES,
    DROP_AXIS,
    GREY,
    SKY,
    SMALL_SIZE,
    VERMILION,
    add_panels,
    new_figure,
    say,
    scope,
    shown_of,
    styled,
)
from depthprune.report.formatting import percent, removal_label, short_names

MOST_DATASETS = 50
MOST_VALUES = 2000
"""Values that the outline of a violin is computed from."""

EXTREMES = 5
"""Pairs of datasets shown at either end."""

ROW = 0.36

KEYS_PER_LINE = 4
"""Entries of the legend beside each other."""


@styled
def dataset_responses(analysis: Analysis) -> Figure:
    """Draw a violin of the drops of each dataset, its sensitivity, and how usual its order is."""
    every = sorted(analysis.findings.responses, key=_median_single, reverse=True)
    shown = every[:MOST_DATASETS]
    types = sorted({one.task_type for one in shown if one.task_type})
    colours = dict(zip(types, CATEGORIES, strict=False))
    caption = (
        "Violins: outlines of all drops of a dataset, dots are drops (removals), white line = "
        f"median, n = removals; fewer than {FEWEST_VALUES} have no outline; → greatest drop beyond "
        "the axis. Sensitivity: median single-block drop, whiskers hold the middle half. "
        "Agreement: Spearman's rho between a dataset's own single-block drops and the mean of all "
        "others; 1 = the same order of blocks, hatched: cannot be computed. "
        f"{shown_of(len(shown), len(every), 'datasets, the most sensitive')}\n{scope(analysis)}"
    )
    rows = max(3, len(shown))
    figure = new_figure(
        13.0,
        3.0 + ROW * 1.25 * rows,
        "How each dataset responds to the removal of blocks, the most sensitive first",
        caption,
    )
    keys = -(-min(len(types), len(CATEGORIES) + 1) // KEYS_PER_LINE)
    legend, violins, sensitivity, agreement = add_panels(
        figure,
        "LLL;ABC",
        L=("", 0.0),
        A=("All measured drops", 6),
        B=("Sensitivity: median single-block drop", 2.4),
        C=("Does it order blocks as the others do?", 2.4),
        widths=(2.1, 1, 0.9),
        heights=(0.22 * keys + 0.25, ROW * 1.25 * rows),
        empty="" if shown else "no drop was measured",
    )
    legend.set_axis_off()
    if not shown:
        return figure
    _draw_violins(violins, shown, colours)
    _draw_sensitivity(sensitivity, shown, colours)
    _draw_agreement(agreement, shown, colours)
    if colours:
        handles = [Patch(color=colour, label=name) for name, colour in _named(types, colours)]
        if len(types) > len(colours):
            handles.append(Patch(color=GREY, label="other task types"))
        elif any(not one.task_type for one in shown):
            handles.append(Patch(color=GREY, label="unknown"))
        legend.legend(
            handles=handles,
            loc="center left",
            ncols=min(KEYS_PER_LINE, len(handles)),
            title="task type",
            title_fontsize=SMALL_SIZE,
            alignment="left",
            borderaxespad=0.0,
        )
    return figure


@styled
def dataset_pairwise_comparison(analysis: Analysis) -> Figure:
    """Draw how alike every two datasets respond, the extremes, and the same against other types."""
    findings = analysis.findings
    names = [one.dataset for one in findings.responses][:MOST_DATASETS]
    types = dict(zip(analysis.table.datasets, analysis.table.task_types, strict=True))
    names.sort(key=lambda name: (types[name], name))
    total = len(findings.responses)
    caption = (
        "Spearman's rho of the drops over the removals that both datasets measured: 1 = the same "
        "order of removals, 0 = unrelated; hatched: too few in common, or all the same. Datasets "
        "are ordered by task type; n = removals in common. Pearson's correlation is led by the few "
        "removals that ruin every dataset: without essential blocks = over the removals that "
        f"keep {_blocks(analysis)}. Boxes: middle half of the pairs, line = median. "
        f"{shown_of(len(names), total, 'datasets, the most sensitive')}\n{scope(analysis)}"
    )
    size = max(5.0, 0.42 * len(names) if len(names) <= 16 else 6.6 + 0.06 * len(names))
    figure = new_figure(
        size + 8.6, size + 3.0, "Which datasets respond alike to the removal of blocks", caption
    )
    few = "fewer than two datasets were measured: nothing to compare" if len(names) < 2 else ""
    heat, extremes, groups = add_panels(
        figure,
        "AB;AC",
        A=("Correlation of drops of every two datasets", size),
        B=("Most and least alike pairs", 4.5),
        C=("All pairs: task types and essential blocks", 4.5),
        widths=(size + 1.6, 6.2),
        heights=(1.7, 1),
        empty=few,
    )
    if few:
        return figure
    _draw_correlations(figure, heat, names, findings.pairs, size)
    spared = _without_essential(analysis)
    _draw_extreme_pairs(extremes, findings.pairs, spared)
    _draw_pair_groups(groups, findings, spared)
    return figure


def _named(types: Sequence[str], colours: dict[str, str]) -> list[tuple[str, str]]:
    given = [name for name in types if name in colours]
    return list(zip(short_names(given, 26), (colours[name] for name in given), strict=True))


def _draw_violins(
    panel: Axes, responses: Sequence[DatasetResponse], colours: dict[str, str]
) -> None:
    limit = upper_limit(np.concatenate([one.drops.values for one in responses]))
    for place, one in enumerate(responses):
        values = 100 * thinned(one.drops.values, MOST_VALUES)
        colour = colours.get(one.task_type, GREY)
        if len(values) >= FEWEST_VALUES and np.ptp(values) > 0:
            factor = _bandwidth(one)
            parts = panel.violinplot(
                [values],
                positions=[place],
                widths=0.85,
                orientation="horizontal",
                showextrema=False,
                bw_method=factor,
            )
            for body in cast("list[PolyCollection]", parts["bodies"]):
                body.set_facecolor(colour)
                body.set_edgecolor(colour)
                body.set_alpha(0.45)
        dots = 100 * thinned(one.drops.values, 200)
        panel.plot(dots, place + 0.3 * jitter(len(dots)), ".", color="#333333", markersize=3)
        median = 100 * one.drops.median
        panel.plot([median, median], [place - 0.3, place + 0.3], color=BLACK, linewidth=3.4)
        panel.plot([median, median], [place - 0.28, place + 0.28], color="white", linewidth=1.6)
        if limit is not None and one.drops.maximum > limit:
            write_beyond(panel, place, 100 * one.drops.maximum, vertical=False)
    lowest = min(one.drops.minimum for one in responses)
    cut_axis(panel, "x", 100 * lowest, None if limit is None else 100 * limit)
    labels = short_names([one.dataset for one in responses], 22)
    counts = [f"n = {one.drops.count:,}" for one in responses]
    name_rows(panel, [f"{name}  {count}" for name, count in zip(labels, counts, strict=True)])
    frame(panel, DROP_AXIS, zero="x", x_ticks=7)


def _bandwidth(one: DatasetResponse) -> float:
    """Return the kernel's width in standard deviations (Silverman, Density Estimation, 1986).

    With the quartiles beside the standard deviation, which one huge drop would stretch.
    """
    lower, upper = one.drops.quartiles
    spread = min(one.drops.std, (upper - lower) / 1.34) or one.drops.std
    return float(0.9 * spread / one.drops.std * one.drops.count**-0.2)


def _draw_sensitivity(
    panel: Axes, responses: Sequence[DatasetResponse], colours: dict[str, str]
) -> None:
    bars = []
    for one in responses:
        singles = measured_distribution(list(one.specific_scores.values()))
        colour = colours.get(one.task_type, GREY)
        if singles is None:
            bars.append(Bar("", None, None, colour, "no single block"))
            continue
        middle, (low, high) = singles.median, singles.quartiles
        spread = (middle - low, high - middle) if singles.count > 1 else None
        note = f"{percent(middle, 1)} (n = {singles.count})"
        bars.append(Bar("", middle, spread, colour, note))
    draw_bars(panel, bars)
    panel.set_yticks([])
    frame(panel, "median drop\n(percentage points)", x_ticks=4)


def _median_single(one: DatasetResponse) -> float:
    singles = measured_distribution(list(one.specific_scores.values()))
    return -inf if singles is None else singles.median


def _draw_agreement(
    panel: Axes, responses: Sequence[DatasetResponse], colours: dict[str, str]
) -> None:
    if all(one.generic_agreement is None for one in responses):
        say(panel, "too few single blocks, or no other dataset, to compare with")
        return
    for place, one in enumerate(responses):
        if one.generic_agreement is None:
            hatch_row(panel, place)
            continue
        rho = one.generic_agreement
        colour = colours.get(one.task_type, GREY)
        panel.plot([0, rho], [place, place], color=colour, linewidth=2)
        panel.plot(rho, place, "o", color=colour, markersize=6)
        note_row(panel, place, f"{rho:.2f}", 1.03)
    name_rows(panel, [""] * len(responses))
    panel.set_yticks([])
    panel.set_xlim(min(-0.1, *(one.generic_agreement or 0.0 for one in responses)) - 0.05, 1.06)
    frame(panel, "Spearman's rho with\nthe mean of all others", zero="x", x_ticks=4)


def correlation_matrix(names: Sequence[str], pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Return Spearman's correlations as a symmetric matrix, NaN where undefined, 1 on the diagonal.

    Args:
        names: of the datasets, in the order of rows and columns.
        pairs: of datasets; others are ignored.
    """
    place = {name: index for index, name in enumerate(names)}
    matrix = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(matrix, 1.0)
    for pair in pairs:
        if pair.spearman is not None and pair.first in place and pair.second in place:
            first, second = place[pair.first], place[pair.second]
            matrix[first, second] = matrix[second, first] = pair.spearman
    return matrix


def _draw_correlations(
    figure: Figure, panel: Axes, names: Sequence[str], pairs: Sequence[Pair], size: float
) -> None:
    matrix = correlation_matrix(names, pairs)
    draw_heatmap(
        figure,
        [panel],
        [matrix],
        label="Spearman's rho",
        length=0.9 * size,
        limit=1.0,
        decimals=2 if len(names) <= 16 else None,
    )
    labels = short_names(names, 20)
    frame_rows(panel, labels)
    frame_columns(panel, labels, turned=True)


def _blocks(analysis: Analysis) -> str:
    essential = tuple(sorted(analysis.recommendations.essential_blocks))
    return (
        f"{'block' if len(essential) == 1 else 'blocks'} {removal_label(essential, 60, 1)}"
        if essential
        else "them (there are none)"
    )


def _without_essential(analysis: Analysis) -> tuple[Pair, ...]:
    """Return the pairs of datasets over the removals that keep every essential block."""
    table, essential = analysis.table, analysis.recommendations.essential_blocks
    if not essential:
        return analysis.findings.pairs
    gone = [bool(essential.intersection(removal)) for removal in table.removals]
    return dataset_pairs(replace(table, drops=np.where(np.c_[gone], np.nan, table.drops)))


def _draw_extreme_pairs(panel: Axes, pairs: Sequence[Pair], spared: Sequence[Pair]) -> None:
    known = [pair for pair in pairs if pair.spearman is not None]
    known.sort(key=lambda pair: -(pair.spearman or 0.0))
    chosen = known if len(known) <= 2 * EXTREMES else known[:EXTREMES] + known[-EXTREMES:]
    if not chosen:
        say(panel, "no two datasets share enough removals for a correlation")
        return
    labels = [
        "\n".join(short_names([pair.first, pair.second], 22)).replace("\n", " -\n")
        for pair in chosen
    ]
    pearson = {(pair.first, pair.second): pair.pearson for pair in spared}
    places = range(len(chosen))
    panel.barh(places, [pair.spearman or 0.0 for pair in chosen], height=0.6, color=SKY)
    without = [pearson.get((pair.first, pair.second)) for pair in chosen]
    everywhere = [pair.pearson for pair in chosen]
    for values, marker, colour in ((everywhere, "D", VERMILION), (without, "o", BLACK)):
        drawn = [np.nan if value is None else value for value in values]
        panel.plot(drawn, places, marker, color=colour, markersize=5)
    for place, pair in enumerate(chosen):
        note_row(panel, place, f"{pair.spearman:.2f} (n = {pair.common:,})", 1.02)
    name_rows(panel, labels)
    if len(known) > len(chosen):
        panel.axhline(EXTREMES - 0.5, color=GREY, linestyle=":")
    panel.tick_params(axis="y", labelsize=SMALL_SIZE - 1)
    panel.set_xlim(None, 1.04)
    name = (
        "bars: Spearman's rho; Pearson's correlation:\n◆ all removals, ● without essential blocks"
    )
    frame(panel, name, zero="x", x_ticks=5)


def _draw_pair_groups(panel: Axes, findings: AnalysisFindings, spared: Sequence[Pair]) -> None:
    drawn: list[tuple[str, Distribution | None, str]] = [
        (f"Spearman,\n{'same' if group.same_type else 'different'} type", group.spearman, SKY)
        for group in findings.pair_groups
    ]
    for label, pairs, colour in (
        ("Pearson, all\nremovals", findings.pairs, VERMILION),
        ("without essen-\ntial blocks", spared, GREY),
    ):
        known = [pair.pearson for pair in pairs if pair.pearson is not None]
        drawn.append((label, measured_distribution(known), colour))
    drawn = [one for one in drawn if one[1] is not None]
    if not drawn:
        say(panel, "no pair of datasets has a correlation")
        return
    draw_boxes(
        panel,
        [values for _, values, _ in drawn],
        [colour for _, _, colour in drawn],
        [f"{label} ({values.count if values else 0:,})" for label, values, _ in drawn],
        vertical=False,
        scale=1.0,
    )
    frame(panel, "correlation of drops (n pairs)", zero="x", x_ticks=5)
