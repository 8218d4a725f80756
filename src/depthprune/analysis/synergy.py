"""Synergy: does a combination cost more or less than its blocks one by one?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from depthprune.analysis.distributions import distribution, row_statistics, settled_array
from depthprune.analysis.findings import Distribution, Synergy
from depthprune.analysis.table import DropTable, samples_within
from depthprune.base.removal import settled


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
    order = np.argsort(settled_array(synergy), kind="stable")
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
    return tuple(one for one in found if settled(one.synergy) < 0 and one.coverage >= min_coverage)[
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
    ordered = sorted(found, key=lambda one: -settled(one.synergy))
    return tuple(
        one for one in ordered if settled(one.synergy) > 0 and one.coverage >= min_coverage
    )[:top]


def synergies_by_number(found: Sequence[Synergy]) -> dict[int, Distribution]:
    """Return the synergies in numbers, by number of removed blocks, ascending."""
    by_number: dict[int, list[float]] = {}
    for one in found:
        by_number.setdefault(len(one.removal), []).append(one.synergy)
    return {number: distribution(by_number[number]) for number in sorted(by_number)}
