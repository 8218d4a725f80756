"""Specification of how each dataset responds to removals."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from depthprune.analysis.drop_table import DropTable
from depthprune.analysis.responses import DatasetResponse, dataset_responses
from tests.analysis.tables import (
    STEP,
    cells_of,
    permuted_tables,
    relabelled_tables,
    shifted,
    table,
    tables,
    with_unmeasured_dataset,
)


def by_name(found: tuple[DatasetResponse, ...]) -> dict[str, DatasetResponse]:
    return {one.dataset: one for one in found}


def test_a_response_by_hand() -> None:
    drawn = table(
        {(0,): [0.5, 0.1], (1,): [0.25, 0.1], (0, 1): [0.6, None], (0, 2): [0.55, 0.0]},
        datasets=["hard", "easy"],
        task_types=["VQA", "Captioning"],
    )
    hard, easy = dataset_responses(drawn)
    assert (hard.dataset, hard.task_type, hard.baseline) == ("hard", "VQA", 0.9)
    assert hard.sensitivity == 0.375
    assert hard.drops.values.tolist() == [0.25, 0.5, 0.55, 0.6]
    assert hard.best == {1: ((1,), 0.25), 2: ((0, 2), 0.55)}
    assert hard.specific_scores == {0: 0.5, 1: 0.25}
    assert hard.generic_scores == {0: 0.1, 1: 0.1}
    assert hard.by_number[2].values.tolist() == [0.55, 0.6]
    assert easy.best == {1: ((0,), 0.1), 2: ((0, 2), 0.0)}


def test_own_scores_are_compared_with_the_mean_of_the_others() -> None:
    drawn = table(
        {(0,): [0.1, 0.3, 0.5], (1,): [0.2, 0.2, None], (2,): [0.3, 0.1, 0.1], (3,): [None, 0, 0]}
    )
    found = by_name(dataset_responses(drawn))["set0"]
    assert found.generic_scores == pytest.approx({0: 0.4, 1: 0.2, 2: 0.1})
    assert found.generic_agreement == pytest.approx(-1.0)


def test_where_nothing_can_be_compared_the_agreement_is_none() -> None:
    alone = table({(0,): [0.1], (1,): [0.2], (2,): [0.3]})
    two_blocks = table({(0,): [0.1, 0.2], (1,): [0.2, 0.1]})
    constant = table({(0,): [0.1, 0.2], (1,): [0.1, 0.1], (2,): [0.1, 0.3]})
    disjoint = table({(0,): [0.1, None], (1,): [0.1, None], (2,): [None, 0.3]})
    for drawn in (alone, two_blocks, constant, disjoint):
        assert all(one.generic_agreement is None for one in dataset_responses(drawn))


def test_datasets_without_single_blocks_come_last() -> None:
    drawn = table({(0,): [None, 0.1, -0.1], (0, 1): [0.9, 0.2, 0.2]})
    found = dataset_responses(drawn)
    assert [one.dataset for one in found] == ["set1", "set2", "set0"]
    assert found[-1].sensitivity is None
    assert found[-1].specific_scores == {}


def plain_generic(drawn: DropTable, name: str) -> dict[int, float]:
    generic = {}
    for removal, drops in cells_of(drawn).items():
        others = [drop for dataset, drop in drops.items() if dataset != name]
        if len(removal) == 1 and name in drops and others:
            generic[removal[0]] = fmean(others)
    return generic


@given(tables())
def test_responses_agree_with_a_plain_loop(drawn: DropTable) -> None:
    cells = cells_of(drawn)
    for one in dataset_responses(drawn):
        own = {
            removal: drops[one.dataset] for removal, drops in cells.items() if one.dataset in drops
        }
        singles = {removal[0]: drop for removal, drop in own.items() if len(removal) == 1}
        assert one.specific_scores == singles
        assert one.sensitivity == (pytest.approx(fmean(singles.values())) if singles else None)
        best = {}
        for removal in sorted(own, key=lambda removal: (len(removal), own[removal], removal)):
            best.setdefault(len(removal), (removal, own[removal]))
        assert one.best == best
        generic = plain_generic(drawn, one.dataset)
        assert one.generic_scores == pytest.approx(generic)
        if one.generic_agreement is not None:
            expected = spearmanr(
                [singles[block] for block in sorted(generic)],
                [round(generic[block], 9) for block in sorted(generic)],
            )
            assert one.generic_agreement == pytest.approx(expected.statistic)


@given(permuted_tables())
def test_the_order_of_the_datasets_changes_nothing(drawn: tuple[DropTable, DropTable]) -> None:
    for first, second in zip(*map(dataset_responses, drawn), strict=True):
        assert first.dataset == second.dataset
        assert first.best == second.best
        assert first.generic_agreement == pytest.approx(second.generic_agreement)


@given(relabelled_tables())
def test_the_names_of_the_blocks_change_no_number(
    drawn: tuple[DropTable, DropTable, dict[int, int]],
) -> None:
    given_table, other, names = drawn
    found = by_name(dataset_responses(other))
    for one in dataset_responses(given_table):
        twin = found[one.dataset]
        assert twin.sensitivity == pytest.approx(one.sensitivity)
        assert twin.generic_agreement == pytest.approx(one.generic_agreement)
        assert twin.specific_scores == {names[b]: drop for b, drop in one.specific_scores.items()}


@given(tables(min_datasets=2), st.integers(-8, 8))
def test_a_constant_moves_its_own_dataset_only(drawn: DropTable, steps: int) -> None:
    before = by_name(dataset_responses(drawn))
    for name, after in by_name(dataset_responses(shifted(drawn, 0, steps * STEP))).items():
        change = steps * STEP if name == "set0" else 0.0
        assert after.drops.mean == pytest.approx(before[name].drops.mean + change)
        assert [one[0] for one in after.best.values()] == [
            one[0] for one in before[name].best.values()
        ]
        if name == "set0":
            assert after.generic_agreement == pytest.approx(before[name].generic_agreement)


@given(tables())
def test_a_dataset_without_cells_is_left_out(drawn: DropTable) -> None:
    names = [one.dataset for one in dataset_responses(with_unmeasured_dataset(drawn))]
    assert names == [one.dataset for one in dataset_responses(drawn)]
