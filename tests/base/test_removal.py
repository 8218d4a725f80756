"""Specification of the removal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthprune.base.errors import RemovalError
from depthprune.base.removal import (
    active_blocks,
    check_removal,
    format_removal,
    make_removal,
    parse_removal,
)


@pytest.mark.parametrize("text", ["4,13", "4 13", "4-13", "13, 4", "[4, 13]", "(4, 13)", " 4,13 "])
def test_a_removal_is_read_as_users_and_file_names_write_it(text: str) -> None:
    assert parse_removal(text) == (4, 13)


@pytest.mark.parametrize("text", ["", "()", "[]", "none", "baseline"])
def test_the_baseline_is_read(text: str) -> None:
    assert parse_removal(text) == ()


@pytest.mark.parametrize(
    "text", ["4,x", "4.5", "four", "4,4", ",", "-1", "[4", "4,,13", "٤", "99999999999"]
)
def test_what_is_no_removal_is_refused(text: str) -> None:
    with pytest.raises(RemovalError):
        parse_removal(text)


@pytest.mark.parametrize("blocks", [[-1], [True], [1.0], ["1"], [3, 3]])
def test_only_block_indices_make_a_removal(blocks: list[int]) -> None:
    with pytest.raises(RemovalError):
        make_removal(blocks)


@given(st.sets(st.integers(0, 80)))
def test_text_and_removal_are_two_forms_of_one_thing(blocks: set[int]) -> None:
    removal = make_removal(blocks)
    assert parse_removal(format_removal(removal)) == removal == tuple(sorted(blocks))


def test_a_block_that_does_not_exist_is_named_with_the_number_of_blocks() -> None:
    with pytest.raises(RemovalError, match="block 99 does not exist: the model has 16 blocks"):
        check_removal((4, 99), 16)


def test_removing_every_block_is_refused() -> None:
    with pytest.raises(RemovalError, match="leaves no model"):
        check_removal((0, 1, 2), 3)


@given(st.integers(2, 80), st.data())
def test_active_and_removed_blocks_are_the_whole_model(
    num_blocks: int, data: st.DataObject
) -> None:
    blocks = data.draw(st.sets(st.integers(0, num_blocks - 1), max_size=num_blocks - 1))
    removal = make_removal(blocks)
    stay = active_blocks(removal, num_blocks)
    assert sorted((*stay, *removal)) == list(range(num_blocks))
    assert list(stay) == sorted(stay)
