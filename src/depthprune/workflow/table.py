"""A table of results: rows under named columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import MissingDependencyError
from depthprune.base.language import counted

if TYPE_CHECKING:
    from pandas import DataFrame

SHOWN = 20
"""Rows that are shown where a table is printed."""


@dataclass(frozen=True, repr=False)
class Table:
    """Rows under named columns: `for row in table`, `table["drop"]`, `len(table)`.

    Attributes:
        columns: their names.
        rows: one tuple each, in the order of the columns; what is not known is None.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, values: Iterable[Any], columns: Sequence[str]) -> Table:
        """Return a table of attributes: one row for each value, one column for each name."""
        rows = (tuple(getattr(one, name) for name in columns) for one in values)
        return cls(tuple(columns), tuple(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def __getitem__(self, column: str) -> list[Any]:
        """Return the values of a column, row by row.

        Raises:
            KeyError: there is no such column; names those that there are.
        """
        if column not in self.columns:
            raise KeyError(f"there is no column {column!r}; there are {', '.join(self.columns)}")
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dictionary for each row, by column."""
        return list(self)

    def to_pandas(self) -> DataFrame:
        """Return a pandas DataFrame; what is not known is missing in it.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "a DataFrame needs the package pandas, which is not installed",
                mend="pip install pandas, or use .to_dicts()",
            ) from error
        return DataFrame({name: self[name] for name in self.columns}, columns=list(self.columns))

    def __repr__(self) -> str:
        cells = [self.columns, *(tuple(map(_text, row)) for row in self.rows[:SHOWN])]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        return "\n".join([*lines, *self._rest()])

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""

        def line(cells: Iterable[str], kind: str) -> str:
            return "<tr>" + "".join(f"<{kind}>{escape(c)}</{kind}>" for c in cells) + "</tr>"

        body = "".join(line(map(_text, row), "td") for row in self.rows[:SHOWN])
        rest = "".join(f"<p>{text}</p>" for text in self._rest())
        return f"<table>{line(self.columns, 'th')}{body}</table>{rest}"

    def _rest(self) -> list[str]:
        more = len(self) - SHOWN
        return [f"... and {counted(more, 'more row')}"] if more > 0 else []


def field_names(kind: type) -> tuple[str, ...]:
    """Return the names of a dataclass's fields."""
    return tuple(one.name for one in fields(kind))


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else str(value)
