"""From results to everything that is said about them."""

from __future__ import annotations

from depthprune.analysis.find import find
from depthprune.analysis.options import Ranking, Targets
from depthprune.analysis.recommend import recommend
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.table import drop_table
from depthprune.analysis.whole import Analysis


def analyse(
    results: ResultSet,
    ranking: Ranking = Ranking(),
    targets: Targets = Targets(),
    *,
    top: int = 5,
    seed: int = 0,
) -> Analysis:
    """Return what results show and which blocks they let go.

    Args:
        results: of one model.
        ranking, targets, top, seed: see `recommend`.

    Raises:
        AnalysisError: nothing was measured.
    """
    table = drop_table(results.datasets, results.num_blocks)
    found = recommend(results, ranking, targets, top=top, seed=seed, table=table)
    return Analysis(results, table, find(results, table=table), found)
