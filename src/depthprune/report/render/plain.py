"""Tables and values for programs, as CSV and JSON: the same in every language, nothing rounded."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from io import StringIO
from math import isfinite
from pathlib import PurePath
from typing import Any

from depthprune.report.table import Table, cell_of

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes text that begins so for a formula, and runs it."""


def table_csv(table: Table, unknown: str = "") -> str:
    """Return the values of a table under the keys of its columns.

    Args:
        table: Table of numbers and texts.
        unknown: Text of an unknown value.
    """
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.key or column.name for column in table.columns])
    writer.writerows([_field(cell_of(value).value, unknown) for value in row] for row in table.rows)
    return out.getvalue()


def _field(value: Any, unknown: str) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA_SIGNS):
        return f"'{value}"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return unknown if value is None else value


def plain(value: Any) -> Any:
    """Return a value as JSON data.

    A number that JSON lacks is null, an interval its two ends; drops stay fractions.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    return [plain(value.low), plain(value.high)] if hasattr(value, "low") else value.item()
