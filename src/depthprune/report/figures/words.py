"""The words in figures: counts, error bars, how much was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from depthprune.analysis.combinations import Combination
from depthprune.analysis.drop_table import Distribution
from depthprune.analysis.findings import Analysis
from depthprune.base.language import counted
from depthprune.report.formatting import percent, short_names


def points(fraction: float, decimals: int = 1) -> str:
    """Return a fraction as percentage points, never as `-0.0`."""
    return percent(fraction, decimals)


def span(numbers: Iterable[int]) -> str:
    """Return whole numbers as `8`, or `2 to 8`; `0` where there is none."""
    given = sorted(set(numbers))
    if not given:
        return "0"
    return f"{given[0]:,}" if len(given) == 1 else f"{given[0]:,} to {given[-1]:,}"


def shown_of(shown: int, total: int, things: str) -> str:
    """Return `Shown: 6 of 12 things.`, or nothing where all are shown."""
    return "" if shown >= total else f"Shown: {shown:,} of {total:,} {things}."


def spread(numbers: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of the numbers, evenly chosen, the first and the last among them."""
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[round(place * (len(numbers) - 1) / (most - 1))] for place in range(most)]


def with_std(drops: Distribution) -> str:
    """Return mean, standard deviation and count for the note beside a bar."""
    return f"{points(drops.mean)} ± {points(drops.std)}, n = {drops.count:,}"


def combination_note(combination: Combination, num_datasets: int) -> str:
    """Return drop, coverage and samples for the note beside a bar."""
    sets = f"{combination.coverage}/{num_datasets} sets"
    samples = f", n = {combination.num_samples:,}" if combination.num_samples else ""
    return f"{points(combination.mean, 2)}  ({sets}{samples})"


def whiskers(combinations: Iterable[Combination]) -> str:
    """Return what the error bars of combinations are."""
    given = list(combinations)
    intervals = sum(one.interval is not None for one in given)
    deviations = sum(one.interval is None and one.coverage > 1 for one in given)
    if intervals and deviations:
        return (
            "Error bars: 95% paired interval of the mean drop (black); "
            "± population std over datasets where scores per sample are unknown (grey)."
        )
    if intervals:
        return "Error bars: 95% paired interval of the mean drop."
    if deviations:
        return "Error bars: ± population std over the datasets."
    return "No error bars: one dataset each, and no scores per sample, or fewer than ten."


def scope(analysis: Analysis) -> str:
    """Return what a figure is about: model, blocks, datasets, removals, cells, samples."""
    table = analysis.table
    counts = set(table.num_samples[~np.isnan(table.drops)].tolist())
    samples = (
        "number of samples unknown"
        if not counts or 0 in counts
        else f"{span(counts)} samples per drop"
    )
    cells = f"{int(table.coverage.sum()):,} of {table.drops.size:,}"
    (model,) = short_names([analysis.results.model], 48)
    return (
        f"{model}: {counted(table.num_blocks, 'block')}, "
        f"{counted(len(table.datasets), 'dataset')}, "
        f"{counted(len(table.removals), 'removal')}; {cells} drops measured; {samples}."
    )
