"""From results to everything that is said about them."""

from __future__ import annotations

from depthprune.analysis.find import find
from depthprune.analysis.recommend import recommend
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.table import drop_table
from depthprune.analysis.whole import Analysis


def analyse(
    results: ResultSet,
    *,
    min_coverage: int = 2,
    min_drop: float | None = None,
    robust_coverage: int = 3,
    max_drop: float | None = None,
    speedup: float | None = None,
    params: float | None = None,
    top: int = 5,
    seed: int = 0,
) -> Analysis:
    """Return what results show and which blocks they let go.

    Args:
        results: of one model.
        min_coverage, min_drop, robust_coverage, max_drop, speedup, params, top, seed: see
            `recommend`.

    Raises:
        AnalysisError: nothing was measured, or an option makes no sense.
    """
    table = drop_table(results.datasets, results.num_blocks)
    recommendations = recommend(
        results,
        min_coverage=min_coverage,
        min_drop=min_drop,
        robust_coverage=robust_coverage,
        max_drop=max_drop,
        speedup=speedup,
        params=params,
        top=top,
        seed=seed,
        table=table,
    )
    return Analysis(results, table, find(results, table=table), recommendations)
