"""Dataset-adjusted drops: what a combination would cost on average over all datasets.

A mean over two datasets that hardly respond is no better than one over eight that do. The two-way
additive model, drop = effect of the combination + effect of the dataset, tells them apart; it is
fitted by least squares to the cells that were measured (Searle, Linear Models for Unbalanced
Data, 1987, chapter 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.recommendations import Disagreement
from depthprune.analysis.table import DropTable
from depthprune.base.removal import Removal, settled


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
    independent: Mapping[int, Ranking], adjusted: Mapping[Removal, float]
) -> tuple[Disagreement, ...]:
    """Return where the smallest adjusted drop is not that of the smallest plain mean."""
    found = []
    for number, ranking in sorted(independent.items()):
        comparable_ones = [
            one for one in ranking.combinations if not np.isnan(adjusted[one.removal])
        ]
        if not comparable_ones:
            continue
        plain, best = ranking.combinations[0], _smallest(comparable_ones, adjusted)
        drops = adjusted[plain.removal], adjusted[best.removal]
        if settled(drops[1]) < settled(drops[0]):
            found.append(Disagreement(number, plain, best, *drops))
    return tuple(found)


def _smallest(given: Sequence[Combination], adjusted: Mapping[Removal, float]) -> Combination:
    return min(given, key=lambda one: (settled(adjusted[one.removal]), one.removal))


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
