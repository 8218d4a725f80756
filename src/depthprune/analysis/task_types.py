"""How task types differ: their drops, the order of the blocks and the best removals of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from depthprune.analysis.distributions import (
    distribution,
    distributions_by_number,
    measured_distribution,
    row_statistics,
    settled_array,
)
from depthprune.analysis.findings import BlockDrop, TaskTypeFinding
from depthprune.analysis.positions import block_drops
from depthprune.analysis.table import DropTable
from depthprune.base.removal import Removal, settled

UNKNOWN = "Unknown"
"""The name of the task type that results do not tell."""


def task_type_findings(table: DropTable) -> tuple[TaskTypeFinding, ...]:
    """Return how each task type responds, the most sensitive first.

    Task types are ordered by their mean single-block drop, or by their mean drop where no single
    block was measured; equal ones by name. A task type without any measured cell is left out.
    """
    columns: dict[str, list[int]] = {}
    for column, task_type in enumerate(table.task_types):
        columns.setdefault(task_type or UNKNOWN, []).append(column)
    found = [_finding(name, table, those) for name, those in columns.items()]
    return tuple(
        sorted(
            (one for one in found if one.drops.count),
            key=lambda one: (-settled((one.single_drops or one.drops).mean), one.task_type),
        )
    )


def best_by_number(
    table: DropTable, columns: Sequence[int]
) -> dict[int, tuple[Removal, float, int]]:
    """Return, by number removed, the removal with the smallest mean drop, with drop and coverage.

    Only removals with the largest coverage that any removal of that number reaches are compared: a
    mean over the easiest dataset alone cannot beat one over all. Improvements count as what they
    are; equal drops are ordered by block indices.

    Args:
        table: of the drops.
        columns: the datasets, by their index.
    """
    means, _, coverage = row_statistics(table.drops[:, columns])
    best: dict[int, tuple[Removal, float, int]] = {}
    for number, rows in table.rows_by_number.items():
        largest = int(coverage[rows].max())
        if largest:
            comparable = coverage[rows] == largest
            ranked = np.where(comparable, settled_array(means[rows]), np.inf)
            row = rows.start + int(np.argmin(ranked))
            best[number] = table.removals[row], float(means[row]), largest
    return best


def _finding(name: str, table: DropTable, columns: Sequence[int]) -> TaskTypeFinding:
    singles = table.single_drops[:, columns]
    blocks = block_drops(singles)
    return TaskTypeFinding(
        task_type=name,
        datasets=tuple(table.datasets[column] for column in columns),
        drops=distribution(table.drops[:, columns]),
        single_drops=measured_distribution(singles),
        block_ranking=_ranking(blocks),
        best=best_by_number(table, columns),
        blocks=blocks,
        by_number=distributions_by_number(table, columns),
    )


def _ranking(blocks: tuple[BlockDrop, ...]) -> tuple[tuple[int, float], ...]:
    ordered = sorted(blocks, key=lambda one: (settled(one.mean), one.block))
    return tuple((one.block, one.mean) for one in ordered)
