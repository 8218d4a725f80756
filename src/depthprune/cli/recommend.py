"""`depthprune recommend`: which blocks to remove, by what was measured.

What needs numpy is imported when it is run: its help is there at once.
"""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from depthprune.analysis.options import Ranking, Targets
from depthprune.base.language import set_language, t
from depthprune.base.terminal import terminal
from depthprune.cli.flags import with_flags
from depthprune.cli.output import AsJson, Language, show_wrapped

if TYPE_CHECKING:
    from rich.console import RenderableType


@with_flags
def recommend(
    path: Path,
    /,
    *,
    ranking: Ranking = Ranking(),
    targets: Targets = Targets(),
    verify: Annotated[bool | int, Parameter(negative=())] = False,
    model: str | None = None,
    data_dir: Path | None = None,
    trust_remote_code: Annotated[bool, Parameter(negative=())] = False,
    output_file: Path | None = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Say which blocks to remove, by what was measured: every rule, each with its evidence.

    Shows the best removals of each number of blocks, a path that removes one block after the other,
    what is robust over datasets, conservative, balanced and aggressive strategies, and the blocks
    that must stay. Nothing is measured, unless it is to be verified: a removal that was chosen for
    its drop looks better on the samples that chose it than on others.

    For example:

        depthprune recommend depthprune-model
        depthprune recommend exp3_beam_search_multi_dataset --max-drop 0.05
        depthprune recommend depthprune-model --speedup 1.2 --min-coverage 4
        depthprune recommend depthprune-model --json --output_file recommendations.json
        depthprune recommend depthprune-model --verify

    Parameters
    ----------
    path
        Folder of a study, or a folder of documented result files.
    verify
        Measure what is recommended again, on samples that were not searched: as many of each
        dataset, or so many (50 or more). They are kept in the study.
    model
        Of the study, for --verify: where it lies now, if it was moved.
    data_dir
        Of the study, for --verify: where its data lie now, if they were moved.
    trust_remote_code
        Run code that the study names, for --verify: of its model, of its tasks. Only if you trust
        it.
    output_file
        Keep the recommendations as JSON, as `analyze` writes pruning_recommendations.json.

    """
    from depthprune.analysis.collect import read_result_set
    from depthprune.analysis.findings import analyse
    from depthprune.base.files import write_json
    from depthprune.cli.scores import show
    from depthprune.importance.score_files import check_output
    from depthprune.report.documents import recommendations_value
    from depthprune.report.render.text import section_parts
    from depthprune.report.sections.answers import recommended_warning
    from depthprune.report.sections.inputs import problem_lines, scope_line
    from depthprune.report.sections.recommendations import notes, recommendations

    set_language(lang)
    if output_file is not None:
        check_output(output_file)
    if verify is not False:
        _verify(path, (model, data_dir, trust_remote_code), verify, ranking, targets)
    analysis = analyse(read_result_set(path, ranking.split), ranking, targets)
    value = recommendations_value(analysis)
    if output_file is not None:
        write_json(output_file, value)
    if json:
        print(json_module.dumps(value, indent=1))
        return
    parts: list[RenderableType] = [
        scope_line(analysis),
        *problem_lines(analysis.results),
        *notes(analysis.recommendations),
        *recommended_warning(analysis),
    ]
    for one in recommendations(analysis.recommendations):
        parts += section_parts(one, is_part=True)
    show_wrapped(parts)
    if output_file is not None:
        show([t("Recommendations: {path}").format(path=output_file)])


def _verify(
    path: Path,
    places: tuple[str | None, Path | None, bool],
    verify: bool | int,
    ranking: Ranking,
    targets: Targets,
) -> None:
    """Measure on fresh samples what is recommended; say before what it will take."""
    from depthprune.cli.run import tell_work
    from depthprune.report.sections.run import done_lines
    from depthprune.strategies.how import Places
    from depthprune.study.store import DATABASE_NAME
    from depthprune.workflow.verifying import Verification, fresh_number, verify_again

    what = Verification(ranking, targets, num_samples=fresh_number(verify), announce=tell_work)
    report = verify_again(
        path.parent if path.name == DATABASE_NAME else path, Places(*places), what
    )
    for line in done_lines(report):
        terminal(stderr=True).print(line, highlight=False, markup=False)
