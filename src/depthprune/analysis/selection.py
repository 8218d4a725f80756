"""What a removal costs that was chosen for its drop: corrected for the luck of being chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.bootstrap import Interval, dataset_seed
from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.dataset import DatasetMeasurements
from depthprune.base.removal import Removal

DRAWS = 500
"""Bootstrap draws; each counts twice, with its deviations turned round."""

MOST = 1000
"""Removals of one number that are drawn for: of more, those of the smallest drops."""

SAMPLES_AT_ONCE = 4096
"""Of a dataset, whose draws are held at once: 16 MiB."""


@dataclass(frozen=True)
class Selection:
    """How a removal was chosen, and what it costs when that is reckoned with.

    Attributes:
        among: ranked removals of as many blocks, itself counted.
        drop: the mean drop corrected for the choice, a fraction; None without per-sample scores of
            all of them, and where the mean has no interval.
        interval: 95 %, of `drop`; None likewise.
    """

    among: int
    drop: float | None = None
    interval: Interval | None = None


def find_selections(
    rankings: Mapping[int, Ranking],
    removals: Iterable[Removal],
    datasets: Sequence[DatasetMeasurements],
    *,
    seed: int = 0,
) -> dict[Removal, Selection]:
    """Return how each removal was chosen among the ranked removals of as many blocks.

    The best of many removals looks better than it is on the samples that chose it. By how much, a
    bootstrap of the minimum tells: each draw of the samples disturbs the drops of all removals, and
    the smallest is chosen anew. Its drop in that draw minus its drop is the luck of that choice;
    the mean luck is taken off (the bootstrap's estimate of bias: Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 10). The interval goes from the lower end of the
    uncorrected one to its upper end moved by the correction: the samples cannot tell a removal that
    is clearly the best, where nothing had to be corrected, from one that was lucky to look like it.
    `benchmarks/selection.py` measures how often it holds the drop.

    A removal competes with those that are ranked behind it: what is ahead was passed over for
    another reason, as too few datasets, or a block that must never go.

    What the correction does not know: that a beam kept the removals it extended for their drops on
    the same samples, and that the number of blocks was chosen too.

    Args:
        rankings: by number removed.
        removals: that are ranked; others are left out.
        datasets: with per-sample scores; without them only the numbers are known.
        seed: of the draws; every dataset draws by itself.
    """
    by_name = {one.dataset: one for one in datasets}
    found: dict[Removal, Selection] = {}
    pools: dict[Removal, tuple[Combination, ...]] = {}
    for removal in removals:
        ranking = rankings.get(len(removal))
        ranked = ranking.combinations if ranking is not None else ()
        place = next((place for place, one in enumerate(ranked) if one.removal == removal), None)
        if place is None:
            continue
        found[removal] = Selection(len(ranked))
        pool = ranked[place : place + MOST]
        if pool[0].interval is not None and _all_known(pool, by_name):
            pools[removal] = pool
    drawn = {one.removal: one for pool in pools.values() for one in pool}
    rows = {removal: row for row, removal in enumerate(drawn)}
    luck = _luck(list(drawn.values()), datasets, seed)
    for removal, pool in pools.items():
        added = luck[[rows[one.removal] for one in pool]]
        disturbed = added + np.array([one.mean for one in pool])[:, None]
        chosen = disturbed.argmin(axis=0)
        correction = max(0.0, -float(added[chosen, np.arange(added.shape[1])].mean()))
        found[removal] = _corrected(pool[0], correction, found[removal].among)
    return found


def _all_known(pool: Sequence[Combination], datasets: Mapping[str, DatasetMeasurements]) -> bool:
    return all(
        name in datasets and datasets[name].paired_scores(one.removal) is not None
        for one in pool
        for name in one.drops
    )


def _luck(
    combinations: Sequence[Combination], datasets: Sequence[DatasetMeasurements], seed: int
) -> NDArray[np.float64]:
    """Return what the draws add to each mean drop, shape (R, 2 DRAWS).

    A draw weighs every sample's difference from the mean by a standard normal number, the same one
    for all removals, so that what they have in common stays common.
    """
    found = np.zeros((len(combinations), DRAWS))
    for one in datasets:
        rows = [row for row, each in enumerate(combinations) if one.dataset in each.drops]
        baseline = one.paired_scores(())
        if not rows or baseline is None:
            continue
        given = (one.paired_scores(combinations[row].removal) for row in rows)
        scores = [each for each in given if each is not None]
        means = baseline.mean(dtype=np.float64) - [each.mean(dtype=np.float64) for each in scores]
        num_samples = len(baseline)
        generator = np.random.default_rng(dataset_seed(one.dataset, seed))
        sums = np.zeros((len(rows), DRAWS))
        for start in range(0, num_samples, SAMPLES_AT_ONCE):
            part = slice(start, start + SAMPLES_AT_ONCE)
            reference = baseline[part].astype(np.float64)
            differences = reference - np.array([each[part] for each in scores])
            draws = generator.standard_normal((len(reference), DRAWS))
            sums += (differences - means[:, None]) @ draws
        coverage = np.array([combinations[row].coverage for row in rows])
        found[rows] += sums / coverage[:, None] / sqrt(num_samples * max(1, num_samples - 1))
    return np.hstack([found, -found])


def _corrected(one: Combination, correction: float, among: int) -> Selection:
    assert one.interval is not None
    low, high = one.interval.low, one.interval.high
    # Scores between 0 and 1 differ by 1 at most; a drop above it is of scores that may exceed 1.
    return Selection(
        among, one.mean + correction, Interval(low, max(high, min(1.0, high + correction)))
    )
