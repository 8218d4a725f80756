"""Figures of a table of models: how much every layer lost, and what models score for their size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from depthprune.base.language import counted
from depthprune.report.figures import DPI, write_drawn
from depthprune.report.figures.marks import block_ticks, ink
from depthprune.report.figures.style import (
    HATCH,
    SMALL_SIZE,
    UNMEASURED,
    new_figure,
    say,
    shown_of,
    style,
)
from depthprune.report.figures.tradeoffs import SCORES, has_points, size_performance
from depthprune.report.formatting import short_names
from depthprune.report.sections.models import own_names
from depthprune.structure.comparison import LayerComparison, is_located, num_layers, share_kept
from depthprune.structure.model_row import ModelRow
from depthprune.structure.model_table import ModelTable

COLOURS = "YlOrRd"
"""Pale: nothing is gone; dark: everything."""

MOST_ROWS = 120
MOST_LAYERS = 1000
"""No model has so many; a broken file may tell of any number."""

NAME_LETTERS = 36
ROW, COLUMN = 0.3, 0.27
"""Height and width of a cell in inches; columns shrink where there are many."""

WIDEST = 16.0


def pruning_heatmap(table: ModelTable) -> Figure:
    """Draw the share that each layer of the original lost, one row for each model.

    Models whose files say nothing of their layers are left out; where they do not say which layers
    are gone, the row is hatched.
    """
    names = own_names(table)
    compared = [
        (row, name)
        for row, name in zip(table.rows, names, strict=True)
        if 0 < _depth(row) <= MOST_LAYERS
    ]
    rows = [row for row, _ in compared[:MOST_ROWS]]
    names = short_names([name for _, name in compared[:MOST_ROWS]], NAME_LETTERS)
    depth = max(map(_depth, rows), default=1)
    width = min(WIDEST, 4.2 + COLUMN * max(depth, 16))
    left_out = len(table.rows) - len(compared)
    caption = (
        "Colour: share of its parameters that a layer of the original lost. "
        "×: the layer was removed; A: its attention was, M: its MLP was, 0: both were. "
        "Hatched: layers are gone, and no file says which. All: of the whole model, embeddings "
        "included."
        + (f" Left out: {counted(left_out, 'model')} without a comparison." if left_out else "")
        + f" {shown_of(len(rows), len(compared), 'models')}"
    )
    with style():
        figure = new_figure(
            width, 1.9 + ROW * max(len(rows), 3), "What pruning took from each layer", caption
        )
        axes = figure.subplots()
        if rows:
            _draw_layers(figure, axes, rows, names, width - 4.2)
        else:
            say(axes, "no model was compared with its original")
    return figure


def _depth(row: ModelRow) -> int:
    return 0 if row.comparison is None else num_layers(row.comparison)


def _draw_layers(
    figure: Figure, axes: Axes, rows: Sequence[ModelRow], names: Sequence[str], width: float
) -> None:
    depth = max(map(_depth, rows))
    lost = np.full((len(rows), depth), np.nan)
    for place, row in enumerate(rows):
        assert row.comparison is not None
        if not is_located(row.comparison):
            _hatch(axes, place, row)
            continue
        for layer in row.comparison.layers:
            share = share_kept(layer)
            lost[place, layer.index] = np.nan if share is None else 100 * (1 - share)
    colours = matplotlib.colormaps[COLOURS]
    mesh = axes.pcolormesh(
        np.ma.masked_invalid(lost),
        cmap=colours,
        vmin=0,
        vmax=100,
        edgecolors="white",
        linewidth=0.6 if depth <= 48 else 0.2,
    )
    letters = SMALL_SIZE - 1 if depth <= 48 else SMALL_SIZE - 3
    for place, row in enumerate(rows):
        assert row.comparison is not None
        if is_located(row.comparison):
            for layer in row.comparison.layers:
                if np.isnan(lost[place, layer.index]):
                    continue
                axes.text(
                    layer.index + 0.5,
                    place + 0.5,
                    _sign(layer),
                    ha="center",
                    va="center",
                    fontsize=letters,
                    color=ink(colours(lost[place, layer.index] / 100)),
                )
        axes.text(
            depth + 0.3,
            place + 0.5,
            "?"
            if row.comparison.total.ratio is None
            else f"{100 * row.comparison.total.ratio:.1f}%",
            va="center",
            fontsize=SMALL_SIZE,
        )
    above = axes.get_xaxis_transform()
    axes.text(depth + 0.3, 1.02, "all", transform=above, fontsize=SMALL_SIZE, color="#444444")
    axes.set_yticks(np.arange(len(rows)) + 0.5, names)
    ticks = block_ticks(depth, width)
    axes.set_xticks([layer + 0.5 for layer in ticks], [str(layer) for layer in ticks])
    axes.set_xlabel("layer of the original")
    axes.set_xlim(0, depth)
    axes.set_ylim(len(rows), 0)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(mesh, ax=axes, pad=0.75 / width, fraction=0.04, aspect=14)
    bar.set_label("parameters gone (%)", fontsize=SMALL_SIZE)


def _hatch(axes: Axes, place: int, row: ModelRow) -> None:
    assert row.comparison is not None
    depth = num_layers(row.comparison)
    axes.add_patch(
        Rectangle(
            (0, place + 0.03),
            depth,
            0.94,
            facecolor=UNMEASURED,
            edgecolor="#AAAAAA",
            linewidth=0,
            hatch=HATCH,
            zorder=2,
        )
    )
    axes.text(
        depth / 2,
        place + 0.5,
        f"{row.comparison.missing_layers} of {depth} layers are gone, no file says which",
        ha="center",
        va="center",
        fontsize=SMALL_SIZE,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )


def _sign(layer: LayerComparison) -> str:
    if layer.removed:
        return "×"
    if layer.attention_removed and layer.mlp_removed:
        return "0"
    return "A" if layer.attention_removed else "M" if layer.mlp_removed else ""


MODEL_FIGURES: Mapping[str, Callable[[ModelTable], Figure]] = MappingProxyType(
    {"pruning_heatmap": pruning_heatmap, "size_performance": size_performance}
)
"""By file name."""


def write_model_figures(
    table: ModelTable, folder: Path, formats: Sequence[str] = ("png",), dpi: int = DPI
) -> list[Path]:
    """Write every figure as `{folder}/{name}.{format}` and return the paths.

    Args:
        table: to be drawn.
        folder: is made if it is missing.
        formats: png, svg, pdf.
        dpi: dots per inch of PNGs.

    Raises:
        FileError: the folder cannot be written.
    """
    drawn = ((name, draw(table)) for name, draw in MODEL_FIGURES.items() if name in drawable(table))
    return write_drawn(drawn, folder, formats, dpi)


def drawable(table: ModelTable) -> tuple[str, ...]:
    """Return the names of the figures that would not be empty."""
    found = {
        "pruning_heatmap": any(row.comparison is not None for row in table.rows),
        "size_performance": any(has_points(table, key) for key in SCORES),
    }
    return tuple(name for name in MODEL_FIGURES if found[name])
