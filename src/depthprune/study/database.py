"""The study's SQLite file: its schema, how it is opened, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from depthprune.base.errors import StudyError, option
from depthprune.study.records import (
    MODEL_CONFIG,
    ModelRecord,
    check_same_identity,
    differences,
    listed,
    new_study,
)
from depthprune.study.rows import SEALED, insert_model, read_model, replace_identity, seal

APPLICATION_ID = 0x44505255
"""Marks an SQLite file as a study (`PRAGMA application_id`); the bytes read `DPRU`."""

SCHEMA_VERSION = 3
"""`PRAGMA user_version`; raised with every change that an older depthprune cannot read."""

# Blobs lie in tables of their own, so that reading all drops touches no page of scores.
SCHEMA = """
CREATE TABLE model (
    id               INTEGER PRIMARY KEY CHECK (id = 1),
    name             TEXT NOT NULL,
    fingerprint      TEXT NOT NULL,
    architecture     TEXT NOT NULL,
    num_blocks       INTEGER NOT NULL CHECK (num_blocks > 0),
    stack            TEXT NOT NULL,
    parameters       INTEGER,
    block_parameters TEXT,
    checksum         TEXT NOT NULL
);
CREATE TABLE identity (
    part   TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    fields BLOB NOT NULL
);
CREATE TABLE run (
    id      INTEGER PRIMARY KEY,
    created TEXT NOT NULL,
    how     TEXT NOT NULL UNIQUE
);
CREATE TABLE split (
    id             INTEGER PRIMARY KEY,
    role           TEXT NOT NULL CHECK (role IN ('search', 'verification')),
    task           TEXT NOT NULL,
    task_type      TEXT NOT NULL,
    split          TEXT NOT NULL,
    fingerprint    TEXT NOT NULL,
    metric         TEXT NOT NULL,
    metric_version INTEGER,
    sample_ids     BLOB NOT NULL,
    pictures       BLOB NOT NULL,
    checksum       TEXT NOT NULL,
    UNIQUE (task, split, fingerprint, role)
);
CREATE TABLE settings (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);
CREATE TABLE prompts (
    split_id    INTEGER NOT NULL REFERENCES split (id),
    settings_id INTEGER NOT NULL REFERENCES settings (id),
    texts       BLOB NOT NULL,
    checksum    TEXT NOT NULL,
    PRIMARY KEY (split_id, settings_id)
);
CREATE TABLE measurement (
    id               INTEGER PRIMARY KEY,
    split_id         INTEGER NOT NULL REFERENCES split (id),
    settings_id      INTEGER NOT NULL REFERENCES settings (id),
    removal          TEXT NOT NULL,
    accuracy         REAL NOT NULL,
    std              REAL,
    num_samples      INTEGER NOT NULL,
    seconds          REAL NOT NULL,
    created          TEXT NOT NULL,
    origin           TEXT,
    stated_drop      REAL,
    run_id           INTEGER REFERENCES run (id),
    scores_checksum  TEXT,
    answers_checksum TEXT,
    checksum         TEXT NOT NULL,
    UNIQUE (split_id, settings_id, removal)
);
CREATE TABLE samples (
    measurement_id INTEGER PRIMARY KEY REFERENCES measurement (id),
    scores         BLOB NOT NULL,
    answers        BLOB NOT NULL
);
"""

# What a race saw of a part of the samples never lies among the measurements.
RACE_SCHEMA = """
CREATE TABLE race (
    id          INTEGER PRIMARY KEY,
    settings_id INTEGER NOT NULL REFERENCES settings (id),
    splits      TEXT NOT NULL,
    confidence  REAL NOT NULL,
    options     TEXT NOT NULL,
    candidates  TEXT NOT NULL,
    UNIQUE (settings_id, splits, confidence, options, candidates)
);
CREATE TABLE race_chunk (
    race_id  INTEGER NOT NULL REFERENCES race (id),
    split_id INTEGER NOT NULL REFERENCES split (id),
    removal  TEXT NOT NULL,
    start    INTEGER NOT NULL,
    places   BLOB NOT NULL,
    scores   BLOB NOT NULL,
    answers  BLOB NOT NULL,
    seconds  REAL NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (race_id, split_id, removal, start)
);
CREATE TABLE stopped (
    race_id     INTEGER NOT NULL REFERENCES race (id),
    removal     TEXT NOT NULL,
    num_samples INTEGER NOT NULL,
    created     TEXT NOT NULL,
    PRIMARY KEY (race_id, removal)
);
"""

# Studies that were begun before these were thought of get them when they are written to.
LATER_SCHEMA = """
CREATE TABLE accepted (
    split_id INTEGER PRIMARY KEY REFERENCES split (id) ON DELETE CASCADE,
    texts    BLOB NOT NULL,
    checksum TEXT NOT NULL
);
CREATE TABLE cut (
    measurement_id INTEGER PRIMARY KEY REFERENCES measurement (id) ON DELETE CASCADE,
    places         BLOB NOT NULL,
    checksum       TEXT NOT NULL
);
CREATE TABLE loss (
    measurement_id INTEGER PRIMARY KEY REFERENCES measurement (id) ON DELETE CASCADE,
    losses         BLOB NOT NULL,
    checksum       TEXT NOT NULL
);
CREATE TABLE seal (
    sealed   TEXT NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (sealed, checksum)
);
"""

_OLD_COLUMNS = {
    "model": "'' AS checksum",
    "split": "'search' AS role, NULL AS metric_version, NULL AS pictures, '' AS checksum",
    "measurement": "NULL AS run_id, NULL AS scores_checksum, NULL AS answers_checksum, "
    "'' AS checksum",
    "race_chunk": "'' AS checksum",
}
"""What the tables of a study of schema 1 and 2 are taken to hold in the columns they lack."""

_DAMAGED = "the study file is damaged or is not a study"
_DAMAGED_MEND = "restore it from a copy, or move it away and measure anew"
_EXPLANATIONS = {
    sqlite3.SQLITE_FULL: ("the disk is full; nothing was stored", "free space, then run again"),
    sqlite3.SQLITE_IOERR: (
        "the disk failed or is full; nothing was stored",
        "check the free space and the disk, then run again",
    ),
    sqlite3.SQLITE_READONLY: (
        "the study cannot be written",
        "check the permissions of the folder and of study.db, or open the study read-only",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "the study file cannot be opened",
        "check its permissions; a study in a read-only folder that was not closed must be copied",
    ),
    sqlite3.SQLITE_PERM: ("the study file may not be read", "check its permissions"),
    sqlite3.SQLITE_BUSY: ("the study is in use by another program", "wait for it to end"),
    sqlite3.SQLITE_LOCKED: ("the study is in use by another program", "wait for it to end"),
    sqlite3.SQLITE_CORRUPT: (_DAMAGED, _DAMAGED_MEND),
    sqlite3.SQLITE_NOTADB: (_DAMAGED, _DAMAGED_MEND),
    sqlite3.SQLITE_ERROR: (_DAMAGED, _DAMAGED_MEND),
}
_UNEXPLAINED = ("the study file cannot be used", "put the study on a local disk, then try again")


_PATIENCE = 60.0
"""Seconds: a log is begun when no reader is amid a query, and a large study takes some to read."""


@contextmanager
def explained_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises inside the body into a StudyError that says how to mend it."""
    try:
        yield
    except sqlite3.ProgrammingError:  # a closed study, another thread: a mistake in the program
        raise
    except UnicodeDecodeError as error:  # SQLite quotes a damaged schema in its message
        raise StudyError(_DAMAGED, where=str(path), mend=_DAMAGED_MEND) from error
    except sqlite3.Error as error:
        # An extended result code holds its primary code in the lowest byte.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        what, mend = _EXPLANATIONS.get(code, _UNEXPLAINED)
        raise StudyError(f"{what} ({error})", where=str(path), mend=mend) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the body as one transaction: all of it is stored or nothing; part of an outer one."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite rolls back by itself after some errors (a full disk), not after all.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check_exists(path: Path) -> None:
    """Refuse a folder without a study.

    Raises:
        StudyError: there is no such file, or it cannot be seen.
    """
    try:
        there = path.is_file()
    except OSError as error:
        raise StudyError(
            f"the folder cannot be read: {error.strerror or error}", where=str(path.parent)
        ) from error
    if not there:
        raise _no_study(path)


def open_database(
    path: Path, model: ModelRecord | None, *, create: bool, read_only: bool
) -> tuple[sqlite3.Connection, ModelRecord]:
    """Open a study's file, or begin one about `model`; return what model it is about.

    Raises:
        StudyError: the file is no study, is damaged, of a newer depthprune or about another model,
            or cannot be opened; or it is empty and none may be begun.
    """
    with explained_errors(path):
        connection = _connect(path, read_only=read_only)
        # A damaged text is read as it is; its checksum shows the damage.
        connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        try:
            # A process may have ended between making the file and filling it.
            empty = _is_empty(connection)
            new_model = model if empty and create else None
            if empty and new_model is None:
                raise _no_study(path)
            # Checked before anything is set, so that a stranger's file is left as it is.
            if not empty:
                _check_schema(connection, path)
                _read_old_as_new(connection, read_only=read_only)
                if model is not None:
                    _check_same_model(connection, model, path)
                if not read_only:
                    _refuse_to_extend_old(connection, path)
            if not read_only:
                _prepare_for_writing(connection)
            if new_model is not None:
                with transaction(connection):
                    _execute(connection, SCHEMA + RACE_SCHEMA + LATER_SCHEMA)
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                    insert_model(connection, new_model)
            elif not read_only:
                _add_later(connection)
                if model is not None:
                    _keep_identity(connection, model)
            return connection, read_model(connection)
        except BaseException:
            connection.close()
            raise


def _no_study(path: Path) -> StudyError:
    return StudyError(
        "there is no study here",
        where=str(path.parent),
        mend="name the folder of a study, or begin one by measuring a model",
    )


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    address = path.resolve().as_uri()
    if not read_only:
        return sqlite3.connect(
            f"{address}?mode=rwc", uri=True, isolation_level=None, timeout=_PATIENCE
        )
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None)
    try:
        _is_empty(connection)
    except sqlite3.OperationalError:
        connection.close()
        # In a folder that nobody can write, SQLite cannot make its index of the log; where there
        # is no log, the file is whole by itself.
        log = path.with_name(path.name + "-wal")
        if log.exists() and log.stat().st_size:
            raise
        connection = sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None)
    except BaseException:
        connection.close()
        raise
    return connection


def put_log_away(connection: sqlite3.Connection) -> None:
    """Let all that is stored be in the one file, without SQLite's log beside it, where possible.

    A reader that opens the study then makes no log of its own, which it could not remove. While
    other connections are open, the log stays.
    """
    # Whatever hinders this (a reader, a full disk), the log holds what was stored, and is read.
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA journal_mode = DELETE")


def _prepare_for_writing(connection: sqlite3.Connection) -> None:
    # The log (WAL) lets readers read while the study is written.
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL, not NORMAL: a measurement takes seconds, an fsync milliseconds, and so a power cut, too,
    # loses nothing that was stored.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # SQLite opens a file that it may not write for reading; better told now than hours later.
    connection.execute("BEGIN")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("ROLLBACK")


def _is_empty(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _read_old_as_new(connection: sqlite3.Connection, *, read_only: bool) -> None:
    """Let a study of an older schema be read as one of today's that lacks what was not recorded.

    Views and empty tables of this connection stand before those of the file, which stays as it is.
    """
    is_old = schema_version(connection) != SCHEMA_VERSION
    if not (is_old or read_only):
        return
    connection.execute("PRAGMA temp_store = MEMORY")
    names = {name for (name,) in connection.execute("SELECT name FROM main.sqlite_master")}
    for table, columns in _OLD_COLUMNS.items() if is_old else ():
        if table in names:
            connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {columns} FROM main.{table}")
    for statement in _statements(SCHEMA + RACE_SCHEMA + LATER_SCHEMA):
        if statement.split()[2] not in names:
            connection.execute(statement.replace("CREATE TABLE", "CREATE TEMP TABLE"))


def _refuse_to_extend_old(connection: sqlite3.Connection, path: Path) -> None:
    lacks = lacking(connection)
    if lacks is not None:
        raise StudyError(
            f"{lacks}; it can be read and analyzed, but nothing can be added",
            where=str(path),
            mend=new_study(),
        )


def lacking(connection: sqlite3.Connection) -> str | None:
    """Return what a study does not say because an older depthprune wrote it; None: nothing."""
    version = schema_version(connection)
    if version == SCHEMA_VERSION:
        return None
    return (
        f"the study was written by an older depthprune (schema {version}): it does not say with "
        "which tokenizer, chat template, processor, prompts and version of the metric it was "
        "measured, and damage to it cannot be noticed"
    )


def _keep_identity(connection: sqlite3.Connection, model: ModelRecord) -> None:
    """Write what decides the answers of `model`, unless measurements depend on what is written."""
    if model.identity and not _has_measurements(connection):
        with transaction(connection):
            replace_identity(connection, model.identity)


def _add_later(connection: sqlite3.Connection) -> None:
    """Give a study the tables that it lacks; what it holds already is sealed as it is."""
    found = "SELECT 1 FROM main.sqlite_master WHERE name = 'seal'"
    with transaction(connection):
        is_new = not connection.execute(found).fetchone()
        _execute(connection, LATER_SCHEMA.replace("TABLE", "TABLE IF NOT EXISTS"))
        for table, rows in SEALED.items() if is_new else ():
            for _, *row in connection.execute(rows).fetchall():
                seal(connection, table, *row)


def _has_measurements(connection: sqlite3.Connection) -> bool:
    tables = ("measurement", "race_chunk")
    return any(connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables)


def _execute(connection: sqlite3.Connection, statements: str) -> None:
    # Not `executescript`, which would commit the transaction that this is part of.
    for statement in _statements(statements):
        connection.execute(statement)


def _statements(script: str) -> list[str]:
    return [statement.strip() for statement in script.split(";") if statement.strip()]


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the schema version of a study's file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = schema_version(connection)
    if application != APPLICATION_ID:
        raise StudyError(
            "an SQLite file, but not a study of depthprune",
            where=str(path),
            mend="choose another folder; this file was left as it is",
        )
    if version > SCHEMA_VERSION:
        raise StudyError(
            f"the study was written by a newer depthprune (schema {version}; "
            f"this one knows {SCHEMA_VERSION})",
            where=str(path),
            mend="update depthprune: pip install --upgrade depthprune",
        )


def _check_same_model(connection: sqlite3.Connection, asked: ModelRecord, path: Path) -> None:
    stored = read_model(connection)
    if (stored.fingerprint, stored.stack) != (asked.fingerprint, asked.stack):
        raise StudyError(
            f"the study is about {stored.name} (blocks {stored.stack}, fingerprint "
            f"{stored.fingerprint}), not about {asked.name} (blocks {asked.stack}, fingerprint "
            f"{asked.fingerprint}){_what_changed(stored, asked)}",
            where=str(path),
            mend=f"use another study folder for this model: {option('output', 'NEW')}",
        )
    if _has_measurements(connection):
        check_same_identity(stored.identity, asked.identity, path)


def _what_changed(stored: ModelRecord, asked: ModelRecord) -> str:
    """Say what tells a model from the one of the same name that was measured before."""
    if stored.name != asked.name or stored.fingerprint == asked.fingerprint:
        return ""
    if not (stored.identity.get(MODEL_CONFIG) and asked.identity.get(MODEL_CONFIG)):
        return ": its weights or its config.json have changed"
    changes = differences({MODEL_CONFIG: stored.identity[MODEL_CONFIG]}, asked.identity)
    return f": {listed(changes)}" if changes else ": its weights have changed"
