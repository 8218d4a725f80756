"""The documents of an analysis: JSON for programs, text and Markdown for people.

Every file is whole or absent, and the same analysis gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from depthprune.analysis.findings import Analysis
from depthprune.base.errors import MissingDependencyError
from depthprune.base.files import make_folder, write_bytes, write_json, write_text
from depthprune.report.documents.texts import (
    comprehensive_report,
    cross_dataset_report,
    quick_summary,
    select_command,
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
        from depthprune.report.html.page import write_report

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


CROSS_DATASET = "cross_dataset_analysis.json"
RECOMMENDATIONS = "pruning_recommendations.json"
BLOCK_CONFIGS = "block_configs_for_core_exp.json"
PAIRWISE = "pairwise_dataset_stats.json"
COMPREHENSIVE_REPORT = "comprehensive_report.txt"
CROSS_DATASET_REPORT = "cross_dataset_report.txt"
QUICK_SUMMARY = "quick_summary.md"


def write_documents(
    analysis: Analysis,
    folder: Path,
    *,
    texts: bool = True,
    values: bool = True,
) -> list[Path]:
    """Write every document of an analysis into a folder and return their paths.

    Args:
        analysis: to be told.
        folder: is made if it is missing; files of these names are replaced.
        texts, values: whether texts for people are written, and JSON for programs.

    Raises:
        FileError: the folder cannot be written.
    """
    make_folder(folder)
    written = [*(_texts(analysis, folder) if texts else ())]
    return [*written, *(_values(analysis, folder) if values else ())]


def _values(analysis: Analysis, folder: Path) -> list[Path]:
    values = {
        RECOMMENDATIONS: recommendations_value(analysis),
        BLOCK_CONFIGS: block_configs_value(analysis),
        SCORES: scores_value(analysis),
        PAIRWISE: pairwise_value(analysis),
    }
    if analysis.recommendations.is_weak:
        # `select` would take any order of the blocks for a recommendation.
        del values[SCORES]
    for name, value in values.items():
        write_json(folder / name, value)
    write_bytes(folder / CROSS_DATASET, cross_dataset_pieces(analysis))
    names = (RECOMMENDATIONS, BLOCK_CONFIGS, SCORES, CROSS_DATASET, PAIRWISE)
    return [folder / name for name in names if name in {*values, CROSS_DATASET}]


def _texts(analysis: Analysis, folder: Path) -> list[Path]:
    texts = {
        QUICK_SUMMARY: quick_summary(analysis),
        COMPREHENSIVE_REPORT: comprehensive_report(analysis),
        CROSS_DATASET_REPORT: cross_dataset_report(analysis),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


__all__ = [
    "BLOCK_CONFIGS",
    "COMPREHENSIVE_REPORT",
    "CROSS_DATASET",
    "CROSS_DATASET_REPORT",
    "PAIRWISE",
    "QUICK_SUMMARY",
    "RECOMMENDATIONS",
    "SCORES",
    "block_configs_value",
    "quick_summary",
    "recommendations_value",
    "scores_value",
    "select_command",
    "write_documents",
]
