"""How all figures look and speak: colours for colour-blind readers, titles, captions, counts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from depthprune.analysis.combinations import Combination
from depthprune.analysis.findings import Analysis
from depthprune.base.language import counted
from depthprune.report.formatting import percent, short_names

Draw = Callable[[Analysis], Figure]
"""A figure of an analysis, in English."""

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK, GREY = "#56B4E9", "#CC79A7", "#000000", "#999999"
CATEGORIES = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, BLACK)
"""For things without an order; Okabe and Ito, Color Universal Design, 2008."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""One per category: colour is never the only difference."""

DIVERGING = "RdBu_r"
"""Centred at a drop of zero: red costs accuracy, blue gains some."""

SEQUENTIAL = "viridis"
"""For ordered things: number removed, coverage."""

UNMEASURED = "#E6E6E6"
HATCH = "////"
INTERVAL, DEVIATION = "#222222", "#888888"
DROP_AXIS = "accuracy drop (percentage points)"

TITLE_SIZE, PANEL_SIZE, TEXT_SIZE, SMALL_SIZE = 13.0, 9.5, 9.0, 8.0
EM = 0.62
"""Width of a letter of DejaVu Sans in font sizes, on the safe side."""

STYLE: dict[Any, Any] = {
    "font.size": TEXT_SIZE,
    "axes.titlesize": PANEL_SIZE,
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.labelsize": TEXT_SIZE,
    "xtick.labelsize": SMALL_SIZE,
    "ytick.labelsize": SMALL_SIZE,
    "legend.fontsize": SMALL_SIZE,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "hatch.color": "#AAAAAA",
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.hspace": 0.01,
    "figure.constrained_layout.wspace": 0.04,
    # A dataset may be called `a$b$`: names are no formulas.
    "text.parse_math": False,
    # The same analysis gives the same file.
    "svg.hashsalt": "depthprune",
    "pdf.fonttype": 42,
}

FALLBACK_FONTS = ("Noto Sans CJK SC", "Noto Sans SC", "WenQuanYi Micro Hei", "Microsoft YaHei")
"""For names of datasets in other scripts; the first that is installed is used."""


@contextmanager
def style() -> Iterator[None]:
    """Draw as depthprune does, whatever the user's own settings are; they come back on leaving."""
    installed = set(fontManager.get_font_names())
    fallback = [name for name in FALLBACK_FONTS if name in installed][:1]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE | {"font.family": ["DejaVu Sans", *fallback]})
        yield


def styled(draw: Draw) -> Draw:
    """Return a drawing function that draws in the common style."""

    @wraps(draw)
    def drawn(analysis: Analysis) -> Figure:
        with style():
            return draw(analysis)

    return drawn


def new_figure(width: float, height: float, title: str, caption: str) -> Figure:
    """Return an empty figure of this size in inches, without any global state behind it.

    Args:
        width, height: in inches.
        title: what is seen.
        caption: how to read it; below the panels.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    left = 0.1 / width
    figure.suptitle(
        fitted(title, width - 0.4, TITLE_SIZE * 1.1),
        x=left,
        ha="left",
        fontsize=TITLE_SIZE,
        fontweight="bold",
    )
    figure.supxlabel(
        fitted(caption, width - 0.2, SMALL_SIZE),
        x=left,
        ha="left",
        fontsize=SMALL_SIZE,
        color="#444444",
        linespacing=1.3,
    )
    return figure


def fitted(text: str, width: float, size: float = TEXT_SIZE) -> str:
    """Return `text` in lines of at most `width` inches at this font size in points."""
    letters = max(12, int(width * 72 / (size * EM)))
    return "\n".join(textwrap.fill(line, letters) for line in text.split("\n"))


def add_panels(
    figure: Figure,
    layout: str,
    *,
    widths: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
    empty: str = "",
    **titles: tuple[str, float],
) -> list[Axes]:
    """Return new panels of a figure in the order of their titles.

    Args:
        figure: that they are added to.
        layout: a letter for each cell, as `Figure.subplot_mosaic` reads it: `AB;CB`.
        widths, heights: of columns and rows, in proportion.
        empty: why there is nothing to draw, which all panels say then.
        **titles: by letter: title and width of the panel, about, in inches; none is for a legend.
    """
    panels = figure.subplot_mosaic(layout, width_ratios=widths, height_ratios=heights)
    for letter, (title, width) in titles.items():
        if title:
            name_panel(panels[letter], title, width)
        if title and empty:
            say(panels[letter], empty)
    return [panels[letter] for letter in titles]


def name_panel(axes: Axes, title: str, width: float) -> None:
    """Title a panel that is about `width` inches wide."""
    axes.set_title(fitted(title, width, PANEL_SIZE))


def say(axes: Axes, text: str) -> None:
    """Leave a panel empty but for a sentence that says why."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_facecolor("#F7F7F7")
    axes.text(
        0.5,
        0.5,
        textwrap.fill(text, 34),
        transform=axes.transAxes,
        ha="center",
        va="center",
        color="#555555",
        fontsize=SMALL_SIZE,
    )


def ordered_colours(count: int) -> list[tuple[float, float, float, float]]:
    """Return colours for `count` ordered things, dark to light, none too pale for white paper."""
    shades = matplotlib.colormaps[SEQUENTIAL](np.linspace(0.0, 0.85, max(count, 1)))
    return [(float(r), float(g), float(b), float(a)) for r, g, b, a in shades]


def span(numbers: Iterable[int]) -> str:
    """Return whole numbers as `8`, or `2 to 8`; `0` where there is none."""
    given = sorted(set(numbers))
    if not given:
        return "0"
    return f"{given[0]:,}" if len(given) == 1 else f"{given[0]:,} to {given[-1]:,}"


def shown_of(shown: int, total: int, things: str) -> str:
    """Return `Shown: 6 of 12 things.`, or nothing where all are shown."""
    return "" if shown >= total else f"Shown: {shown:,} of {total:,} {things}."


def combination_note(combination: Combination, num_datasets: int) -> str:
    """Return drop, coverage and samples for the note beside a bar."""
    sets = f"{combination.coverage}/{num_datasets} sets"
    samples = f", n = {combination.num_samples:,}" if combination.num_samples else ""
    return f"{percent(combination.mean, 2)}  ({sets}{samples})"


def scope(analysis: Analysis) -> str:
    """Return what a figure is about: model, blocks, datasets, removals, cells, samples."""
    table = analysis.table
    counts = set(table.num_samples[~np.isnan(table.drops)].tolist())
    samples = (
        "number of samples unknown"
        if not counts or 0 in counts
        else f"{span(counts)} samples per drop"
    )
    cells = f"{int(table.coverage.sum()):,} of {table.drops.size:,}"
    (model,) = short_names([analysis.results.model], 48)
    return (
        f"{model}: {counted(table.num_blocks, 'block')}, "
        f"{counted(len(table.datasets), 'dataset')}, "
        f"{counted(len(table.removals), 'removal')}; {cells} drops measured; {samples}."
    )
