"""Specification of the drop table: removals by datasets, NaN where nothing was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from depthprune.analysis.drop_table import drop_table
from depthprune.analysis.result_set import DatasetMeasurements
from tests.analysis.results import Cells, cells, results
from tests.measurements import dataset


@given(cells(min_datasets=1))
def test_every_cell_is_the_drop_of_its_dataset_or_not_measured(drawn: Cells) -> None:
    found = results(drawn)
    table = drop_table(found.datasets, found.num_blocks)
    measured = {removal for removal, row in drawn.items() if any(drop is not None for drop in row)}
    assert table.removals == tuple(sorted(measured, key=lambda removal: (len(removal), removal)))
    for row, removal in enumerate(table.removals):
        for column, one in enumerate(found.datasets):
            if removal in one.measurements:
                assert table.drops[row, column] == one.drop(removal)
                assert table.accuracies[row, column] == one.measurements[removal].accuracy
            else:
                assert np.isnan(table.drops[row, column])
                assert np.isnan(table.accuracies[row, column])
                assert table.num_samples[row, column] == 0


def test_what_is_not_measured_is_not_a_drop_of_zero() -> None:
    found = results({(1,): [0.1, None], (2,): [None, 0.0]})
    table = drop_table(found.datasets, 6)
    assert np.array_equal(np.isnan(table.drops), [[False, True], [True, False]])
    assert table.coverage.tolist() == [1, 1]


def test_a_stated_drop_counts_and_else_the_accuracies() -> None:
    one = dataset("okvqa", [1.0, 1.0], {(1,): [1.0, 0.0], (2,): [1.0, 0.0]})
    stated = {**one.measurements, (2,): replace(one.measurements[(2,)], stated_drop=0.499)}
    table = drop_table([replace(one, measurements=stated)], 4)
    assert table.drops[:, 0] == pytest.approx([0.5, 0.499], abs=0)
    assert table.num_samples[:, 0].tolist() == [2, 2]


def test_no_datasets_and_no_removals_are_an_empty_table() -> None:
    assert drop_table([], 4).drops.shape == (0, 0)
    empty: list[DatasetMeasurements] = [dataset("okvqa", 0.9, {})]
    assert drop_table(empty, 4).drops.shape == (0, 1)
