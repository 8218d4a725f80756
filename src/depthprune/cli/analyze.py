"""`depthprune analyze` and `recommend`: from what was measured to findings and recommendations.

What needs numpy is imported when it is run: the help is there at once.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from depthprune.analysis.options import Ranking, Targets
from depthprune.base.files import check_can_make, write_json
from depthprune.base.language import set_language, t
from depthprune.base.terminal import terminal
from depthprune.cli.flags import AsJson, Language, with_flags
from depthprune.cli.output import show, show_json, show_wrapped
from depthprune.engine.options import Workers

if TYPE_CHECKING:
    from depthprune.strategies.how import StudyPlaces


@with_flags
def analyze(
    path: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "--output-dir"))] = None,
    ranking: Ranking = Ranking(),
    targets: Targets = Targets(),
    formats: tuple[Literal["png", "svg", "pdf"], ...] = ("png",),
    skip: tuple[Literal["figures", "html", "latex"], ...] = (),
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Write recommendations, reports, figures and an interactive page from measured results.

    Reads a study or a folder of documented result files, prints the short answer, and writes
    quick_summary.md, text reports, JSON files for other commands, the figures, report.html and
    tables for LaTeX. It measures nothing and does not change the input.

    For example:

        depthprune analyze depthprune-model
        depthprune analyze exp3_beam_search_multi_dataset --output analysis
        depthprune analyze depthprune-model --max-drop 0.05 --lang zh
        depthprune analyze depthprune-model --formats png svg --skip html

    Parameters
    ----------
    path
        Study folder, or folder of documented result files.
    output
        Output folder (default: `analysis` inside the analyzed folder).
    formats
        Formats of the figures.
    skip
        Outputs to skip.

    """
    from depthprune.analysis.collect import read_result_set
    from depthprune.analysis.findings import analyze_results
    from depthprune.workflow.decisions import FOLDER, write_analysis

    set_language(lang)
    # Figures are hundreds of thousands of small objects that stay: searching them for garbage
    # as often as usual costs a tenth of the time.
    gc.set_threshold(50_000)
    folder = output or (path.parent if path.is_file() else path) / FOLDER
    results = read_result_set(path, ranking.split, objective=ranking.objective)
    check_can_make(folder)  # before the work, not after it
    written = write_analysis(
        analyze_results(results, ranking, targets), folder, formats=formats, skip=skip
    )
    if json:
        show_json(written.value)
        return
    show_wrapped(written.answer)
    show(written.places)


@with_flags
def recommend(
    path: Path,
    /,
    *,
    ranking: Ranking = Ranking(),
    targets: Targets = Targets(),
    verify: bool | int = False,
    model: str | None = None,
    data_dir: Path | None = None,
    trust_remote_code: bool = False,
    output_file: Path | None = None,
    json: AsJson = False,
    lang: Language = "en",
    workers: Workers = Workers(),
) -> None:
    """Recommend which blocks to remove, each recommendation with its rule and its evidence.

    Shows the best removals of each size, a path that removes one block after another, removals that
    are robust over datasets, conservative, balanced and aggressive strategies, and the blocks that
    must stay. Nothing is measured without --verify. A removal that was chosen for its low drop
    looks better on the samples it was chosen on than on others: --verify measures it on fresh
    samples.

    For example:

        depthprune recommend depthprune-model
        depthprune recommend exp3_beam_search_multi_dataset --max-drop 0.05
        depthprune recommend depthprune-model --speedup 1.2 --min-coverage 4
        depthprune recommend depthprune-model --json --output_file recommendations.json
        depthprune recommend depthprune-model --verify

    Parameters
    ----------
    path
        Study folder, or folder of documented result files.
    verify
        Verify the recommended removals on samples that the search did not use: as many of each
        dataset as were searched, or the given number (50 or more). The results are kept in the
        study.
    model
        Current location of the study's model for --verify, if it was moved.
    data_dir
        Current folder of the study's data for --verify, if they were moved.
    trust_remote_code
        Run code of the study's model and tasks for --verify. Only for code you trust.
    output_file
        JSON file for the recommendations, in the layout of pruning_recommendations.json.

    """
    from depthprune.analysis.collect import read_result_set
    from depthprune.analysis.findings import analyze_results
    from depthprune.importance.score_files import check_output
    from depthprune.report.documents.values import recommendations_value
    from depthprune.report.sections.recommendations import recommendations
    from depthprune.workflow.decisions import answer_parts

    set_language(lang)
    if output_file is not None:
        check_output(output_file)
    if verify is not False:
        from depthprune.strategies.how import StudyPlaces

        places = StudyPlaces(model, data_dir, trust_remote_code, workers)
        _verify(path, places, verify, ranking, targets)
    analysis = analyze_results(
        read_result_set(path, ranking.split, objective=ranking.objective), ranking, targets
    )
    value = recommendations_value(analysis)
    if output_file is not None:
        write_json(output_file, value)
    if json:
        show_json(value)
        return
    show_wrapped(answer_parts(analysis, recommendations(analysis.recommendations)))
    if output_file is not None:
        show([t("Recommendations: {path}").format(path=output_file)])


def _verify(
    path: Path, places: StudyPlaces, verify: bool | int, ranking: Ranking, targets: Targets
) -> None:
    """Measure on fresh samples what is recommended; say before what it will take."""
    from depthprune.cli.run import tell_work
    from depthprune.report.sections.run import done_lines
    from depthprune.study.store import DATABASE_NAME
    from depthprune.workflow.verifying import VerificationOptions, fresh_number, verify_again

    what = VerificationOptions(
        ranking, targets, num_samples=fresh_number(verify), announce=tell_work
    )
    folder = path.parent if path.name == DATABASE_NAME else path
    report = verify_again(folder, places, what)
    for line in done_lines(report):
        terminal(stderr=True).print(line, highlight=False, markup=False)
