"""Tables of drops made by hand or drawn by hypothesis, and what may be done to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from hypothesis import strategies as st

from depthprune.analysis.drop_table import DropTable
from depthprune.base.removal import Removal

Cells = Mapping[Removal, Sequence[float | None]]
STEP = 1 / 64
"""Drops are multiples of it: sums are exact, and rounding hides nothing."""


def table(
    cells: Cells,
    *,
    num_blocks: int = 4,
    task_types: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
) -> DropTable:
    """Return a table of these drops, one entry per dataset; None is a cell not measured."""
    removals = sorted(cells, key=lambda removal: (len(removal), removal))
    width = max((len(row) for row in cells.values()), default=len(datasets or ()))
    drops = np.full((len(removals), width), np.nan)
    for row, removal in enumerate(removals):
        drops[row] = [np.nan if drop is None else drop for drop in cells[removal]]
    return DropTable(
        num_blocks=num_blocks,
        removals=tuple(removals),
        datasets=tuple(datasets or [f"set{column}" for column in range(width)]),
        task_types=tuple(task_types or ["VQA"] * width),
        baselines=np.full(width, 0.9),
        drops=drops,
        accuracies=0.9 - drops,
        num_samples=np.where(np.isnan(drops), 0, 100),
    )


def cells_of(given: DropTable) -> dict[Removal, dict[str, float]]:
    """Return the measured cells by removal and dataset, for twins that walk cell by cell."""
    return {
        removal: {
            dataset: float(given.drops[row, column])
            for column, dataset in enumerate(given.datasets)
            if not np.isnan(given.drops[row, column])
        }
        for row, removal in enumerate(given.removals)
    }


@st.composite
def tables(draw: st.DrawFn, *, min_datasets: int = 1) -> DropTable:
    """Draw tables of up to five blocks and five datasets, with holes, ties and improvements."""
    num_blocks = draw(st.integers(2, 5))
    every = [
        removal
        for number in range(1, num_blocks)
        for removal in combinations(range(num_blocks), number)
    ]
    removals = draw(st.lists(st.sampled_from(every), min_size=1, max_size=12, unique=True))
    width = draw(st.integers(min_datasets, 5))
    cell = st.one_of(st.none(), st.integers(-8, 32).map(lambda steps: steps * STEP))
    rows = st.lists(cell, min_size=width, max_size=width)
    types = st.lists(st.sampled_from(["VQA", "Captioning", ""]), min_size=width, max_size=width)
    return table(
        {removal: draw(rows) for removal in removals},
        num_blocks=num_blocks,
        task_types=draw(types),
    )


@st.composite
def permuted_tables(draw: st.DrawFn) -> tuple[DropTable, DropTable]:
    """Draw a table, and the same one with its datasets in another order."""
    given = draw(tables())
    return given, select(given, draw(st.permutations(range(len(given.datasets)))))


@st.composite
def relabelled_tables(draw: st.DrawFn) -> tuple[DropTable, DropTable, dict[int, int]]:
    """Draw a table, the same one with other names for the blocks, and the new name of each."""
    given = draw(tables())
    names = dict(enumerate(draw(st.permutations(range(given.num_blocks)))))
    cells = {
        relabelled(removal, names): [None if np.isnan(drop) else float(drop) for drop in row]
        for removal, row in zip(given.removals, given.drops, strict=True)
    }
    return given, table(cells, num_blocks=given.num_blocks, task_types=given.task_types), names


def select(given: DropTable, columns: Sequence[int]) -> DropTable:
    """Return the same removals on some of the datasets, in this order."""
    return replace(
        given,
        datasets=tuple(given.datasets[column] for column in columns),
        task_types=tuple(given.task_types[column] for column in columns),
        baselines=given.baselines[list(columns)],
        drops=given.drops[:, list(columns)],
        accuracies=given.accuracies[:, list(columns)],
        num_samples=given.num_samples[:, list(columns)],
    )


def relabelled(removal: Removal, names: Mapping[int, int]) -> Removal:
    """Return a removal with other names for its blocks."""
    return tuple(sorted(names[block] for block in removal))


def shifted(given: DropTable, column: int, constant: float) -> DropTable:
    """Return the table with a constant added to the drops of one dataset."""
    drops = given.drops.copy()
    drops[:, column] += constant
    return replace(given, drops=drops)


def with_unmeasured_dataset(given: DropTable) -> DropTable:
    """Return the table with one more dataset, none of whose cells was measured."""
    hole = np.full((len(given.removals), 1), np.nan)
    return replace(
        given,
        datasets=(*given.datasets, "unmeasured"),
        task_types=(*given.task_types, "Document QA"),
        baselines=np.append(given.baselines, 0.5),
        drops=np.hstack([given.drops, hole]),
        accuracies=np.hstack([given.accuracies, hole]),
        num_samples=np.hstack([given.num_samples, np.zeros_like(hole, dtype=np.int64)]),
    )
