"""Columns that several tables have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from depthprune.analysis.combinations import Combination
from depthprune.analysis.drop_table import Distribution
from depthprune.base.language import t
from depthprune.report.table import Column


def distribution(
    of: Callable[[Any], Distribution | None],
) -> list[tuple[Column, Callable[[Any], Any]]]:
    """Return the columns that tell the distribution of the drops that an item has."""

    def value(name: str) -> Callable[[Any], Any]:
        return lambda one: getattr(of(one), name, None)

    names = {
        "mean": t("mean (points)"),
        "std": t("std (points)"),
        "minimum": t("min (points)"),
        "median": t("median (points)"),
        "maximum": t("max (points)"),
    }
    numbers = [(Column(text, "points"), value(name)) for name, text in names.items()]
    return [(Column(t("count"), "count"), lambda one: getattr(of(one), "count", 0)), *numbers]


def std_of(one: Combination) -> float | None:
    """Return the deviation of a drop over datasets; over one dataset there is none."""
    return one.std if one.coverage > 1 else None


def removed_columns(numbers: Sequence[int]) -> list[Column]:
    """Return columns for a removal of each of these numbers of blocks."""
    name = t("{number} removed")
    return [Column(name.format(number=number), "choice") for number in numbers]
