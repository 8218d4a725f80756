"""The study: everything measured for one model, in one folder; resumed by opening it again."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depthprune.base.errors import FileError, StudyError
from depthprune.base.files import make_folder
from depthprune.base.removal import Removal, check_removal, format_removal, make_removal
from depthprune.study import database, rows
from depthprune.study.lock import WriteLock
from depthprune.study.races import RaceRecord, StoppedCandidate, StoredRace, stopped_candidates
from depthprune.study.records import Measurement, ModelRecord, SplitRecord, StoredSplit

__all__ = ["Measurement", "ModelRecord", "SplitRecord", "StoredSplit", "Study"]

DATABASE_NAME = "study.db"
LOCK_NAME = "study.lock"

_Samples = tuple[NDArray[np.float32], tuple[str, ...]]


class Study:
    """Everything measured for one model: append-only, one writer, any number of readers.

    Open it with `Study.open`, best in a `with` statement. Layout and schema: docs/study.md.

    Attributes:
        folder: where it lies.
        model: what it is about.
    """

    def __init__(
        self,
        folder: Path,
        model: ModelRecord,
        connection: sqlite3.Connection,
        lock: WriteLock | None,
    ) -> None:
        self.folder = folder
        self.model = model
        self._path = folder / DATABASE_NAME
        self._connection = connection
        self._lock = lock

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        model: ModelRecord | None = None,
        create: bool = True,
        read_only: bool = False,
    ) -> Study:
        """Open the study in `folder`, or begin one about `model` there.

        Args:
            folder: of the study; made if missing.
            model: the model that will be measured; a study of another model is refused. None
                opens whatever study is there.
            create: begin a new study when there is none (needs `model`).
            read_only: works while another process writes, and takes no lock.

        Raises:
            StudyError: no study is there and none may be begun; it is about another model, in use
                by another writer, of a newer depthprune, damaged, or no study at all.
            FileError: the folder is a file, or cannot be written.
        """
        folder = Path(folder)
        path = folder / DATABASE_NAME
        create = create and not read_only
        if model is None or not create:
            database.check_exists(path)
        if folder.exists() and not folder.is_dir():
            raise FileError("this is a file, not a folder", where=str(folder), mend="name a folder")
        lock = None if read_only else WriteLock(make_folder(folder) / LOCK_NAME)
        try:
            connection, stored = database.open_database(
                path, model, create=create, read_only=read_only
            )
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        return cls(folder, stored, connection, lock)

    def close(self) -> None:
        """Close the files and let the lock go; closing twice is allowed."""
        try:
            with database.explained_errors(self._path):
                if self._lock is not None:
                    database.put_log_away(self._connection)
                self._connection.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Study:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Store all that the body adds, or, if it raises, nothing of it."""
        with database.explained_errors(self._path), database.transaction(self._connection):
            yield

    def add_split(self, record: SplitRecord) -> int:
        """Return the key of a split, which is stored if it is new.

        Raises:
            StudyError: a split with this fingerprint is there, with other samples or metric; or a
                name cannot be the name of a folder.
        """
        for name in (record.task, record.split):
            if name in ("", ".", "..") or "/" in name or "\\" in name:
                raise StudyError(
                    f"{name!r} cannot be the name of a task or split",
                    mend="use letters, digits, '_', '-' and '+': result folders bear these names",
                )
        stored = self._query(
            f"{rows.SELECT_SPLIT} WHERE task = ? AND split = ? AND fingerprint = ?",
            (record.task, record.split, record.fingerprint),
        )
        if not stored:
            with self.transaction():
                return rows.insert(
                    self._connection,
                    "split",
                    task=record.task,
                    task_type=record.task_type,
                    split=record.split,
                    fingerprint=record.fingerprint,
                    metric=record.metric,
                    sample_ids=rows.pack_texts(record.sample_ids),
                )
        key, known = rows.split_from_row(stored[0])
        if (known.sample_ids, known.metric) != (record.sample_ids, record.metric):
            raise StudyError(
                f"{record.task} {record.split} is stored under the same fingerprint, "
                "but with other samples or another metric",
                where=str(self._path),
                mend="use another study folder",
            )
        return key

    def split(self, split_key: int) -> SplitRecord:
        """Return the split to which `add_split` gave this key.

        Raises:
            StudyError: there is none.
        """
        found = self._query(f"{rows.SELECT_SPLIT} WHERE id = ?", (split_key,))
        if not found:
            raise StudyError(f"the study has no split number {split_key}", where=str(self._path))
        return rows.split_from_row(found[0])[1]

    def splits(self) -> list[StoredSplit]:
        """Return every split with the settings under which it was measured, by task and split."""
        settings: dict[int, list[str]] = {}
        for split_key, text in self._query(
            "SELECT DISTINCT split_id, text FROM measurement "
            "JOIN settings ON settings.id = settings_id ORDER BY split_id, text"
        ):
            settings.setdefault(split_key, []).append(text)
        found = map(
            rows.split_from_row, self._query(f"{rows.SELECT_SPLIT} ORDER BY task, split, id")
        )
        return [StoredSplit(key, record, tuple(settings.get(key, ()))) for key, record in found]

    def missing(self, split_key: int, removals: Iterable[Removal], settings: str) -> list[Removal]:
        """Return those `removals` that are not measured yet, each once, in the order given."""
        return [
            removal
            for removal in dict.fromkeys(map(make_removal, removals))
            if not self._select(split_key, settings, removal, with_samples=False)
        ]

    def add(
        self,
        split_key: int,
        settings: str,
        removal: Removal,
        scores: ArrayLike,
        answers: Sequence[str],
        seconds: float,
    ) -> None:
        """Store one measurement; when this returns, it is on the disk.

        Args:
            split_key: from `add_split`.
            settings: the decoding settings, see `Evaluator.settings`.
            removal: the blocks that were left out; `()` is the baseline.
            scores: one number for each sample of the split, in its order; kept as float32.
            answers: the answers behind them.
            seconds: how long the measurement took.

        Raises:
            StudyError: the numbers do not fit the split, are not finite, or differ from those that
                are stored for this removal (equal ones are accepted and change nothing).
            RemovalError: the model lacks such a block.
        """
        samples = self._checked_samples(split_key, removal, scores, answers)
        exact = samples[0].astype(np.float64)
        columns = {
            "accuracy": float(exact.mean()),
            "std": float(exact.std()),
            "num_samples": len(exact),
            "seconds": float(seconds),
        }
        self._store(split_key, settings, removal, columns, samples)

    def add_imported(
        self,
        split_key: int,
        settings: str,
        removal: Removal,
        *,
        accuracy: float,
        origin: str,
        std: float = math.nan,
        num_samples: int = 0,
        stated_drop: float | None = None,
        samples: tuple[ArrayLike, Sequence[str]] | None = None,
    ) -> None:
        """Store a result that was read from a file of `origin`, with or without its samples.

        Raises:
            StudyError: the numbers are not finite, do not fit the split, or differ from those that
                are stored for this removal.
            RemovalError: the model lacks such a block.
        """
        if not math.isfinite(accuracy):
            raise StudyError("an accuracy that is not a finite number", where=origin)
        columns = {
            "accuracy": float(accuracy),
            "std": None if math.isnan(std) else float(std),
            "num_samples": int(num_samples),
            "seconds": 0.0,
            "origin": origin,
            "stated_drop": stated_drop,
        }
        checked = None if samples is None else self._checked_samples(split_key, removal, *samples)
        self._store(split_key, settings, removal, columns, checked)

    def measurement(self, split_key: int, settings: str, removal: Removal) -> Measurement | None:
        """Return what is stored for one removal, with scores and answers, or None."""
        found = self._select(split_key, settings, make_removal(removal))
        return found[0] if found else None

    def measurements(
        self,
        split_key: int | None = None,
        settings: str | None = None,
        *,
        with_samples: bool = True,
        with_answers: bool = True,
    ) -> list[Measurement]:
        """Return the measurements, ordered by number of removed blocks and by removal.

        Args:
            split_key: of this split; None means all splits.
            settings: under these settings; None means any.
            with_samples: False leaves out scores and answers, which takes far less memory.
            with_answers: False leaves out the answers, which take most of that memory.
        """
        return self._select(
            split_key, settings, with_samples=with_samples, with_answers=with_answers
        )

    def drops(self, split_key: int, settings: str) -> dict[Removal, float]:
        """Return the drop of every removal measured on a split: baseline accuracy minus accuracy.

        The baseline itself is in it, as 0.0; as long as it is not measured, no drop is known and
        the mapping is empty. An imported result has the drop that its file states. Ordered as
        `measurements`.
        """
        found = self._query(
            "SELECT removal, accuracy, stated_drop FROM measurement "
            "WHERE split_id = ? AND settings_id = (SELECT id FROM settings WHERE text = ?)",
            (split_key, settings),
        )
        baseline = next((accuracy for removal, accuracy, _ in found if not removal), None)
        if baseline is None:
            return {}
        drops = {
            rows.unpack_removal(removal): baseline - accuracy if stated is None else stated
            for removal, accuracy, stated in found
        }
        return {removal: drops[removal] for removal in sorted(drops, key=_rank)}

    def race(self, record: RaceRecord) -> StoredRace:
        """Return the race that `record` is about, begun if it is new; see `StoredRace`."""
        return StoredRace(self._connection, self._path, record)

    def stopped(self, split_key: int, settings: str) -> list[StoppedCandidate]:
        """Return what races stopped on a split, without what is measured in full meanwhile.

        None of it is a measurement: a mean over the samples that were seen compares with nothing.
        Ordered as `measurements`.
        """
        with database.explained_errors(self._path):
            # A study of schema version 1 that is opened for reading has no such tables.
            if database.schema_version(self._connection) < database.SCHEMA_VERSION:
                return []
            return stopped_candidates(self._connection, split_key, settings)

    def _store(
        self,
        split_key: int,
        settings: str,
        removal: Removal,
        columns: dict[str, Any],
        samples: _Samples | None,
    ) -> None:
        removal = check_removal(make_removal(removal), self.model.num_blocks)
        existing = self.measurement(split_key, settings, removal)
        if existing is not None:
            if not _equal(existing, columns, samples):
                raise StudyError(
                    f"{existing.task} {existing.split}, removal {format_removal(removal)}, "
                    f"is stored already with other numbers: accuracy {existing.accuracy:.6f}, "
                    f"now {columns['accuracy']:.6f}",
                    where=str(self._path),
                    mend="a study never changes a result; use another study folder",
                )
            return
        with self.transaction():
            key = rows.insert(
                self._connection,
                "measurement",
                split_id=split_key,
                settings_id=rows.settings_key(self._connection, settings),
                removal=rows.pack_removal(removal),
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                **columns,
            )
            if samples is not None:
                rows.insert(
                    self._connection,
                    "samples",
                    measurement_id=key,
                    scores=rows.pack_scores(samples[0]),
                    answers=rows.pack_texts(samples[1]),
                )

    def _checked_samples(
        self, split_key: int, removal: Removal, scores: ArrayLike, answers: Sequence[str]
    ) -> _Samples:
        values = np.array(scores, dtype=np.float32)
        record = self.split(split_key)
        expected = len(record.sample_ids)
        if not expected or values.shape != (expected,) or len(answers) != expected:
            raise StudyError(
                f"{record.task} {record.split} has {expected} samples, but there are scores of "
                f"shape {values.shape} and {len(answers)} answers",
                where=str(self._path),
            )
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            raise StudyError(
                f"removal {format_removal(removal)}: the score of sample "
                f"{record.sample_ids[wrong[0]]} is not a finite number",
                where=f"{record.task} {record.split}",
                mend=_mend_for_scores(removal),
            )
        return values, tuple(answers)

    def _select(
        self,
        split_key: int | None,
        settings: str | None,
        removal: Removal | None = None,
        *,
        with_samples: bool = True,
        with_answers: bool = True,
    ) -> list[Measurement]:
        wanted = {
            "split_id = ?": split_key,
            "settings_id = (SELECT id FROM settings WHERE text = ?)": settings,
            "removal = ?": None if removal is None else rows.pack_removal(removal),
        }
        wanted = {condition: value for condition, value in wanted.items() if value is not None}
        statement = rows.SELECT_BARE_MEASUREMENT
        if with_samples:
            statement = rows.SELECT_MEASUREMENT if with_answers else rows.SELECT_SCORED_MEASUREMENT
        if wanted:
            statement += " WHERE " + " AND ".join(wanted)
        found = self._query(
            f"{statement} ORDER BY task, split, split_id, text", tuple(wanted.values())
        )
        return sorted(map(rows.measurement_from_row, found), key=lambda one: _rank(one.removal))

    def _query(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with database.explained_errors(self._path):
            return self._connection.execute(statement, values).fetchall()


def _mend_for_scores(removal: Removal) -> str:
    metric = "check the metric: a score is a number, usually from 0 to 1"
    if not removal:
        return f"try --dtype float32, or {metric}"
    named = "this block" if len(removal) == 1 else "one of these blocks, for instance"
    return f"the model may not bear this loss: keep {named} by --protect {removal[0]}; or {metric}"


def _equal(existing: Measurement, columns: dict[str, Any], samples: _Samples | None) -> bool:
    stated = (columns["accuracy"], columns.get("stated_drop"))
    if (existing.accuracy, existing.stated_drop) != stated:
        return False
    if existing.scores is None or samples is None:
        return True
    return np.array_equal(existing.scores, samples[0]) and existing.answers == samples[1]


def _rank(removal: Removal) -> tuple[int, Removal]:
    return len(removal), removal
