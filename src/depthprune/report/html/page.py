"""The page of an analysis: which blocks can go."""

from __future__ import annotations

from pathlib import Path

from depthprune.analysis.whole import Analysis
from depthprune.base.files import write_text
from depthprune.base.language import t
from depthprune.report.html.answer import answer
from depthprune.report.html.data import page_data
from depthprune.report.html.document import Parts, render
from depthprune.report.html.words import page_words, script_words
from depthprune.report.render.html import PageSection, page_section
from depthprune.report.sections.findings import findings
from depthprune.report.table import Section

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


OPEN = ("task-types", "positions", "synergy")
"""Sections whose tables are seen at once."""


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
        sections=_sections(analysis),
    )


def _sections(analysis: Analysis) -> list[PageSection]:
    """Return the findings that have tables, and what was wrong in the files."""
    found = [one for one in findings(analysis) if one.tables]
    if problems := analysis.results.problems:
        title = t("Problems in what was read ({n})").format(n=len(problems))
        found.append(Section("problems", title, notes=problems))
    return [page_section(one, is_open=one.name in OPEN) for one in found]
