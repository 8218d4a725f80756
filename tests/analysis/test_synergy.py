"""Specification of synergy: actual drop minus the sum of the single drops."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthprune.analysis.drop_table import DropTable
from depthprune.analysis.synergy import (
    Synergy,
    antagonistic,
    synergies,
    synergies_by_number,
    synergistic,
    trusted_coverage,
)
from depthprune.base.removal import rounded
from tests.analysis.tables import (
    STEP,
    Cells,
    cells_of,
    permuted_tables,
    relabelled,
    relabelled_tables,
    select,
    shifted,
    table,
    tables,
    with_unmeasured_dataset,
)

SINGLES: Cells = {(0,): [0.1, 0.2], (1,): [0.2, 0.2], (2,): [0.3, None]}


def test_synergy_is_actual_minus_the_sum_of_the_singles() -> None:
    (found,) = synergies(table({**SINGLES, (0, 1): [0.2, 0.1]}))
    assert found.removal == (0, 1)
    assert found.actual == pytest.approx(0.15)
    assert found.expected == pytest.approx(0.35)
    assert found.synergy == pytest.approx(-0.2)
    assert found.std == pytest.approx(0.1)
    assert found.coverage == 2


def test_both_sides_are_means_over_the_same_datasets() -> None:
    (found,) = synergies(table({**SINGLES, (0, 2): [0.5, 0.9]}))
    assert (found.actual, found.coverage) == (0.5, 1)
    assert found.expected == pytest.approx(0.4)
    assert found.synergy == pytest.approx(0.1)


def test_a_block_never_measured_alone_leaves_its_combinations_out() -> None:
    assert synergies(table({**SINGLES, (0, 3): [0.5, 0.9]})) == ()


def test_without_single_blocks_there_is_no_synergy() -> None:
    assert synergies(table({(0, 1): [0.5, 0.9]})) == ()
    assert synergies(table({})) == ()


def test_the_most_negative_comes_first_and_ties_go_by_blocks() -> None:
    cells = {**SINGLES, (0, 1): [0.4, None], (0, 2): [0.5, None], (0, 1, 2): [0.1, None]}
    assert [one.removal for one in synergies(table(cells))] == [(0, 1, 2), (0, 1), (0, 2)]


def test_its_samples_are_those_of_the_datasets_behind_it() -> None:
    (found,) = synergies(table({**SINGLES, (0, 2): [0.5, 0.9]}))
    assert (found.coverage, found.num_samples) == (1, 100)


def test_one_dataset_is_trusted_only_where_nothing_is_known_of_more() -> None:
    assert trusted_coverage([entry((0, 1), -0.2, 1), entry((0, 2), -0.1, 2)]) == 2
    assert trusted_coverage([entry((0, 1), -0.2, 1)]) == 1
    assert trusted_coverage([]) == 1


def entry(removal: tuple[int, ...], synergy: float, coverage: int = 2) -> Synergy:
    return Synergy(removal, synergy + 0.5, 0.5, synergy, coverage)


def test_the_two_ends_hold_only_what_their_name_says() -> None:
    found = [
        entry((0, 1), -0.2),
        entry((0, 2), -0.1, 1),
        entry((0, 3), 0.0),
        entry((1, 2), 0.1),
        entry((1, 3), 0.1),
    ]
    assert [one.removal for one in synergistic(found)] == [(0, 1), (0, 2)]
    assert [one.removal for one in synergistic(found, min_coverage=2)] == [(0, 1)]
    assert [one.removal for one in antagonistic(found)] == [(1, 2), (1, 3)]
    assert [one.removal for one in antagonistic(found, top=1)] == [(1, 2)]


def test_rounding_noise_is_no_synergy() -> None:
    below = synergies(table({(0,): [0.1], (1,): [0.2], (0, 1): [0.3]}))
    above = synergies(table({(0,): [0.1], (1,): [0.7], (0, 1): [0.8]}))
    assert below[0].synergy < 0 < above[0].synergy
    assert synergistic(below) == antagonistic(above) == ()


def test_many_equal_synergies_keep_the_order_of_their_blocks() -> None:
    singles: Cells = {(block,): [0.125] for block in range(12)}
    pairs = list(combinations(range(12), 2))
    cells: Cells = {removal: [0.5 + 0.25 * (row % 2)] for row, removal in enumerate(pairs)}
    found = synergies(table({**singles, **cells}, num_blocks=12))
    assert [one.removal for one in found] == pairs[::2] + pairs[1::2]
    assert [one.removal for one in antagonistic(found, top=66)] == pairs[1::2] + pairs[::2]


def test_synergies_by_number() -> None:
    found = synergies_by_number([entry((0, 1, 2), 0.4), entry((0, 1), -0.2), entry((0, 2), 0.1)])
    assert list(found) == [2, 3]
    assert found[2].values.tolist() == [-0.2, 0.1]


def plain_synergies(drawn: DropTable) -> list[Synergy]:
    cells = cells_of(drawn)
    found = []
    for removal, drops in cells.items():
        singles = [cells.get((block,), {}) for block in removal]
        both = [name for name in drops if all(name in single for single in singles)]
        if len(removal) >= 2 and both:
            expected = {name: sum(single[name] for single in singles) for name in both}
            differences = [drops[name] - expected[name] for name in both]
            found.append(
                Synergy(
                    removal,
                    fmean(drops[name] for name in both),
                    fmean(expected.values()),
                    fmean(differences),
                    len(both),
                    pstdev(differences),
                )
            )
    return sorted(found, key=lambda one: (rounded(one.synergy), len(one.removal), one.removal))


def numbers(found: Synergy) -> tuple[float, ...]:
    return found.actual, found.expected, found.synergy, found.coverage, found.std


@given(tables())
def test_synergies_agree_with_a_plain_loop(drawn: DropTable) -> None:
    found, expected = synergies(drawn), plain_synergies(drawn)
    assert [one.removal for one in found] == [one.removal for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert numbers(one) == pytest.approx(numbers(other), abs=1e-9)


@given(permuted_tables())
def test_the_order_of_the_datasets_changes_nothing(drawn: tuple[DropTable, DropTable]) -> None:
    for first, second in zip(*map(synergies, drawn), strict=True):
        assert first.removal == second.removal
        assert numbers(second) == pytest.approx(numbers(first), abs=1e-9)


@given(relabelled_tables())
def test_the_names_of_the_blocks_change_nothing(
    drawn: tuple[DropTable, DropTable, dict[int, int]],
) -> None:
    given_table, other, names = drawn
    expected = {relabelled(one.removal, names): one for one in synergies(given_table)}
    found = {one.removal: one for one in synergies(other)}
    assert found.keys() == expected.keys()
    for removal, one in found.items():
        assert numbers(one) == pytest.approx(numbers(expected[removal]), abs=1e-9)


@given(tables(), st.integers(-8, 8))
def test_a_constant_is_counted_once_by_the_drop_and_once_by_every_single(
    drawn: DropTable, steps: int
) -> None:
    only = select(drawn, [0])
    expected = {one.removal: one.synergy for one in synergies(only)}
    for one in synergies(shifted(only, 0, steps * STEP)):
        change = (1 - len(one.removal)) * steps * STEP
        assert one.synergy == pytest.approx(expected[one.removal] + change)


@given(tables())
def test_a_dataset_without_cells_changes_nothing(drawn: DropTable) -> None:
    assert synergies(with_unmeasured_dataset(drawn)) == synergies(drawn)
