"""The marks in figures: bars, boxes, heat maps, axes. Fractions are drawn as points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from depthprune.analysis.drop_table import Distribution
from depthprune.report.figures.style import (
    BLACK,
    DEVIATION,
    DIVERGING,
    HATCH,
    SMALL_SIZE,
    UNMEASURED,
)
from depthprune.report.formatting import percent

Colour = str | tuple[float, float, float, float]

MOST_DOTS = 300
"""Dots beside a box or violin; more would hide it."""

FEWEST_VALUES = 5
"""Values that have a box or an outline; fewer are drawn as points alone."""

MOST_POINTS = 5000
"""Points of a scatter plot; more take long and show nothing new."""

GOLDEN = 0.6180339887

T = TypeVar("T")
Number = TypeVar("Number", np.float64, np.int64)


@dataclass(frozen=True)
class Bar:
    """A horizontal bar with what stands beside it.

    Attributes:
        label: on the axis.
        value: a fraction; None is drawn as not measured.
        error: how far the error bar reaches below and above, fractions; None for no bar.
        note: at the right.
    """

    label: str
    value: float | None
    error: tuple[float, float] | None
    colour: Colour
    note: str


def draw_bars(axes: Axes, bars: Sequence[Bar]) -> None:
    """Draw bars from the top down, in percentage points."""
    for place, bar in enumerate(bars):
        if bar.value is None:
            hatch_row(axes, place)
        else:
            error = None if bar.error is None else [[100 * side] for side in bar.error]
            axes.barh(
                place,
                100 * bar.value,
                height=0.7,
                color=bar.colour,
                xerr=error,
                error_kw={"ecolor": DEVIATION, "elinewidth": 1.2, "capsize": 2.5},
            )
        note_row(axes, place, bar.note)
    name_rows(axes, [bar.label for bar in bars])
    frame(axes, zero="x", x_ticks=5)


def frame(
    axes: Axes,
    x: str = "",
    y: str = "",
    *,
    zero: Literal["x", "y", ""] = "",
    x_ticks: int = 0,
    y_ticks: int = 0,
) -> None:
    """Name the axes of a panel, and make one that drops are read from easy to read.

    Args:
        axes: the panel.
        x, y: names of its axes.
        zero: the axis of drops whose zero has a line.
        x_ticks, y_ticks: grid lines of an axis at most; 0 leaves it as it is.
    """
    if zero == "x":
        axes.axvline(0, color=BLACK, linewidth=0.8)
    elif zero == "y":
        axes.axhline(0, color=BLACK, linewidth=0.8)
    axes.set(xlabel=x, ylabel=y)
    if x_ticks:
        axes.grid(True, axis="x")
        few_ticks(axes, "x", x_ticks)
    if y_ticks:
        axes.grid(True, axis="y")
        few_ticks(axes, "y", y_ticks)


def legend_beside(axes: Axes, title: str = "") -> None:
    """Explain the marks of a panel at its right."""
    axes.legend(
        title=title or None,
        title_fontsize=SMALL_SIZE,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0.0,
    )


def note_row(axes: Axes, place: int, text: str, x: float = 1.015) -> None:
    """Write a note at the right of a row."""
    axes.text(
        x, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=SMALL_SIZE
    )


def hatch_row(axes: Axes, place: int) -> None:
    """Mark a row that has no value."""
    axes.axhspan(place - 0.35, place + 0.35, facecolor=UNMEASURED, hatch=HATCH, zorder=0)


def name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of a panel, the first at the top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def few_ticks(axes: Axes, which: str, count: int = 5, *, whole: bool = False) -> None:
    """Put at most `count` steps on an axis (`x` or `y`), so that their labels keep apart."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 5, 10], integer=whole))


def cut_axis(axes: Axes, which: str, lowest: float, limit: float | None) -> None:
    """End an axis (`x` or `y`) at `limit`, with little room below the lowest value; None: do not.

    What lies beyond must be written by the caller.
    """
    if limit is not None:
        low = min(lowest, 0.0)
        low = low - 0.05 * (limit - low) if low < 0 else 0.0
        (axes.set_xlim if which == "x" else axes.set_ylim)(low, limit)


def number_ticks(axes: Axes, numbers: Sequence[int], width: float) -> None:
    """Label whole numbers on the x axis of a panel `width` inches wide, as many as fit."""
    letters = max((len(str(number)) for number in numbers), default=1)
    fitting = max(2, int(width / (letters * 0.09 + 0.09)))
    step = _round_step(len(numbers) / fitting)
    axes.set_xticks(list(numbers)[::step])
    if numbers:
        axes.set_xlim(min(numbers) - 0.7, max(numbers) + 0.7)


def upper_limit(values: ArrayLike) -> float | None:
    """Return where an axis ends that a few huge values would stretch; None where none does.

    Block 0 often costs ten times as much as any other: drawn to scale, the others look alike.
    """
    known = np.asarray(values, dtype=np.float64).ravel()
    known = known[~np.isnan(known)]
    if len(known) < 4:
        return None
    limit = 1.5 * float(np.quantile(known, 0.9))
    lowest, highest = float(known.min()), float(known.max())
    stretched = highest - limit > 0.35 * (highest - min(lowest, 0.0))
    return limit if limit > 0 and stretched else None


def draw_boxes(
    axes: Axes,
    drops: Sequence[Distribution | None],
    colours: Sequence[Colour],
    labels: Sequence[str],
    *,
    vertical: bool = True,
    scale: float = 100.0,
    limit: float | None = None,
) -> None:
    """Draw boxes: quartiles, median, whiskers from the least to the greatest; dots are values.

    Fewer than `FEWEST_VALUES` have no quartiles worth a box: dots and a line at the median.

    Args:
        axes: the panel.
        drops: what is drawn, side by side; None leaves a place empty.
        colours, labels: of each place.
        vertical: or lying, the first at the top.
        scale: 100 for drops, 1 for what has no unit.
        limit: where the axis ends, in the unit of the drops; maxima beyond it are written out.
    """
    known = [(place, one) for place, one in enumerate(drops) if one is not None]
    boxed = [(place, one) for place, one in known if one.count >= FEWEST_VALUES]
    width = 0.5
    line = {"color": "#555555", "linewidth": 1.0}
    drawn = axes.bxp(
        [
            {
                "q1": scale * one.quartiles[0],
                "med": scale * one.median,
                "q3": scale * one.quartiles[1],
                "whislo": scale * one.minimum,
                "whishi": scale * one.maximum,
                "fliers": [],
            }
            for _, one in boxed
        ],
        positions=[place for place, _ in boxed],
        widths=width,
        orientation="vertical" if vertical else "horizontal",
        patch_artist=True,
        manage_ticks=False,
        medianprops={"color": BLACK, "linewidth": 1.4},
        whiskerprops=line,
        capprops=line,
    )
    for box, (place, _) in zip(drawn["boxes"], boxed, strict=True):
        box.set_facecolor(colours[place])
        box.set_alpha(0.55)
    for place, one in known:
        if one.count < FEWEST_VALUES:
            middle, sides = 2 * [scale * one.median], [place - width / 2, place + width / 2]
            axes.plot(*((sides, middle) if vertical else (middle, sides)), color=BLACK)
        dots = thinned(one.values, MOST_DOTS)
        across = place + width * 0.8 * jitter(len(dots))
        along = scale * dots
        x, y = (across, along) if vertical else (along, across)
        size = 2.5 if one.count >= FEWEST_VALUES else 6
        axes.plot(x, y, ".", color="#333333", markersize=size, alpha=0.45, zorder=1.5)
        if limit is not None and one.maximum > limit:
            write_beyond(axes, place, scale * one.maximum, vertical=vertical)
    if limit is not None:
        lowest = scale * min(one.minimum for _, one in known)
        cut_axis(axes, "y" if vertical else "x", lowest, scale * limit)
    if vertical:
        name_groups(axes, labels)
    else:
        name_rows(axes, labels)


def name_groups(axes: Axes, labels: Sequence[str]) -> None:
    """Name what stands side by side in a panel."""
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.6, len(labels) - 0.4)


def write_beyond(axes: Axes, place: float, value: float, *, vertical: bool = True) -> None:
    """Write a value that lies beyond the end of the axis, at that end."""
    text = f"{value:.0f}" if value >= 10 else f"{value:.1f}"
    axes.text(
        place if vertical else 1.0,
        1.0 if vertical else place,
        f"↑{text}" if vertical else f"→{text}",
        transform=axes.get_xaxis_transform() if vertical else axes.get_yaxis_transform(),
        ha="center" if vertical else "right",
        va="top" if vertical else "center",
        fontsize=SMALL_SIZE - 1,
        zorder=5,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )


def jitter(count: int) -> NDArray[np.float64]:
    """Return offsets within ±0.5 that spread `count` points evenly; always the same ones."""
    places = np.asarray(np.arange(count) * GOLDEN, dtype=np.float64)
    return places - np.floor(places) - 0.5


def thinned(values: NDArray[Number], count: int) -> NDArray[Number]:
    """Return at most `count` of the values, evenly chosen, the first and the last among them."""
    if len(values) <= count:
        return values
    return values[np.linspace(0, len(values) - 1, count).round().astype(np.int64)]


def evenly(things: Sequence[T], count: int) -> Sequence[T]:
    """Return at most `count` of some things, evenly chosen, the first and the last among them."""
    if len(things) <= count:
        return things
    return [things[int(place)] for place in thinned(np.arange(len(things)), count)]


def draw_heatmap(
    figure: Figure,
    axes: Sequence[Axes],
    matrices: Sequence[NDArray[np.float64]],
    *,
    label: str,
    length: float,
    limit: float | None = None,
    decimals: int | None = 1,
) -> None:
    """Draw matrices in one scale of colours centred at zero; cells without a value are hatched.

    Args:
        figure: that the axes belong to.
        axes: one for each matrix.
        matrices: in the unit of the label, NaN where nothing was measured.
        label: of the bar of colours.
        length: of that bar, about, in inches.
        limit: where the colours end; None chooses it from the values, so that a few huge ones
            do not pale all others.
        decimals: of the numbers in the cells; None for no numbers.
    """
    known = np.concatenate([matrix[~np.isnan(matrix)] for matrix in matrices])
    sizes = np.abs(known)
    chosen = limit or _colour_limit(sizes)
    norm = Normalize(-chosen, chosen)
    colours = matplotlib.colormaps[DIVERGING]
    above = bool(np.any(known > chosen))
    below = bool(np.any(known < -chosen))
    mesh: QuadMesh | None = None
    for panel, matrix in zip(axes, matrices, strict=True):
        mesh = _draw_cells(panel, matrix, norm, colours)
        if decimals is not None:
            _write_cells(panel, matrix, norm, colours, decimals)
    assert mesh is not None
    text = f"{label}\ncolours end at ±{chosen:.3g}" if above or below else label
    bar = figure.colorbar(
        mesh,
        ax=list(axes),
        extend=("neither", "max", "min", "both")[above + 2 * below],
        extendfrac=0.12 / length,
        aspect=length / 0.17,
        pad=0.015,
    )
    bar.set_label(text, fontsize=SMALL_SIZE)


def cell_decimals(columns: int) -> int | None:
    """Return the decimals of drops in the cells of a wide heat map; None where none would fit."""
    return 1 if columns <= 28 else None


def frame_columns(axes: Axes, labels: Sequence[str], *, turned: bool) -> None:
    """Name the columns of a heat map, upright or turned by a right angle."""
    axes.set_xticks(
        np.arange(len(labels)) + 0.5, labels, rotation=90 if turned else 0, fontsize=SMALL_SIZE
    )


def frame_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of a heat map."""
    axes.set_yticks(np.arange(len(labels)) + 0.5, labels, fontsize=SMALL_SIZE)


def block_columns(axes: Axes, num_blocks: int, width: float) -> None:
    """Number the blocks below a heat map that is `width` inches wide, as many as fit."""
    blocks = block_ticks(num_blocks, width)
    axes.set_xticks([block + 0.5 for block in blocks], [str(block) for block in blocks])
    axes.set_xlabel("block removed")


def block_ticks(num_blocks: int, width: float) -> list[int]:
    """Return the blocks that are numbered on an axis `width` inches long, as many as fit."""
    step = _round_step(num_blocks * (0.09 * len(str(num_blocks)) + 0.09) / width)
    return list(range(0, num_blocks, step))


def _draw_cells(
    axes: Axes, matrix: NDArray[np.float64], norm: Normalize, colours: Colormap
) -> QuadMesh:
    rows, columns = matrix.shape
    hatched = Rectangle(
        (0, 0), columns, rows, facecolor=UNMEASURED, edgecolor="#AAAAAA", hatch=HATCH, zorder=0
    )
    axes.add_patch(hatched)
    line = 0.6 if max(rows, columns) <= 40 else 0.2
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(matrix), cmap=colours, norm=norm, edgecolors="white", linewidth=line
    )
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return mesh


def _write_cells(
    axes: Axes, matrix: NDArray[np.float64], norm: Normalize, colours: Colormap, decimals: int
) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        if not np.isnan(value):
            axes.text(
                column + 0.5,
                row + 0.5,
                percent(value / 100, decimals),
                ha="center",
                va="center",
                fontsize=SMALL_SIZE - 1.5,
                color=ink(colours(norm(value))),
                in_layout=False,  # a number lies within its panel: one text less to measure
            )


def ink(background: Sequence[float]) -> str:
    """Return black or white, whichever is read better on a colour."""
    red, green, blue = background[:3]
    return BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def _colour_limit(sizes: NDArray[np.float64]) -> float:
    if not len(sizes) or not sizes.max():
        return 1.0
    usual = 1.5 * float(np.quantile(sizes, 0.9))
    return usual if 0 < usual < sizes.max() else float(sizes.max())


def _round_step(least: float) -> int:
    step = 1
    for small, large in pairwise((1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)):
        if least > small:
            step = large
    return step
