"""Names beside points, so that none lies on another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from depthprune.report.figures.style import SMALL_SIZE

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
