"""Rows of data files, read when they are asked for: JSON, tables, Parquet, several files."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from depthprune.base.errors import FileError, MissingDependencyError, TaskError
from depthprune.base.files import read_json
from depthprune.base.language import counted

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


COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_LONGEST_CELL = 2**31 - 1


def read_json_lines(file: Path) -> JsonLines | ListedRows:
    """Check every line of a JSON-lines file and remember where it begins; blank lines are skipped.

    The rows of a compressed file are kept in memory.

    Raises:
        TaskError: a line is not a JSON object (names the line), or the file cannot be read.
    """
    packed = file.suffix in COMPRESSED
    offsets: list[int] = []
    lines: list[int] = []
    entries: list[Row] = []
    columns: dict[str, None] = {}
    position = 0
    with opened(file) as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                row = parse_line(line, f"{file}, line {number}")
                offsets.append(position)
                lines.append(number)
                columns |= dict.fromkeys(row)
                entries += [row] if packed else []
            position += len(line)
    if packed:
        return ListedRows(entries, file.parent, file, "line", lines)
    return JsonLines(file, offsets, lines, tuple(columns))


def read_json_file(file: Path) -> JsonLines | ListedRows:
    """Read a JSON file that holds a list of objects, or JSON lines under that name.

    Raises:
        TaskError: it is not JSON, or something else.
    """
    with opened(file) as stream:
        start = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"{"):
        return _lines_or_object(file)
    try:
        if file.suffix in COMPRESSED:
            with opened(file) as stream:
                entries = json.loads(stream.read().decode("utf-8-sig"))
        else:
            entries = read_json(file)
    except FileError as error:
        raise TaskError(error.what, where=error.where, mend=error.mend) from error
    except (ValueError, RecursionError) as error:
        raise TaskError(f"not valid JSON: {error}", where=str(file)) from error
    if not isinstance(entries, list):
        raise TaskError("the file holds no list of samples", where=str(file), mend="write [{...}]")
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise TaskError("the entry is not an object", where=f"{file}, entry {number}")
    return ListedRows(entries, file.parent, file)


def _lines_or_object(file: Path) -> JsonLines | ListedRows:
    try:
        with opened(file) as stream:
            value = json.load(io.TextIOWrapper(stream, encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        return read_json_lines(file)  # one object per line, or an error that names the line
    lists = [name for name, entry in value.items() if isinstance(entry, list)]
    if lists:
        raise TaskError(
            f"the file holds one object, with lists in {', '.join(lists)}, and no list of samples",
            where=str(file),
            mend="write the samples themselves: [{...}, {...}], or one {...} per line",
        )
    return read_json_lines(file)


def read_table(file: Path) -> ListedRows:
    """Read a table with a header: commas or semicolons (.csv), tabs (.tsv); an empty cell is null.

    Raises:
        TaskError: it is no such table, or a row has other cells than the header (names the line).
    """
    name = file.name.removesuffix(file.suffix) if file.suffix in COMPRESSED else file.name
    entries: list[Row] = []
    lines: list[int] = []
    number = 0
    before = csv.field_size_limit(_LONGEST_CELL)
    try:
        with opened(file) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            first = text.readline()
            text.seek(0)
            delimiter = "\t" if name.endswith(".tsv") else _delimiter(first)
            table = csv.reader(text, delimiter=delimiter, strict=True)
            header = [column.strip() for column in next(table, [])]
            _check_header(header, file)
            number = table.line_num
            for cells in table:
                place, number = number + 1, table.line_num
                if not any(cells):
                    continue
                if len(cells) != len(header):
                    raise TaskError(
                        f"the row has {counted(len(cells), 'cell')}, the header {len(header)}",
                        where=f"{file}, line {place}",
                        mend="put cells that hold the separator or line breaks into double quotes",
                    )
                entries.append({c: v or None for c, v in zip(header, cells, strict=True)})
                lines.append(place)
    except UnicodeDecodeError as error:
        raise TaskError(
            f"not a UTF-8 text file: {error.reason}", where=str(file), mend="save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise TaskError(f"not a table: {error}", where=f"{file}, line {number + 1}") from error
    finally:
        csv.field_size_limit(before)
    return ListedRows(entries, file.parent, file, "line", lines, tuple(header))


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count) if "," not in header else ","


def _check_header(header: list[str], file: Path) -> None:
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise TaskError(
            f"two columns are called {twice[0]!r}", where=f"{file}, line 1", mend="rename one"
        )


@contextmanager
def opened(file: Path) -> Iterator[IO[bytes]]:
    """Open a data file for reading, decompressed.

    Raises:
        TaskError: it cannot be read, is damaged, or is a Git LFS pointer.
    """
    try:
        check_pointer(file)
        with _open(file) as stream:
            yield stream
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TaskError(f"cannot read: {reason}", where=str(file)) from error


def _open(file: Path) -> IO[bytes]:
    kinds: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    if file.suffix == ".zst":
        try:
            import pyarrow
        except ImportError as error:
            raise MissingDependencyError(
                "reading .zst files needs the package pyarrow", mend="pip install 'depthprune[run]'"
            ) from error
        # Read at once: lines are not asked of pyarrow, and frames may follow one another.
        return io.BytesIO(pyarrow.input_stream(str(file), compression="zstd").read())
    stream: IO[bytes] = kinds.get(file.suffix, open)(file, "rb")
    return stream
