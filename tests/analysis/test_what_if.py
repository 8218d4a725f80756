"""Estimates of removals that nobody measured, against sums made by hand."""

from __future__ import annotations

from itertools import combinations
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthprune.analysis.drop_table import DropTable, row_statistics
from depthprune.analysis.synergy import Estimator, Synergy, estimate, estimator, synergies
from tests.analysis.tables import cells_of, permuted_tables, table, tables


def estimator_of(given: DropTable) -> Estimator:
    means, _, counts = row_statistics(given.single_drops)
    singles = {block: float(means[block]) for block in range(given.num_blocks) if counts[block]}
    return estimator(singles, synergies(given))


THREE = table(
    {
        (0,): [0.10, 0.30],
        (1,): [0.02, 0.04],
        (2,): [0.05, 0.05],
        (0, 1): [0.10, 0.30],  # synergy -0.02, -0.04: mean -0.03
        (1, 2): [0.09, None],  # synergy 0.02
        (0, 1, 2): [0.20, 0.40],  # synergy 0.03, 0.01: mean 0.02; the pairs explain -0.01 of it
    }
)


def test_an_estimate_is_the_singles_plus_the_synergies_of_known_pairs() -> None:
    found = estimate(estimator_of(THREE), (0, 1, 2))
    assert found is not None
    assert found.singles == pytest.approx(0.20 + 0.03 + 0.05)
    assert found.synergy == pytest.approx(-0.03 + 0.02)
    assert found.drop == pytest.approx(0.27)
    assert found.pairs == 2


def test_a_pair_without_known_synergy_costs_its_singles() -> None:
    found = estimate(estimator_of(THREE), (0, 2))
    assert found is not None
    assert (found.drop, found.synergy, found.pairs) == (pytest.approx(0.25), 0.0, 0)


def test_the_error_of_pairs_is_the_spread_of_their_synergies() -> None:
    found = estimate(estimator_of(THREE), (0, 2))
    assert found is not None and found.error is not None
    assert found.error.spread == pytest.approx(sqrt((0.03**2 + 0.02**2) / 2))
    assert found.error.count == 2


def test_the_error_of_larger_removals_is_what_singles_and_pairs_leave_unexplained() -> None:
    found = estimate(estimator_of(THREE), (0, 1, 2))
    assert found is not None and found.error is not None
    assert found.error.spread == pytest.approx(0.02 - (-0.01))
    assert found.error.count == 1


def test_no_error_is_stated_where_no_combination_of_that_size_was_measured() -> None:
    singles_only = table({(block,): [0.125] for block in range(4)})
    found = estimate(estimator_of(singles_only), (0, 1, 3))
    assert found is not None
    assert (found.drop, found.error) == (0.375, None)


def test_no_estimate_without_the_block_alone() -> None:
    known = estimator_of(table({(0,): [0.1], (1, 2): [0.3]}))
    assert estimate(known, (0, 1)) is None
    assert estimate(known, (3,)) is None


def test_removing_nothing_costs_nothing() -> None:
    found = estimate(estimator_of(THREE), ())
    assert found is not None and found.error is not None
    assert (found.drop, found.error.spread) == (0.0, 0.0)


def test_where_blocks_do_not_interact_the_estimate_is_exact() -> None:
    drops = {0: 0.125, 1: 0.25, 2: 0.0625, 3: 0.5}
    cells = {
        removal: [sum(drops[block] for block in removal)] * 2
        for number in (1, 2, 3)
        for removal in combinations(range(4), number)
    }
    known = estimator_of(table(cells))
    for removal, (actual, _) in cells.items():
        found = estimate(known, removal)
        assert found is not None and found.drop == pytest.approx(actual)
    assert all(error.spread == pytest.approx(0) for error in known.errors.values())


@given(tables())
def test_an_estimate_is_what_a_walk_over_the_cells_gives(given: DropTable) -> None:
    known, cells = estimator_of(given), cells_of(given)

    def mean_single(block: int) -> float:
        row = cells[(block,)]
        return sum(row.values()) / len(row)

    def pair_synergy(pair: tuple[int, ...]) -> float | None:
        alone = [cells.get((block,), {}) for block in pair]
        common = [name for name in cells.get(pair, {}) if all(name in row for row in alone)]
        if not common:
            return None
        misses = [cells[pair][name] - sum(row[name] for row in alone) for name in common]
        return sum(misses) / len(misses)

    for number in range(1, given.num_blocks + 1):
        for removal in combinations(range(given.num_blocks), number):
            found = estimate(known, removal)
            if not all(cells.get((block,)) for block in removal):
                assert found is None
                continue
            pairs = [pair_synergy(pair) for pair in combinations(removal, 2)]
            total = sum(map(mean_single, removal)) + sum(one for one in pairs if one is not None)
            assert found is not None
            assert found.drop == pytest.approx(total, abs=1e-5)
            assert found.pairs == sum(one is not None for one in pairs)


@given(permuted_tables())
def test_the_order_of_datasets_changes_nothing(given: tuple[DropTable, DropTable]) -> None:
    first, second = map(estimator_of, given)
    assert first.singles == pytest.approx(second.singles, abs=2e-6)
    assert first.synergies == pytest.approx(second.synergies, abs=2e-6)
    assert first.errors.keys() == second.errors.keys()


@given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=6))
def test_the_spread_lies_between_the_smallest_and_the_largest_miss(misses: list[float]) -> None:
    found = [
        Synergy((0, block), 0.0, 0.0, miss, coverage=1) for block, miss in enumerate(misses, 1)
    ]
    error = estimator({}, found).errors[2]
    sizes = sorted(map(abs, misses))
    assert sizes[0] - 1e-12 <= error.spread <= sizes[-1] + 1e-12
    assert error.count == len(misses)
