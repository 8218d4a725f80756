"""Combinations: each removal over all datasets it was measured on, and their ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.drop_table import DropTable, drop_table, row_statistics
from depthprune.analysis.intervals import Interval, dataset_seed, paired_intervals
from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.base.removal import Removal, rounded


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
        loss: what it is ranked by in place of `mean` where datasets have losses, see
            `DropTable.ranks`.
    """

    removal: Removal
    drops: Mapping[str, float]
    mean: float
    std: float
    accuracy: float
    num_samples: int
    interval: Interval | None
    loss: float | None = None

    @property
    def order(self) -> float:
        """What it is ranked by, the smallest first."""
        return self.mean if self.loss is None else self.loss

    @property
    def coverage(self) -> int:
        """On how many datasets it was measured."""
        return len(self.drops)


@dataclass(frozen=True)
class RankedCombinations:
    """Combinations from the smallest mean drop to the largest, and how many were left out.

    Attributes:
        combinations: best first by `order`; equal ones are ordered by block indices.
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
    means, stds, coverage = row_statistics(table.drops)
    accuracies = np.where(np.isnan(table.drops), 0.0, table.accuracies).sum(axis=1)
    columns = zip(
        table.removals,
        table.drops,
        means.tolist(),
        stds.tolist(),
        (accuracies / np.maximum(coverage, 1)).tolist(),
        table.total_samples.tolist(),
        strict=True,
    )
    losses: list[float | None] = [None] * len(table.removals)
    if table.losses is not None:
        losses = row_statistics(table.losses)[0].tolist()
    combinations = []
    for loss, (removal, row, *numbers) in zip(losses, columns, strict=True):
        cells = zip(table.datasets, row.tolist(), strict=True)
        by_dataset = {name: drop for name, drop in cells if not isnan(drop)}
        if by_dataset:
            mean, std, accuracy, num_samples = numbers
            combinations.append(
                Combination(removal, by_dataset, mean, std, accuracy, num_samples, None, loss)
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
) -> RankedCombinations:
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
        if min_drop is None or rounded(combination.mean) >= min_drop
    ]
    kept.sort(key=lambda combination: (rounded(combination.order), combination.removal))
    return RankedCombinations(tuple(kept), len(given) - len(covered), len(covered) - len(kept))


@dataclass(frozen=True)
class Disagreement:
    """For one number removed, plain means and dataset-adjusted drops name different winners."""

    number: int
    plain: Combination
    adjusted: Combination
    plain_adjusted_drop: float
    adjusted_adjusted_drop: float


def adjusted_drops(table: DropTable) -> NDArray[np.float64]:
    """Return the expected mean drop of each removal over all datasets, shape (R,).

    Datasets without any cell do not count. On a complete table these are the plain means.

    Returns:
        Fractions; all NaN where the table falls apart into groups of datasets which share no
        removal, so that nothing tells a hard dataset from a bad removal (see `comparable`).
    """
    if not comparable(table):
        return np.full(len(table.removals), np.nan)
    measured = ~np.isnan(table.drops)
    used = measured.any(axis=0)
    present = measured[:, used].astype(np.float64)
    drops = np.where(measured, table.drops, 0.0)[:, used]
    coverage = present.sum(axis=1)
    effects = _dataset_effects(present, drops, coverage)
    with np.errstate(invalid="ignore"):  # a removal without cells: 0 / 0 is NaN, as it should be
        found: NDArray[np.float64] = (drops.sum(axis=1) - present @ effects) / coverage
    return found


def comparable(table: DropTable) -> bool:
    """Return whether removals that were measured on several datasets link all of them."""
    measured = (~np.isnan(table.drops)).astype(np.float64)
    common = measured.T @ measured
    used = np.flatnonzero(np.diagonal(common))
    if not len(used):
        return False
    reached = np.zeros(len(common), dtype=bool)
    reached[used[0]] = True
    for _ in used:
        reached |= (common[reached] > 0).any(axis=0)
    return bool(reached[used].all())


def find_disagreements(
    independent: Mapping[int, RankedCombinations], adjusted: Mapping[Removal, float]
) -> tuple[Disagreement, ...]:
    """Return where the smallest adjusted drop is not that of the smallest plain mean.

    Nowhere if removals are ranked by losses: the winner is none of the drop then.
    """
    found = []
    for number, ranking in sorted(independent.items()):
        comparable_ones = [
            one for one in ranking.combinations if not np.isnan(adjusted[one.removal])
        ]
        if not comparable_ones or comparable_ones[0].loss is not None:
            continue
        plain, best = ranking.combinations[0], _smallest(comparable_ones, adjusted)
        drops = adjusted[plain.removal], adjusted[best.removal]
        if rounded(drops[1]) < rounded(drops[0]):
            found.append(Disagreement(number, plain, best, *drops))
    return tuple(found)


def _smallest(given: Sequence[Combination], adjusted: Mapping[Removal, float]) -> Combination:
    return min(given, key=lambda one: (rounded(adjusted[one.removal]), one.removal))


def _dataset_effects(
    present: NDArray[np.float64], drops: NDArray[np.float64], coverage: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve the normal equations for the datasets, the combinations' effects eliminated: D x D."""
    weights = present / np.maximum(coverage, 1.0)[:, None]
    matrix = np.diag(present.sum(axis=0)) - present.T @ weights
    right = drops.sum(axis=0) - weights.T @ drops.sum(axis=1)
    # The matrix maps a common shift of all effects to 0; adding ones picks the effects of sum 0.
    effects: NDArray[np.float64] = np.linalg.solve(matrix + 1.0, right)
    return effects


DRAWS = 500
"""Bootstrap draws; each counts twice, with its deviations turned round."""

MOST = 1000
"""Removals of one number that are drawn for: of more, those of the smallest drops."""

SAMPLES_AT_ONCE = 4096
"""Of a dataset, whose draws are held at once: 16 MiB."""


@dataclass(frozen=True)
class CorrectedDrop:
    """How a removal was chosen, and what it costs when that is taken into account.

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
    rankings: Mapping[int, RankedCombinations],
    removals: Iterable[Removal],
    datasets: Sequence[DatasetMeasurements],
    *,
    seed: int = 0,
) -> dict[Removal, CorrectedDrop]:
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
    found: dict[Removal, CorrectedDrop] = {}
    pools: dict[Removal, tuple[Combination, ...]] = {}
    for removal in removals:
        ranking = rankings.get(len(removal))
        ranked = ranking.combinations if ranking is not None else ()
        place = next((place for place, one in enumerate(ranked) if one.removal == removal), None)
        if place is None:
            continue
        found[removal] = CorrectedDrop(len(ranked))
        pool = ranked[place : place + MOST]
        if pool[0].interval is not None and _all_known(pool, by_name):
            pools[removal] = pool
    drawn = {one.removal: one for pool in pools.values() for one in pool}
    rows = {removal: row for row, removal in enumerate(drawn)}
    luck = _luck(list(drawn.values()), datasets, seed)
    by_loss = any(one.losses for one in datasets)
    of_choice = _luck(list(drawn.values()), datasets, seed, ranked=True) if by_loss else luck
    for removal, pool in pools.items():
        places = [rows[one.removal] for one in pool]
        added = luck[places]
        disturbed = of_choice[places] + np.array([one.order for one in pool])[:, None]
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
    combinations: Sequence[Combination],
    datasets: Sequence[DatasetMeasurements],
    seed: int,
    *,
    ranked: bool = False,
) -> NDArray[np.float64]:
    """Return what the draws add to each mean drop, shape (R, 2 DRAWS); or to what ranks it.

    A draw weighs every sample's difference from the mean by a standard normal number, the same one
    for all removals, so that what they have in common stays common.
    """
    found = np.zeros((len(combinations), DRAWS))
    for one in datasets:
        rows = [row for row, each in enumerate(combinations) if one.dataset in each.drops]
        of = one.ranked_scores if ranked else one.paired_scores
        baseline = of(())
        if not rows or baseline is None:
            continue
        given = (of(combinations[row].removal) for row in rows)
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


def _corrected(one: Combination, correction: float, among: int) -> CorrectedDrop:
    assert one.interval is not None
    low, high = one.interval.low, one.interval.high
    # Scores between 0 and 1 differ by 1 at most; a drop above it is of scores that may exceed 1.
    return CorrectedDrop(
        among, one.mean + correction, Interval(low, max(high, min(1.0, high + correction)))
    )


Mark = Literal["no_measurable_cost", "not_separable_from_0"]

SMALL = 0.02
"""An interval that reaches 0 and ends below these two points leaves room for no real cost."""


def mark(one: Combination, chosen: CorrectedDrop | None = None) -> Mark | None:
    """Return what the interval of a combination says about its drop; None without an interval.

    No measurable cost: it reaches 0 (or lies below) and ends below `SMALL`. Not separable from 0:
    it holds 0 and is wider, so that too few samples were measured to tell. Of a removal that was
    chosen for its drop, the interval that is corrected for the choice says it, where it is known.
    """
    interval = one.interval if chosen is None or chosen.interval is None else chosen.interval
    if interval is None or rounded(interval.low) > 0:
        return None
    if rounded(interval.high) < SMALL:
        return "no_measurable_cost"
    return "not_separable_from_0"
