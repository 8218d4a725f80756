"""How records become rows of the study's tables, and rows become records again."""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthprune.base.errors import StudyError
from depthprune.base.removal import Removal
from depthprune.study.records import Measurement, ModelRecord, SplitRecord

SELECT_SPLIT = "SELECT id, task, task_type, split, fingerprint, sample_ids, metric FROM split"

_MEASUREMENT = """
SELECT task, split, removal, accuracy, std, num_samples, seconds, text, created, origin,
       stated_drop, {samples}
FROM measurement
JOIN split ON split.id = split_id
JOIN settings ON settings.id = settings_id
"""
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


def insert_model(connection: sqlite3.Connection, model: ModelRecord) -> None:
    """Write the row that says which model the study is about."""
    blocks = model.block_parameters
    insert(
        connection,
        "model",
        name=model.name,
        fingerprint=model.fingerprint,
        architecture=model.architecture,
        num_blocks=model.num_blocks,
        stack=model.stack,
        parameters=model.parameters,
        block_parameters=None if blocks is None else json.dumps(blocks),
    )


def read_model(connection: sqlite3.Connection) -> ModelRecord:
    """Return the model the study is about."""
    name, fingerprint, architecture, num_blocks, stack, parameters, blocks = connection.execute(
        "SELECT name, fingerprint, architecture, num_blocks, stack, parameters, block_parameters "
        "FROM model"
    ).fetchone()
    return ModelRecord(
        name=name,
        fingerprint=fingerprint,
        architecture=architecture,
        num_blocks=num_blocks,
        stack=stack,
        parameters=parameters,
        block_parameters=None if blocks is None else tuple(json.loads(blocks)),
    )


def split_from_row(row: tuple[Any, ...]) -> tuple[int, SplitRecord]:
    """Return key and record of a row of `SELECT_SPLIT`."""
    key, task, task_type, split, fingerprint, sample_ids, metric = row
    return key, SplitRecord(task, task_type, split, fingerprint, unpack_texts(sample_ids), metric)


def measurement_from_row(row: tuple[Any, ...]) -> Measurement:
    """Return the measurement of a row of `SELECT_MEASUREMENT` or `SELECT_BARE_MEASUREMENT`."""
    (task, split, removal, accuracy, std, num_samples, seconds, settings) = row[:8]
    created, origin, stated_drop, scores, answers = row[8:]
    return Measurement(
        task=task,
        split=split,
        removal=unpack_removal(removal),
        accuracy=accuracy,
        std=math.nan if std is None else std,
        num_samples=num_samples,
        scores=None if scores is None else unpack_scores(scores, num_samples),
        answers=None if answers is None else unpack_texts(answers),
        seconds=seconds,
        settings=settings,
        created=created,
        origin=origin,
        stated_drop=stated_drop,
    )


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
    """Return the texts that `pack_texts` stored."""
    try:
        return tuple(json.loads(zlib.decompress(packed)))
    except (zlib.error, ValueError) as error:
        raise _damaged() from error


def pack_scores(scores: NDArray[np.float32]) -> bytes:
    """Return scores as little-endian float32."""
    return scores.astype("<f4").tobytes()


def unpack_scores(packed: bytes, num_samples: int | None = None) -> NDArray[np.float32]:
    """Return the scores that `pack_scores` stored; of so many samples, when that is known."""
    if len(packed) % 4 or num_samples not in (None, len(packed) // 4):
        raise _damaged()
    return np.frombuffer(packed, "<f4").astype(np.float32)


def _damaged() -> StudyError:
    return StudyError(
        "the study file is damaged: scores or answers cannot be read",
        mend="restore it from a copy, or move it away and measure anew",
    )
