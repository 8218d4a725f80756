"""Drops in numbers: what was measured, summed up; a cell that was not measured never counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depthprune.analysis.findings import Distribution
from depthprune.analysis.table import DropTable
from depthprune.base.removal import DECIMALS


def distribution(values: ArrayLike) -> Distribution:
    """Return values of any shape in numbers; NaN entries were not measured and are left out."""
    given = np.asarray(values, dtype=np.float64).ravel()
    # Sorted before anything is summed: the order of datasets then changes no last digit.
    known = np.sort(given[~np.isnan(given)])
    if not len(known):
        nothing = float("nan")
        return Distribution(0, nothing, nothing, nothing, nothing, nothing, known)
    middle = len(known) // 2
    return Distribution(
        count=len(known),
        mean=float(known.mean()),
        std=float(known.std()),
        minimum=float(known[0]),
        median=float(known[middle] if len(known) % 2 else known[middle - 1 : middle + 1].mean()),
        maximum=float(known[-1]),
        values=known,
    )


def measured_distribution(values: ArrayLike) -> Distribution | None:
    """Return `distribution(values)`, or None where every entry is NaN."""
    found = distribution(values)
    return found if found.count else None


def distributions_by_number(
    table: DropTable, columns: Sequence[int] | None = None
) -> dict[int, Distribution]:
    """Return the drops of all cells by number of removed blocks, ascending.

    Args:
        table: of the drops.
        columns: the datasets, by their index; None is all.
    """
    drops = table.drops if columns is None else table.drops[:, columns]
    found = {number: distribution(drops[rows]) for number, rows in table.rows_by_number.items()}
    return {number: drops for number, drops in found.items() if drops.count}


def share_at_most(drops: Distribution, limit: float) -> float:
    """Return the share of the drops that are at most `limit`; of none it is NaN."""
    if not drops.count:
        return float("nan")
    below = np.searchsorted(settled_array(drops.values), limit, side="right")
    return float(below) / drops.count


def row_statistics(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return mean, population standard deviation and count of each row, without its NaN entries.

    Args:
        values: shape (R, D).

    Returns:
        Three arrays of shape (R,); mean and standard deviation are NaN where the count is 0.
    """
    measured = ~np.isnan(values)
    count = np.asarray(measured.sum(axis=1), dtype=np.int64)
    # A row without entries is divided by 1 here and becomes NaN below: no warning, no zero.
    divisor = np.maximum(count, 1)
    mean = np.where(measured, values, 0.0).sum(axis=1) / divisor
    deviations = np.where(measured, values - mean[:, None], 0.0)
    std = np.sqrt(np.square(deviations).sum(axis=1) / divisor)
    mean[count == 0] = np.nan
    std[count == 0] = np.nan
    return mean, std, count


def settled_array(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return drops without rounding noise, as `base.drops.settled` does for one; NaN stays."""
    return np.round(values, DECIMALS) + 0.0
