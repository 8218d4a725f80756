"""Combinations: each removal over all datasets it was measured on, and their ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np

from depthprune.analysis.bootstrap import Interval
from depthprune.analysis.dataset import DatasetMeasurements
from depthprune.analysis.intervals import paired_intervals
from depthprune.analysis.table import DropTable, drop_table
from depthprune.base.removal import Removal, settled

__all__ = [
    "Combination",
    "DatasetMeasurements",
    "Ranking",
    "combine",
    "rank",
    "table_combinations",
    "with_intervals",
]


@dataclass(frozen=True)
class Combination:
    """A removal seen across datasets.

    Attributes:
        removal: the blocks left out.
        drops: by dataset, only those it was measured on.
        mean: of the drops.
        std: population standard deviation of the drops.
        accuracy: mean accuracy over these datasets; NaN where one of them is unknown.
        num_samples: samples behind the drops, over all its datasets; 0 when one is unknown.
        interval: paired, of the mean drop, see `mean_intervals`; None without per-sample scores,
            below ten samples, or where it was not asked for, see `with_intervals`.
    """

    removal: Removal
    drops: Mapping[str, float]
    mean: float
    std: float
    accuracy: float
    num_samples: int
    interval: Interval | None

    @property
    def coverage(self) -> int:
        """On how many datasets it was measured."""
        return len(self.drops)


@dataclass(frozen=True)
class Ranking:
    """Combinations from the smallest mean drop to the largest, and how many were left out.

    Attributes:
        combinations: best first; equal mean drops are ordered by block indices.
        low_coverage: left out because too few datasets measured them.
        improving: left out because their mean drop is below the limit.
    """

    combinations: tuple[Combination, ...]
    low_coverage: int
    improving: int


def combine(
    datasets: Sequence[DatasetMeasurements], *, seed: int = 0, intervals: bool = True
) -> list[Combination]:
    """Return every measured removal across datasets, ordered by number removed and blocks.

    A dataset on which a removal was not measured does not enter its mean.

    Args:
        datasets: to be combined.
        seed: see `paired_intervals`.
        intervals: False leaves the intervals out.
    """
    # The combinations do not depend on how many blocks there are.
    combinations = table_combinations(drop_table(datasets, num_blocks=0))
    return with_intervals(combinations, datasets, seed=seed) if intervals else combinations


def table_combinations(table: DropTable) -> list[Combination]:
    """Return every removal of a table across its datasets, in its order, without intervals."""
    measured = ~np.isnan(table.drops)
    coverage = np.maximum(measured.sum(axis=1), 1)
    drops = np.where(measured, table.drops, 0.0)
    means = drops.sum(axis=1) / coverage
    deviations = np.where(measured, table.drops - means[:, None], 0.0)
    stds = np.sqrt((deviations**2).sum(axis=1) / coverage)
    accuracies = np.where(measured, table.accuracies, 0.0).sum(axis=1) / coverage
    columns = zip(
        table.removals,
        table.drops,
        means.tolist(),
        stds.tolist(),
        accuracies.tolist(),
        table.total_samples.tolist(),
        strict=True,
    )
    combinations = []
    for removal, row, *numbers in columns:
        cells = zip(table.datasets, row.tolist(), strict=True)
        by_dataset = {name: drop for name, drop in cells if not isnan(drop)}
        if by_dataset:
            mean, std, accuracy, num_samples = numbers
            combinations.append(
                Combination(removal, by_dataset, mean, std, accuracy, num_samples, None)
            )
    return combinations


def with_intervals(
    combinations: Iterable[Combination], datasets: Sequence[DatasetMeasurements], *, seed: int = 0
) -> list[Combination]:
    """Return the combinations with the paired interval of each mean drop.

    A combination whose scores are unknown on one of its datasets has none.

    Args:
        combinations: of these datasets.
        datasets: with per-sample scores.
        seed: see `paired_intervals`.
    """
    given = list(combinations)
    by_datasets: dict[frozenset[str], list[int]] = {}
    for place, one in enumerate(given):
        by_datasets.setdefault(frozenset(one.drops), []).append(place)
    found: list[Interval | None] = [None] * len(given)
    for names, places in by_datasets.items():
        measured = [dataset for dataset in datasets if dataset.dataset in names]
        if len(measured) == len(names):
            pairs = [((), given[place].removal) for place in places]
            for place, end in zip(
                places, paired_intervals(measured, pairs, seed=seed), strict=True
            ):
                found[place] = end
    return [replace(one, interval=end) for one, end in zip(given, found, strict=True)]


def rank(
    combinations: Iterable[Combination],
    *,
    min_coverage: int = 2,
    min_drop: float | None = None,
) -> Ranking:
    """Rank combinations by mean drop, and count those left out.

    Args:
        combinations: to be ranked.
        min_coverage: the fewest datasets a combination must be measured on.
        min_drop: the smallest mean drop that is ranked; None (the default) is no limit.
    """
    given = list(combinations)
    covered = [combination for combination in given if combination.coverage >= min_coverage]
    kept = [
        combination
        for combination in covered
        if min_drop is None or settled(combination.mean) >= min_drop
    ]
    kept.sort(key=lambda combination: (settled(combination.mean), combination.removal))
    return Ranking(tuple(kept), len(given) - len(covered), len(covered) - len(kept))
