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
from depthprune.report.language import Lang, translator

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


def write_report(analysis: Analysis, path: Path, lang: Lang = "en") -> Path:
    """Write the interactive report of an analysis as one HTML file, and return its path.

    The file needs no network and no other file; the same analysis gives the same bytes.

    Args:
        analysis: of one model.
        path: of the file.
        lang: of the texts.

    Raises:
        FileError: the file cannot be written.
        MissingDependencyError: jinja2 is not installed.
    """
    write_text(path, render_report(analysis, lang=lang))
    return path


def render_report(analysis: Analysis, *, lang: Lang = "en") -> str:
    """Return the report of an analysis as HTML.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    t = translator(lang)
    return render(
        PARTS,
        page_data(analysis) | {"words": script_words(t)},
        lang,
        words=page_words(t),
        answer=answer(analysis, lang),
        sections=sections(analysis, t),
    )
