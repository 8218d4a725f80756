"""What the page embeds: the analysis as plain JSON data, small enough for a thousand combinations.

Fractions (drops, accuracies) are whole millionths, `null` where nothing was measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np

from depthprune.analysis.combinations import (
    Combination,
    adjusted_drops,
    table_combinations,
    with_intervals,
)
from depthprune.analysis.drop_table import rounded_array, row_statistics
from depthprune.analysis.findings import Analysis
from depthprune.analysis.recommend import EVERY_INTERVAL, Recommended
from depthprune.analysis.synergy import Estimator, estimator
from depthprune.base.removal import Removal

MOST = 1000
"""Combinations that a page holds; of more, the best of each number removed."""

MILLION = 1_000_000


def page_data(analysis: Analysis, *, most: int = MOST) -> dict[str, Any]:
    """Return what the page shows and computes with.

    Args:
        analysis: of one model.
        most: combinations that are embedded. Single blocks, and those that are recommended, are
            embedded even beyond that.
    """
    table, found = analysis.table, analysis.recommendations
    shown = shown_combinations(analysis, most=most)
    adjusted = dict(zip(table.removals, adjusted_drops(table).tolist(), strict=True))
    ranked = set(found.adjusted)
    known = estimator(found.singles, analysis.findings.synergies)
    rows = {one.removal: place for place, one in enumerate(shown)}
    singles = table.single_drops
    return {
        "numBlocks": found.num_blocks,
        "datasets": [
            [one.dataset, one.task_type, millionths(one.baseline.accuracy)]
            for one in analysis.results.datasets
        ],
        "order": _most_sensitive_first(analysis),
        "robustCoverage": found.robust_coverage,
        "total": len(table.removals),
        "totals": {str(n): rows.stop - rows.start for n, rows in table.rows_by_number.items()},
        "combinations": [
            _row(one, adjusted[one.removal], one.removal in ranked, table.datasets) for one in shown
        ],
        "best": _places(found, rows, robust=False),
        "robust": _places(found, rows, robust=True),
        "essential": [one.combination.removal[0] for one in found.essential],
        "singleDrops": [list(map(millionths, column)) for column in singles.T.tolist()],
        "estimator": _estimator(known, found.num_blocks),
    }


def shown_combinations(analysis: Analysis, *, most: int = MOST) -> list[Combination]:
    """Return the combinations that the page holds, by number removed and blocks.

    Each number removed gets an equal share of `most`, and what others do not need; ranked ones
    come first, then those with the smallest mean drop.
    """
    table, found = analysis.table, analysis.recommendations
    by_removal = {
        one.removal: one for ranking in found.independent.values() for one in ranking.combinations
    }
    means = rounded_array(row_statistics(table.drops)[0])
    numbers = table.rows_by_number
    shares = equal_shares({n: rows.stop - rows.start for n, rows in numbers.items()}, most)
    chosen = _named(found)
    for number, rows in numbers.items():
        removals = table.removals[rows]
        unranked = np.array([removal not in by_removal for removal in removals])
        order = np.lexsort((means[rows], unranked))
        # A block alone is what every estimate is made from.
        keep = order if number == 1 else order[: shares[number]]
        chosen |= {removals[place] for place in keep.tolist()}
    others = [
        row
        for row, removal in enumerate(table.removals)
        if removal in chosen and removal not in by_removal
    ]
    rest = table_combinations(
        replace(
            table,
            removals=tuple(table.removals[row] for row in others),
            drops=table.drops[others],
            accuracies=table.accuracies[others],
            num_samples=table.num_samples[others],
        )
    )
    if len(table.removals) <= EVERY_INTERVAL:
        rest = with_intervals(rest, analysis.results.datasets)
    shown = [*(by_removal[removal] for removal in chosen if removal in by_removal), *rest]
    return sorted(shown, key=lambda one: (len(one.removal), one.removal))


def equal_shares(needs: Mapping[int, int], total: int) -> dict[int, int]:
    """Return how much of `total` each gets: no more than it needs, and equal parts of the rest."""
    shares: dict[int, int] = {}
    left = total
    for place, (name, need) in enumerate(sorted(needs.items(), key=lambda item: item[1])):
        shares[name] = min(need, left // (len(needs) - place))
        left -= shares[name]
    return shares


def millionths(fraction: float | None) -> int | None:
    """Return a fraction in whole millionths; None for None and NaN."""
    return None if fraction is None or isnan(fraction) else round(fraction * MILLION)


def _row(one: Combination, adjusted: float, ranked: bool, datasets: Iterable[str]) -> list[Any]:
    """Return a combination in the order that the script names in `COLUMNS`."""
    interval = one.interval
    return [
        list(one.removal),
        millionths(one.mean),
        millionths(one.std) if one.coverage > 1 else None,
        None if interval is None else millionths(interval.low),
        None if interval is None else millionths(interval.high),
        one.coverage,
        one.num_samples,
        millionths(adjusted),
        millionths(one.accuracy),
        int(ranked),
        [millionths(one.drops.get(name)) for name in datasets],
    ]


def _estimator(known: Estimator, num_blocks: int) -> dict[str, Any]:
    return {
        "singles": [millionths(known.singles.get(block)) for block in range(num_blocks)],
        "pairs": [[*pair, millionths(synergy)] for pair, synergy in known.synergies.items()],
        "errors": {
            str(number): [millionths(error.spread), error.count]
            for number, error in known.errors.items()
        },
    }


def _places(found: Recommended, rows: Mapping[Removal, int], *, robust: bool) -> dict[str, int]:
    rankings = found.robust if robust else found.independent
    return {
        str(number): rows[ranking.combinations[0].removal]
        for number, ranking in rankings.items()
        if ranking.combinations
    }


def _named(found: Recommended) -> set[Removal]:
    rankings = [*found.independent.values(), *found.robust.values()]
    named = [ranking.combinations[0] for ranking in rankings if ranking.combinations]
    named += [step.combination for step in found.stepwise.steps]
    named += [one for strategy in found.strategies for one in strategy.combinations]
    named += [one.combination for one in found.targets if one.combination is not None]
    named += [one.adjusted for one in found.disagreements]
    return {one.removal for one in named}


def _most_sensitive_first(analysis: Analysis) -> list[int]:
    columns = {name: column for column, name in enumerate(analysis.table.datasets)}
    return [columns[response.dataset] for response in analysis.findings.responses]
