"""Find what is damaged in a study, and drop it, so that the next run measures it anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthprune.base.errors import StudyError
from depthprune.study import database, rows
from depthprune.study.lock import WriteLock
from depthprune.study.races import chunk_from_row
from depthprune.study.store import DATABASE_NAME, LOCK_NAME


@dataclass(frozen=True)
class DamagedRow:
    """A row of a study that is not what was stored.

    Attributes:
        what: it is about: task, split and removal, where it tells them.
        table: of the row.
        key: of the row, SQLite's `rowid`.
    """

    what: str
    table: str
    key: int


def check_study(folder: Path) -> list[DamagedRow]:
    """Return every damaged row of a study, which is only read; none where all is intact.

    Raises:
        StudyError: there is no study, or what cannot be dropped is damaged: the file itself, or
            what it says about its model.
    """
    path = Path(folder) / DATABASE_NAME
    database.check_exists(path)
    connection, _ = database.open_database(path, None, create=False, read_only=True)
    try:
        with database.explained_errors(path):
            return _damage(connection, path)
    finally:
        connection.close()


def repair_study(folder: Path) -> list[DamagedRow]:
    """Drop every damaged row of a study, with what hangs on it; return them.

    What is intact stays as it is. Everything is dropped, or, if it is interrupted, nothing.

    Raises:
        StudyError: see `check_study`; or the study is in use, or of an older depthprune.
    """
    if not check_study(folder):
        return []
    path = Path(folder) / DATABASE_NAME
    lock = WriteLock(Path(folder) / LOCK_NAME)
    try:
        connection, _ = database.open_database(path, None, create=False, read_only=False)
        try:
            with database.explained_errors(path), database.transaction(connection):
                found = _damage(connection, path)
                for one in found:
                    for statement in _statements(one.table):
                        connection.execute(statement, (one.key,))
                for _, *row in connection.execute(rows.SEALED["run"]).fetchall():
                    rows.seal(connection, "run", *row)
            database.put_log_away(connection)
        finally:
            connection.close()
    finally:
        lock.release()
    return found


def _damage(connection: sqlite3.Connection, path: Path) -> list[DamagedRow]:
    ((verdict, *_),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if verdict != "ok":
        raise StudyError(
            f"the study file is damaged beyond its rows: {verdict}",
            where=str(path),
            mend="restore it from a copy, or move it away and measure anew",
        )
    found = [
        DamagedRow(what, table, key)
        for table, statement, describe, read in _TABLES
        for key, *row in connection.execute(statement)
        if (what := _what(tuple(row), describe, read)) is not None
    ] + [
        DamagedRow(_SEALED[table](row), table, key)
        for table, statement in rows.SEALED.items()
        for key, *row in connection.execute(statement).fetchall()
        if not rows.is_sealed(connection, table, *row)
    ]
    return list(dict.fromkeys(found))


def _what(
    row: tuple[Any, ...],
    describe: Callable[[tuple[Any, ...]], str],
    read: Callable[[tuple[Any, ...]], Any],
) -> str | None:
    """Return what a row is about where it cannot be read as it was stored."""
    try:
        read(row)
    except (StudyError, ValueError, TypeError, AttributeError):
        return describe(row)
    return None


def _whole(row: tuple[Any, ...]) -> None:
    """Read a measurement; one whose split or settings are gone has nothing to be read with."""
    if row[0] is None or row[3] is None:
        raise ValueError("its split or its settings are gone")
    rows.measurement_from_row(row, with_samples=True)


_Read = Callable[[tuple[Any, ...]], Any]

_TABLES: tuple[tuple[str, str, Callable[[tuple[Any, ...]], str], _Read], ...] = (
    (
        "split",
        rows.SELECT_SPLIT.replace("SELECT id,", "SELECT id, id,"),
        lambda row: f"the samples of {row[2]} {row[4]}, and all that was measured on them",
        rows.split_from_row,
    ),
    (
        "measurement",
        rows.SELECT_MEASUREMENT.replace("SELECT ", "SELECT measurement.id, ", 1).replace(
            "\nJOIN", "\nLEFT JOIN"
        ),
        lambda row: f"{row[0]} {row[1]}, removal {rows.shown_removal(row[4])}",
        _whole,
    ),
    (
        "prompts",
        "SELECT prompts.rowid, task, split.split, texts, prompts.checksum FROM prompts "
        "LEFT JOIN split ON split.id = split_id",
        lambda row: f"the prompts of {row[0]} {row[1]}",
        rows.prompts_from_row,
    ),
    (
        "accepted",
        "SELECT split_id, texts, checksum FROM accepted",
        lambda row: "the accepted answers of a split",
        lambda row: rows.checked_texts(row, ""),
    ),
    (
        "cut",
        "SELECT measurement_id, places, checksum FROM cut",
        lambda row: "which answers of a measurement reached the limit of their length",
        lambda row: list(map(int, rows.checked_texts(row, ""))),
    ),
    (
        "loss",
        "SELECT measurement_id, measurement_id, removal, losses, loss.checksum FROM loss "
        "LEFT JOIN measurement ON measurement.id = measurement_id",
        lambda row: f"the losses of removal {rows.shown_removal(row[1])}",
        rows.losses_from_row,
    ),
    (
        "race_chunk",
        "SELECT rowid, removal, start, places, scores, answers, seconds, checksum FROM race_chunk",
        lambda row: f"what a race saw of removal {row[0]}",
        chunk_from_row,
    ),
)
"""Table, statement (the key of the row comes first), what a row is about, and what reads it."""

_SEALED: dict[str, Callable[[list[Any]], str]] = {
    "run": lambda row: "how it was measured",
    "race": lambda row: "between which removals a race was",
    "stopped": lambda row: f"that a race stopped removal {row[1]}",
    "accepted": lambda row: "the accepted answers of a split",
    "cut": lambda row: "which answers of a measurement reached the limit of their length",
}
"""What a sealed row is about."""


def _statements(table: str) -> Iterator[str]:
    """Yield what drops a row by its key, after all that refers to it."""
    of_split = "SELECT id FROM measurement WHERE split_id = ?"
    if table in ("measurement", "loss"):
        yield "DELETE FROM samples WHERE measurement_id = ?"
    if table == "loss":  # what has no losses any more is measured anew
        yield "DELETE FROM measurement WHERE id = ?"
    if table == "split":
        yield f"DELETE FROM samples WHERE measurement_id IN ({of_split})"
        for other in ("measurement", "prompts", "race_chunk"):
            yield f"DELETE FROM {other} WHERE split_id = ?"
    if table == "race":
        for other in ("stopped", "race_chunk"):
            yield f"DELETE FROM {other} WHERE race_id = ?"
    if table == "run":  # measurements, which are intact, name it
        yield "UPDATE run SET how = '{\"damaged\": ' || id || '}' WHERE id = ?"
    else:
        yield f"DELETE FROM {table} WHERE rowid = ?"
