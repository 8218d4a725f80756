"""Specification of drops by position in the stack."""

from __future__ import annotations

from statistics import fmean

import pytest
from hypothesis import given

from depthprune.analysis.drop_table import DropTable
from depthprune.analysis.responses import block_drops, positions, positions_by_number, stack_parts
from tests.analysis.tables import cells_of, permuted_tables, table, tables, with_unmeasured_dataset


def test_sixteen_blocks_are_split_as_published() -> None:
    assert stack_parts(16) == {
        "early": (0, 1, 2, 3, 4),
        "middle": (5, 6, 7, 8, 9, 10),
        "late": (11, 12, 13, 14, 15),
    }


@pytest.mark.parametrize(
    ("num_blocks", "sizes"),
    [(1, (0, 1, 0)), (2, (0, 2, 0)), (3, (1, 1, 1)), (5, (1, 3, 1)), (80, (26, 28, 26))],
)
def test_every_stack_is_split(num_blocks: int, sizes: tuple[int, ...]) -> None:
    parts = stack_parts(num_blocks)
    assert tuple(map(len, parts.values())) == sizes
    assert [block for blocks in parts.values() for block in blocks] == list(range(num_blocks))


def test_a_position_is_made_of_the_mean_drops_of_its_blocks() -> None:
    drawn = table({(0,): [0.5, 0.3], (1,): [0.1, None], (2,): [None, 0.4]}, num_blocks=6)
    early, middle, late = positions(drawn)
    assert early.blocks == (0, 1)
    assert early.drops is not None
    assert early.drops.values.tolist() == pytest.approx([0.1, 0.4])
    assert early.cells is not None
    assert early.cells.values.tolist() == [0.1, 0.3, 0.5]
    assert middle.drops is not None
    assert middle.drops.count == 1
    assert (late.drops, late.cells) == (None, None)


def test_combinations_are_no_positions() -> None:
    assert all(one.drops is None for one in positions(table({(0, 1): [0.5]})))


def test_block_drops_leave_out_what_was_not_measured() -> None:
    drawn = table({(0,): [0.5, 0.3], (2,): [None, 0.4], (3,): [None, None], (0, 1): [0.9, 0.9]})
    first, second = block_drops(drawn.single_drops)
    assert (first.block, first.coverage) == (0, 2)
    assert (first.mean, first.std) == (pytest.approx(0.4), pytest.approx(0.1))
    assert (second.block, second.mean, second.std, second.coverage) == (2, 0.4, 0.0, 1)


def test_combinations_belong_to_the_part_that_holds_all_their_blocks() -> None:
    drawn = table(
        {(0, 1): [0.1, 0.3], (1, 2): [0.4, None], (2, 3): [None, None], (4, 5): [0.5, 0.7]},
        num_blocks=6,
    )
    found = {(one.number, one.name): one.drops.values for one in positions_by_number(drawn)}
    assert list(found) == [(2, "early"), (2, "late"), (2, "mixed")]
    assert found[2, "early"].tolist() == pytest.approx([0.2])
    assert found[2, "late"].tolist() == pytest.approx([0.6])
    assert found[2, "mixed"].tolist() == [0.4]


def plain_positions_by_number(drawn: DropTable) -> dict[tuple[int, str], list[float]]:
    found: dict[tuple[int, str], list[float]] = {}
    for removal, drops in cells_of(drawn).items():
        names = {
            name
            for block in removal
            for name, blocks in stack_parts(drawn.num_blocks).items()
            if block in blocks
        }
        name = names.pop() if len(names) == 1 else "mixed"
        if drops:
            found.setdefault((len(removal), name), []).append(fmean(drops.values()))
    return {key: sorted(means) for key, means in found.items()}


@given(tables())
def test_positions_by_number_agree_with_a_plain_loop(drawn: DropTable) -> None:
    found = {(one.number, one.name): one.drops.values for one in positions_by_number(drawn)}
    expected = plain_positions_by_number(drawn)
    assert found.keys() == expected.keys()
    for key, means in found.items():
        assert means.tolist() == pytest.approx(expected[key])


@given(permuted_tables())
def test_the_order_of_the_datasets_changes_nothing(drawn: tuple[DropTable, DropTable]) -> None:
    for first, second in zip(*map(positions, drawn), strict=True):
        assert (first.drops is None) == (second.drops is None)
        if first.drops is not None and second.drops is not None:
            assert second.drops.values.tolist() == pytest.approx(first.drops.values.tolist())


@given(tables())
def test_a_dataset_without_cells_changes_nothing(drawn: DropTable) -> None:
    other = with_unmeasured_dataset(drawn)
    assert block_drops(other.single_drops) == block_drops(drawn.single_drops)
