"""Inputs are prepared once, kept while there is room, and never mixed up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from depthprune.engine.inputs import Inputs, PreparedRows, Row, prepare_rows
from depthprune.tasks.task import Sample
from depthprune.testing import tiny_models as tiny

BATCH_BYTES = 2 * 8


class Encoder:
    """Encodes rows as their indices and remembers what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []

    def __call__(self, rows: Sequence[Row]) -> Inputs:
        self.calls.append([row.index for row in rows])
        return {"input_ids": torch.tensor(self.calls[-1])}


def row(index: int, length: int, *, picture: bool = False) -> Row:
    images = (tiny.PlainPicture((0, 0, 0), []),) if picture else ()
    return Row(index, Sample(str(index), "", images), "", (5,) * length)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


def prepared(encoder: Encoder, room: int = 10**6) -> PreparedRows:
    return PreparedRows([row(index, length=10 - index) for index in range(6)], encoder, room)


def test_the_longest_rows_come_first_and_equal_ones_in_order(encoder: Encoder) -> None:
    rows = PreparedRows([row(0, 3), row(1, 5), row(2, 3), row(3, 4)], encoder, 0).rows
    assert [each.index for each in rows] == [1, 3, 0, 2]


def test_batches_are_encoded_once(encoder: Encoder) -> None:
    rows = prepared(encoder)
    rows.prepare(4)
    assert rows.inputs(0, 4)["input_ids"].tolist() == [0, 1, 2, 3]
    assert rows.inputs(4, 6)["input_ids"].tolist() == [4, 5]
    assert encoder.calls == [[0, 1, 2, 3], [4, 5]]


def test_what_does_not_fit_is_encoded_anew_and_is_the_same(encoder: Encoder) -> None:
    rows = prepared(encoder, room=2 * BATCH_BYTES)
    rows.prepare(2)
    for _ in range(2):
        assert rows.inputs(4, 6)["input_ids"].tolist() == [4, 5]
    assert encoder.calls == [[0, 1], [2, 3], [4, 5], [4, 5], [4, 5]]
    assert rows.num_bytes == 2 * BATCH_BYTES


def test_smaller_batches_take_the_place_of_the_larger_one(encoder: Encoder) -> None:
    rows = prepared(encoder)
    rows.prepare(4)
    assert rows.inputs(0, 2)["input_ids"].tolist() == [0, 1]
    assert rows.inputs(2, 4)["input_ids"].tolist() == [2, 3]
    assert rows.num_bytes == 3 * BATCH_BYTES


def test_rows_with_and_without_pictures_never_share_a_batch(encoder: Encoder) -> None:
    rows = [row(0, 3), row(1, 9, picture=True), row(2, 5), row(3, 4, picture=True)]
    with_pictures, without = prepare_rows(rows, encoder, size=4, room=10**6)
    assert [each.index for each in with_pictures.rows] == [1, 3]
    assert [each.index for each in without.rows] == [2, 0]
    assert encoder.calls == [[1, 3], [2, 0]]


def test_groups_share_the_room(encoder: Encoder) -> None:
    rows = [row(0, 3), row(1, 9, picture=True), row(2, 5), row(3, 4, picture=True)]
    with_pictures, without = prepare_rows(rows, encoder, size=4, room=BATCH_BYTES)
    assert (with_pictures.num_bytes, without.num_bytes) == (BATCH_BYTES, 0)
