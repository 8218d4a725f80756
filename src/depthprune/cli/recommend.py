"""`depthprune recommend`: which blocks to remove, by what was measured.

What needs numpy is imported when it is run: its help is there at once.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from depthprune.base.language import set_language, t
from depthprune.base.terminal import terminal
from depthprune.cli.output import AsJson, Language

if TYPE_CHECKING:
    from rich.console import RenderableType

    from depthprune.analysis.result_set import ResultSet
    from depthprune.analysis.whole import Analysis

_RANKED = Group.create_ordered("What is ranked")
_TARGETS = Group.create_ordered("Targets instead of a number of blocks")

WIDE = 90
"""Columns that tables with accuracies beside intervals need."""

NARROWEST = 80
"""Columns that every table needs."""


@Parameter(name="*")
@dataclass(frozen=True)
class RankingFlags:
    """What is ranked, and the targets that are asked for."""

    split: Annotated[str | None, Parameter(group=_RANKED)] = None
    """The split that is analysed; the one that most datasets have when not given."""

    min_coverage: Annotated[int, Parameter(group=_RANKED)] = 2
    """The fewest datasets that a ranked combination was measured on."""

    min_drop: Annotated[float | None, Parameter(group=_RANKED)] = None
    """The smallest mean drop that is ranked, a fraction; no limit when not given."""

    robust_coverage: Annotated[int, Parameter(group=_RANKED)] = 3
    """The fewest datasets that a robust combination was measured on."""

    max_drop: Annotated[float | None, Parameter(group=_TARGETS)] = None
    """The most blocks that cost no more than this, a fraction: 0.05 for five points."""

    speedup: Annotated[float | None, Parameter(group=_TARGETS)] = None
    """The fewest blocks that make it so many times as fast, estimated: 1.2."""

    params: Annotated[float | None, Parameter(group=_TARGETS)] = None
    """The fewest blocks that leave at most this share of the parameters: 0.85."""

    def read(self, path: Path) -> ResultSet:
        """Read a study or a folder of results."""
        from depthprune.analysis.collect import read_result_set

        return read_result_set(path, self.split)

    def analyse(self, results: ResultSet) -> Analysis:
        """Return what the results show and recommend."""
        from depthprune.analysis.analyse import analyse

        return analyse(
            results,
            min_coverage=self.min_coverage,
            min_drop=self.min_drop,
            robust_coverage=self.robust_coverage,
            max_drop=self.max_drop,
            speedup=self.speedup,
            params=self.params,
        )


def recommend(
    path: Path,
    /,
    *,
    ranking: RankingFlags = RankingFlags(),
    output_file: Path | None = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Say which blocks to remove, by what was measured: every rule, each with its evidence.

    Shows the best removals of each number of blocks, a path that removes one block after the other,
    what is robust over datasets, conservative, balanced and aggressive strategies, and the blocks
    that must stay. Nothing is measured and nothing in the folder is changed.

    For example:

        depthprune recommend depthprune-model
        depthprune recommend exp3_beam_search_multi_dataset --max-drop 0.05
        depthprune recommend depthprune-model --speedup 1.2 --min-coverage 4
        depthprune recommend depthprune-model --json --output_file recommendations.json

    Parameters
    ----------
    path
        Folder of a study, or a folder of documented result files.
    output_file
        Keep the recommendations as JSON, as `analyze` writes pruning_recommendations.json.

    """
    from depthprune.base.files import write_json
    from depthprune.cli.scores import show
    from depthprune.importance.score_files import check_output
    from depthprune.report.documents import recommendations_value
    from depthprune.report.inputs import problem_lines, scope_line
    from depthprune.report.recommendations import recommendation_parts

    set_language(lang)
    if output_file is not None:
        check_output(output_file)
    analysis = ranking.analyse(ranking.read(path))
    value = recommendations_value(analysis)
    if output_file is not None:
        write_json(output_file, value)
    if json:
        print(json_module.dumps(value, indent=1))
        return
    parts: list[RenderableType] = [
        scope_line(analysis),
        *problem_lines(analysis.results),
        *recommendation_parts(analysis.recommendations, wide=is_wide()),
    ]
    show_wrapped(parts)
    if output_file is not None:
        show([t("Recommendations: {path}").format(path=output_file)])


def is_wide() -> bool:
    """Return whether the terminal has room for more than the tables need."""
    return terminal().width >= WIDE


def show_wrapped(parts: Sequence[RenderableType]) -> None:
    """Print tables and sentences; long ones are wrapped between words."""
    # In less room a table would leave out its blocks, which are the answer; a line may be folded.
    console = terminal(markup=False, width=max(NARROWEST, terminal().width))
    for part in parts:
        console.print(part, highlight=False)
