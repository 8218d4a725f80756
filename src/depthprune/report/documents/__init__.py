"""The documents of an analysis: JSON for programs, text and Markdown for people.

Every file is whole or absent, and the same analysis gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from depthprune.analysis.findings import Analysis
from depthprune.base.errors import MissingDependencyError
from depthprune.base.files import make_folder, write_bytes, write_json, write_text
from depthprune.report.documents.texts import (
    comprehensive_report,
    cross_dataset_report,
    quick_summary,
)
from depthprune.report.documents.values import (
    SCORES,
    block_configs_value,
    cross_dataset_pieces,
    pairwise_value,
    recommendations_value,
    scores_value,
)

PAGE = "report.html"

Kind = Literal["figures", "html", "latex"]


@dataclass(frozen=True)
class WrittenPictures:
    """What was written beside the documents, and what could not be.

    Attributes:
        files: written files that are no figures.
        figures: written figures.
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
) -> WrittenPictures:
    """Write figures, `report.html` and LaTeX tables; a package that is missing costs only its part.

    Args:
        analysis: analysis of one model.
        folder: folder of the documents.
        formats: formats of the figures: png, svg, pdf.
        skip: kinds that are not written.

    Raises:
        FileError: the folder cannot be written, or a format is unknown.
    """

    def figures() -> list[Path]:
        from depthprune.report.figures import write_figures

        return write_figures(analysis, folder, formats=formats)

    def page() -> list[Path]:
        from depthprune.report.html.page import write_report

        return [write_report(analysis, folder / PAGE)]

    def latex() -> list[Path]:
        from depthprune.report.papers import write_latex

        return write_latex(analysis, folder)

    written: dict[Kind, list[Path]] = {"html": [], "figures": [], "latex": []}
    missing: dict[Kind, str] = {}
    for kind, write in zip(written, (page, figures, latex), strict=True):
        if kind in skip:
            continue
        try:
            written[kind] = write()
        except (ModuleNotFoundError, MissingDependencyError) as error:
            package = _package(error)
            if package is None:
                raise
            missing[kind] = package
    return WrittenPictures(
        (*written["html"], *written["latex"]), tuple(written["figures"]), missing
    )


PACKAGES = ("matplotlib", "jinja2")


def _package(error: Exception) -> str | None:
    """Return the optional package whose absence this error is about; None: another mistake."""
    message = str(getattr(error, "name", None) or error)
    return next((package for package in PACKAGES if package in message), None)


TEXTS: dict[str, Callable[[Analysis], str]] = {
    "quick_summary.md": quick_summary,
    "comprehensive_report.txt": comprehensive_report,
    "cross_dataset_report.txt": cross_dataset_report,
}
"""The documents for people."""

CROSS_DATASET = "cross_dataset_analysis.json"

VALUES: dict[str, Callable[[Analysis], Any]] = {
    "pruning_recommendations.json": recommendations_value,
    "block_configs_for_core_exp.json": block_configs_value,
    SCORES: scores_value,
    CROSS_DATASET: cross_dataset_pieces,
    "pairwise_dataset_stats.json": pairwise_value,
}
"""The documents for programs; that over the datasets is in pieces, however large it is."""


def write_documents(
    analysis: Analysis,
    folder: Path,
    *,
    texts: bool = True,
    values: bool = True,
) -> list[Path]:
    """Write every document of an analysis into a folder and return their paths.

    Args:
        analysis: analysis of one model.
        folder: is made if it is missing; files of these names are replaced.
        texts, values: whether texts for people are written, and JSON for programs.

    Raises:
        FileError: the folder cannot be written.
    """
    make_folder(folder)
    written = []
    for name, text in TEXTS.items() if texts else ():
        write_text(folder / name, text(analysis))
        written.append(folder / name)
    for name, value in VALUES.items() if values else ():
        if name == SCORES and analysis.recommendations.is_weak:
            continue  # `select` would take any order of the blocks for a recommendation
        write = write_bytes if name == CROSS_DATASET else write_json
        write(folder / name, value(analysis))
        written.append(folder / name)
    return written
