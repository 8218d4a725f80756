"""Specification of selecting blocks by their scores."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.base.errors import DepthpruneError, RemovalError
from depthprune.importance.score_files import (
    comparable,
    least_important_first,
    read_scores,
    scores_from_removals,
    write_scores_from_removals,
)
from depthprune.importance.select import (
    check_expected,
    first_and_last,
    make_selection,
    select_blocks,
)

SCORES = {0: 0.9, 1: 0.3, 2: 0.1, 3: 0.2, 4: 0.05}


def test_the_lowest_scores_go_first_and_last_stay() -> None:
    assert select_blocks(SCORES, 4) == (2,)
    assert select_blocks(SCORES, 3) == (2, 3)
    assert select_blocks(SCORES, 2) == (1, 2, 3)


def test_protection_is_an_option() -> None:
    assert select_blocks(SCORES, 4, ()) == (4,)
    assert select_blocks(SCORES, 3, [2]) == (3, 4)
    assert first_and_last(16) == (0, 15)
    assert first_and_last(1) == (0,)


def test_all_blocks_may_stay() -> None:
    assert select_blocks(SCORES, 5) == ()


@pytest.mark.parametrize(
    ("num_active", "removal"),
    [
        (15, (4,)),
        (14, (4, 13)),
        (13, (4, 10, 13)),
        (12, (2, 4, 10, 13)),
    ],
)
def test_a_forced_order_of_removal_is_followed(
    tmp_path: Path, num_active: int, removal: tuple[int, ...]
) -> None:
    path = write_scores_from_removals(tmp_path / "order.json", [4, 13, 10, 2], 16)
    assert select_blocks(read_scores(path).scores, num_active) == removal


scores_of = st.lists(st.integers(-5, 5), min_size=1, max_size=7).map(
    lambda values: {block: value / 10 for block, value in enumerate(values)}
)


@settings(max_examples=60, deadline=None)
@given(scores=scores_of, data=st.data())
def test_it_is_the_set_with_the_smallest_sum(scores: dict[int, float], data: st.DataObject) -> None:
    protected = data.draw(st.sets(st.sampled_from(sorted(scores))))
    num_active = data.draw(st.integers(max(1, len(protected)), len(scores)))
    removal = select_blocks(scores, num_active, protected)
    # The slow twin: every set of that size; of equal sums the one with the smallest indices.
    free = [block for block in scores if block not in protected]
    sets = combinations(free, len(scores) - num_active)
    assert removal == min(sets, key=lambda s: (round(sum(scores[b] for b in s), 9), s))


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(7)), length=st.integers(1, 6))
def test_any_order_can_be_forced(order: list[int], length: int) -> None:
    scores = scores_from_removals(order[:length], 7)
    for number in range(1, length + 1):
        assert set(select_blocks(scores, 7 - number, ())) == set(order[:number])


def test_rounding_noise_does_not_order_blocks() -> None:
    third = 1 / 3
    assert least_important_first({0: third + 1e-8, 1: third, 2: 0.1}) == (2, 0, 1)


def test_scores_far_smaller_than_drops_keep_their_order() -> None:
    assert least_important_first({0: 3e-9, 1: 1e-9, 2: 2e-9}) == (1, 2, 0)
    assert comparable({0: 0.0, 1: 0.0}) == {0: 0.0, 1: 0.0}


def test_what_decided_is_told() -> None:
    found = make_selection({0: 0.0, 1: 0.2, 2: 0.1, 3: 0.2, 4: 0.9}, 3)
    assert (found.removal, found.active) == ((1, 2), (0, 3, 4))
    assert (found.protected, found.spared, found.tied) == ((0, 4), (0,), (3,))


def test_scores_of_a_part_of_the_blocks_are_refused() -> None:
    with pytest.raises(DepthpruneError, match="block 3 has none"):
        select_blocks({0: 1, 1: 1, 2: 1, 4: 1}, 4)
    with pytest.raises(DepthpruneError, match="blocks 5, 6 have none"):
        select_blocks(SCORES, 4, num_blocks=7)
    with pytest.raises(DepthpruneError, match="block 0 has none"):  # how many there are is a guess
        select_blocks({1: 1, 2: 1, 3: 1}, 2)
    with pytest.raises(DepthpruneError, match="block 4 has none"):  # protected, but only by default
        select_blocks({0: 1, 1: 1, 2: 1, 3: 1}, 4, num_blocks=5)
    with pytest.raises(DepthpruneError, match="scores to select by are required"):
        select_blocks({}, 1)


def test_both_ends_need_no_score_where_the_number_of_blocks_is_told() -> None:
    assert select_blocks({1: 3, 2: 1, 3: 2}, 4, num_blocks=5) == (2,)
    assert select_blocks({1: 3, 2: 1, 3: 2}, 3, num_blocks=5) == (2, 3)
    with pytest.raises(DepthpruneError, match="blocks 0, 4 have none"):
        select_blocks({1: 3, 2: 1, 3: 2}, 4, [2], num_blocks=5)


def test_a_block_that_is_told_to_stay_needs_no_score() -> None:
    assert select_blocks({0: 1, 1: 3, 2: 2, 4: 1}, 4, [0, 3, 4]) == (2,)


@pytest.mark.parametrize(
    ("num_active", "protect", "message"),
    [
        (0, (), "0 of 5 blocks cannot stay"),
        (-1, (), "-1 of 5"),
        (6, None, "6 of 5 blocks cannot stay"),
        (1, None, "blocks 0, 4 are protected"),
        (0, [0], "0 of 5"),
    ],
)
def test_impossible_counts_are_errors(
    num_active: int, protect: list[int] | None, message: str
) -> None:
    with pytest.raises(DepthpruneError, match=message):
        select_blocks(SCORES, num_active, protect)


def test_a_protected_block_must_exist() -> None:
    with pytest.raises(RemovalError, match="block 5 cannot be protected"):
        select_blocks(SCORES, 4, [5])


def test_an_expectation_that_is_met() -> None:
    check = check_expected(SCORES, make_selection(SCORES, 3), [3, 2])
    assert check.met
    assert (check.unexpected, check.staying) == ((), ())


def test_scores_in_the_way_come_with_their_margin() -> None:
    check = check_expected(SCORES, make_selection(SCORES, 3), [1, 2])
    assert not check.met
    (goes,) = check.unexpected
    (stays,) = check.staying
    # 3 goes at 0.2, below 1 at 0.3, the highest that was expected; 1 stays, above 3.
    assert (goes.block, goes.score, goes.margin) == (3, 0.2, pytest.approx(0.1))
    assert (stays.block, stays.score, stays.margin) == (1, 0.3, pytest.approx(0.1))
    assert not stays.protected


def test_blocks_that_stay_against_expectation_are_told_the_highest_score_first() -> None:
    scores = {0: 0.9, 1: 0.1, 2: 0.2, 3: 0.5, 4: 0.6, 5: 0.9}
    check = check_expected(scores, make_selection(scores, 4), [3, 4])
    assert [one.block for one in check.staying] == [4, 3]
    assert [one.block for one in check.unexpected] == [1, 2]


def test_a_protected_block_that_was_expected_to_go_is_told() -> None:
    (stays,) = check_expected(SCORES, make_selection(SCORES, 4), [4]).staying
    assert (stays.block, stays.protected, stays.margin) == (4, True, None)


def test_an_expectation_of_another_size_is_an_error() -> None:
    with pytest.raises(DepthpruneError, match="2 blocks are expected to go, but with 4 of 5"):
        check_expected(SCORES, make_selection(SCORES, 4), [2, 3])
    with pytest.raises(RemovalError, match="block 9 does not exist"):
        check_expected(SCORES, make_selection(SCORES, 4), [9])


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([], "no block is named"),
        ([4, 4], "named twice"),
        ([16], "block 16 does not exist"),
        ([-1], "not a block index"),
        (list(range(16)), "leaves no model"),
    ],
)
def test_an_order_that_no_model_can_follow_is_refused(order: list[int], message: str) -> None:
    with pytest.raises(RemovalError, match=message):
        scores_from_removals(order, 16)


def test_the_file_of_a_forced_order_says_what_it_is(tmp_path: Path) -> None:
    value = json.loads(write_scores_from_removals(tmp_path / "o.json", [2, 0], 3).read_text())
    assert value["removal_order"] == [2, 0]
    assert value["num_blocks"] == 3
    assert value["importance_scores"] == {"0": 2 / 3, "1": 1.0, "2": 1 / 3}
