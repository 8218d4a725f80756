"""Figure: what models score for their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from depthprune.report.figures.labels import label_points
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
from depthprune.structure.model_row import BY_KEY, Column
from depthprune.structure.model_table import ModelTable

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
            _draw(axes[place], column, points, table, unit)
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
    panels: Sequence[tuple[Column, Sequence[_Point]]], numbers: Mapping[str, int]
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


def _draw(
    panel: Axes, column: Column, points: Sequence[_Point], table: ModelTable, unit: str
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
