"""The page of an analysis: which blocks can go."""

from __future__ import annotations

from pathlib import Path

from depthprune.analysis.whole import Analysis
from depthprune.base.files import write_text
from depthprune.report.html.answer import answer
from depthprune.report.html.data import page_data
from depthprune.report.html.document import Parts, render
from depthprune.report.html.sections import sections
from depthprune.report.html.words import page_words, script_words

PARTS = Parts(
    template="analysis",
    styles=("page", "analysis"),
    scripts=(
        "basics",
        "tip",
        "sorting",
        "paper",
        "analysis/combinations",
        "analysis/what_if",
        "analysis/front",
        "analysis/table",
        "analysis/heatmap",
        "analysis/start",
    ),
)


def write_report(analysis: Analysis, path: Path) -> Path:
    """Write the interactive report of an analysis as one HTML file, and return its path.

    The file needs no network and no other file; the same analysis gives the same bytes.

    Args:
        analysis: of one model.
        path: of the file.

    Raises:
        FileError: the file cannot be written.
        MissingDependencyError: jinja2 is not installed.
    """
    write_text(path, render_report(analysis))
    return path


def render_report(analysis: Analysis) -> str:
    """Return the report of an analysis as HTML.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    return render(
        PARTS,
        page_data(analysis) | {"words": script_words()},
        words=page_words(),
        answer=answer(analysis),
        sections=sections(analysis),
    )
