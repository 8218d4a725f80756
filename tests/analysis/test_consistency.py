"""Specification of consistency: the coefficient of variation over the datasets."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean, pstdev

import numpy as np
import pytest
from hypothesis import given

from depthprune.analysis.dataset_agreement import Consistency, consistencies, variation_by_coverage
from depthprune.analysis.drop_table import DropTable
from depthprune.base.removal import rounded
from tests.analysis.tables import (
    cells_of,
    permuted_tables,
    relabelled,
    relabelled_tables,
    table,
    tables,
    with_unmeasured_dataset,
)


def test_the_variation_is_std_over_mean() -> None:
    (found,) = consistencies(table({(0,): [0.1, 0.3, None]}))
    assert found.removal == (0,)
    assert found.mean == pytest.approx(0.2)
    assert found.std == pytest.approx(0.1)
    assert found.coverage == 2
    assert found.variation == pytest.approx(0.5)


def test_the_variation_of_an_improvement_is_positive() -> None:
    assert consistencies(table({(0,): [-0.1, -0.3]}))[0].variation == pytest.approx(0.5)


def test_one_dataset_cannot_agree_with_itself() -> None:
    assert consistencies(table({(0,): [0.1, None]})) == ()
    assert consistencies(table({(0,): [0.1]})) == ()


def test_equal_drops_are_the_most_consistent_and_a_mean_of_zero_comes_last() -> None:
    cells = {(0,): [-0.25, 0.25], (1,): [0.1, 0.3], (2,): [0.5, 0.5], (1, 2): [0.1, 0.1]}
    found = consistencies(table(cells))
    assert [one.removal for one in found] == [(2,), (1, 2), (1,), (0,)]
    assert found[-1].variation is None


def test_datasets_that_agree_on_half_of_the_accuracy_agree_that_it_is_bad() -> None:
    cells = {(0,): [0.5, 0.5, None], (1,): [0.45, 0.45, 0.45], (2,): [0.1, 0.1, 0.1]}
    given = table(cells)
    assert [one.removal for one in consistencies(given) if one.ruinous] == [(0,)]
    unknown = replace(given, baselines=np.full(3, np.nan))
    assert not any(one.ruinous for one in consistencies(unknown))
    easy = replace(given, baselines=np.array([0.3, 0.3, 1.0]))
    assert [one.removal for one in consistencies(easy) if one.ruinous] == [(0,), (1,)]


def test_half_of_the_accuracy_is_that_of_the_datasets_that_measured_it() -> None:
    given = replace(table({(0,): [0.25, 0.25, None]}), baselines=np.array([0.3, 0.3, 1.0]))
    assert consistencies(given)[0].ruinous


def test_rounding_noise_is_a_mean_of_zero() -> None:
    assert consistencies(table({(0,): [0.1, -0.1 + 1e-12]}))[0].variation is None


def test_variation_by_coverage_leaves_out_what_is_undefined() -> None:
    found = variation_by_coverage(
        [
            Consistency((0,), 0.1, 0.1, 3, 1.0),
            Consistency((1,), 0.1, 0.05, 2, 0.5),
            Consistency((2,), 0.1, 0.2, 3, 2.0),
            Consistency((3,), 0.0, 0.2, 4, None),
        ]
    )
    assert list(found) == [2, 3]
    assert found[3].mean == pytest.approx(1.5)


def plain_consistencies(drawn: DropTable) -> list[Consistency]:
    found = []
    for removal, drops in cells_of(drawn).items():
        if len(drops) >= 2:
            mean, std = fmean(drops.values()), pstdev(drops.values())
            variation = std / abs(mean) if rounded(mean) else None
            ruinous = rounded(mean) > rounded(0.9 / 2)
            found.append(Consistency(removal, mean, std, len(drops), variation, ruinous))
    return sorted(
        found,
        key=lambda one: (
            one.variation is None,
            rounded(one.variation or 0.0),
            len(one.removal),
            one.removal,
        ),
    )


def numbers(found: Consistency) -> tuple[float, ...]:
    return (
        found.mean,
        found.std,
        found.coverage,
        -1.0 if found.variation is None else found.variation,
    )


@given(tables(min_datasets=2))
def test_consistencies_agree_with_a_plain_loop(drawn: DropTable) -> None:
    found, expected = consistencies(drawn), plain_consistencies(drawn)
    assert [one.removal for one in found] == [one.removal for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert numbers(one) == pytest.approx(numbers(other), abs=1e-9)


@given(permuted_tables())
def test_the_order_of_the_datasets_changes_nothing(drawn: tuple[DropTable, DropTable]) -> None:
    for first, second in zip(*map(consistencies, drawn), strict=True):
        assert first.removal == second.removal
        assert numbers(second) == pytest.approx(numbers(first), abs=1e-9)


@given(relabelled_tables())
def test_the_names_of_the_blocks_change_nothing(
    drawn: tuple[DropTable, DropTable, dict[int, int]],
) -> None:
    given_table, other, names = drawn
    expected = {relabelled(one.removal, names): numbers(one) for one in consistencies(given_table)}
    assert {one.removal: numbers(one) for one in consistencies(other)} == expected


@given(tables())
def test_a_dataset_without_cells_changes_nothing(drawn: DropTable) -> None:
    assert consistencies(with_unmeasured_dataset(drawn)) == consistencies(drawn)
