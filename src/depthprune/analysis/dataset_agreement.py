"""Whether datasets agree: two splits of one, all about a combination, every two in general."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.drop_table import (
    Distribution,
    DropTable,
    distribution,
    measured_distribution,
    rounded_array,
    row_statistics,
)
from depthprune.analysis.recommended_strategies import costs_too_much
from depthprune.base.errors import DepthpruneError
from depthprune.base.language import counted
from depthprune.base.removal import Removal, rounded


@dataclass(frozen=True)
class Consistency:
    """How alike a combination's drops are over the datasets.

    Attributes:
        variation: coefficient of variation, std divided by |mean|; None where the mean is 0.
        ruinous: whether it costs more than half of the accuracy, see `essential.costs_too_much`:
            the datasets may agree about it, but that it is bad.
    """

    removal: Removal
    mean: float
    std: float
    coverage: int
    variation: float | None
    ruinous: bool = False


def consistencies(table: DropTable) -> tuple[Consistency, ...]:
    """Return how alike the drops of each combination are, the most consistent first.

    The coefficient of variation is the population standard deviation over the datasets divided by
    the absolute mean drop. Combinations of one dataset are left out, those with a mean drop of 0
    come last; equal ones are ordered by number of blocks and block indices.
    """
    means, stds, coverage = row_statistics(table.drops)
    # Away from 0 only: a mean that is rounding noise would make any std look enormous.
    defined = rounded_array(means) != 0
    variation = np.full(len(means), np.nan)
    np.divide(stds, np.abs(means), out=variation, where=defined)
    order = np.argsort(rounded_array(variation), kind="stable")
    order = order[coverage[order] >= 2]
    # A baseline that is unknown counts as 1, the most it can be, as `find_essential` has it.
    known = np.where(np.isnan(table.baselines), 1.0, table.baselines)
    baselines, _, _ = row_statistics(np.where(np.isnan(table.drops), np.nan, known))
    columns = (means, stds, coverage, variation, baselines)
    statistics = zip(*(array[order].tolist() for array in columns), strict=True)
    return tuple(
        Consistency(
            table.removals[row],
            mean,
            std,
            count,
            None if np.isnan(ratio) else ratio,
            costs_too_much(mean, baseline),
        )
        for row, (mean, std, count, ratio, baseline) in zip(order.tolist(), statistics, strict=True)
    )


def variation_by_coverage(found: Sequence[Consistency]) -> dict[int, Distribution]:
    """Return the coefficients of variation in numbers, by coverage, ascending."""
    by_coverage: dict[int, list[float]] = {}
    for one in found:
        if one.variation is not None:
            by_coverage.setdefault(one.coverage, []).append(one.variation)
    return {coverage: distribution(by_coverage[coverage]) for coverage in sorted(by_coverage)}


@dataclass(frozen=True)
class Pair:
    """How alike two datasets respond, over the combinations that both measured.

    Attributes:
        pearson, spearman: None below the fewest common combinations, or where one is constant.
        difference: mean of first minus second over the common combinations; None without any.
        same_type: whether both have the same (known) task type.
        types_known: whether the task types of both are known.
    """

    first: str
    second: str
    common: int
    pearson: float | None
    spearman: float | None
    difference: float | None
    same_type: bool
    types_known: bool = True


@dataclass(frozen=True)
class PairGroup:
    """How alike the pairs of datasets of the same task type are, or those of different types.

    Pairs with an unknown task type are in neither group.

    Attributes:
        same_type: which of the two.
        count: of pairs, defined or not.
        pearson, spearman: of the pairs where it is defined; None where it is for none.
        difference: of the absolute mean differences; None likewise.
    """

    same_type: bool
    count: int
    pearson: Distribution | None
    spearman: Distribution | None
    difference: Distribution | None


def dataset_pairs(table: DropTable, *, min_common: int = 5) -> tuple[Pair, ...]:
    """Return Pearson's and Spearman's correlation of the drops of every two datasets.

    The most alike (by Pearson) come first, equal ones by name, undefined ones last. Within a pair
    the names are in alphabetical order, so that the order of the datasets changes no sign.

    Args:
        table: of the drops.
        min_common: the fewest combinations that both must have measured for a correlation.

    Raises:
        DepthpruneError: `min_common` is below 2.
    """
    if min_common < 2:
        raise DepthpruneError(
            f"{counted(min_common, 'combination is', 'combinations are')} too few for a "
            "correlation",
            mend="ask for 2 or more; 5 is the default",
        )
    # A row per dataset: every step below walks along one dataset.
    drops = np.ascontiguousarray(table.drops.T)
    places = [_places(row) for row in drops]
    found = []
    by_name = sorted(range(len(table.datasets)), key=table.datasets.__getitem__)
    for first, second in combinations(by_name, 2):
        common = np.flatnonzero((places[first] >= 0) & (places[second] >= 0))
        left, right = drops[first, common], drops[second, common]
        pearson, spearman = None, None
        if len(common) >= min_common:
            ranks = [average_ranks(places[index][common]) for index in (first, second)]
            if all(map(np.ptp, ranks)):
                pearson, spearman = _correlation(left, right), _correlation(*ranks)
        type_of_first, type_of_second = table.task_types[first], table.task_types[second]
        known = bool(type_of_first and type_of_second)
        found.append(
            Pair(
                first=table.datasets[first],
                second=table.datasets[second],
                common=len(common),
                pearson=pearson,
                spearman=spearman,
                difference=float((left - right).mean()) if len(common) else None,
                same_type=known and type_of_first == type_of_second,
                types_known=known,
            )
        )
    return tuple(sorted(found, key=lambda one: (one.pearson is None, -rounded(one.pearson or 0.0))))


def extreme_pairs(pairs: Sequence[Pair], top: int = 5) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return the most and the least alike pairs, the extreme ones first; none is in both.

    Args:
        pairs: as `dataset_pairs` returns them.
        top: at most so many of either.
    """
    defined = [pair for pair in pairs if pair.pearson is not None]
    # Sorted anew rather than reversed, so that equal ones keep the order of their names.
    least = sorted(defined[top:], key=lambda pair: rounded(pair.pearson or 0.0))
    return tuple(defined[:top]), tuple(least[:top])


def pair_groups(pairs: Iterable[Pair]) -> tuple[PairGroup, ...]:
    """Return the pairs of the same task type and those of different ones in numbers.

    A group without a pair is left out, and so are pairs with an unknown task type.
    """
    groups: dict[bool, list[Pair]] = {True: [], False: []}
    for pair in pairs:
        if pair.types_known:
            groups[pair.same_type].append(pair)
    return tuple(_group(same_type, those) for same_type, those in groups.items() if those)


def average_ranks(places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ranks from 1, equal places sharing the mean of theirs; without sorting.

    Args:
        places: the order of the values, from 0, equal for equal ones, gaps allowed; shape (N,).
    """
    counts = np.bincount(places)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[places]
    return ranks


def _places(drops: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the place of each drop among the distinct ones, -1 where it was not measured.

    Sorting is what ranks cost. Done once per dataset, it serves every subset of its combinations:
    the order within a subset is the same.
    """
    places = np.full(len(drops), -1, dtype=np.int64)
    measured = ~np.isnan(drops)
    places[measured] = np.unique(rounded_array(drops[measured]), return_inverse=True)[1]
    return places


def _correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Return the product-moment correlation (Pearson, 1895) of values that are not constant."""
    left, right = left - left.mean(), right - right.mean()
    scale = np.sqrt(_product(left, left) * _product(right, right))
    return float(np.clip(_product(left, right) / scale, -1.0, 1.0))


def _product(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    # Not `left @ right`: its threads wait for each other, thousands of times for all pairs, and
    # each time for long where another program works on the same cores.
    return float(np.einsum("i,i", left, right))


def _group(same_type: bool, pairs: Sequence[Pair]) -> PairGroup:
    differences = [abs(pair.difference) for pair in pairs if pair.difference is not None]
    return PairGroup(
        same_type=same_type,
        count=len(pairs),
        pearson=measured_distribution([one.pearson for one in pairs if one.pearson is not None]),
        spearman=measured_distribution([one.spearman for one in pairs if one.spearman is not None]),
        difference=measured_distribution(differences),
    )
