"""Consistency: do the datasets agree about a combination?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from depthprune.analysis.distributions import distribution, row_statistics, settled_array
from depthprune.analysis.essential import costs_too_much
from depthprune.analysis.findings import Consistency, Distribution
from depthprune.analysis.table import DropTable


def consistencies(table: DropTable) -> tuple[Consistency, ...]:
    """Return how alike the drops of each combination are, the most consistent first.

    The coefficient of variation is the population standard deviation over the datasets divided by
    the absolute mean drop. Combinations of one dataset are left out, those with a mean drop of 0
    come last; equal ones are ordered by number of blocks and block indices.
    """
    means, stds, coverage = row_statistics(table.drops)
    # Away from 0 only: a mean that is rounding noise would make any std look enormous.
    defined = settled_array(means) != 0
    variation = np.full(len(means), np.nan)
    np.divide(stds, np.abs(means), out=variation, where=defined)
    order = np.argsort(settled_array(variation), kind="stable")
    order = order[coverage[order] >= 2]
    # A baseline that is unknown counts as 1, the most it can be, as `find_essential` has it.
    known = np.where(np.isnan(table.baselines), 1.0, table.baselines)
    baselines, _, _ = row_statistics(np.where(np.isnan(table.drops), np.nan, known))
    columns = (means, stds, coverage, variation, baselines)
    statistics = zip(*(array[order].tolist() for array in columns), strict=True)
    return tuple(
        Consistency(
            table.removals[row],
            mean,
            std,
            count,
            None if np.isnan(ratio) else ratio,
            costs_too_much(mean, baseline),
        )
        for row, (mean, std, count, ratio, baseline) in zip(order.tolist(), statistics, strict=True)
    )


def variation_by_coverage(found: Sequence[Consistency]) -> dict[int, Distribution]:
    """Return the coefficients of variation in numbers, by coverage, ascending."""
    by_coverage: dict[int, list[float]] = {}
    for one in found:
        if one.variation is not None:
            by_coverage.setdefault(one.coverage, []).append(one.variation)
    return {coverage: distribution(by_coverage[coverage]) for coverage in sorted(by_coverage)}
