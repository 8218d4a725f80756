"""Synergy: does a combination cost more or less than its blocks one by one?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum, sqrt

import numpy as np

from depthprune.analysis.drop_table import (
    Distribution,
    DropTable,
    distribution,
    rounded_array,
    row_statistics,
    samples_within,
)
from depthprune.base.removal import Removal, rounded


@dataclass(frozen=True)
class Synergy:
    """Actual drop of a combination minus the sum of its single-block drops.

    Both means are over the same datasets: those that measured the combination and all its singles.

    Attributes:
        actual: mean drop of the combination.
        expected: mean of the summed single drops.
        synergy: actual minus expected; negative = better together than expected.
        coverage: datasets behind it.
        std: population standard deviation of the synergy over these datasets.
        num_samples: of the combination on these datasets; 0 when one is unknown.
    """

    removal: Removal
    actual: float
    expected: float
    synergy: float
    coverage: int
    std: float = float("nan")
    num_samples: int = 0


def synergies(table: DropTable) -> tuple[Synergy, ...]:
    """Return actual minus summed single drops of every combination, most negative first.

    A dataset counts for a combination where it measured both the combination and every one of its
    blocks alone, so that both sides are means over the same datasets. Combinations without such a
    dataset are left out; equal synergies are ordered by number of blocks and block indices.
    """
    several = table.sizes >= 2
    drops, members = table.drops[several], table.membership[several]
    singles = table.single_drops
    unmeasured = np.isnan(singles)
    sums = members.astype(np.float64) @ np.where(unmeasured, 0.0, singles)
    incomplete = members.astype(np.float32) @ unmeasured.astype(np.float32) > 0
    sums[incomplete | np.isnan(drops)] = np.nan
    actual, _, _ = row_statistics(np.where(np.isnan(sums), np.nan, drops))
    expected, _, _ = row_statistics(sums)
    synergy, std, coverage = row_statistics(drops - sums)
    samples = samples_within(table.num_samples[several], ~np.isnan(sums))
    order = np.argsort(rounded_array(synergy), kind="stable")
    order = order[coverage[order] > 0]
    statistics = zip(
        *(array[order].tolist() for array in (actual, expected, synergy, coverage, std, samples)),
        strict=True,
    )
    rows = np.flatnonzero(several)[order].tolist()
    return tuple(
        Synergy(table.removals[row], *numbers)
        for row, numbers in zip(rows, statistics, strict=True)
    )


def trusted_coverage(found: Sequence[Synergy]) -> int:
    """Return the fewest datasets of a synergy that is shown: 2, or 1 where there is no other.

    The extremes of many comparisons on one dataset each are mostly chance.
    """
    return 2 if any(one.coverage >= 2 for one in found) else 1


def synergistic(
    found: Sequence[Synergy], *, top: int = 10, min_coverage: int = 1
) -> tuple[Synergy, ...]:
    """Return the combinations that cost less than their blocks one by one, the strongest first.

    Args:
        found: as `synergies` returns them.
        top: at most so many.
        min_coverage: the fewest datasets behind each.
    """
    return tuple(one for one in found if rounded(one.synergy) < 0 and one.coverage >= min_coverage)[
        :top
    ]


def antagonistic(
    found: Sequence[Synergy], *, top: int = 10, min_coverage: int = 1
) -> tuple[Synergy, ...]:
    """Return the combinations that cost more than their blocks one by one, the strongest first.

    Args:
        found: as `synergies` returns them.
        top: at most so many.
        min_coverage: the fewest datasets behind each.
    """
    # Sorted anew rather than reversed, so that equal ones keep the order of their blocks.
    ordered = sorted(found, key=lambda one: -rounded(one.synergy))
    return tuple(
        one for one in ordered if rounded(one.synergy) > 0 and one.coverage >= min_coverage
    )[:top]


def synergies_by_number(found: Sequence[Synergy]) -> dict[int, Distribution]:
    """Return the synergies in numbers, by number of removed blocks, ascending."""
    by_number: dict[int, list[float]] = {}
    for one in found:
        by_number.setdefault(len(one.removal), []).append(one.synergy)
    return {number: distribution(by_number[number]) for number in sorted(by_number)}


BlockPair = tuple[int, int]


@dataclass(frozen=True)
class EstimateError:
    """How far estimates of one size were off where the truth is known.

    Attributes:
        spread: root mean square of actual minus estimated drop, a fraction.
        count: measured combinations behind it.
    """

    spread: float
    count: int


@dataclass(frozen=True)
class Estimator:
    """What estimates are made from; drops are fractions, rounded as `rounded` does.

    Attributes:
        singles: mean drop of each block alone, by block.
        synergies: mean synergy of each measured pair, by its blocks in ascending order.
        errors: by number of blocks removed; numbers that were never measured are missing.
    """

    singles: Mapping[int, float]
    synergies: Mapping[BlockPair, float]
    errors: Mapping[int, EstimateError]


@dataclass(frozen=True)
class Estimate:
    """The drop that a removal may be expected to cost.

    Attributes:
        drop: a fraction: `singles` plus `synergy`.
        singles: sum of the single drops.
        synergy: sum of the known pairwise synergies.
        pairs: how many pairwise synergies are known, of those that the removal contains.
        error: how far off it may be; None where no combination of that size lets one judge.
    """

    drop: float
    singles: float
    synergy: float
    pairs: int
    error: EstimateError | None


def estimator(singles: Mapping[int, float], synergies: Sequence[Synergy]) -> Estimator:
    """Return what estimates are made from.

    Args:
        singles: mean drop of each block alone, as `Recommendations.singles`.
        synergies: of the measured combinations, as `Findings.synergies`; both sides of each are
            means over the same datasets.
    """
    pairs = {
        (one.removal[0], one.removal[1]): rounded(one.synergy)
        for one in synergies
        if len(one.removal) == 2
    }
    misses: dict[int, list[float]] = {}
    for one in synergies:
        misses.setdefault(len(one.removal), []).append(_miss(one, pairs))
    return Estimator(
        singles={block: rounded(drop) for block, drop in sorted(singles.items())},
        synergies=dict(sorted(pairs.items())),
        errors={
            number: EstimateError(sqrt(fsum(miss**2 for miss in those) / len(those)), len(those))
            for number, those in sorted(misses.items())
        },
    )


def estimate(known: Estimator, removal: Removal) -> Estimate | None:
    """Return the drop that `removal` may be expected to cost.

    None where one of its blocks was never measured alone. The baseline costs nothing, for certain.
    """
    if not removal:
        return Estimate(0.0, 0.0, 0.0, 0, EstimateError(0.0, 0))
    if any(block not in known.singles for block in removal):
        return None
    singles = fsum(known.singles[block] for block in removal)
    found = _synergies_within(removal, known.synergies)
    synergy = fsum(found)
    return Estimate(
        drop=singles + synergy,
        singles=singles,
        synergy=synergy,
        pairs=len(found),
        error=known.errors.get(len(removal)),
    )


def _miss(one: Synergy, pairs: Mapping[BlockPair, float]) -> float:
    """Return actual minus estimate of a measured combination, itself left out of the estimate.

    Its synergy is actual minus summed singles already; of a pair, that is all there is without it.
    """
    if len(one.removal) == 2:
        return one.synergy
    return one.synergy - fsum(_synergies_within(one.removal, pairs))


def _synergies_within(removal: Removal, synergies: Mapping[BlockPair, float]) -> list[float]:
    return [synergies[pair] for pair in combinations(removal, 2) if pair in synergies]
