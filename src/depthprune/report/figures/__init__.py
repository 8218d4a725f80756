"""Figures of an analysis, each one readable by itself. Their texts are in English only."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from warnings import catch_warnings, filterwarnings

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from depthprune.analysis.findings import Analysis
from depthprune.base.errors import FileError
from depthprune.base.files import write_bytes
from depthprune.report.figures.combinations import combination_vs_individual, consistency_analysis
from depthprune.report.figures.datasets import dataset_pairwise_comparison, dataset_responses
from depthprune.report.figures.front import front
from depthprune.report.figures.measured_drops import block_position_analysis, drop_distributions
from depthprune.report.figures.rankings import rankings_by_num_removed
from depthprune.report.figures.splits import (
    train_validation_correlation,
    train_validation_heatmaps,
    train_validation_scatter,
)
from depthprune.report.figures.style import Draw, style
from depthprune.report.figures.task_types import task_type_comparison, task_type_detailed_comparison

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COMPRESSION = 3
"""Of zlib, 0 to 9; 6 takes twice as long for a file that is a fifth smaller."""

INCH = 0.0254
"""In metres."""


def png_bytes(pixels: NDArray[np.uint8], dpi: int) -> bytes:
    """Return a picture as a PNG file of 8-bit red, green and blue, without opacity.

    Args:
        pixels: rows of pixels, each red, green, blue and opacity; the last is left out.
        dpi: dots per inch.
    """
    height, width = pixels.shape[:2]
    # Each row starts with the number of its filter, 0 for none.
    rows = np.zeros((height, 1 + 3 * width), dtype=np.uint8)
    for colour in range(3):
        rows[:, 1 + colour :: 3] = pixels[..., colour]
    dots = round(dpi / INCH)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"pHYs", struct.pack(">IIB", dots, dots, 1)),
            _chunk(b"IDAT", zlib.compress(rows.data, COMPRESSION)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


FIGURES: Mapping[str, Draw] = MappingProxyType(
    {
        "front": front,
        "rankings_by_num_removed": rankings_by_num_removed,
        "task_type_comparison": task_type_comparison,
        "block_position_analysis": block_position_analysis,
        "combination_vs_individual": combination_vs_individual,
        "consistency_analysis": consistency_analysis,
        "dataset_responses": dataset_responses,
        "drop_distributions": drop_distributions,
        "dataset_pairwise_comparison": dataset_pairwise_comparison,
        "task_type_detailed_comparison": task_type_detailed_comparison,
    }
)
"""What every analysis shows, by file name."""

SPLIT_FIGURES: Mapping[str, Draw] = MappingProxyType(
    {
        "train_validation_correlation": train_validation_correlation,
        "train_validation_scatter": train_validation_scatter,
        "train_validation_heatmaps": train_validation_heatmaps,
    }
)
"""What is shown besides where training and validation splits were both measured."""

FORMATS = ("png", "svg", "pdf")

DPI = 200
"""Dots per inch of PNGs: figures are 12 to 14 inches wide, so in print they have twice as many."""

# A date would make every file of the same analysis a different one.
METADATA: Mapping[str, dict[str, str | None]] = MappingProxyType(
    {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
)


def write_figures(
    analysis: Analysis,
    folder: Path,
    formats: Sequence[str] = ("png",),
    dpi: int = DPI,
) -> list[Path]:
    """Write every figure as `{folder}/{name}.{format}` and return the paths.

    Each file is written whole or not at all; the same analysis gives the same bytes.

    Args:
        analysis: to be drawn.
        folder: is made if it is missing.
        formats: of `FORMATS`.
        dpi: dots per inch of PNGs, and of clouds of points in the others.

    Raises:
        FileError: an unknown format, or the folder cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise FileError(
            f"figures cannot be written as {', '.join(unknown)}",
            mend=f"choose from {', '.join(FORMATS)}",
        )
    figures = {**FIGURES, **(SPLIT_FIGURES if analysis.findings.agreements else {})}
    drawn = ((name, draw(analysis)) for name, draw in figures.items())
    return write_drawn(drawn, folder, formats, dpi)


def write_drawn(
    figures: Iterable[tuple[str, Figure]], folder: str | Path, formats: Sequence[str], dpi: int
) -> list[Path]:
    """Write named figures in some formats, and return their paths; FileError as `write_figures`."""
    written = []
    for name, figure in figures:
        for kind in dict.fromkeys(formats):
            path = Path(folder) / f"{name}.{kind}"
            write_bytes(path, figure_bytes(figure, kind, dpi))
            written.append(path)
    return written


def figure_bytes(figure: Figure, kind: str = "png", dpi: int = DPI) -> bytes:
    """Return a figure as the content of a PNG, SVG or PDF file, always the same for the same one.

    Args:
        figure: from one of `FIGURES`.
        kind: of `FORMATS`.
        dpi: dots per inch.
    """
    with style(), BytesIO() as content, catch_warnings():
        # A sign that no font has is drawn as a box; there is nothing that a reader could do.
        filterwarnings("ignore", message="Glyph .* missing from")
        if kind == "png":
            _save_png(figure, content, dpi)
        else:
            figure.savefig(content, format=kind, dpi=dpi, metadata=METADATA[kind])
        return content.getvalue()


def _save_png(figure: Figure, content: BytesIO, dpi: int) -> None:
    """Write the same picture as `savefig`, drawn once instead of twice and without opacity."""
    canvas, usual = FigureCanvasAgg(figure), figure.dpi
    figure.set_dpi(dpi)
    try:
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    finally:
        figure.set_dpi(usual)
    content.write(png_bytes(pixels, dpi))


__all__ = [
    "DPI",
    "FIGURES",
    "FORMATS",
    "SPLIT_FIGURES",
    "figure_bytes",
    "write_drawn",
    "write_figures",
]
