"""How records become rows of the study's tables, with checksums, and rows become records again."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthprune.base.errors import DamagedError
from depthprune.base.removal import Removal
from depthprune.study.records import (
    Identity,
    Measurement,
    ModelRecord,
    Run,
    SplitRecord,
    pack_fields,
)


def row_checksum(*values: Any) -> str:
    """Return 16 hexadecimal digits over texts, numbers and None, in their order."""
    # ASCII, because which characters `repr` escapes depends on the version of Python.
    return bytes_checksum(ascii(values).encode())


def bytes_checksum(content: bytes) -> str:
    """Return 16 hexadecimal digits over bytes."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


_SPLIT = (
    "role", "task", "task_type", "split", "fingerprint", "metric", "metric_version", "sample_ids",
    "pictures",
)  # fmt: skip
"""Columns of a split, in the order of its checksum; attributes of its record by these names."""

SELECT_SPLIT = f"SELECT id, {', '.join(_SPLIT)}, checksum FROM split"

_MEASUREMENT = """
SELECT task, split.split, split.checksum, text, removal, accuracy, std, num_samples, seconds,
       created, origin, stated_drop, run_id, scores_checksum, answers_checksum,
       measurement.checksum, {samples}
FROM measurement
JOIN split ON split.id = split_id
JOIN settings ON settings.id = settings_id
"""
_CHECKSUM_PLACE = 15
SELECT_BARE_MEASUREMENT = _MEASUREMENT.format(samples="NULL, NULL")
_SAMPLES = "LEFT JOIN samples ON measurement_id = measurement.id\n"
SELECT_SCORED_MEASUREMENT = _MEASUREMENT.format(samples="scores, NULL") + _SAMPLES
SELECT_MEASUREMENT = _MEASUREMENT.format(samples="scores, answers") + _SAMPLES


def insert(connection: sqlite3.Connection, table: str, **columns: Any) -> int:
    """Insert one row and return its key."""
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    cursor = connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({places})", tuple(columns.values())
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def settings_key(connection: sqlite3.Connection, settings: str) -> int:
    """Return the key of decoding settings, which are stored if they are new."""
    connection.execute("INSERT OR IGNORE INTO settings (text) VALUES (?)", (settings,))
    (key,) = connection.execute("SELECT id FROM settings WHERE text = ?", (settings,)).fetchone()
    return int(key)


_MODEL = (
    "name", "fingerprint", "architecture", "num_blocks", "stack", "parameters", "block_parameters",
)  # fmt: skip
"""Columns of the model, in the order of its checksum; attributes of its record by these names."""


def insert_model(connection: sqlite3.Connection, model: ModelRecord) -> None:
    """Write the row that says which model the study is about, and what decides its answers."""
    columns = {name: getattr(model, name) for name in _MODEL}
    if model.block_parameters is not None:
        columns["block_parameters"] = json.dumps(model.block_parameters)
    insert(connection, "model", **columns, checksum=row_checksum(*columns.values()))
    replace_identity(connection, model.identity)


def replace_identity(connection: sqlite3.Connection, identity: Identity) -> None:
    """Write what decides the model's answers, in place of what stood there."""
    connection.execute("DELETE FROM identity")
    for part, fields in identity.items():
        packed = pack_fields(fields)
        insert(
            connection,
            "identity",
            part=part,
            digest=bytes_checksum(packed.encode()),
            fields=zlib.compress(packed.encode()),
        )


def read_model(connection: sqlite3.Connection) -> ModelRecord:
    """Return the model the study is about.

    Raises:
        DamagedError: the row is damaged.
    """
    *row, checksum = connection.execute(
        f"SELECT {', '.join(_MODEL)}, checksum FROM model"
    ).fetchone()
    if checksum and checksum != row_checksum(*row):
        raise damaged("what it says about its model")
    columns = dict(zip(_MODEL, row, strict=True))
    if columns["block_parameters"] is not None:
        columns["block_parameters"] = tuple(json.loads(columns["block_parameters"]))
    return ModelRecord(**columns, identity=_read_identity(connection))


def _read_identity(connection: sqlite3.Connection) -> Identity:
    identity = {}
    for part, digest, fields in connection.execute("SELECT part, digest, fields FROM identity"):
        try:
            packed = zlib.decompress(fields)
        except (zlib.error, TypeError) as error:
            raise damaged(f"what it says about the {part}") from error
        if bytes_checksum(packed) != digest:
            raise damaged(f"what it says about the {part}")
        identity[part] = json.loads(packed)
    return identity


def seal(connection: sqlite3.Connection, table: str, *row: Any) -> None:
    """Keep the checksum of a row of a table that has no column for it."""
    connection.execute("INSERT OR IGNORE INTO seal VALUES (?, ?)", (table, row_checksum(*row)))


def is_sealed(connection: sqlite3.Connection, table: str, *row: Any) -> bool:
    """Return whether a row is what was stored; of a table without seals, all are taken to be."""
    counted = "SELECT count(*), sum(checksum = ?) FROM seal WHERE sealed = ?"
    known, same = connection.execute(counted, (row_checksum(*row), table)).fetchone()
    return not known or bool(same)


SEALED = {
    "run": "SELECT rowid, id, created, how FROM run",
    "race": "SELECT rowid, id, settings_id, splits, confidence, options, candidates FROM race",
    "stopped": "SELECT rowid, race_id, removal, num_samples, created FROM stopped",
    "accepted": "SELECT rowid, split_id, checksum FROM accepted",
    "cut": "SELECT rowid, measurement_id, checksum FROM cut",
}
"""Tables whose rows are sealed; selects SQLite's key of each, then what its seal is about."""


def run_from_row(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Run:
    """Return the run of a row of the table."""
    key, created, how = row
    if not is_sealed(connection, "run", *row):
        raise damaged("how it was measured")
    try:
        return Run(key, created, json.loads(how))
    except (ValueError, TypeError) as error:
        raise damaged("how it was measured") from error


def insert_split(connection: sqlite3.Connection, record: SplitRecord) -> int:
    """Write a split and return its key."""
    columns = {name: getattr(record, name) for name in _SPLIT} | {
        "sample_ids": pack_texts(record.sample_ids),
        "pictures": pack_texts([" ".join(digests) for digests in record.pictures]),
    }
    return insert(connection, "split", **columns, checksum=_split_checksum(*columns.values()))


def split_from_row(row: tuple[Any, ...]) -> tuple[int, SplitRecord]:
    """Return key and record of a row of `SELECT_SPLIT`.

    Raises:
        DamagedError: the row is damaged; names the split.
    """
    key, *stored, checksum = row
    columns = dict(zip(_SPLIT, stored, strict=True))
    if checksum and checksum != _split_checksum(*stored):
        raise damaged(f"the samples of {columns['task']} {columns['split']}")
    known = () if columns["pictures"] is None else unpack_texts(columns["pictures"])
    columns["sample_ids"] = unpack_texts(columns["sample_ids"])
    columns["pictures"] = tuple(tuple(digests.split()) for digests in known)
    return key, SplitRecord(**columns)


def _split_checksum(*columns: Any) -> str:
    *plain, sample_ids, pictures = columns
    return row_checksum(*plain, bytes_checksum(sample_ids), bytes_checksum(pictures))


def insert_measurement(
    connection: sqlite3.Connection,
    split_key: int,
    settings: str,
    columns: dict[str, Any],
    samples: tuple[bytes, bytes] | None,
) -> int:
    """Write a measurement, with scores and answers as they are packed, where there are any.

    Its checksum goes over all of it, its split and its settings. Returns its key.
    """
    scores, answers = (None, None) if samples is None else map(bytes_checksum, samples)
    columns = {name: columns.get(name) for name in _CHECKED}
    columns |= {"scores_checksum": scores, "answers_checksum": answers}
    (of_split,) = connection.execute(
        "SELECT checksum FROM split WHERE id = ?", (split_key,)
    ).fetchone()
    key = insert(
        connection,
        "measurement",
        split_id=split_key,
        settings_id=settings_key(connection, settings),
        **columns,
        checksum=row_checksum(of_split, settings, *columns.values()),
    )
    if samples is not None:
        insert(connection, "samples", measurement_id=key, scores=samples[0], answers=samples[1])
    return key


_CHECKED = (
    "removal", "accuracy", "std", "num_samples", "seconds", "created", "origin", "stated_drop",
    "run_id",
)  # fmt: skip
"""Columns of a measurement in the order of its checksum, before those of its samples."""


def checked_measurement(row: tuple[Any, ...]) -> tuple[Removal, float, float | None]:
    """Return removal, accuracy and stated drop of a row of a measurement, whatever its columns.

    Raises:
        DamagedError: the row is damaged, or samples that were asked for are; names task, split and
            removal.
    """
    checksum, scores, answers = row[_CHECKSUM_PLACE:]
    # Old studies have no checksums.
    if checksum and (
        checksum != row_checksum(*row[2:_CHECKSUM_PLACE])
        or (scores is not None and bytes_checksum(scores) != row[_CHECKSUM_PLACE - 2])
        or (answers is not None and bytes_checksum(answers) != row[_CHECKSUM_PLACE - 1])
    ):
        raise damaged_measurement(row)
    try:
        return unpack_removal(row[4]), row[5], row[11]
    except (ValueError, AttributeError) as error:
        raise damaged_measurement(row) from error


def damaged_measurement(row: tuple[Any, ...]) -> DamagedError:
    """Return the error that names the measurement of a row as damaged."""
    task, split, _, _, removal = row[:5]
    return damaged(f"{task} {split}, removal {shown_removal(removal)},")


def shown_removal(stored: object) -> str:
    """Return a removal as users read it, whatever is stored in its place."""
    return str(stored).replace(",", "-") or "baseline"


def measurement_from_row(row: tuple[Any, ...], *, with_samples: bool) -> Measurement:
    """Return the measurement of a row of `SELECT_MEASUREMENT` and its like.

    Raises:
        DamagedError: something of it is damaged; names task, split and removal.
    """
    removal, _, _ = checked_measurement(row)
    task, split, *checked, _, scores, answers = row
    if with_samples and scores is None and checked[11] is not None:
        raise damaged_measurement(row)
    _, settings, _, accuracy, std, num_samples, seconds, created = checked[:8]
    origin, stated_drop, run = checked[8:11]
    try:
        values = None if scores is None else unpack_scores(scores, num_samples)
        if values is not None and origin is None and not _is_mean(accuracy, values):
            raise ValueError("the accuracy is not the mean of the scores")
        return Measurement(
            task=task,
            split=split,
            removal=removal,
            accuracy=accuracy,
            std=math.nan if std is None else std,
            num_samples=num_samples,
            scores=values,
            answers=None if answers is None else unpack_texts(answers),
            seconds=seconds,
            settings=settings,
            created=created,
            origin=origin,
            stated_drop=stated_drop,
            run=run,
        )
    except (ValueError, TypeError, DamagedError) as error:
        raise damaged_measurement(row) from error


def _is_mean(accuracy: float, scores: NDArray[np.float32]) -> bool:
    """Return whether an accuracy belongs to these scores: old studies have no checksums."""
    return bool(abs(float(scores.astype(np.float64).mean()) - accuracy) <= 1e-6)


def prompts_from_row(row: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the texts of a row of task, split, packed texts and their checksum.

    Raises:
        DamagedError: they are not what was stored; names the split.
    """
    task, split, *stored = row
    return checked_texts(stored, f"the prompts of {task} {split}")


def sealed_texts(
    connection: sqlite3.Connection, table: str, stored: Sequence[Any], what: str
) -> tuple[str, ...]:
    """Return packed texts of a row of key, texts and checksum, see `checked_texts`."""
    key, packed, checksum = stored
    if not is_sealed(connection, table, key, checksum):
        raise damaged(what)
    return checked_texts((packed, checksum), what)


def checked_texts(stored: Sequence[Any], what: str) -> tuple[str, ...]:
    """Return packed texts that are stored with their checksum.

    Raises:
        DamagedError: they are not what was stored; says what they are.
    """
    packed, checksum = stored
    if bytes_checksum(packed) != checksum:
        raise damaged(what)
    return unpack_texts(packed)


def pack_removal(removal: Removal) -> str:
    """Return a removal as it is stored: `4,13`; the baseline is the empty text."""
    return ",".join(map(str, removal))


def unpack_removal(text: str) -> Removal:
    """Return the removal that `pack_removal` stored."""
    return tuple(map(int, text.split(","))) if text else ()


def pack_texts(texts: Sequence[str]) -> bytes:
    """Return texts as a compressed JSON list; ASCII escapes keep every text exactly."""
    return zlib.compress(json.dumps(list(texts)).encode("ascii"))


def unpack_texts(packed: bytes) -> tuple[str, ...]:
    """Return the texts that `pack_texts` stored; raises DamagedError when they are not intact."""
    try:
        return tuple(json.loads(zlib.decompress(packed)))
    except (zlib.error, ValueError, TypeError) as error:
        raise damaged("a list of texts") from error


def pack_scores(scores: NDArray[np.float32]) -> bytes:
    """Return scores as little-endian float32."""
    return scores.astype("<f4").tobytes()


def unpack_scores(packed: bytes, num_samples: int | None = None) -> NDArray[np.float32]:
    """Return the scores that `pack_scores` stored; of so many samples, when that is known."""
    if len(packed) % 4 or num_samples not in (None, len(packed) // 4):
        raise damaged("scores")
    return np.frombuffer(packed, "<f4").astype(np.float32)


def losses_from_row(row: tuple[Any, ...]) -> tuple[Removal, NDArray[np.float32]]:
    """Return the removal of a measurement and the loss of each sample.

    Raises:
        DamagedError: they are not what was stored; names the removal.
    """
    key, removal, packed, checksum = row
    if checksum != loss_checksum(key, packed):
        raise damaged(f"the losses of removal {shown_removal(removal)}")
    return unpack_removal(removal), unpack_scores(packed)


def loss_checksum(key: int, packed: bytes) -> str:
    """Return the checksum of the losses of the measurement with this key."""
    return row_checksum(key, bytes_checksum(packed))


def damaged(what: str) -> DamagedError:
    """Return the error that says that something in the study's file is not what was stored."""
    return DamagedError(
        f"the study file is damaged: {what} cannot be read as it was stored",
        mend="restore study.db from a copy; or let `depthprune study repair` drop what is damaged, "
        "and run again: it is measured anew",
    )
