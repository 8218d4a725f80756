"""Figures of a table of models. Their texts are in English only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from matplotlib.figure import Figure

from depthprune.report.figures import DPI, write_drawn
from depthprune.report.figures.pruning_heatmap import pruning_heatmap
from depthprune.report.figures.size_performance import SCORES, has_points, size_performance
from depthprune.structure.model_table import ModelTable

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
