"""How alike two datasets respond, over the combinations that both measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.distributions import measured_distribution, settled_array
from depthprune.analysis.findings import Pair, PairGroup
from depthprune.analysis.table import DropTable
from depthprune.base.errors import DepthpruneError
from depthprune.base.language import counted
from depthprune.base.removal import settled


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
    return tuple(sorted(found, key=lambda one: (one.pearson is None, -settled(one.pearson or 0.0))))


def most_alike(pairs: Sequence[Pair], top: int = 5) -> tuple[Pair, ...]:
    """Return the pairs with the largest correlation, the most alike first.

    Args:
        pairs: as `dataset_pairs` returns them.
        top: at most so many.
    """
    return tuple(pair for pair in pairs if pair.pearson is not None)[:top]


def least_alike(pairs: Sequence[Pair], top: int = 5) -> tuple[Pair, ...]:
    """Return the pairs with the smallest correlation, the least alike first.

    Args:
        pairs: as `dataset_pairs` returns them.
        top: at most so many.
    """
    # Sorted anew rather than reversed, so that equal ones keep the order of their names.
    defined = [pair for pair in pairs if pair.pearson is not None]
    return tuple(sorted(defined, key=lambda pair: settled(pair.pearson or 0.0)))[:top]


def extreme_pairs(pairs: Sequence[Pair], top: int = 5) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return the most and the least alike pairs, the extreme ones first; none is in both.

    Args:
        pairs: as `dataset_pairs` returns them.
        top: at most so many of either.
    """
    most = most_alike(pairs, top)
    return most, least_alike(pairs[len(most) :], top)


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
    places[measured] = np.unique(settled_array(drops[measured]), return_inverse=True)[1]
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
