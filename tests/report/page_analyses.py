"""Analyses made by hand, for tests of the interactive page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from depthprune.analysis.drop_table import drop_table
from depthprune.analysis.findings import Analysis, find
from depthprune.analysis.recommend import recommend
from depthprune.analysis.result_set import DatasetMeasurements, ResultSet
from depthprune.base.removal import Removal
from tests.analysis.results import result_set
from tests.measurements import measurement
from tests.report.analyses import limits

Cells = Mapping[Removal, Sequence[float | None]]

CELLS: Cells = {
    (0,): [0.60, 0.70, 0.50],
    (1,): [0.02, 0.04, 0.03],
    (2,): [0.05, 0.01, 0.06],
    (3,): [0.10, 0.12, None],
    (4,): [-0.01, 0.02, 0.02],
    (1, 2): [0.06, 0.05, 0.10],
    (1, 4): [0.01, 0.05, None],
    (2, 4): [0.03, None, None],  # one dataset only: never ranked
    (2, 3): [0.20, 0.18, None],
    (1, 2, 4): [0.08, 0.09, 0.11],
}
"""Six blocks, three datasets; block 5 was never measured."""


def analysed(results: ResultSet, **options: float) -> Analysis:
    """Return everything about a result set; the options are those of `recommend`."""
    table = drop_table(results.datasets, results.num_blocks)
    recommended = recommend(results, *limits(**options), table=table)
    return Analysis(results, table, find(results, table=table), recommended)


def results_of(
    cells: Cells, *, names: Sequence[str] = (), num_blocks: int = 6, model: str = "tiny"
) -> ResultSet:
    """Return results with these drops, one entry per dataset; None is a cell not measured."""
    width = len(next(iter(cells.values())))
    datasets = []
    for column, name in enumerate(names or [f"set_{place}" for place in range(width)]):
        measured = {
            removal: replace(
                measurement(removal, 0.9 - drop, name), stated_drop=drop, num_samples=500
            )
            for removal, row in cells.items()
            if (drop := row[column]) is not None
        }
        unpruned = replace(measurement((), 0.9, name), accuracy=0.9, num_samples=500)
        task_type = ("VQA", "Captioning")[column % 2]
        datasets.append(DatasetMeasurements(name, task_type, unpruned, measured))
    return replace(result_set(datasets, num_blocks=num_blocks), model=model)


def small() -> Analysis:
    """Return the analysis of `CELLS`."""
    return analysed(results_of(CELLS))


def large(num_blocks: int = 80, num_datasets: int = 50, combinations: int = 900) -> Analysis:
    """Return an analysis of many blocks and datasets, with holes."""
    cells: dict[Removal, list[float | None]] = {
        (block,): [
            None if (block + column) % 19 == 0 else (block * 7 + column) % 23 / 200
            for column in range(num_datasets)
        ]
        for block in range(num_blocks)
    }
    for number in range(combinations):
        row = number // 9
        blocks = {number * 3 % num_blocks, row % num_blocks, (row + 40) % num_blocks}
        cells.setdefault(
            tuple(sorted(blocks)),
            [
                None if (number + column) % 3 == 0 else (number * 5 + column) % 31 / 100
                for column in range(num_datasets)
            ],
        )
    names = [f"benchmark_with_a_long_name_{column}" for column in range(num_datasets)]
    return analysed(results_of(cells, names=names, num_blocks=num_blocks, model="large"))
