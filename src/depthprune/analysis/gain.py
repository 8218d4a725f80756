"""What a search gained over removing the blocks that cost least alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.combinations import DatasetMeasurements
from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import DECIMALS, Removal, settled


@dataclass(frozen=True)
class Gain:
    """The best removal that was found of one size, beside the one-shot removal of that size.

    Drops and gains are fractions, means over the datasets.

    Attributes:
        number: blocks removed.
        active: blocks that stay.
        best: the removal with the smallest mean drop.
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
    so a gain is never negative: chosen and judged on the same samples, the best of many removals
    looks better than it is, even where all are equally good; so it has no interval. From fresh
    samples there is one, see `FreshGain`.

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
    found = []
    for number, candidates in _by_number(datasets).items():
        drops = shares @ np.array([[one.drop(each) for each in candidates] for one in datasets])
        best = _smallest(drops)
        if max_drop is not None and settled(drops[best]) > max_drop:
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
                num_samples=sum(one.measurements[candidates[best]].num_samples for one in datasets),
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
            raise DepthpruneError(
                f"{weight} is no weight for {one.dataset}", mend="use numbers of 0 or more"
            )
    given = np.array([weights[one.dataset] for one in datasets], dtype=np.float64)
    if len(given) and not given.any():
        raise DepthpruneError("all weights are 0", mend="give at least one dataset a weight")
    shares: NDArray[np.float64] = given / given.sum()
    return shares


def _by_number(datasets: Sequence[DatasetMeasurements]) -> dict[int, list[Removal]]:
    """Return the removals of several blocks that every dataset holds, by number, ascending."""
    if not datasets:
        return {}
    shared = set.intersection(*(set(one.measurements) for one in datasets))
    found: dict[int, list[Removal]] = {}
    for removal in sorted(shared, key=lambda removal: (len(removal), removal)):
        if len(removal) > 1:
            found.setdefault(len(removal), []).append(removal)
    return found


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
    halves = np.zeros((2, len(candidates)))
    for one, share in zip(datasets, shares, strict=True):
        scores = [one.paired_scores(each) for each in ((), *candidates)]
        known = [each for each in scores if each is not None]
        if len(known) < len(scores) or len(known[0]) < 2:
            return None
        rows = np.array(known, dtype=np.float64)
        for half in (0, 1):
            means = rows[:, half::2].mean(axis=1)
            halves[half] += share * (means[0] - means[1:])
    gains = [
        halves[judged, one_shot] - halves[judged, _smallest(halves[chosen])]
        for chosen, judged in ((0, 1), (1, 0))
    ]
    return float(np.mean(gains))
