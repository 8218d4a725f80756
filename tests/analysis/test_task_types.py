"""Specification of what task types differ in."""

from __future__ import annotations

from itertools import chain
from statistics import fmean

import pytest
from hypothesis import given

from depthprune.analysis.drop_table import DropTable
from depthprune.analysis.responses import best_by_number, task_type_findings
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


def test_a_task_type_by_hand() -> None:
    drawn = table(
        {(0,): [0.5, 0.25, 0.0], (1,): [0.125, None, 0.0], (0, 1): [0.5, 0.625, 0.0]},
        task_types=["VQA", "VQA", "Captioning"],
    )
    found, other = task_type_findings(drawn)
    assert (found.task_type, found.datasets) == ("VQA", ("set0", "set1"))
    assert found.drops.values.tolist() == [0.125, 0.25, 0.5, 0.5, 0.625]
    assert (found.drops.mean, found.drops.median, found.drops.count) == (0.4, 0.5, 5)
    assert found.single_drops is not None
    assert found.single_drops.values.tolist() == [0.125, 0.25, 0.5]
    assert found.block_ranking == ((1, 0.125), (0, 0.375))
    assert [(one.block, one.std, one.coverage) for one in found.blocks] == [
        (0, 0.125, 2),
        (1, 0.0, 1),
    ]
    assert found.best == {1: ((0,), 0.375, 2), 2: ((0, 1), 0.5625, 2)}
    assert found.by_number[2].values.tolist() == [0.5, 0.625]
    assert other.task_type == "Captioning"


def test_the_best_of_one_easy_dataset_cannot_win_over_all_datasets() -> None:
    drawn = table({(0,): [0.2, 0.4, 0.3], (1,): [0.01, None, None], (2,): [0.0, 0.0, None]})
    assert best_by_number(drawn, [0, 1, 2]) == {1: ((0,), pytest.approx(0.3), 3)}


def test_where_none_covers_all_the_largest_coverage_is_compared_and_stated() -> None:
    drawn = table({(0,): [0.2, 0.4, None], (1,): [None, 0.1, 0.1], (2,): [0.0, None, None]})
    assert best_by_number(drawn, [0, 1, 2]) == {1: ((1,), 0.1, 2)}


def test_equal_drops_are_ordered_by_blocks_and_rounding_noise_is_equal() -> None:
    drawn = table({(2,): [0.3], (1,): [0.1 + 0.2], (0,): [0.5]})
    assert best_by_number(drawn, [0])[1][0] == (1,)


def test_improvements_win() -> None:
    assert best_by_number(table({(0,): [0.0], (1,): [-0.1]}), [0]) == {1: ((1,), -0.1, 1)}


def test_numbers_without_a_measured_cell_have_no_best() -> None:
    drawn = table({(0,): [0.1, 0.2], (0, 1): [None, 0.3]})
    assert list(best_by_number(drawn, [0])) == [1]


def test_the_most_sensitive_comes_first_by_its_single_blocks() -> None:
    drawn = table({(0,): [0.1, 0.2, None], (0, 1): [0.9, 0.1, 0.15]}, task_types=["A", "B", "C"])
    found = task_type_findings(drawn)
    assert [one.task_type for one in found] == ["B", "C", "A"]
    assert found[1].single_drops is None
    assert found[1].block_ranking == ()


def test_equally_sensitive_types_are_ordered_by_name() -> None:
    found = task_type_findings(table({(0,): [0.1, 0.1]}, task_types=["B", "A"]))
    assert [one.task_type for one in found] == ["A", "B"]


def test_datasets_without_a_task_type_stand_together() -> None:
    found = task_type_findings(table({(0,): [0.1, 0.2, 0.4]}, task_types=["", "VQA", ""]))
    assert [(one.task_type, one.datasets) for one in found] == [
        ("Unknown", ("set0", "set2")),
        ("VQA", ("set1",)),
    ]


def plain_best(drawn: DropTable) -> dict[int, tuple[tuple[int, ...], float, int]]:
    best: dict[int, tuple[tuple[int, ...], float, int]] = {}
    ranked = sorted(
        (len(removal), -len(drops), rounded(fmean(drops.values())), removal)
        for removal, drops in cells_of(drawn).items()
        if drops
    )
    for number, coverage, mean, removal in ranked:
        best.setdefault(number, (removal, pytest.approx(mean, abs=1e-6), -coverage))
    return best


@given(tables())
def test_the_best_agrees_with_a_plain_loop(drawn: DropTable) -> None:
    assert best_by_number(drawn, range(len(drawn.datasets))) == plain_best(drawn)


@given(tables())
def test_a_task_type_holds_the_cells_of_its_datasets_and_no_other(drawn: DropTable) -> None:
    cells = cells_of(drawn)
    for one in task_type_findings(drawn):
        own = {
            removal: [drops[d] for d in one.datasets if d in drops]
            for removal, drops in cells.items()
        }
        assert one.drops.values.tolist() == sorted(chain.from_iterable(own.values()))
        singles = {
            removal[0]: drops for removal, drops in own.items() if len(removal) == 1 and drops
        }
        assert dict(one.block_ranking) == pytest.approx(
            {block: fmean(drops) for block, drops in singles.items()}
        )
        ranked = [(rounded(drop), block) for block, drop in one.block_ranking]
        assert ranked == sorted(ranked)


@given(permuted_tables())
def test_the_order_of_the_datasets_changes_nothing(drawn: tuple[DropTable, DropTable]) -> None:
    for first, second in zip(*map(task_type_findings, drawn), strict=True):
        assert first.task_type == second.task_type
        assert set(first.datasets) == set(second.datasets)
        assert first.drops.values.tolist() == second.drops.values.tolist()
        assert first.best.keys() == second.best.keys()
        for number, (removal, mean, coverage) in first.best.items():
            assert second.best[number] == (removal, pytest.approx(mean, abs=1e-9), coverage)


@given(relabelled_tables())
def test_the_names_of_the_blocks_change_no_drop(
    drawn: tuple[DropTable, DropTable, dict[int, int]],
) -> None:
    given_table, other, names = drawn
    found = {one.task_type: one for one in task_type_findings(other)}
    for one in task_type_findings(given_table):
        twin = found[one.task_type]
        assert twin.drops.values.tolist() == one.drops.values.tolist()
        assert dict(twin.block_ranking) == {names[b]: drop for b, drop in one.block_ranking}
        for number, (removal, mean, coverage) in one.best.items():
            # Which of several equal ones is named depends on the names; what it costs does not.
            assert twin.best[number][1:] == (pytest.approx(mean), coverage)
            drops = dict(zip(other.removals, other.drops, strict=True))
            assert relabelled(removal, names) in drops


@given(tables())
def test_a_dataset_without_cells_is_no_task_type(drawn: DropTable) -> None:
    names = [one.task_type for one in task_type_findings(with_unmeasured_dataset(drawn))]
    assert names == [one.task_type for one in task_type_findings(drawn)]
