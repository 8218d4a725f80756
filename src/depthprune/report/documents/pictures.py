"""Figures, page and LaTeX tables beside the documents, as far as their packages are installed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from depthprune.analysis.whole import Analysis
from depthprune.base.errors import MissingDependencyError

PAGE = "report.html"

Kind = Literal["figures", "html", "latex"]


@dataclass(frozen=True)
class Pictures:
    """What was written beside the documents, and what could not be.

    Attributes:
        files: that were written, without the figures.
        figures: that were written.
        missing: packages that are not installed, by what needs them.
    """

    files: tuple[Path, ...]
    figures: tuple[Path, ...]
    missing: dict[Kind, str]


def write_pictures(
    analysis: Analysis,
    folder: Path,
    *,
    formats: Sequence[str] = ("png",),
    skip: Collection[Kind] = (),
) -> Pictures:
    """Write figures, `report.html` and LaTeX tables; a package that is missing costs only its part.

    Args:
        analysis: to be shown.
        folder: of the documents.
        formats: of the figures: png, svg, pdf.
        skip: what is not wanted.

    Raises:
        FileError: the folder cannot be written, or a format is unknown.
    """

    def figures() -> list[Path]:
        from depthprune.report.figures import write_figures

        return write_figures(analysis, folder, formats=formats)

    def page() -> list[Path]:
        from depthprune.report.html import write_report

        return [write_report(analysis, folder / PAGE)]

    def latex() -> list[Path]:
        from depthprune.report.latex import write_latex

        return write_latex(analysis, folder)

    writers: dict[Kind, Callable[[], list[Path]]] = {
        "html": page,
        "figures": figures,
        "latex": latex,
    }
    written: dict[Kind, list[Path]] = {}
    missing: dict[Kind, str] = {}
    for kind, write in writers.items():
        if kind in skip:
            continue
        try:
            written[kind] = write()
        except (ModuleNotFoundError, MissingDependencyError) as error:
            package = _package(error)
            if package is None:
                raise
            missing[kind] = package
    figures_written = written.pop("figures", [])
    others = [path for paths in written.values() for path in paths]
    return Pictures(tuple(others), tuple(figures_written), missing)


PACKAGES = ("matplotlib", "jinja2")


def _package(error: Exception) -> str | None:
    """Return the optional package whose absence this error is about; None: another mistake."""
    told = str(getattr(error, "name", None) or error)
    return next((package for package in PACKAGES if package in told), None)
