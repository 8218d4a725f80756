"""Combinations: each removal over all datasets it was measured on, and their ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.bootstrap import Interval, bootstrap_drops, interval
from depthprune.base.drops import settled
from depthprune.base.removal import Removal
from depthprune.study.records import Measurement


@dataclass(frozen=True)
class DatasetMeasurements:
    """All measurements of one dataset split, taken on the same samples with the same settings.

    Attributes:
        dataset: the task's name.
        task_type: e.g. `VQA`.
        baseline: of removal `()`.
        measurements: by removal, the baseline not included.
        metric: what the scores are, with what it depends on.
    """

    dataset: str
    task_type: str
    baseline: Measurement
    measurements: Mapping[Removal, Measurement]
    metric: str = ""

    def drop(self, removal: Removal) -> float:
        """Return baseline accuracy minus accuracy under `removal`, a fraction."""
        return self.baseline.accuracy - self.measurements[removal].accuracy


@dataclass(frozen=True)
class Combination:
    """A removal seen across datasets.

    Attributes:
        removal: the blocks left out.
        drops: by dataset, only those it was measured on.
        mean: of the drops.
        std: population standard deviation of the drops.
        accuracy: mean accuracy over these datasets.
        num_samples: samples behind the drops, over all datasets.
        interval: paired bootstrap interval of the mean drop; None without per-sample scores.
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


def combine(datasets: Sequence[DatasetMeasurements], *, seed: int = 0) -> list[Combination]:
    """Return every measured removal across datasets, ordered by number removed and blocks.

    A dataset on which a removal was not measured does not enter its mean.
    """
    draws = [_draws(dataset, seed + index) for index, dataset in enumerate(datasets)]
    removals = {removal for dataset in datasets for removal in dataset.measurements}
    return [
        _combination(removal, datasets, draws)
        for removal in sorted(removals, key=lambda removal: (len(removal), removal))
    ]


def rank(
    combinations: Iterable[Combination],
    *,
    min_coverage: int = 2,
    min_drop: float | None = 0.0,
) -> Ranking:
    """Rank combinations by mean drop, and count those left out.

    Args:
        combinations: to be ranked.
        min_coverage: the fewest datasets a combination must be measured on.
        min_drop: the smallest mean drop that is ranked; None ranks improvements too.
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


def _draws(dataset: DatasetMeasurements, seed: int) -> dict[Removal, NDArray[np.float64]]:
    """Return bootstrap drops, shape (B,), of the removals that have per-sample scores."""
    if dataset.baseline.scores is None or not len(dataset.baseline.scores):
        return {}
    scored = {
        removal: measurement.scores
        for removal, measurement in dataset.measurements.items()
        if measurement.scores is not None
    }
    if not scored:
        return {}
    drops = bootstrap_drops(dataset.baseline.scores, np.stack(list(scored.values())), seed=seed)
    return dict(zip(scored, drops, strict=True))


def _combination(
    removal: Removal,
    datasets: Sequence[DatasetMeasurements],
    draws: Sequence[Mapping[Removal, NDArray[np.float64]]],
) -> Combination:
    seen = [index for index, dataset in enumerate(datasets) if removal in dataset.measurements]
    drops = {datasets[index].dataset: datasets[index].drop(removal) for index in seen}
    measurements = [datasets[index].measurements[removal] for index in seen]
    known = [draws[index][removal] for index in seen if removal in draws[index]]
    return Combination(
        removal=removal,
        drops=drops,
        mean=float(np.mean(list(drops.values()))),
        std=float(np.std(list(drops.values()))),
        accuracy=float(np.mean([measurement.accuracy for measurement in measurements])),
        num_samples=sum(measurement.num_samples for measurement in measurements),
        interval=interval(np.mean(known, axis=0)) if len(known) == len(seen) else None,
    )
