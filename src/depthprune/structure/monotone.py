"""The cheapest way to find rows among columns when both stand in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf

Costs = Sequence[Sequence[float]]
"""One row for each thing to place, one number for each place."""


def assign(costs: Costs) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return a column for every row, ascending, of the least total cost; of equal ones the first.

    Dynamic programming over rows and columns, as in the alignment of two sequences (Needleman and
    Wunsch, 1970) where every row must be placed.

    Args:
        costs: finite, rows x columns, at least as many columns as rows.

    Returns:
        The columns, and for each row by how much the total grows at least when that row goes
        elsewhere: infinite where it has no other place, 0 where another is as good.
    """
    rows, columns = len(costs), len(costs[0]) if costs else 0
    before = _prefixes(costs, columns)
    after = [row[::-1] for row in _prefixes([row[::-1] for row in costs[::-1]], columns)][::-1]
    through = [
        [up + down - cost for up, down, cost in zip(*both, strict=True)]
        for both in zip(before, after, costs, strict=True)
    ]
    chosen: list[int] = []
    for row in range(rows):
        first = chosen[-1] + 1 if chosen else 0
        # A place that only rounding makes dearer is as good.
        best = min(through[row][first:])
        chosen.append(
            next(c for c in range(first, columns) if through[row][c] <= best + 1e-12 * (1 + best))
        )
    margins = []
    for row, place in enumerate(chosen):
        elsewhere = min((cost for c, cost in enumerate(through[row]) if c != place), default=inf)
        margins.append(max(0.0, elsewhere - through[row][place]))
    assert all(a < b for a, b in pairwise(chosen))
    return tuple(chosen), tuple(margins)


def _prefixes(costs: Costs, columns: int) -> list[list[float]]:
    """Return the least cost of all rows up to each one when it stands in each column."""
    found: list[list[float]] = []
    for number, row in enumerate(costs):
        line = []
        least = 0.0 if number == 0 else inf
        for column in range(columns):
            line.append(least + row[column])
            if found:
                least = min(least, found[-1][column])
        found.append(line)
    return found
