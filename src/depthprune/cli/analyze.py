"""`depthprune analyze`: from what was measured to documents, figures and a page."""

from __future__ import annotations

import gc
import json as json_module
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.findings import analyse
from depthprune.analysis.options import Ranking, Targets
from depthprune.base.files import check_can_make
from depthprune.base.language import set_language
from depthprune.cli.flags import with_flags
from depthprune.cli.options import Language
from depthprune.cli.output import show_wrapped
from depthprune.cli.scores import AsJson, show
from depthprune.workflow.decisions import FOLDER, write_analysis


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


def output_folder(given: Path | None, path: Path) -> Path:
    """Return where the documents go: as asked, or `analysis` in what is analysed or beside it."""
    if given is not None:
        return given
    return (path.parent if path.is_file() else path) / FOLDER
