"""Rows of data files, read one by one: in memory, of JSON lines, of Parquet, of several files."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from depthprune.base.errors import TaskError

Row = Mapping[str, Any]
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class Rows(Protocol):
    """A table whose rows are read when they are asked for."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        ...

    @property
    def root(self) -> Path | None:
        """The folder that image paths are relative to and must not leave."""
        ...

    def __len__(self) -> int: ...

    def row(self, index: int, columns: Sequence[str]) -> Row:
        """Return the named columns of a row; a column that it lacks is left out."""
        ...

    def column(self, name: str) -> Sequence[Any]:
        """Return a whole column (None where a row lacks it)."""
        ...

    def place(self, index: int) -> str:
        """Return the file and line of a row, for error messages."""
        ...


@dataclass(frozen=True)
class ListedRows:
    """Rows that are in memory; `numbers` says which entries, or lines, of the file they are."""

    entries: Sequence[Row]
    root: Path | None
    file: Path
    unit: str = "entry"
    numbers: Sequence[int] = ()
    header: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names that occur, in the order of their first occurrence."""
        found = dict.fromkeys(name for entry in self.entries for name in entry)
        return self.header or tuple(found)

    def __len__(self) -> int:
        return len(self.entries)

    def row(self, index: int, columns: Sequence[str]) -> Row:
        """Return the named columns of a row."""
        return _pick(self.entries[index], columns)

    def column(self, name: str) -> Sequence[Any]:
        """Return a whole column."""
        return [entry.get(name) for entry in self.entries]

    def place(self, index: int) -> str:
        """Return the file and the number of the entry or line."""
        number = self.numbers[index] if self.numbers else index + 1
        return f"{self.file}, {self.unit} {number}"


@dataclass(frozen=True)
class JsonLines:
    """Rows of a JSON-lines file; only their positions are kept in memory."""

    file: Path
    offsets: Sequence[int]
    lines: Sequence[int]
    columns: tuple[str, ...]

    @property
    def root(self) -> Path:
        """The folder of the file."""
        return self.file.parent

    def __len__(self) -> int:
        return len(self.offsets)

    def row(self, index: int, columns: Sequence[str]) -> Row:
        """Return the named columns of a row."""
        with self.file.open("rb") as file:
            file.seek(self.offsets[index])
            return _pick(parse_line(file.readline(), self.place(index)), columns)

    def column(self, name: str) -> Sequence[Any]:
        """Return a whole column."""
        return [self.row(index, [name]).get(name) for index in range(len(self))]

    def place(self, index: int) -> str:
        """Return the file and the line."""
        return f"{self.file}, line {self.lines[index]}"


class ParquetRows:
    """Rows of Parquet files that belong together; one row group is in memory at a time."""

    def __init__(self, files: Sequence[Path], root: Path) -> None:
        """Read the files' footers.

        Raises:
            TaskError: a file is not Parquet, or the files have different columns.
        """
        import pyarrow
        from pyarrow import parquet

        self.root: Path | None = root
        self._tables: list[Any] = []
        self._groups: list[tuple[int, int, int]] = []
        total = 0
        for number, file in enumerate(files):
            check_pointer(file)
            try:
                table = parquet.ParquetFile(file)
            except (pyarrow.ArrowException, OSError) as error:
                raise TaskError(f"not a Parquet file: {error}", where=str(file)) from error
            self._tables.append(table)
            for group in range(table.num_row_groups):
                self._groups.append((total, number, group))
                total += table.metadata.row_group(group).num_rows
        self._files = files
        self._total = total
        self.columns: tuple[str, ...] = tuple(self._tables[0].schema_arrow.names)
        _check_columns(
            [(str(f), t.schema_arrow.names) for f, t in zip(files, self._tables, strict=True)]
        )
        self._loaded: tuple[int, tuple[str, ...], Any] | None = None

    def __len__(self) -> int:
        return self._total

    def row(self, index: int, columns: Sequence[str]) -> Row:
        """Return the named columns of a row."""
        present = tuple(name for name in columns if name in self.columns)
        place = self._group_of(index)
        if self._loaded is None or self._loaded[:2] != (place, present):
            _, number, group = self._groups[place]
            table = self._tables[number].read_row_group(group, columns=list(present))
            self._loaded = (place, present, table)
        row: Row = self._loaded[2].slice(index - self._groups[place][0], 1).to_pylist()[0]
        return row

    def column(self, name: str) -> Sequence[Any]:
        """Return a whole column."""
        return [
            cell
            for table in self._tables
            for cell in table.read(columns=[name]).column(name).to_pylist()
        ]

    def place(self, index: int) -> str:
        """Return the file and the row in it."""
        _, number, _ = self._groups[self._group_of(index)]
        first = min(start for start, file, _ in self._groups if file == number)
        return f"{self._files[number]}, row {index - first + 1}"

    def _group_of(self, index: int) -> int:
        if not 0 <= index < self._total:
            raise IndexError(index)
        return max(p for p, (start, _, _) in enumerate(self._groups) if start <= index)


class JoinedRows:
    """The rows of several tables of one split, one after the other."""

    def __init__(self, tables: Sequence[Rows]) -> None:
        self.root = tables[0].root
        self.columns = tuple(dict.fromkeys(name for table in tables for name in table.columns))
        self._tables = tables
        self._starts = [sum(map(len, tables[:number])) for number in range(len(tables))]

    def __len__(self) -> int:
        return sum(map(len, self._tables))

    def row(self, index: int, columns: Sequence[str]) -> Row:
        """Return the named columns of a row."""
        table, inner = self._find(index)
        return table.row(inner, columns)

    def column(self, name: str) -> Sequence[Any]:
        """Return a whole column."""
        return [cell for table in self._tables for cell in table.column(name)]

    def place(self, index: int) -> str:
        """Return the file and row."""
        table, inner = self._find(index)
        return table.place(inner)

    def _find(self, index: int) -> tuple[Rows, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._starts, index) - 1
        return self._tables[number], index - self._starts[number]


def _check_columns(tables: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Raise TaskError when tables of one split differ in columns; their order does not matter."""
    for place, names in tables[1:]:
        first, expected = tables[0]
        if different := sorted(set(names) ^ set(expected)):
            raise TaskError(
                "the files of one split have different columns: only one of two has "
                f"{', '.join(different)}",
                where=f"{first}; {place}",
            )


def check_pointer(file: Path) -> None:
    """Raise TaskError when a file is a Git LFS pointer; OSError when it cannot be read."""
    with file.open("rb") as stream:
        if stream.read(len(LFS_POINTER)) == LFS_POINTER:
            raise TaskError(
                "a Git LFS pointer, not the file itself: it was not downloaded",
                where=str(file),
                mend="run `git lfs pull` in the folder of the data, or download the file again",
            )


def parse_line(line: bytes, place: str) -> Row:
    """Return the object that one line of JSON holds; raises TaskError that names the place."""
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise TaskError(
            f"the line is not JSON: {error.msg}",
            where=f"{place}, column {error.colno}",
            mend="mend or delete the line; each line holds one JSON object",
        ) from error
    except (ValueError, RecursionError) as error:
        raise TaskError(f"the line is not JSON: {error}", where=place) from error
    if not isinstance(value, dict):
        raise TaskError("the line is not a JSON object", where=place, mend="write {...}")
    return value


def _pick(row: Row, columns: Sequence[str]) -> Row:
    return {name: row[name] for name in columns if name in row}
