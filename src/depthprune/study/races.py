"""Races in a study: what was seen of the candidates, chunk by chunk, and which were stopped.

It lies in tables of its own: a mean over a part of the samples is never among the measurements.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depthprune.base.errors import StudyError
from depthprune.base.language import counted
from depthprune.base.removal import Removal, format_removal
from depthprune.study import rows
from depthprune.study.database import explained_errors, transaction
from depthprune.study.rows import row_checksum

_OF_CHUNK = "race_id = ? AND split_id = ? AND removal = ?"


@dataclass(frozen=True)
class RaceRecord:
    """What a race is about; equal ones are the same race, which is gone on with.

    Attributes:
        splits: keys of the splits whose samples are seen.
        settings: the decoding settings.
        confidence: of the whole search, that it keeps the candidates it would keep without racing.
        options: everything else that decides who is stopped, as one line of text.
        candidates: that compete.
    """

    splits: tuple[int, ...]
    settings: str
    confidence: float
    options: str
    candidates: tuple[Removal, ...]


@dataclass(frozen=True)
class RaceChunk:
    """Some samples of one split that one candidate was scored on.

    Attributes:
        start: how many samples of this split the race saw before them.
        places: n places of the samples in the split's own order, in the order of the race.
        scores: float32 array of shape (n,).
        answers: the n answers behind them.
        seconds: how long they took.
    """

    start: int
    places: NDArray[np.int32] = field(compare=False)
    scores: NDArray[np.float32] = field(compare=False)  # arrays have no plain equality
    answers: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class StoppedCandidate:
    """A removal that was stopped in a race, and that no full measurement says more about.

    Attributes:
        removal: the blocks that were left out.
        num_samples: that were seen, over all splits of the race.
        race: in which it was stopped.
        created: when, ISO 8601 in UTC.
    """

    removal: Removal
    num_samples: int
    race: RaceRecord
    created: str


class StoredRace:
    """One race in a study; what is added to it is on the disk when the call returns."""

    def __init__(self, connection: sqlite3.Connection, path: Path, record: RaceRecord) -> None:
        """Find the race that `record` is about, or begin it."""
        self.record = record
        self._connection = connection
        self._path = path
        with explained_errors(path), transaction(connection):
            settings = rows.settings_key(connection, record.settings)
            columns = {
                "settings_id": settings,
                "splits": ",".join(map(str, record.splits)),
                "confidence": record.confidence,
                "options": record.options,
                "candidates": ";".join(map(rows.pack_removal, record.candidates)),
            }
            conditions = " AND ".join(f"{name} = ?" for name in columns)
            found = connection.execute(
                f"SELECT id FROM race WHERE {conditions}", tuple(columns.values())
            ).fetchone()
            self._key: int = found[0] if found else rows.insert(connection, "race", **columns)
            if not found:
                rows.seal(connection, "race", self._key, *columns.values())

    def add_chunk(self, split_key: int, removal: Removal, chunk: RaceChunk) -> None:
        """Store how one candidate scores on some samples.

        Raises:
            StudyError: the numbers do not fit each other or are not finite, or they are stored.
        """
        number = len(chunk.places)
        if not number or chunk.scores.shape != (number,) or len(chunk.answers) != number:
            raise StudyError(
                f"{counted(number, 'sample')}, but scores of shape {chunk.scores.shape} and "
                f"{counted(len(chunk.answers), 'answer')}",
                where=str(self._path),
            )
        if not np.isfinite(chunk.scores).all():
            raise StudyError(
                f"removal {format_removal(removal)}: a score is not a finite number",
                where=str(self._path),
            )
        with explained_errors(self._path), transaction(self._connection):
            columns = {
                "removal": rows.pack_removal(removal),
                "start": chunk.start,
                "places": chunk.places.astype("<i4").tobytes(),
                "scores": rows.pack_scores(chunk.scores),
                "answers": rows.pack_texts(chunk.answers),
                "seconds": float(chunk.seconds),
            }
            rows.insert(
                self._connection,
                "race_chunk",
                race_id=self._key,
                split_id=split_key,
                **columns,
                checksum=row_checksum(*columns.values()),
            )

    def chunk_scores(self, split_key: int, removal: Removal, start: int) -> _Scores | None:
        """Return the scores of one candidate on the chunk that begins there, or None."""
        found = self._chunks(split_key, removal, "AND start = ?", start)
        return found[0].scores if found else None

    def chunks(self, split_key: int, removal: Removal) -> list[RaceChunk]:
        """Return what was seen of one candidate on one split, in the order of the race."""
        return self._chunks(split_key, removal, "ORDER BY start")

    def _chunks(
        self, split_key: int, removal: Removal, which: str, *values: int
    ) -> list[RaceChunk]:
        with explained_errors(self._path):
            found = self._connection.execute(
                "SELECT removal, start, places, scores, answers, seconds, checksum FROM race_chunk "
                f"WHERE {_OF_CHUNK} {which}",
                (self._key, split_key, rows.pack_removal(removal), *values),
            ).fetchall()
        return list(map(chunk_from_row, found))

    def forget(self, split_key: int, removal: Removal) -> None:
        """Let the chunks of a candidate go, in the transaction that stores its measurement."""
        with explained_errors(self._path), transaction(self._connection):
            self._connection.execute(
                f"DELETE FROM race_chunk WHERE {_OF_CHUNK}",
                (self._key, split_key, rows.pack_removal(removal)),
            )

    def stop(self, removals: Sequence[Removal], num_samples: int) -> None:
        """Store that candidates were stopped after so many samples; told again, nothing changes."""
        created = datetime.now(UTC).isoformat(timespec="seconds")
        with explained_errors(self._path), transaction(self._connection):
            for one in removals:
                row = (self._key, rows.pack_removal(one), num_samples, created)
                statement = "INSERT OR IGNORE INTO stopped VALUES (?, ?, ?, ?)"
                if self._connection.execute(statement, row).rowcount:
                    rows.seal(self._connection, "stopped", *row)

    def stopped(self) -> dict[Removal, int]:
        """Return the candidates that were stopped, with the number of samples seen of each."""
        with explained_errors(self._path):
            found = self._connection.execute(
                "SELECT race_id, removal, num_samples, created FROM stopped WHERE race_id = ? "
                "ORDER BY removal",
                (self._key,),
            ).fetchall()
            for row in found:
                _check_stop(self._connection, row)
        return {rows.unpack_removal(removal): number for _, removal, number, _ in found}


def stopped_candidates(
    connection: sqlite3.Connection, split_key: int, settings: str
) -> tuple[list[tuple[Any, ...]], Callable[[tuple[Any, ...]], StoppedCandidate]]:
    """Return rows of what was stopped and is not measured in full on a split, and what reads one.

    Among them are those of races over other splits.
    """
    found = connection.execute(
        "SELECT race_id, removal, num_samples, created, race.id, settings_id, splits, confidence, "
        "options, candidates FROM stopped JOIN race ON race.id = race_id "
        "JOIN settings ON settings.id = settings_id "
        "WHERE text = ? AND NOT EXISTS (SELECT 1 FROM measurement "
        "WHERE split_id = ? AND measurement.settings_id = race.settings_id "
        "AND measurement.removal = stopped.removal) ORDER BY race.id",
        (settings, split_key),
    ).fetchall()

    def read(row: tuple[Any, ...]) -> StoppedCandidate:
        _check_stop(connection, row[:4])
        if not rows.is_sealed(connection, "race", *row[4:]):
            raise rows.damaged("between which removals a race was")
        _, removal, number, created, _, _, splits, confidence, options, candidates = row
        keys = tuple(map(int, splits.split(",")))
        removals = tuple(map(rows.unpack_removal, candidates.split(";")))
        race = RaceRecord(keys, settings, confidence, options, removals)
        return StoppedCandidate(rows.unpack_removal(removal), number, race, created)

    return found, read


def _check_stop(connection: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    if not rows.is_sealed(connection, "stopped", *row):
        raise rows.damaged(f"that a race stopped removal {row[1]}")


def check_places(places: ArrayLike, num_samples: int) -> None:
    """Refuse chunks that do not hold every sample of a split exactly once.

    Raises:
        StudyError: a sample is missing or there twice.
    """
    if not np.array_equal(np.sort(places), np.arange(num_samples)):
        raise StudyError(
            f"what a race saw are not {counted(num_samples, 'different sample')}",
            mend="the study file is damaged: restore it from a copy, or measure anew",
        )


_Scores = NDArray[np.float32]


def chunk_from_row(row: tuple[Any, ...]) -> RaceChunk:
    """Return the chunk of a row; raises DamagedError when it is not what was stored."""
    *columns, checksum = row
    if checksum and checksum != row_checksum(*columns):
        raise rows.damaged(f"what a race saw of removal {columns[0]}")
    _, start, places, scores, answers, seconds = columns
    return RaceChunk(
        start,
        np.frombuffer(places, "<i4").astype(np.int32),
        rows.unpack_scores(scores),
        rows.unpack_texts(answers),
        seconds,
    )
