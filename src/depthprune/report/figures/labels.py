"""Names beside points, so that none lies on another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from depthprune.report.figures.style import SMALL_SIZE

DISTANCES = (7.0, 13.0, 22.0, 34.0, 50.0)
"""Font points from a mark to its label, tried one after the other."""

DIRECTIONS = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))

LINE_FROM = 10.0
"""Font points from which on a thin line leads from the label to its mark."""

MARK = 5.0
"""Font points that a mark reaches to each side."""

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
    places: Any = axes.transData.transform(list(points)) if points else []
    taken = [_around(x, y, MARK * scale) for x, y in places]
    inside = axes.get_window_extent()
    without = 0
    for point, label in zip(points, labels, strict=True):
        for distance, (across, up) in product(DISTANCES, DIRECTIONS):
            # Aslant, the same distance is less far to each side.
            reach = distance if 0 in (across, up) else 0.7 * distance
            offset = (across * reach, up * reach)
            written = axes.annotate(
                label,
                point,
                xytext=offset,
                textcoords="offset points",
                ha=_ACROSS[across],
                va=_UP[up],
                fontsize=SMALL_SIZE,
            )
            written.set_in_layout(False)
            box = written.get_window_extent().padded(scale)
            if _is_inside(box, inside) and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                if distance > LINE_FROM:
                    _lead(axes, point, offset)
                break
            written.remove()
        else:
            without += 1
    return without


def _lead(axes: Axes, point: tuple[float, float], offset: tuple[float, float]) -> None:
    line = {"arrowstyle": "-", "color": "#666666", "linewidth": 0.6, "shrinkA": 0, "shrinkB": MARK}
    drawn = axes.annotate(
        "", point, xytext=offset, textcoords="offset points", arrowprops=line, zorder=1.5
    )
    drawn.set_in_layout(False)


def _around(x: float, y: float, reach: float) -> Bbox:
    return Bbox.from_extents(x - reach, y - reach, x + reach, y + reach)


def _is_inside(box: Bbox, outer: Bbox) -> bool:
    return bool(
        box.x0 >= outer.x0 and box.x1 <= outer.x1 and box.y0 >= outer.y0 and box.y1 <= outer.y1
    )
