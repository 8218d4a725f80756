"""Values as JSON data, for programs: the same in every language, nothing rounded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import PurePath
from typing import Any

from depthprune.report.table import Section, Table, cell_of


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


def table_rows(table: Table) -> list[dict[str, Any]]:
    """Return the rows of a table, each with its values under the keys of their columns."""
    keys = [column.key or column.name for column in table.columns]
    rows = ([plain(cell_of(value).value) for value in row] for row in table.rows)
    return [dict(zip(keys, row, strict=True)) for row in rows]


def section_value(section: Section) -> dict[str, Any]:
    """Return a section with its tables."""
    return {
        "name": section.name,
        "title": section.title,
        "sentences": list(section.sentences),
        "tables": [
            {"title": one.title, "rows": table_rows(one), "notes": list(one.notes)}
            for one in section.tables
        ],
        "notes": list(section.notes),
    }
