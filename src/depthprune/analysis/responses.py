"""How blocks, thirds of the stack, task types and datasets respond to removals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.drop_table import (
    Distribution,
    DropTable,
    distribution,
    distributions_by_number,
    measured_distribution,
    rounded_array,
    row_statistics,
)
from depthprune.analysis.result_set import order_agreement
from depthprune.base.removal import Removal, rounded

PartName = Literal["early", "middle", "late"]


@dataclass(frozen=True)
class BlockDrop:
    """What removing one block alone costs, over some datasets.

    Attributes:
        std: population standard deviation over the datasets that measured it.
        coverage: how many of them measured it.
    """

    block: int
    mean: float
    std: float
    coverage: int


@dataclass(frozen=True)
class Position:
    """Single-block drops of one part of the stack.

    Attributes:
        name: `early`, `middle` or `late`: thirds of the stack (for 16 blocks 0-4, 5-10, 11-15).
        blocks: that belong to it, measured or not.
        drops: of the mean single drops of these blocks; None where none was measured.
        cells: of the single drops of these blocks on every dataset; None likewise.
    """

    name: PartName
    blocks: tuple[int, ...]
    drops: Distribution | None
    cells: Distribution | None = None


@dataclass(frozen=True)
class PositionByNumber:
    """Mean drops of the combinations of one size whose blocks lie in one part of the stack.

    Attributes:
        name: the part that all blocks of the combination lie in; `mixed` where they do not.
        number: of blocks removed.
        drops: of the mean drops of these combinations.
    """

    name: PartName | Literal["mixed"]
    number: int
    drops: Distribution


def stack_parts(num_blocks: int) -> dict[PartName, tuple[int, ...]]:
    """Return the blocks of the early, middle and late third of a stack.

    Early and late hold `num_blocks // 3` blocks each, middle the rest: of 16 blocks 0-4, 5-10 and
    11-15. With fewer than three blocks all are in the middle.
    """
    third = num_blocks // 3
    return {
        "early": tuple(range(third)),
        "middle": tuple(range(third, num_blocks - third)),
        "late": tuple(range(num_blocks - third, num_blocks)),
    }


def block_drops(single_drops: NDArray[np.float64]) -> tuple[BlockDrop, ...]:
    """Return what each block alone costs, in the order of the stack; unmeasured ones are left out.

    Args:
        single_drops: fractions, shape (num_blocks, D), see `DropTable.single_drops`.
    """
    statistics = zip(*(array.tolist() for array in row_statistics(single_drops)), strict=True)
    return tuple(
        BlockDrop(block, mean, std, coverage)
        for block, (mean, std, coverage) in enumerate(statistics)
        if coverage
    )


def positions(table: DropTable) -> tuple[Position, ...]:
    """Return the single-block drops of the early, middle and late third of the stack."""
    singles = table.single_drops
    means, _, _ = row_statistics(singles)
    return tuple(
        Position(
            name=name,
            blocks=blocks,
            drops=measured_distribution(means[list(blocks)]),
            cells=measured_distribution(singles[list(blocks)]),
        )
        for name, blocks in stack_parts(table.num_blocks).items()
    )


def positions_by_number(table: DropTable) -> tuple[PositionByNumber, ...]:
    """Return the mean drops of combinations by number removed and the part they lie in."""
    means, _, _ = row_statistics(table.drops)
    parts = stack_parts(table.num_blocks)
    members = table.membership
    inside: dict[PartName | Literal["mixed"], NDArray[np.bool_]] = {
        name: members[:, list(blocks)].sum(axis=1) == table.sizes for name, blocks in parts.items()
    }
    inside["mixed"] = ~np.any(list(inside.values()), axis=0)
    found = [
        PositionByNumber(name, number, distribution(means[rows][where[rows]]))
        for number, rows in table.rows_by_number.items()
        for name, where in inside.items()
    ]
    return tuple(one for one in found if one.drops.count)


@dataclass(frozen=True)
class TaskTypeFinding:
    """How the datasets of one task type respond.

    Attributes:
        task_type: `Unknown` where results do not tell.
        datasets: of this type.
        drops: all measured cells of these datasets.
        single_drops: the cells of single blocks only: comparable between task types, because every
            dataset measured (nearly) the same removals.
        best: by number removed, the removal with the smallest mean drop over these datasets, with
            that drop and its coverage among them. Only removals with the largest coverage that
            any removal of that number has among these datasets are compared, so that one that
            was measured on the easiest dataset alone cannot win.
        blocks: the same single-block drops with std and coverage, in the order of the stack.
        by_number: of the cells of these datasets, by number removed.
    """

    task_type: str
    datasets: tuple[str, ...]
    drops: Distribution
    single_drops: Distribution | None
    best: Mapping[int, tuple[Removal, float, int]]
    blocks: tuple[BlockDrop, ...] = ()
    by_number: Mapping[int, Distribution] = field(default_factory=dict)

    @property
    def block_ranking(self) -> tuple[tuple[int, float], ...]:
        """Blocks with their mean drop over these datasets, least important first."""
        ordered = sorted(self.blocks, key=lambda one: (rounded(one.mean), one.block))
        return tuple((one.block, one.mean) for one in ordered)


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
    found = [_of_type(name, table, those) for name, those in columns.items()]
    return tuple(
        sorted(
            (one for one in found if one.drops.count),
            key=lambda one: (-rounded((one.single_drops or one.drops).mean), one.task_type),
        )
    )


def best_by_number(
    table: DropTable, columns: Sequence[int]
) -> dict[int, tuple[Removal, float, int]]:
    """Return, by number removed, the removal that ranks first, with mean drop and coverage.

    Only removals with the largest coverage that any removal of that number reaches are compared: a
    mean over the easiest dataset alone cannot beat one over all. Improvements count as what they
    are; equal drops are ordered by block indices.

    Args:
        table: of the drops.
        columns: the datasets, by their index.
    """
    means, _, coverage = row_statistics(table.drops[:, columns])
    ranks, _, _ = row_statistics(table.ranks[:, columns])
    best: dict[int, tuple[Removal, float, int]] = {}
    for number, rows in table.rows_by_number.items():
        largest = int(coverage[rows].max())
        if largest:
            comparable = coverage[rows] == largest
            ranked = np.where(comparable, rounded_array(ranks[rows]), np.inf)
            row = rows.start + int(np.argmin(ranked))
            best[number] = table.removals[row], float(means[row]), largest
    return best


def _of_type(name: str, table: DropTable, columns: Sequence[int]) -> TaskTypeFinding:
    singles = table.single_drops[:, columns]
    return TaskTypeFinding(
        task_type=name,
        datasets=tuple(table.datasets[column] for column in columns),
        drops=distribution(table.drops[:, columns]),
        single_drops=measured_distribution(singles),
        best=best_by_number(table, columns),
        blocks=block_drops(singles),
        by_number=distributions_by_number(table, columns),
    )


@dataclass(frozen=True)
class DatasetResponse:
    """How one dataset responds to removals.

    Attributes:
        sensitivity: mean single-block drop; None where no single block was measured.
        drops: all cells of this dataset.
        best: by number removed, the best removal measured on it, with its drop.
        specific_scores: its own single-block drops, by block.
        generic_agreement: Spearman's rho between its single-block drops and the mean of those of
            the other datasets; None where that is undefined.
        generic_scores: the mean single-block drop of the other datasets, by block; the blocks
            that both it and another dataset measured.
        by_number: of its cells, by number removed.
    """

    dataset: str
    task_type: str
    baseline: float
    sensitivity: float | None
    drops: Distribution
    best: Mapping[int, tuple[Removal, float]]
    specific_scores: Mapping[int, float]
    generic_agreement: float | None
    generic_scores: Mapping[int, float] = field(default_factory=dict)
    by_number: Mapping[int, Distribution] = field(default_factory=dict)


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
                -rounded(one.sensitivity or 0.0),
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
