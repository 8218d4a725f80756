"""Result sets made by hand or drawn by hypothesis, for tests of what is recommended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from depthprune.analysis.combinations import Combination, RankedCombinations, rank
from depthprune.analysis.result_set import DatasetMeasurements, ResultSet
from depthprune.base.removal import Removal
from tests.measurements import measurement

PUBLISHED = Path(__file__).parent / "data" / "published"

Cells = Mapping[Removal, Sequence[float | None]]


def results(cells: Cells, *, num_blocks: int = 6, baseline: float = 0.9, **more: Any) -> ResultSet:
    """Return results with these drops, one entry per dataset; None is a cell not measured."""
    width = len(next(iter(cells.values())))
    datasets = []
    for column in range(width):
        name = f"set{column}"
        drops = {removal: row[column] for removal, row in cells.items()}
        measured = {
            removal: replace(measurement(removal, baseline - drop, name), stated_drop=drop)
            for removal, drop in drops.items()
            if drop is not None
        }
        unpruned = replace(measurement((), baseline, name), accuracy=baseline)
        datasets.append(DatasetMeasurements(name, "VQA", unpruned, measured))
    return result_set(datasets, num_blocks=num_blocks, **more)


def result_set(
    datasets: Sequence[DatasetMeasurements], *, num_blocks: int = 6, **more: Any
) -> ResultSet:
    """Return these datasets as a result set."""
    splits = {one.dataset: "validation" for one in datasets}
    return ResultSet("tiny", num_blocks, tuple(datasets), splits, **more)


def combination(removal: Removal, *drops: float, names: Sequence[str] = ()) -> Combination:
    """Return a combination with these drops, one for each dataset."""
    named = dict(zip(names or [f"set{column}" for column in range(len(drops))], drops, strict=True))
    mean, std = float(np.mean(drops)), float(np.std(drops))
    return Combination(removal, named, mean, std, 0.9 - mean, 0, None)


def rankings(*combinations: Combination, min_coverage: int = 1) -> dict[int, RankedCombinations]:
    """Return the rankings of these combinations, by number removed."""
    numbers = sorted({len(one.removal) for one in combinations})
    return {
        number: rank(
            [one for one in combinations if len(one.removal) == number], min_coverage=min_coverage
        )
        for number in numbers
    }


REMOVALS: tuple[Removal, ...] = ((0,), (1,), (2,), (3,), (0, 1), (1, 2), (2, 3), (0, 1, 2))
DROPS = st.integers(-20, 60).map(lambda number: number / 128)
"""Exact in binary, so that sums in any order are the same."""


@st.composite
def cells(
    draw: st.DrawFn, *, complete: bool = False, min_datasets: int = 2
) -> dict[Removal, list[float | None]]:
    """Draw drops of some removals on two to four datasets, with gaps unless `complete`."""
    removals = draw(st.lists(st.sampled_from(REMOVALS), min_size=1, unique=True))
    width = draw(st.integers(min_datasets, 4))
    one = DROPS if complete else st.one_of(st.none(), DROPS)
    return {removal: draw(st.lists(one, min_size=width, max_size=width)) for removal in removals}
