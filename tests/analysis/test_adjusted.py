"""Specification of dataset-adjusted drops: the two-way additive model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from depthprune.analysis.combinations import adjusted_drops, comparable, find_disagreements
from depthprune.analysis.drop_table import DropTable, drop_table
from tests.analysis.results import Cells, cells, combination, rankings, results


def table_of(given: Cells) -> DropTable:
    found = results(given)
    return drop_table(found.datasets, found.num_blocks)


def slow_adjusted(table: DropTable) -> np.ndarray:
    """Fit both effects at once, one equation for each cell, and average over all datasets."""
    rows, columns = np.nonzero(~np.isnan(table.drops))
    used = sorted(set(columns.tolist()))
    design = np.zeros((len(rows) + 1, len(table.removals) + len(used)))
    for equation, (row, column) in enumerate(zip(rows, columns, strict=True)):
        design[equation, row] = 1
        design[equation, len(table.removals) + used.index(column)] = 1
    design[-1, len(table.removals) :] = 1  # the effects of the datasets sum to 0
    right = np.append(table.drops[rows, columns], 0.0)
    effects, *_ = np.linalg.lstsq(design, right, rcond=None)
    return effects[: len(table.removals)]


def slow_comparable(table: DropTable) -> bool:
    """Join datasets that share a removal until nothing changes."""
    measured = ~np.isnan(table.drops)
    groups = [{column} for column in range(measured.shape[1]) if measured[:, column].any()]
    for row in measured:
        linked = [group for group in groups if any(row[column] for column in group)]
        groups = [group for group in groups if group not in linked]
        if linked:
            groups.append(set().union(*linked))
    return len(groups) == 1


@given(cells(complete=True))
def test_on_a_complete_table_they_are_the_plain_means(drawn: Cells) -> None:
    table = table_of(drawn)
    assert np.allclose(adjusted_drops(table), table.drops.mean(axis=1), atol=1e-9)


@given(cells())
def test_they_agree_with_one_equation_for_each_cell(drawn: Cells) -> None:
    table = table_of(drawn)
    assume(slow_comparable(table))
    assert np.allclose(adjusted_drops(table), slow_adjusted(table), atol=1e-8)


@given(cells())
def test_a_table_is_comparable_if_removals_link_all_its_datasets(drawn: Cells) -> None:
    table = table_of(drawn)
    assert comparable(table) == slow_comparable(table)
    if not comparable(table):
        assert np.isnan(adjusted_drops(table)).all()


def test_datasets_that_share_no_removal_cannot_be_adjusted() -> None:
    assert np.isnan(adjusted_drops(table_of({(1,): [0.1, None], (2,): [None, 0.2]}))).all()


def test_a_dataset_without_results_does_not_count() -> None:
    found = adjusted_drops(table_of({(1,): [0.1, 0.2, None], (2,): [0.3, 0.4, None]}))
    assert found == pytest.approx([0.15, 0.35])


def test_a_removal_seen_on_an_easy_dataset_only_is_expected_to_cost_more_elsewhere() -> None:
    table = table_of({(1,): [0.0, 0.2], (2,): [0.1, 0.3], (3,): [0.05, None]})
    assert adjusted_drops(table) == pytest.approx([0.1, 0.2, 0.15])


@given(cells(), st.integers(0, 3), st.integers(-64, 64).map(lambda number: number / 128))
def test_a_constant_on_one_dataset_moves_all_alike(
    drawn: Cells, column: int, constant: float
) -> None:
    width = len(next(iter(drawn.values())))
    column %= width
    table = table_of(drawn)
    assume(comparable(table))
    moved = {
        removal: [
            drop + constant if place == column and drop is not None else drop
            for place, drop in enumerate(row)
        ]
        for removal, row in drawn.items()
    }
    used = int((~np.isnan(table.drops)).any(axis=0).sum())
    here = not np.isnan(table.drops[:, column]).all()
    shift = constant / used if here else 0.0
    assert np.allclose(adjusted_drops(table_of(moved)), adjusted_drops(table) + shift, atol=1e-8)


def test_a_disagreement_names_both_winners() -> None:
    ranked = rankings(combination((1,), 0.01), combination((2,), 0.02, 0.02))
    (found,) = find_disagreements(ranked, {(1,): 0.05, (2,): 0.02})
    assert (found.number, found.plain.removal, found.adjusted.removal) == (1, (1,), (2,))
    assert (found.plain_adjusted_drop, found.adjusted_adjusted_drop) == (0.05, 0.02)


@pytest.mark.parametrize("second", [0.05, 0.06, float("nan")])
def test_equal_or_unknown_adjusted_drops_are_no_disagreement(second: float) -> None:
    ranked = rankings(combination((1,), 0.01), combination((2,), 0.02))
    assert not find_disagreements(ranked, {(1,): 0.05, (2,): second})


def test_what_cannot_be_compared_does_not_disagree() -> None:
    ranked = rankings(combination((1,), 0.01))
    assert not find_disagreements(ranked, {(1,): float("nan")})
