"""The page of a summary: many pruned models, and what each lost where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from depthprune.base.files import write_text
from depthprune.base.shown import shown
from depthprune.report.html.document import Parts, render
from depthprune.report.html.structure_data import structure_data
from depthprune.report.html.structure_overview import overview
from depthprune.report.html.structure_words import page_words, script_words
from depthprune.structure.summary import ModelSummary, Summary

PARTS = Parts(
    template="structure",
    styles=("page", "structure"),
    scripts=(
        "basics",
        "tip",
        "sorting",
        "paper",
        "structure/models",
        "structure/layers",
        "structure/table",
        "structure/compare",
        "structure/start",
    ),
)


def write_structure_page(path: Path, summary: Summary) -> None:
    """Write the summary of pruned models as one HTML file: a table, and bars for every layer.

    The file needs no network and no other file; the same summary gives the same bytes.

    Raises:
        FileError: the file cannot be written.
        MissingDependencyError: jinja2 is not installed.
    """
    write_text(path, render_structure_page(summary))


def render_structure_page(summary: Summary) -> str:
    """Return the summary of pruned models as HTML.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    summary = _printable(summary)
    return render(
        PARTS,
        structure_data(summary) | {"words": script_words()},
        words=page_words(),
        overview=overview(summary),
    )


def _printable(summary: Summary) -> Summary:
    """Return the summary without letters in its names that turn or hide what stands beside them."""

    def printable(model: ModelSummary) -> ModelSummary:
        return replace(
            model,
            name=shown(model.name),
            problems=tuple(map(shown, model.problems)),
            mend=None if model.mend is None else shown(model.mend),
        )

    return Summary(tuple(map(shown, summary.dirs)), tuple(map(printable, summary.models)))
