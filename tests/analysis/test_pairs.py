"""Specification of how alike two datasets respond."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr

from depthprune.analysis.dataset_agreement import (
    Pair,
    average_ranks,
    dataset_pairs,
    extreme_pairs,
    pair_groups,
)
from depthprune.analysis.drop_table import DropTable
from depthprune.base.errors import DepthpruneError
from tests.analysis.tables import (
    STEP,
    cells_of,
    permuted_tables,
    relabelled_tables,
    shifted,
    table,
    tables,
)


def columns(*drops: list[float | None], **options: list[str]) -> DropTable:
    """Return a table of single blocks with these drops, one list per dataset."""
    rows = zip(*drops, strict=True)
    return table({(b,): list(row) for b, row in enumerate(rows)}, num_blocks=9, **options)


def test_a_pair_by_hand() -> None:
    (found,) = dataset_pairs(
        columns([0.0, 0.1, 0.2, 0.3, 0.4, 0.9], [0.0, 0.1, 0.2, 0.4, 0.3, None]), min_common=5
    )
    assert (found.first, found.second, found.common) == ("set0", "set1", 5)
    assert found.pearson == pytest.approx(0.9)
    assert found.spearman == pytest.approx(0.9)
    assert found.difference == pytest.approx(0.0, abs=1e-12)


def test_the_difference_is_first_minus_second_over_what_both_measured() -> None:
    (found,) = dataset_pairs(columns([0.5, 0.3, 0.9], [0.2, 0.2, None]))
    assert found.difference == pytest.approx(0.2)
    assert (found.pearson, found.spearman, found.common) == (None, None, 2)


def test_without_common_combinations_nothing_is_defined() -> None:
    (found,) = dataset_pairs(columns([0.5, None], [None, 0.2]))
    assert (found.common, found.pearson, found.difference) == (0, None, None)


def test_a_constant_dataset_correlates_with_nothing() -> None:
    noise = [0.3, 0.1 + 0.2, 0.3, 0.3 - 1e-12, 0.3]
    (found,) = dataset_pairs(columns([0.1, 0.2, 0.3, 0.4, 0.5], noise))
    assert (found.pearson, found.spearman) == (None, None)
    assert found.difference == pytest.approx(0.0, abs=1e-9)


def test_ties_share_their_rank() -> None:
    left, right = [0.1, 0.1, 0.3, 0.4, 0.4], [0.2, 0.1, 0.1, 0.5, 0.3]
    (found,) = dataset_pairs(columns(left, right))
    assert found.spearman == pytest.approx(spearmanr(left, right).statistic)


def test_one_dataset_has_no_pair() -> None:
    assert dataset_pairs(columns([0.1, 0.2])) == ()
    assert dataset_pairs(table({})) == ()


def test_too_few_common_combinations_are_refused() -> None:
    with pytest.raises(DepthpruneError, match="too few for a correlation"):
        dataset_pairs(columns([0.1], [0.2]), min_common=1)


def test_the_most_alike_come_first_and_undefined_ones_last() -> None:
    rising, other, falling = [0.0, 0.1, 0.2], [0.0, 0.2, 0.1], [0.2, 0.1, 0.0]
    found = dataset_pairs(columns(rising, other, falling, [None] * 3), min_common=3)
    assert [(one.first, one.second) for one in found] == [
        ("set0", "set1"),
        ("set1", "set2"),
        ("set0", "set2"),
        ("set0", "set3"),
        ("set1", "set3"),
        ("set2", "set3"),
    ]
    assert extreme_pairs(found, 1) == (found[:1], (found[2],))
    assert extreme_pairs(found, 2) == (found[:2], (found[2],))
    assert extreme_pairs(found) == (found[:3], ())


def test_equally_alike_pairs_are_ordered_by_name_at_both_ends() -> None:
    found = dataset_pairs(columns([0.0, 0.1], [0.0, 0.1], [0.0, 0.1]), min_common=2)
    assert extreme_pairs(found, 1) == (found[:1], found[1:2])


def test_the_ends_hold_no_pair_twice_and_keep_the_order_of_equal_ones() -> None:
    given = [
        Pair(first, "z", 5, rho, rho, 0.0, False)
        for first, rho in [("a", 0.9), ("b", 0.8), ("c", 0.5), ("d", 0.5), ("e", None)]
    ]
    most, least = extreme_pairs(given, top=2)
    assert [one.first for one in most] == ["a", "b"]
    assert [one.first for one in least] == ["c", "d"]
    assert extreme_pairs(given[:1]) == ((given[0],), ())


def test_same_type_means_the_same_known_type() -> None:
    drawn = columns([0.1], [0.1], [0.1], [0.1], task_types=["VQA", "VQA", "", ""])
    found = {(one.first, one.second): one for one in dataset_pairs(drawn)}
    assert (found["set0", "set1"].same_type, found["set0", "set1"].types_known) == (True, True)
    assert (found["set0", "set2"].same_type, found["set0", "set2"].types_known) == (False, False)
    assert (found["set2", "set3"].same_type, found["set2", "set3"].types_known) == (False, False)


def pair(same_type: bool, pearson: float | None, difference: float | None = 0.1) -> Pair:
    return Pair("one", "two", 5, pearson, pearson, difference, same_type)


def test_groups_of_pairs_leave_out_unknown_types() -> None:
    unknown = replace(pair(False, 0.1), types_known=False)
    same, different = pair_groups(
        [
            pair(True, 0.9, -0.3),
            pair(True, 0.7, 0.1),
            pair(True, None, None),
            unknown,
            pair(False, None),
        ]
    )
    assert (same.same_type, same.count) == (True, 3)
    assert same.pearson is not None
    assert (same.pearson.count, same.pearson.mean) == (2, pytest.approx(0.8))
    assert same.difference is not None
    assert same.difference.mean == pytest.approx(0.2)
    assert (different.same_type, different.count, different.spearman) == (False, 1, None)


def test_a_group_without_a_pair_is_left_out() -> None:
    assert pair_groups([]) == ()
    assert [one.same_type for one in pair_groups([pair(False, 0.5)])] == [False]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_ranks_agree_with_scipy(places: list[int]) -> None:
    assert average_ranks(np.array(places)).tolist() == rankdata(places).tolist()


@given(tables())
def test_pairs_agree_with_a_plain_loop(drawn: DropTable) -> None:
    cells = cells_of(drawn)
    for one in dataset_pairs(drawn, min_common=3):
        both = [drops for drops in cells.values() if one.first in drops and one.second in drops]
        left, right = ([drops[name] for drops in both] for name in (one.first, one.second))
        assert one.common == len(both)
        assert one.difference == (pytest.approx(np.mean(left) - np.mean(right)) if both else None)
        if len(both) < 3 or len(set(left)) == 1 or len(set(right)) == 1:
            assert (one.pearson, one.spearman) == (None, None)
        else:
            assert one.pearson == pytest.approx(pearsonr(left, right).statistic, abs=1e-9)
            assert one.spearman == pytest.approx(spearmanr(left, right).statistic, abs=1e-9)


def numbers(found: Pair) -> tuple[float | int | None, ...]:
    return found.common, found.pearson, found.spearman, found.difference


@given(permuted_tables())
def test_the_order_of_the_datasets_changes_nothing(drawn: tuple[DropTable, DropTable]) -> None:
    first, second = (dataset_pairs(one, min_common=3) for one in drawn)
    assert first == second


@given(relabelled_tables())
def test_the_names_of_the_blocks_change_no_number(
    drawn: tuple[DropTable, DropTable, dict[int, int]],
) -> None:
    expected = {(p.first, p.second): numbers(p) for p in dataset_pairs(drawn[0], min_common=3)}
    for one in dataset_pairs(drawn[1], min_common=3):
        assert numbers(one) == pytest.approx(expected[one.first, one.second], abs=1e-9)


@given(tables(min_datasets=2), st.integers(-8, 8))
def test_a_constant_shifts_the_difference_and_no_correlation(drawn: DropTable, steps: int) -> None:
    before = {(one.first, one.second): one for one in dataset_pairs(drawn, min_common=3)}
    for after in dataset_pairs(shifted(drawn, 0, steps * STEP), min_common=3):
        twin = before[after.first, after.second]
        assert after.spearman == twin.spearman
        assert after.pearson == pytest.approx(twin.pearson, abs=1e-9)
        if twin.difference is not None:
            change = steps * STEP if after.first == "set0" else 0.0
            assert after.difference == pytest.approx(twin.difference + change)
