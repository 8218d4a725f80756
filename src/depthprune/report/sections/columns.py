"""Columns that several tables have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthprune.analysis.findings import Distribution
from depthprune.base.language import t
from depthprune.report.table import Column


def distribution_columns() -> list[Column]:
    """Return the columns of a distribution of drops."""
    names = (t("mean %"), t("std"), t("min"), t("median"), t("max"))
    return [Column(t("count"), "count"), *(Column(name, "points") for name in names)]


def distribution_cells(drops: Distribution | None) -> list[Any]:
    """Return the values below `distribution_columns`."""
    if drops is None:
        return [0, *[None] * 5]
    return [drops.count, drops.mean, drops.std, drops.minimum, drops.median, drops.maximum]


def removed_columns(numbers: Sequence[int]) -> list[Column]:
    """Return columns for a removal of each of these numbers of blocks."""
    name = t("{number} removed")
    return [Column(name.format(number=number), "choice") for number in numbers]
