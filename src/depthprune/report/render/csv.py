"""Tables as CSV, for programs: the same in every language, nothing rounded."""

from __future__ import annotations

import csv
from io import StringIO
from typing import Any

from depthprune.report.table import Table, cell_of

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes text that begins so for a formula, and runs it."""


def table_csv(table: Table, unknown: str = "") -> str:
    """Return the values of a table under the keys of its columns.

    Args:
        table: of numbers and texts.
        unknown: stands where nothing is known.
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
