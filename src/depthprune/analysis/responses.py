"""How each dataset responds to removals, and whether its own block scores differ from the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.agreement import order_agreement
from depthprune.analysis.distributions import (
    distribution,
    distributions_by_number,
    measured_distribution,
    row_statistics,
)
from depthprune.analysis.findings import DatasetResponse
from depthprune.analysis.table import DropTable
from depthprune.analysis.task_types import best_by_number
from depthprune.base.removal import settled


def dataset_responses(table: DropTable) -> tuple[DatasetResponse, ...]:
    """Return how each dataset responds, the most sensitive first.

    Datasets are ordered by their mean single-block drop, equal ones by name; those without a
    measured single block come last. A dataset without any measured cell is left out.
    """
    singles = table.single_drops
    found = [_response(table, singles, column) for column in range(len(table.datasets))]
    return tuple(
        sorted(
            (one for one in found if one.drops.count),
            key=lambda one: (
                one.sensitivity is None,
                -settled(one.sensitivity or 0.0),
                one.dataset,
            ),
        )
    )


def _response(table: DropTable, singles: NDArray[np.float64], column: int) -> DatasetResponse:
    sensitivity = measured_distribution(singles[:, column])
    specific = _scores(singles[:, column])
    others, _, _ = row_statistics(np.delete(singles, column, axis=1))
    generic = {block: drop for block, drop in _scores(others).items() if block in specific}
    return DatasetResponse(
        dataset=table.datasets[column],
        task_type=table.task_types[column],
        baseline=float(table.baselines[column]),
        sensitivity=sensitivity.mean if sensitivity else None,
        drops=distribution(table.drops[:, column]),
        best={number: best[:2] for number, best in best_by_number(table, [column]).items()},
        specific_scores=specific,
        generic_agreement=order_agreement(specific, generic).rho,
        generic_scores=generic,
        by_number=distributions_by_number(table, [column]),
    )


def _scores(drops: NDArray[np.float64]) -> dict[int, float]:
    return {int(block): float(drops[block]) for block in np.flatnonzero(~np.isnan(drops))}
