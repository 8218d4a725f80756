"""Specification of drops in numbers."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthprune.analysis.drop_table import (
    DropTable,
    distribution,
    distributions_by_number,
    measured_distribution,
    rounded_array,
    row_statistics,
    share_at_most,
)
from depthprune.base.removal import rounded
from tests.analysis.tables import cells_of, permuted_tables, table, tables

NAN = float("nan")


def test_a_distribution_by_hand() -> None:
    found = distribution([[0.4, NAN], [0.1, 0.1]])
    assert found.count == 3
    assert found.mean == pytest.approx(0.2)
    assert found.std == pytest.approx(math.sqrt(0.02))
    assert (found.minimum, found.median, found.maximum) == (0.1, 0.1, 0.4)
    assert found.values.tolist() == [0.1, 0.1, 0.4]


def test_the_median_of_an_even_count_lies_between() -> None:
    assert distribution([4.0, 1.0, 2.0, 9.0]).median == 3.0


def test_quartiles_are_interpolated() -> None:
    assert distribution([4.0, 1.0, 3.0, 2.0]).quartiles == (1.75, 3.25)


def test_shares_count_what_is_at_most_as_large() -> None:
    assert distribution([2.0, 1.0, 1.0, 3.0]).shares.tolist() == [0.5, 0.5, 0.75, 1.0]


def test_a_share_counts_drops_that_are_the_limit_but_for_rounding_noise() -> None:
    drop = 0.9 - 0.88
    assert drop > 0.02
    assert share_at_most(distribution([drop, 0.03]), 0.02) == 0.5
    assert math.isnan(share_at_most(distribution([NAN]), 0.02))


def test_nothing_measured_has_no_numbers() -> None:
    found = distribution([NAN, NAN])
    assert found.count == 0
    assert all(math.isnan(number) for number in (found.mean, found.std, found.median))
    assert all(math.isnan(number) for number in found.quartiles)
    assert found.shares.tolist() == []
    assert measured_distribution([NAN]) is None
    assert distribution([]).count == 0


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_a_distribution_agrees_with_the_standard_library(values: list[float]) -> None:
    found = distribution(values)
    assert found.mean == pytest.approx(statistics.fmean(values), abs=1e-12)
    assert found.std == pytest.approx(statistics.pstdev(values), abs=1e-9)
    assert found.median == pytest.approx(statistics.median(values), abs=1e-15)
    assert (found.minimum, found.maximum) == (min(values), max(values))


@given(tables())
def test_row_statistics_agree_with_a_plain_loop(drawn: DropTable) -> None:
    means, stds, counts = row_statistics(drawn.drops)
    for row, drops in enumerate(cells_of(drawn).values()):
        assert counts[row] == len(drops)
        if drops:
            assert means[row] == pytest.approx(statistics.fmean(drops.values()), abs=1e-12)
            assert stds[row] == pytest.approx(statistics.pstdev(drops.values()), abs=1e-9)
        else:
            assert np.isnan(means[row])
            assert np.isnan(stds[row])


@given(st.lists(st.floats(-1, 1), max_size=10))
def test_arrays_settle_as_single_drops_do(values: list[float]) -> None:
    expected = [rounded(value) for value in values]
    assert rounded_array(np.array(values)) == pytest.approx(expected, abs=1.01e-6)
    noisy = np.array([0.1 + 0.2, 0.3, -1e-9])
    assert rounded_array(noisy).tolist() == [0.3, 0.3, 0.0]


def test_by_number_leaves_out_numbers_without_a_cell() -> None:
    drawn = table({(0,): [0.1, None], (1,): [0.3, 0.2], (0, 1): [None, None], (0, 1, 2): [0.5, 1]})
    found = distributions_by_number(drawn)
    assert list(found) == [1, 3]
    assert found[1].values.tolist() == [0.1, 0.2, 0.3]
    assert found[3].mean == pytest.approx(0.75)


@given(permuted_tables())
def test_the_order_of_the_datasets_changes_not_even_the_last_digit(
    drawn: tuple[DropTable, DropTable],
) -> None:
    first, second = (distributions_by_number(one) for one in drawn)
    assert {number: one.mean for number, one in first.items()} == {
        number: one.mean for number, one in second.items()
    }
