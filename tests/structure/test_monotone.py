"""Rows find their columns in order, at the least cost: the same as trying every way."""

from __future__ import annotations

from itertools import combinations
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.structure.align import assign


def try_every_way(costs: list[list[float]]) -> dict[tuple[int, ...], float]:
    """Return the total cost of every order-preserving assignment: the obvious way."""
    columns = range(len(costs[0]))
    return {
        way: sum(row[column] for row, column in zip(costs, way, strict=True))
        for way in combinations(columns, len(costs))
    }


@st.composite
def tables(draw: st.DrawFn) -> list[list[float]]:
    rows = draw(st.integers(1, 4))
    columns = draw(st.integers(rows, 6))
    # Few different whole numbers: ties are common, and sums exact.
    cost = st.integers(0, 3).map(float)
    line = st.lists(cost, min_size=columns, max_size=columns)
    return draw(st.lists(line, min_size=rows, max_size=rows))


@given(tables())
@settings(max_examples=150, deadline=None)
def test_it_is_the_cheapest_way_and_of_equal_ones_the_first(costs: list[list[float]]) -> None:
    ways = try_every_way(costs)
    least = min(ways.values())
    chosen, _ = assign(costs)
    assert chosen == min(way for way, cost in ways.items() if cost == least)


@given(tables())
@settings(max_examples=150, deadline=None)
def test_the_margin_is_what_the_next_place_of_a_row_costs_more(costs: list[list[float]]) -> None:
    ways = try_every_way(costs)
    chosen, margins = assign(costs)
    for row, margin in enumerate(margins):
        others = [cost for way, cost in ways.items() if way[row] != chosen[row]]
        assert margin == pytest.approx(min(others, default=inf) - ways[chosen])


def test_as_many_columns_as_rows_leave_no_choice() -> None:
    assert assign([[5.0, 0.0], [0.0, 5.0]]) == ((0, 1), (inf, inf))


def test_no_rows_need_no_place() -> None:
    assert assign([]) == ((), ())
