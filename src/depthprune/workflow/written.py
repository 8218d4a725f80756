"""The files of an analysis, and the short answer that goes with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import RenderableType

from depthprune.analysis.whole import Analysis
from depthprune.base.files import together
from depthprune.base.language import filled, t
from depthprune.report.documents import (
    SCORES,
    recommendations_value,
    select_command,
    write_documents,
)
from depthprune.report.documents.pictures import Pictures, write_pictures
from depthprune.report.inputs import problem_lines, scope_line
from depthprune.report.render.text import section_parts
from depthprune.report.sections.damage import damages_value, recommended_warning
from depthprune.report.sections.recommendations import notes, short

FOLDER = "analysis"
"""Where the documents go, inside what is analysed."""


EXTRA = "report"
"""The extra that brings what figures and page need."""


@dataclass(frozen=True)
class WrittenAnalysis:
    """What was written, and what is said about it.

    Attributes:
        answer: the short answer, tables and sentences.
        places: where the files lie, and what could not be written.
        value: both for scripts.
    """

    answer: list[RenderableType]
    places: list[RenderableType]
    value: dict[str, Any]


def write_analysis(
    analysis: Analysis,
    folder: Path,
    *,
    formats: Sequence[Literal["png", "svg", "pdf"]],
    skip: Collection[Literal["figures", "html", "latex"]],
) -> WrittenAnalysis:
    """Write documents, figures, page and tables of an analysis, as far as packages are there.

    Raises:
        FileError: the folder cannot be written.
    """
    with together():
        files = write_documents(analysis, folder)
        pictures = write_pictures(analysis, folder, formats=formats, skip=skip)
    files += [*pictures.files, *pictures.figures]
    value = recommendations_value(analysis)
    if damaged := damages_value(analysis):
        value |= {"damaged_answers": damaged}
    value |= {"output": str(folder), "files": list(map(str, files))}
    value |= {"not_written": {kind: f"needs {name}" for kind, name in pictures.missing.items()}}
    places = _places(analysis, folder, files, pictures)
    return WrittenAnalysis(_answer(analysis), places, value)


def _answer(analysis: Analysis) -> list[RenderableType]:
    found = analysis.recommendations
    parts: list[RenderableType] = [
        scope_line(analysis),
        *problem_lines(analysis.results),
        *notes(found),
        *recommended_warning(analysis),
    ]
    for one in short(found):
        parts += section_parts(one, is_part=True)
    return [*parts, ""]


def _places(
    analysis: Analysis, folder: Path, files: list[Path], pictures: Pictures
) -> list[RenderableType]:
    lines: list[RenderableType] = [t("Files: {folder} ({n})", folder=folder, n=len(files))]
    lines += [f"  {path.name}" for path in files if path not in pictures.figures]
    if pictures.figures:
        kinds = sorted({path.suffix.removeprefix(".") for path in pictures.figures})
        figures = t("{n} {n:figure|figures} ({kinds})")
        lines.append("  " + filled(figures, n=len(pictures.figures), kinds=", ".join(kinds)))
    for kind, package in pictures.missing.items():
        note = t("Not written: {kind}. It needs {package}: pip install 'depthprune[{extra}]'")
        lines.append(filled(note, kind=kind, package=package, extra=EXTRA))
    if analysis.recommendations.stepwise.steps:
        lines += ["", t("Next:"), f"  {select_command(analysis, str(folder / SCORES))}"]
    return lines
