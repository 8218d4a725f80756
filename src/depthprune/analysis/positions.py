"""Where in the stack blocks can go: single blocks and combinations by thirds of the stack."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.distributions import (
    distribution,
    measured_distribution,
    row_statistics,
)
from depthprune.analysis.findings import BlockDrop, PartName, Position, PositionByNumber
from depthprune.analysis.table import DropTable


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
