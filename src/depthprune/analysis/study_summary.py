"""The findings that every measuring command ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.combinations import (
    Combination,
    RankedCombinations,
    rank,
    table_combinations,
    with_intervals,
)
from depthprune.analysis.drop_table import drop_table
from depthprune.analysis.responses import best_by_number
from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import DECIMALS, Removal, rounded


@dataclass(frozen=True)
class StudySummary:
    """What a study says about one split of its tasks.

    Attributes:
        num_blocks: of the unpruned stack.
        datasets: that were measured.
        importance: single blocks, the least important first; none is left out.
        combinations: rankings by number of removed blocks, as far as several blocks were removed.
        best: by dataset and number of removed blocks, its best removal with its drop.
        min_coverage: the fewest datasets that a ranked combination was measured on.
        min_drop: the smallest mean drop that was ranked; None is no limit.
    """

    num_blocks: int
    datasets: tuple[DatasetMeasurements, ...]
    importance: RankedCombinations
    combinations: Mapping[int, RankedCombinations]
    best: Mapping[str, Mapping[int, tuple[Removal, float]]]
    min_coverage: int
    min_drop: float | None


def summarize_study(
    datasets: Sequence[DatasetMeasurements],
    num_blocks: int,
    *,
    min_coverage: int = 2,
    min_drop: float | None = None,
) -> StudySummary:
    """Return the findings; one dataset alone is ranked by itself.

    Args:
        datasets: that were measured on one split.
        num_blocks: of the unpruned stack.
        min_coverage: the fewest datasets a ranked combination must be measured on.
        min_drop: the smallest mean drop of a ranked combination; None is no limit.
    """
    required = min(min_coverage, max(1, len(datasets)))
    table = drop_table(datasets, num_blocks)
    by_number: dict[int, list[Combination]] = {}
    for combination in with_intervals(table_combinations(table), datasets):
        by_number.setdefault(len(combination.removal), []).append(combination)
    several = max(by_number, default=0) > 1
    return StudySummary(
        num_blocks=num_blocks,
        datasets=tuple(datasets),
        importance=rank(by_number.get(1, []), min_coverage=1, min_drop=None),
        combinations={
            number: rank(found, min_coverage=required, min_drop=min_drop)
            for number, found in by_number.items()
            if several
        },
        best={
            name: {number: best[:2] for number, best in best_by_number(table, [column]).items()}
            for column, name in enumerate(table.datasets)
        },
        min_coverage=required,
        min_drop=min_drop,
    )


@dataclass(frozen=True)
class Gain:
    """The best removal that was found of one size, beside the one-shot removal of that size.

    Drops and gains are fractions, means over the datasets.

    Attributes:
        number: blocks removed.
        active: blocks that stay.
        best: the removal that is ranked first: the one with the smallest mean drop, unless losses
            rank them.
        best_drop: its mean drop.
        candidates: removals of this size that `best` was chosen among.
        one_shot: the least important blocks together; None when it is not known.
        one_shot_drop: its mean drop; None when it was not measured on every dataset.
        gain: `one_shot_drop - best_drop`; None when the former is.
        held_out: the gain on samples that had no part in choosing `best`; None without per-sample
            scores of every candidate.
        num_samples: samples behind each drop, over all datasets; 0 when unknown.
        num_datasets: that the means are over.
    """

    number: int
    active: int
    best: Removal
    best_drop: float
    candidates: int
    one_shot: Removal | None
    one_shot_drop: float | None
    gain: float | None
    held_out: float | None
    num_samples: int
    num_datasets: int


def search_gains(
    datasets: Sequence[DatasetMeasurements],
    num_blocks: int,
    one_shot: Mapping[int, Removal],
    weights: Mapping[str, float] | None = None,
    max_drop: float | None = None,
) -> list[Gain]:
    """Return what the search gained, for each number of removed blocks from two on.

    Only removals that were measured on every dataset count. The one-shot removal is one of them,
    so a gain is never negative, unless losses rank them: chosen and judged on the same samples, the
    best of many removals looks better than it is, even where all are equally good; so it has no
    interval. From fresh samples there is one, see `FreshGain`.

    The held-out gain does: the best removal is chosen on every other sample of each dataset and
    judged on the samples between, both ways, and the two gains are averaged; it may be negative.
    It is not perfect either. The choice is made on half of the samples, which makes it worse than
    the one reported; the removals to choose from, and the one-shot ranking, come from all of them.

    Args:
        datasets: measured on one split each; the mean of their drops decides.
        num_blocks: of the unpruned stack.
        one_shot: by number of removed blocks, see `search.one_shot_removals`.
        weights: of the datasets by name, not negative; None means equal weights.
        max_drop: a number of removed blocks of which every removal costs more is left out.

    Returns:
        Gains by number of removed blocks, ascending; those of which nothing was measured on every
        dataset are left out.

    Raises:
        DepthpruneError: a dataset has no weight, or the weights are negative, no numbers, or all 0.
    """
    shares = _shares(datasets, weights)
    table = drop_table(datasets, num_blocks)
    complete = table.coverage == len(datasets)
    found = []
    for number, rows in table.rows_by_number.items():
        places = np.flatnonzero(complete[rows]) + rows.start
        if number < 2 or not len(places):
            continue
        candidates = [table.removals[place] for place in places]
        drops = shares @ table.drops[places].T
        best = _smallest(shares @ table.ranks[places].T)
        if max_drop is not None and rounded(drops[best]) > max_drop:
            continue
        together = one_shot.get(number)
        place = candidates.index(together) if together in candidates else None
        found.append(
            Gain(
                number=number,
                active=num_blocks - number,
                best=candidates[best],
                best_drop=float(drops[best]),
                candidates=len(candidates),
                one_shot=together,
                one_shot_drop=None if place is None else float(drops[place]),
                gain=None if place is None else float(drops[place] - drops[best]),
                held_out=None if place is None else _held_out(datasets, shares, candidates, place),
                num_samples=int(table.num_samples[places[best]].sum()),
                num_datasets=len(datasets),
            )
        )
    return found


def _shares(
    datasets: Sequence[DatasetMeasurements], weights: Mapping[str, float] | None
) -> NDArray[np.float64]:
    """Return the weights of the datasets with a sum of 1, shape (D,)."""
    if weights is None:
        return np.full(len(datasets), 1 / max(1, len(datasets)))
    for one in datasets:
        weight = weights.get(one.dataset)
        if weight is None:
            raise DepthpruneError(f"{one.dataset} has no weight", mend="give each dataset one")
        if not isfinite(weight) or weight < 0:
            raise DepthpruneError(f"the weight of {one.dataset} must be 0 or more, not {weight}")
    given = np.array([weights[one.dataset] for one in datasets], dtype=np.float64)
    if len(given) and not given.any():
        raise DepthpruneError("all weights are 0", mend="give at least one dataset a weight")
    shares: NDArray[np.float64] = given / given.sum()
    return shares


def _smallest(drops: NDArray[np.float64]) -> int:
    """Return where the smallest drop is, the first where several are the same."""
    return int(np.argmin(np.round(drops, DECIMALS)))


def _held_out(
    datasets: Sequence[DatasetMeasurements],
    shares: NDArray[np.float64],
    candidates: Sequence[Removal],
    one_shot: int,
) -> float | None:
    """Choose on one half of the samples and judge on the other, both ways."""
    halves = np.zeros((2, 2, len(candidates)))
    for one, share in zip(datasets, shares, strict=True):
        for place, of in enumerate((one.paired_scores, one.ranked_scores)):
            scores = [of(each) for each in ((), *candidates)]
            known = [each for each in scores if each is not None]
            if len(known) < len(scores) or len(known[0]) < 2:
                return None
            rows = np.array(known, dtype=np.float64)
            for half in (0, 1):
                means = rows[:, half::2].mean(axis=1)
                halves[place, half] += share * (means[0] - means[1:])
    drops, ranks = halves
    gains = [
        drops[judged, one_shot] - drops[judged, _smallest(ranks[chosen])]
        for chosen, judged in ((0, 1), (1, 0))
    ]
    return float(np.mean(gains))


@dataclass(frozen=True)
class MeanGain:
    """The mean of the gains of several datasets' own searches, as fractions.

    Attributes:
        number: blocks removed.
        gain: its mean over the datasets that know it.
        held_out: likewise; None where no dataset knows it.
        num_datasets: that know the gain.
    """

    number: int
    gain: float
    held_out: float | None
    num_datasets: int


def gains_by_dataset(
    datasets: Sequence[DatasetMeasurements],
    num_blocks: int,
    one_shot: Mapping[str, Mapping[int, Removal]],
    max_drop: float | None = None,
) -> dict[str, list[Gain]]:
    """Return the gains of each dataset by itself, see `search_gains`.

    Args:
        datasets: measured on one split each.
        num_blocks: of the unpruned stack.
        one_shot: by dataset, by number of removed blocks.
        max_drop: as for `search_gains`.
    """
    return {
        one.dataset: search_gains(
            [one], num_blocks, one_shot.get(one.dataset, {}), max_drop=max_drop
        )
        for one in datasets
    }


def mean_gains(gains: Mapping[str, Sequence[Gain]]) -> list[MeanGain]:
    """Return the mean gain for each number of removed blocks, ascending."""
    by_number: dict[int, list[Gain]] = {}
    for found in gains.values():
        for gain in found:
            if gain.gain is not None:
                by_number.setdefault(gain.number, []).append(gain)
    return [_mean(number, found) for number, found in sorted(by_number.items())]


def _mean(number: int, found: Sequence[Gain]) -> MeanGain:
    held_out = [gain.held_out for gain in found if gain.held_out is not None]
    return MeanGain(
        number=number,
        gain=fmean(gain.gain for gain in found if gain.gain is not None),
        held_out=fmean(held_out) if held_out else None,
        num_datasets=len(found),
    )
