"""The findings that every measuring command ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from depthprune.analysis.combinations import (
    Combination,
    DatasetMeasurements,
    Ranking,
    combine,
    rank,
)
from depthprune.base.removal import Removal, settled


@dataclass(frozen=True)
class Summary:
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
    importance: Ranking
    combinations: Mapping[int, Ranking]
    best: Mapping[str, Mapping[int, tuple[Removal, float]]]
    min_coverage: int
    min_drop: float | None


def summarise(
    datasets: Sequence[DatasetMeasurements],
    num_blocks: int,
    *,
    min_coverage: int = 2,
    min_drop: float | None = None,
) -> Summary:
    """Return the findings; one dataset alone is ranked by itself.

    Args:
        datasets: that were measured on one split.
        num_blocks: of the unpruned stack.
        min_coverage: the fewest datasets a ranked combination must be measured on.
        min_drop: the smallest mean drop of a ranked combination; None is no limit.
    """
    required = min(min_coverage, max(1, len(datasets)))
    by_number: dict[int, list[Combination]] = {}
    for combination in combine(datasets):
        by_number.setdefault(len(combination.removal), []).append(combination)
    several = max(by_number, default=0) > 1
    return Summary(
        num_blocks=num_blocks,
        datasets=tuple(datasets),
        importance=rank(by_number.get(1, []), min_coverage=1, min_drop=None),
        combinations={
            number: rank(found, min_coverage=required, min_drop=min_drop)
            for number, found in by_number.items()
            if several
        },
        best={dataset.dataset: _best_per_number(dataset) for dataset in datasets},
        min_coverage=required,
        min_drop=min_drop,
    )


def _best_per_number(dataset: DatasetMeasurements) -> dict[int, tuple[Removal, float]]:
    best: dict[int, tuple[Removal, float]] = {}
    for removal in sorted(dataset.measurements):
        drop = dataset.drop(removal)
        number = len(removal)
        if number not in best or settled(drop) < settled(best[number][1]):
            best[number] = (removal, drop)
    return dict(sorted(best.items()))
