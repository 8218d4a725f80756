"""Drops as one matrix: removals by datasets, NaN where a removal was not measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.base.removal import DECIMALS, Removal
from depthprune.study.records import increases

_Number = TypeVar("_Number", np.float64, np.int64)

_ACCURACY, _STATED_DROP, _NUM_SAMPLES = map(attrgetter, ("accuracy", "stated_drop", "num_samples"))


@dataclass(frozen=True)
class DropTable:
    """What every finding is computed from; R removals, D datasets.

    A cell that was not measured is NaN in `drops` and `accuracies` and 0 in `num_samples`; it never
    counts as a drop of 0.

    Attributes:
        num_blocks: of the unpruned stack.
        removals: ordered by number of blocks and blocks; the baseline is not among them.
        datasets: names, in the order given.
        task_types: of the datasets, in their order; empty where unknown.
        baselines: accuracy of the unpruned model, float64 of shape (D,); NaN where unknown.
        drops: fractions, float64 of shape (R, D).
        accuracies: float64 of shape (R, D); NaN also where only the drop is known.
        num_samples: int64 of shape (R, D); 0 where unknown.
        losses: by how much the loss rises, on datasets that have it; elsewhere the drops; float64
            of shape (R, D). None where no dataset has it.
    """

    num_blocks: int
    removals: tuple[Removal, ...]
    datasets: tuple[str, ...]
    task_types: tuple[str, ...]
    baselines: NDArray[np.float64]
    drops: NDArray[np.float64]
    accuracies: NDArray[np.float64]
    num_samples: NDArray[np.int64]
    losses: NDArray[np.float64] | None = None

    @property
    def ranks(self) -> NDArray[np.float64]:
        """What removals are ranked by, the smallest first, shape (R, D)."""
        return self.drops if self.losses is None else self.losses

    @property
    def coverage(self) -> NDArray[np.int64]:
        """On how many datasets each removal was measured, shape (R,)."""
        return np.asarray((~np.isnan(self.drops)).sum(axis=1), dtype=np.int64)

    @property
    def total_samples(self) -> NDArray[np.int64]:
        """Samples behind each removal over its datasets, shape (R,); 0 where one is unknown."""
        return samples_within(self.num_samples, ~np.isnan(self.drops))

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many blocks each removal leaves out, shape (R,)."""
        return np.fromiter(map(len, self.removals), dtype=np.int64, count=len(self.removals))

    @property
    def membership(self) -> NDArray[np.bool_]:
        """Which blocks each removal leaves out, shape (R, num_blocks)."""
        sizes = self.sizes
        blocks = np.fromiter(chain.from_iterable(self.removals), np.int64, count=int(sizes.sum()))
        members = np.zeros((len(self.removals), self.num_blocks), dtype=np.bool_)
        members[np.repeat(np.arange(len(self.removals)), sizes), blocks] = True
        return members

    @property
    def single_drops(self) -> NDArray[np.float64]:
        """Drop of each block alone on each dataset, shape (num_blocks, D); NaN where unmeasured."""
        singles = np.full((self.num_blocks, len(self.datasets)), np.nan)
        for row in np.flatnonzero(self.sizes == 1):
            singles[self.removals[row][0]] = self.drops[row]
        return singles

    @cached_property
    def rows_by_number(self) -> dict[int, slice]:
        """Where the removals of each number of blocks stand, by number, ascending."""
        numbers, starts, counts = np.unique(self.sizes, return_index=True, return_counts=True)
        return {
            number: slice(start, start + count)
            for number, start, count in zip(
                numbers.tolist(), starts.tolist(), counts.tolist(), strict=True
            )
        }


def samples_within(num_samples: NDArray[np.int64], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the samples of the cells that count in each row; 0 where one of them is unknown.

    A sum that leaves out the unknown ones would claim to be the n of a mean that is over more.

    Args:
        num_samples: shape (R, D); 0 where unknown.
        counted: which cells count, shape (R, D).
    """
    known = ~(counted & (num_samples == 0)).any(axis=1)
    return np.asarray(np.where(counted, num_samples, 0).sum(axis=1) * known, dtype=np.int64)


def drop_table(datasets: Sequence[DatasetMeasurements], num_blocks: int) -> DropTable:
    """Return the matrix of what was measured on each dataset."""
    removals = sorted(
        set().union(*(dataset.measurements for dataset in datasets)),
        key=lambda removal: (len(removal), removal),
    )
    rows = {removal: row for row, removal in enumerate(removals)}
    # One row for each dataset at first: millions of cells are written faster side by side.
    shape = len(datasets), len(removals)
    drops, accuracies = np.full(shape, np.nan), np.full(shape, np.nan)
    num_samples = np.zeros(shape, dtype=np.int64)
    for number, dataset in enumerate(datasets):
        places = _column(map(rows.__getitem__, dataset.measurements), np.int64)
        measured = dataset.measurements.values()
        found = _column(map(_ACCURACY, measured), np.float64)
        stated = _column(map(_STATED_DROP, measured), np.float64)  # None becomes NaN
        accuracies[number, places] = found
        drops[number, places] = np.where(
            np.isnan(stated), dataset.baseline.accuracy - found, stated
        )
        num_samples[number, places] = _column(map(_NUM_SAMPLES, measured), np.int64)
    losses = drops.copy() if any(one.losses for one in datasets) else None
    if losses is not None:
        for number, dataset in enumerate(datasets):
            for removal, rise in increases(dataset.losses).items():
                if removal in dataset.measurements:
                    losses[number, rows[removal]] = rise
    return DropTable(
        num_blocks=num_blocks,
        removals=tuple(removals),
        datasets=tuple(dataset.dataset for dataset in datasets),
        task_types=tuple(dataset.task_type for dataset in datasets),
        baselines=np.array([dataset.baseline.accuracy for dataset in datasets], dtype=np.float64),
        drops=np.ascontiguousarray(drops.T),
        accuracies=np.ascontiguousarray(accuracies.T),
        num_samples=np.ascontiguousarray(num_samples.T),
        losses=None if losses is None else np.ascontiguousarray(losses.T),
    )


def _column(values: Iterable[Any], dtype: type[_Number]) -> NDArray[_Number]:
    return np.array(list(values), dtype=dtype)


@dataclass(frozen=True)
class Distribution:
    """Drops (or other values) in numbers; std is the population's.

    Attributes:
        count: of the values; 0 where nothing was measured, and every number is NaN then.
        values: the drops themselves, ascending.
    """

    count: int
    mean: float
    std: float
    minimum: float
    median: float
    maximum: float
    values: NDArray[np.float64]

    @property
    def quartiles(self) -> tuple[float, float]:
        """The values below which a quarter and three quarters lie, linearly interpolated."""
        if not self.count:
            return float("nan"), float("nan")
        lower, upper = np.quantile(self.values, [0.25, 0.75])
        return float(lower), float(upper)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of all values that are at most the value at the same place of `values`."""
        return np.searchsorted(self.values, self.values, side="right") / max(self.count, 1)


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
    below = np.searchsorted(rounded_array(drops.values), limit, side="right")
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


def rounded_array(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return drops without rounding noise, as `base.removal.rounded` does for one; NaN stays."""
    return np.round(values, DECIMALS) + 0.0
