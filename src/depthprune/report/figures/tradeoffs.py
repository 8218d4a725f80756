"""Figures of a trade: what models score for their size, accuracy for time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
from numpy.typing import NDArray

from depthprune.analysis.intervals import Interval
from depthprune.analysis.sweep import SweepPoint, mean_points
from depthprune.report.figures.style import (
    BLACK,
    BLUE,
    GREY,
    SMALL_SIZE,
    name_panel,
    new_figure,
    say,
    style,
)
from depthprune.report.formatting import short_names
from depthprune.report.sections.models import own_names
from depthprune.structure.model_row import BY_KEY, ModelColumn
from depthprune.structure.model_table import ModelTable

DISTANCES = (7.0, 13.0, 22.0, 34.0, 50.0)
"""Font points from a mark to its label, tried one after the other."""

DIRECTIONS = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))

LINE_FROM = 10.0
"""Font points from which on a thin line leads from the label to its mark."""

MARK = 5.0
"""Font points that a mark reaches to each side."""

Box = NDArray[np.float64]
"""Left, bottom, right and top, in pixels; or one such row for each of several."""

_ACROSS = {1: "left", 0: "center", -1: "right"}
_UP = {1: "bottom", 0: "center", -1: "top"}


def label_points(axes: Axes, points: Sequence[tuple[float, float]], labels: Sequence[str]) -> int:
    """Write a label beside each point where there is room, and return for how many there is none.

    The layout of the figure is settled by this; marks, limits and titles must stand.

    Args:
        axes: the panel.
        points: in the units of the panel.
        labels: one for each point.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    places = axes.transData.transform(np.reshape(points, (-1, 2)))
    taken = np.hstack([places - MARK * scale, places + MARK * scale])
    inside = np.asarray(axes.get_window_extent().extents)
    without = 0
    for point, place, label in zip(points, places, labels, strict=True):
        written = axes.annotate(
            label, point, xytext=(0, 0), textcoords="offset points", fontsize=SMALL_SIZE
        )
        written.set_in_layout(False)
        size = np.asarray(written.get_window_extent().size)
        for distance, (across, up) in product(DISTANCES, DIRECTIONS):
            # Aslant, the same distance is less far to each side.
            reach = distance if 0 in (across, up) else 0.7 * distance
            offset = (across * reach, up * reach)
            low = place + scale * np.array(offset) + (np.array([across, up]) - 1) / 2 * size
            box = np.concatenate([low - scale, low + size + scale])
            if _is_inside(box, inside) and not _overlaps(box, taken):
                taken = np.vstack([taken, box])
                written.set(position=offset, ha=_ACROSS[across], va=_UP[up])
                if distance > LINE_FROM:
                    _lead(axes, point, offset)
                break
        else:
            written.remove()
            without += 1
    return without


def _lead(axes: Axes, point: tuple[float, float], offset: tuple[float, float]) -> None:
    line = {"arrowstyle": "-", "color": "#666666", "linewidth": 0.6, "shrinkA": 0, "shrinkB": MARK}
    drawn = axes.annotate(
        "", point, xytext=offset, textcoords="offset points", arrowprops=line, zorder=1.5
    )
    drawn.set_in_layout(False)


def _is_inside(box: Box, outer: Box) -> bool:
    return bool((box[:2] >= outer[:2]).all() and (box[2:] <= outer[2:]).all())


def _overlaps(box: Box, others: Box) -> bool:
    apart = (others[:, :2] >= box[2:]) | (others[:, 2:] <= box[:2])
    return not bool(apart.any(axis=1).all())


SCORES = ("ppl_wikitext2", "ppl_ptb", "mean_accuracy")
TITLES = {
    "ppl_wikitext2": "perplexity on WikiText-2",
    "ppl_ptb": "perplexity on PTB",
    "mean_accuracy": "mean zero-shot accuracy",
}
PANEL = 5.0, 4.2
"""Width and height in inches."""

NAME_LETTERS = 26

MOST_NAMES = 5
"""Models that the caption names."""

MOST_LABELS = 10
"""Points of a panel that are labelled with their names; of more, with numbers."""

KEY_LINES = 28
KEY_WIDTH = 2.2
"""Of a column of names beside the panels; in inches."""

MOST_KEYS = 4
"""Such columns; further models are drawn without a number."""

LOGARITHMIC = 8.0
"""How often the largest perplexity holds the smallest where the axis becomes logarithmic."""


@dataclass(frozen=True)
class _Point:
    name: str
    size: float
    score: float
    is_reference: bool
    family: int | None
    dominated: bool = False


def size_performance(table: ModelTable) -> Figure:
    """Draw perplexity and mean accuracy against the size of the models, one panel for each.

    Only numbers that compare are drawn: one window for a perplexity, all tasks for a mean.
    """
    unit = _size_column(table)
    panels = [(BY_KEY[key], _points(table, key, unit)) for key in SCORES]
    panels = [(column, points) for column, points in panels if points] or panels[:1]
    numbers = _numbers([points for _, points in panels])
    keys = -(-len(numbers) // KEY_LINES)
    caption = (
        "Blue: no other model of its family is at least as small and as good and better in one "
        "of the two; "
        "grey: another one is. Diamond: the model that the others were pruned from."
        + _left_out(table, [column.key for column, _ in panels])
        + _without_number(panels, numbers)
    )
    with style():
        figure = new_figure(
            max(6.5, PANEL[0] * len(panels) + KEY_WIDTH * keys),
            1.5 + PANEL[1],
            "What models score for their size",
            caption,
        )
        widths = [PANEL[0]] * len(panels) + [KEY_WIDTH] * keys
        grid = figure.add_gridspec(1, len(widths), width_ratios=widths)
        axes: list[Axes] = []
        for place, (column, points) in enumerate(panels):
            axes.append(figure.add_subplot(grid[place], sharex=axes[0] if axes else None))
            _draw_scores(axes[place], column, points, table, unit)
        for place in range(keys):
            lines = list(numbers.items())[place * KEY_LINES : (place + 1) * KEY_LINES]
            _write_key(figure.add_subplot(grid[len(panels) + place]), lines)
        for panel, (_, points) in zip(axes, panels, strict=True):
            _label(panel, points, numbers)
    return figure


def _label(panel: Axes, points: Sequence[_Point], numbers: Mapping[str, int]) -> None:
    # What matters most comes first, and finds room.
    ordered = sorted(points, key=lambda one: (one.dominated, not one.is_reference))
    if numbers:
        ordered = [one for one in ordered if one.name in numbers]
        labels = [str(numbers[one.name]) for one in ordered]
    else:
        labels = short_names([one.name for one in ordered], NAME_LETTERS)
    label_points(panel, [(one.size, one.score) for one in ordered], labels)


def _numbers(panels: Sequence[Sequence[_Point]]) -> dict[str, int]:
    """Return numbers of the models where there are too many for names; else nothing."""
    if max(map(len, panels)) <= MOST_LABELS:
        return {}
    # What no other model beats is named first, as long as there is room in the key.
    points = sorted((one for points in panels for one in points), key=lambda one: one.dominated)
    names = list(dict.fromkeys(one.name for one in points))[: MOST_KEYS * KEY_LINES]
    return {name: number for number, name in enumerate(names, 1)}


def _write_key(panel: Axes, lines: Sequence[tuple[str, int]]) -> None:
    panel.set_axis_off()
    names = short_names([name for name, _ in lines], NAME_LETTERS)
    panel.text(
        0.0,
        1.0,
        "\n".join(f"{number}  {name}" for name, (_, number) in zip(names, lines, strict=True)),
        transform=panel.transAxes,
        va="top",
        fontsize=SMALL_SIZE,
        linespacing=1.25,
    )


def _left_out(table: ModelTable, keys: Sequence[str]) -> str:
    places = sorted({place for key in keys for place in table.apart.get(key, ())})
    own = own_names(table)
    names = short_names([own[place] for place in places[:MOST_NAMES]], NAME_LETTERS)
    if not names:
        return ""
    more = f" and {len(places) - len(names)} more" if len(places) > len(names) else ""
    return (
        " Left out of a panel, for another window, or one that no file states, another text, or "
        "fewer tasks: "
        f"{', '.join(names)}{more}."
    )


def _without_number(
    panels: Sequence[tuple[ModelColumn, Sequence[_Point]]], numbers: Mapping[str, int]
) -> str:
    names = {one.name for _, points in panels for one in points}
    if not numbers or len(names) == len(numbers):
        return ""
    return f" Numbered: {len(numbers)} of {len(names)} models, the best for their size first."


def _size_column(table: ModelTable) -> str:
    """Return the column of sizes: gigabytes where all models have them that have a score."""
    scored = [row for row in table.rows if any(key in row.numbers for key in SCORES)]
    return "size_gb" if all("size_gb" in row.numbers for row in scored) else "parameters_b"


def has_points(table: ModelTable, key: str) -> bool:
    """Return whether a panel of a score would show a model."""
    return bool(_points(table, key, _size_column(table)))


def _points(table: ModelTable, key: str, unit: str) -> list[_Point]:
    scale = 100 if BY_KEY[key].kind == "accuracy" else 1
    apart = table.apart.get(key, ())
    points = [
        _Point(
            name,
            row.numbers[unit].value,
            scale * row.numbers[key].value,
            row.is_reference,
            table.families[place],
        )
        for place, (row, name) in enumerate(zip(table.rows, own_names(table), strict=True))
        if key in row.numbers and unit in row.numbers and place not in apart
    ]
    sign = -1 if BY_KEY[key].better == "high" else 1
    return [replace(one, dominated=_is_dominated(one, points, sign)) for one in points]


def _is_dominated(one: _Point, points: Sequence[_Point], sign: int) -> bool:
    return any(
        other.family == one.family
        and other.size <= one.size
        and sign * other.score <= sign * one.score
        and (other.size, other.score) != (one.size, one.score)
        for other in points
    )


def _draw_scores(
    panel: Axes, column: ModelColumn, points: Sequence[_Point], table: ModelTable, unit: str
) -> None:
    if not points:
        say(panel, "no model has both a size and a score")
        return
    for one in points:
        panel.plot(
            one.size,
            one.score,
            marker="D" if one.is_reference else "X" if one.dominated else "o",
            color=BLACK if one.is_reference else GREY if one.dominated else BLUE,
            markersize=6.5,
            linestyle="none",
        )
    scores = [one.score for one in points]
    title = TITLES[column.key]
    if column.kind == "ppl":
        window = table.compared[column.key].basis
        title += f", windows of {window}" if window else ", window not stated"
        if 0 < LOGARITHMIC * min(scores) < max(scores):
            _logarithmic(panel)
    name_panel(panel, title, PANEL[0])
    panel.margins(0.2)
    panel.grid(True)
    panel.set_xlabel("size (GB)" if unit == "size_gb" else "parameters (billions)")
    panel.set_ylabel("accuracy (%)" if column.kind == "accuracy" else "perplexity")


def _logarithmic(panel: Axes) -> None:
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_major_formatter(ScalarFormatter())
    panel.yaxis.set_minor_formatter(NullFormatter())


COLUMNS = 3
TASK_PANEL = 3.7, 2.9
"""Width and height in inches."""


@dataclass(frozen=True)
class _Configuration:
    num_active: int
    milliseconds: float
    accuracy: float
    interval: Interval | None
    dominated: bool


def pareto_accuracy_latency(points: Sequence[SweepPoint]) -> Figure:
    """Draw accuracy against total time, one panel for each task and one for the mean of several.

    Dominated configurations are grey: another one is as accurate and as fast, and better in one.

    Args:
        points: of one model, at least one.
    """
    panels = _panels(points)
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    first = points[0]
    caption = (
        "Numbers: active blocks. Blue: no other configuration is at least as accurate and as fast "
        "and better in one of the two; grey: another one is. Lines: 95% interval of the "
        "accuracy over the samples (none for the mean). Time: mean from prepared inputs to answer, "
        f"one sample at a time, {first.times.total.count} samples; a difference smaller than the "
        "machine's noise means nothing."
    )
    with style():
        figure = new_figure(
            max(6.5, TASK_PANEL[0] * columns),
            1.6 + TASK_PANEL[1] * rows,
            "Accuracy against latency by number of active blocks",
            caption,
        )
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, (name, places) in zip(axes, panels, strict=False):
            _draw_latencies(panel, places)
            name_panel(panel, name, TASK_PANEL[0])
        for panel in axes[len(panels) :]:
            panel.set_axis_off()
    return figure


def _panels(points: Sequence[SweepPoint]) -> list[tuple[str, list[_Configuration]]]:
    tasks = list(dict.fromkeys(one.split.task for one in points))
    panels = [
        (
            f"{task} (n = {next(p.num_samples for p in points if p.split.task == task)})",
            [
                _Configuration(
                    one.num_active,
                    one.times.total.mean,
                    one.accuracy,
                    one.accuracy_interval,
                    one.dominated,
                )
                for one in points
                if one.split.task == task
            ],
        )
        for task in tasks
    ]
    if len(tasks) > 1:
        mean = [
            _Configuration(active, total, accuracy, None, dominated)
            for active, total, accuracy, dominated in mean_points(points)
        ]
        panels.insert(0, (f"mean over {len(tasks)} tasks", mean))
    return panels


def _draw_latencies(panel: Axes, places: Sequence[_Configuration]) -> None:
    front = sorted((one for one in places if not one.dominated), key=lambda one: one.milliseconds)
    panel.plot(
        [one.milliseconds for one in front],
        [100 * one.accuracy for one in front],
        color=BLUE,
        linewidth=1.0,
        alpha=0.6,
    )
    for one in places:
        colour = GREY if one.dominated else BLUE
        if one.interval is not None:
            ends = [100 * one.interval.low, 100 * one.interval.high]
            panel.plot([one.milliseconds] * 2, ends, color=colour, linewidth=1.0, alpha=0.5)
        panel.plot(
            one.milliseconds,
            100 * one.accuracy,
            marker="X" if one.dominated else "o",
            color=colour,
            markersize=6,
            linestyle="none",
        )
        panel.annotate(
            str(one.num_active),
            (one.milliseconds, 100 * one.accuracy),
            xytext=(5, 4),
            textcoords="offset points",
            color=colour,
            fontsize=SMALL_SIZE,
        )
    panel.margins(0.14)
    panel.grid(True)
    panel.set_xlabel("total time per sample (ms)")
    panel.set_ylabel("accuracy (%)")
