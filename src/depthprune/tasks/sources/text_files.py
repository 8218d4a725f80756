"""Data files of text, compressed or not: JSON lines, JSON arrays, tables with commas or tabs."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from depthprune.base.errors import FileError, MissingDependencyError, TaskError
from depthprune.base.files import read_json
from depthprune.base.language import counted
from depthprune.tasks.sources.rows import JsonLines, ListedRows, Row, check_pointer, parse_line

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
