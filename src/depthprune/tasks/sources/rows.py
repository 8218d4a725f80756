"""Rows of a data file, read one by one: JSON lines, JSON arrays, Parquet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from depthprune.base.errors import FileError, TaskError
from depthprune.base.files import read_json

Row = Mapping[str, Any]


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
    """Rows that are in memory: of a JSON array."""

    entries: Sequence[Row]
    root: Path | None
    file: Path

    @property
    def columns(self) -> tuple[str, ...]:
        """The names that occur, in the order of their first occurrence."""
        return tuple(dict.fromkeys(name for entry in self.entries for name in entry))

    def __len__(self) -> int:
        return len(self.entries)

    def row(self, index: int, columns: Sequence[str]) -> Row:
        """Return the named columns of a row."""
        return _pick(self.entries[index], columns)

    def column(self, name: str) -> Sequence[Any]:
        """Return a whole column."""
        return [entry.get(name) for entry in self.entries]

    def place(self, index: int) -> str:
        """Return the file and the number of the entry."""
        return f"{self.file}, entry {index + 1}"


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
            return _pick(_parse_line(file.readline(), self.place(index)), columns)

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
        if any(tuple(t.schema_arrow.names) != self.columns for t in self._tables):
            raise TaskError(
                "the Parquet files of one split have different columns",
                where=", ".join(map(str, files)),
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


def read_json_lines(file: Path) -> JsonLines:
    """Check every line of a JSON-lines file and remember where it begins; blank lines are skipped.

    Raises:
        TaskError: a line is not a JSON object (names the line), or the file cannot be read.
    """
    offsets: list[int] = []
    lines: list[int] = []
    columns: dict[str, None] = {}
    position = 0
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip(b"\xef\xbb\xbf \t\r\n"):
                    offsets.append(position)
                    lines.append(number)
                    columns |= dict.fromkeys(_parse_line(line, f"{file}, line {number}"))
                position += len(line)
    except OSError as error:
        raise TaskError(f"cannot read: {error.strerror or error}", where=str(file)) from error
    return JsonLines(file, offsets, lines, tuple(columns))


def read_json_array(file: Path) -> ListedRows:
    """Read a JSON file that holds a list of objects.

    Raises:
        TaskError: it is not JSON, or something else.
    """
    try:
        entries = read_json(file)
    except FileError as error:
        raise TaskError(error.what, where=error.where, mend=error.mend) from error
    if not isinstance(entries, list):
        raise TaskError("the file holds no list of samples", where=str(file), mend="write [{...}]")
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise TaskError("the entry is not an object", where=f"{file}, entry {number}")
    return ListedRows(entries, file.parent, file)


def _parse_line(line: bytes, place: str) -> Row:
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
