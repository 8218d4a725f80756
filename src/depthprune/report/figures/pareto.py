"""Figure: accuracy against latency of every configuration of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from depthprune.analysis.intervals import Interval
from depthprune.analysis.sweep import SweepPoint, mean_points
from depthprune.report.figures.style import (
    BLUE,
    GREY,
    SMALL_SIZE,
    name_panel,
    new_figure,
    style,
)

COLUMNS = 3
PANEL = 3.7, 2.9
"""Width and height in inches."""


@dataclass(frozen=True)
class _Place:
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
            max(6.5, PANEL[0] * columns),
            1.6 + PANEL[1] * rows,
            "Accuracy against latency by number of active blocks",
            caption,
        )
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, (name, places) in zip(axes, panels, strict=False):
            _draw(panel, places)
            name_panel(panel, name, PANEL[0])
        for panel in axes[len(panels) :]:
            panel.set_axis_off()
    return figure


def _panels(points: Sequence[SweepPoint]) -> list[tuple[str, list[_Place]]]:
    tasks = list(dict.fromkeys(one.split.task for one in points))
    panels = [
        (
            f"{task} (n = {next(p.num_samples for p in points if p.split.task == task)})",
            [
                _Place(
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
            _Place(active, total, accuracy, None, dominated)
            for active, total, accuracy, dominated in mean_points(points)
        ]
        panels.insert(0, (f"mean over {len(tasks)} tasks", mean))
    return panels


def _draw(panel: Axes, places: Sequence[_Place]) -> None:
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
