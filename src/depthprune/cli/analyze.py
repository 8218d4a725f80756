"""`depthprune analyze`: from what was measured to documents, figures and a page."""

from __future__ import annotations

import gc
import json as json_module
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import RenderableType

from depthprune.analysis.analyse import analyse
from depthprune.analysis.collect import read_result_set
from depthprune.analysis.options import Ranking, Targets
from depthprune.analysis.whole import Analysis
from depthprune.base.files import check_can_make, together
from depthprune.base.language import set_language, t
from depthprune.cli.flags import with_flags
from depthprune.cli.options import Language
from depthprune.cli.recommend import is_wide, show_wrapped
from depthprune.cli.scores import AsJson, show
from depthprune.report.documents import (
    SCORES,
    recommendations_value,
    select_command,
    write_documents,
)
from depthprune.report.documents.pictures import Pictures, write_pictures
from depthprune.report.inputs import problem_lines, scope_line
from depthprune.report.recommendations import (
    essential_parts,
    notes,
    stepwise_parts,
    target_lines,
)
from depthprune.report.strategies import recommended_lines, strategy_lines

FOLDER = "analysis"
"""Where the documents go, inside what is analysed."""

EXTRA = "report"
"""The extra that brings what figures and page need."""


@with_flags
def analyze(
    path: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "--output-dir"))] = None,
    ranking: Ranking = Ranking(),
    targets: Targets = Targets(),
    formats: tuple[Literal["png", "svg", "pdf"], ...] = ("png",),
    skip: Annotated[
        tuple[Literal["figures", "html", "latex"], ...], Parameter(show_default=False)
    ] = (),
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Turn what was measured into findings: recommendations, reports, figures and a page.

    Reads a study or a folder of documented result files, prints the short answer, and writes
    quick_summary.md, text reports, JSON files for other commands, the figures, report.html and
    tables for LaTeX. Nothing is measured; the input is not changed.

    For example:

        depthprune analyze depthprune-model
        depthprune analyze exp3_beam_search_multi_dataset --output analysis
        depthprune analyze depthprune-model --max-drop 0.05 --lang zh
        depthprune analyze depthprune-model --formats png svg --skip html

    Parameters
    ----------
    path
        Folder of a study, or a folder of documented result files.
    output
        Gets the documents; the folder `analysis` in what is analysed when not given.
    formats
        Of the figures.
    skip
        What is not wanted.

    """
    # Figures are hundreds of thousands of small objects that stay: searching them for garbage
    # as often as usual costs a tenth of the time.
    set_language(lang)
    gc.set_threshold(50_000)
    folder = output_folder(output, path)
    results = read_result_set(path, ranking.split)
    check_can_make(folder)  # before the work, not after it
    written = write_analysis(analyse(results, ranking, targets), folder, formats=formats, skip=skip)
    if json:
        print(json_module.dumps(written.value, indent=1))
        return
    show_wrapped(written.answer)
    show(written.places)


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
    value |= {"output": str(folder), "files": list(map(str, files))}
    value |= {"not_written": {kind: f"needs {name}" for kind, name in pictures.missing.items()}}
    places = _places(analysis, folder, files, pictures)
    return WrittenAnalysis(_answer(analysis), places, value)


def output_folder(given: Path | None, path: Path) -> Path:
    """Return where the documents go: as asked, or `analysis` in what is analysed or beside it."""
    if given is not None:
        return given
    return (path.parent if path.is_file() else path) / FOLDER


def _answer(analysis: Analysis) -> list[RenderableType]:
    found = analysis.recommendations
    parts: list[RenderableType] = [
        scope_line(analysis),
        *problem_lines(analysis.results),
        *notes(found),
    ]
    if found.is_weak:
        return [*parts, ""]
    if found.targets:
        parts += ["", t("Targets"), *target_lines(found)]
    parts += ["", t("Recommended strategies"), *strategy_lines(found)]
    parts += recommended_lines(found)
    parts += ["", t("Stepwise: each step removes one more block than the step before")]
    parts += stepwise_parts(found, wide=is_wide())
    parts += ["", t("Blocks that must never go"), *essential_parts(found), ""]
    return parts


def _places(
    analysis: Analysis, folder: Path, files: list[Path], pictures: Pictures
) -> list[RenderableType]:
    lines: list[RenderableType] = [t("Files: {folder} ({n})").format(folder=folder, n=len(files))]
    lines += [f"  {path.name}" for path in files if path not in pictures.figures]
    if pictures.figures:
        kinds = sorted({path.suffix.removeprefix(".") for path in pictures.figures})
        figures = t("{n} figures ({kinds})")
        lines.append("  " + figures.format(n=len(pictures.figures), kinds=", ".join(kinds)))
    for kind, package in pictures.missing.items():
        note = t("Not written: {kind}. It needs {package}: pip install 'depthprune[{extra}]'")
        lines.append(note.format(kind=kind, package=package, extra=EXTRA))
    if analysis.recommendations.stepwise.steps:
        lines += ["", t("Next:"), f"  {select_command(analysis, str(folder / SCORES))}"]
    return lines
