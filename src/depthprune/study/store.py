"""The study: everything measured for one model, in one folder; resumed by opening it again."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from depthprune.base.errors import DamagedError, FileError, StudyError, option
from depthprune.base.files import make_folder
from depthprune.base.language import counted
from depthprune.base.removal import Removal, check_removal, format_removal, make_removal
from depthprune.study import database, rows
from depthprune.study.lock import WriteLock
from depthprune.study.races import RaceRecord, StoppedCandidate, StoredRace, stopped_candidates
from depthprune.study.records import (
    Measurement,
    ModelRecord,
    Role,
    Run,
    SplitRecord,
    StoredSplit,
    differences,
    new_study,
)
from depthprune.study.rows import bytes_checksum

__all__ = ["Measurement", "ModelRecord", "Run", "SplitRecord", "StoredSplit", "StudyStore"]

DATABASE_NAME = "study.db"
LOCK_NAME = "study.lock"

_Row = TypeVar("_Row")
_Samples = tuple[NDArray[np.float32], tuple[str, ...]]


class StudyStore:
    """Everything measured for one model: append-only, one writer, any number of readers.

    Open it with `Study.open`, best in a `with` statement. Layout and schema: docs/study.md.

    Attributes:
        folder: where it lies.
        model: what it is about.
        damage: what a reader left out because it is damaged: a writer stops there instead.
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
        self._file = None if lock is None else _file_number(self._path)
        self._run: int | None = None
        self.damage: list[str] = []

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        model: ModelRecord | None = None,
        create: bool = True,
        read_only: bool = False,
    ) -> StudyStore:
        """Open the study in `folder`, or begin one about `model` there.

        Args:
            folder: of the study; made if missing.
            model: the model that will be measured; a study of another model is refused. None
                opens whatever study is there.
            create: begin a new study when there is none (needs `model`).
            read_only: works while another process writes, and takes no lock.

        Raises:
            StudyError: no study is there and none may be begun; it is about another model, or one
                whose tokenizer, template, ... have changed since; it is in use by another writer,
                of a newer depthprune, of an older one and to be written, damaged, or no study.
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

    def __enter__(self) -> StudyStore:
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
        self._check_place()
        with database.explained_errors(self._path), database.transaction(self._connection):
            yield

    def tell(self, doing: Mapping[str, Any]) -> None:
        """Let other processes know how far this writer is: plain JSON data, see `read_status`."""
        if self._lock is not None:
            self._lock.tell(doing)

    @property
    def lacks(self) -> str | None:
        """What the study does not say because an older depthprune wrote it; None: nothing."""
        with database.explained_errors(self._path):
            return database.lacking(self._connection)

    def begin_run(self, how: Mapping[str, Any]) -> None:
        """Say how everything that is added from now on is measured; plain JSON data.

        A run that is the same as an earlier one is that one, gone on with.
        """
        text = json.dumps(how, sort_keys=True)
        with self.transaction():
            found = "SELECT id, created, how FROM run WHERE how = ?"
            if not self._query(found, (text,)):
                rows.insert(self._connection, "run", created=_now(), how=text)
                rows.seal(self._connection, "run", *self._query(found, (text,))[0])
            ((self._run, *_),) = self._query(found, (text,))

    def runs(self) -> list[Run]:
        """Return how the measurements were made, in the order the runs were first begun."""
        return list(
            self._intact(
                self._query("SELECT id, created, how FROM run"),
                partial(rows.run_from_row, self._connection),
            )
        )

    def add_split(self, record: SplitRecord) -> int:
        """Return the key of a split, which is stored if it is new.

        Raises:
            StudyError: a split with this fingerprint is there, with other samples, another metric;
                the study scored by another version of the metric's rule; or a name cannot be the
                name of a folder.
        """
        for name in (record.task, record.split):
            if name in ("", ".", "..") or "/" in name or "\\" in name:
                raise StudyError(
                    f"{name!r} cannot be the name of a task or split",
                    mend="use letters, digits, '_', '-' and '+': result folders bear these names",
                )
        self._check_metric_version(record)
        stored = self._query(
            f"{rows.SELECT_SPLIT} WHERE task = ? AND split = ? AND fingerprint = ? AND role = ?",
            (record.task, record.split, record.fingerprint, record.role),
        )
        if not stored:
            with self.transaction():
                return rows.insert_split(self._connection, record)
        key, known = rows.split_from_row(stored[0])
        if (known.sample_ids, known.metric) != (record.sample_ids, record.metric):
            raise StudyError(
                f"{record.task} {record.split} is stored under the same fingerprint, "
                "but with other samples or another metric",
                where=str(self._path),
                mend="use another study folder",
            )
        return key

    def keep_prompts(self, split_key: int, settings: str, prompts: Sequence[Sequence[str]]) -> None:
        """Store what the model is sent for each sample of a split, once; check it later on.

        Args:
            split_key: from `add_split`.
            settings: under which it is sent.
            prompts: for each sample, in the order of the split, the texts that are sent.

        Raises:
            StudyError: they differ from those that were sent when it was measured.
        """
        texts = [json.dumps(list(sent)) for sent in prompts]
        known = self._prompts(split_key, settings)
        if known is None:
            with self.transaction():
                key = rows.settings_key(self._connection, settings)
                self._insert_texts("prompts", texts, split_id=split_key, settings_id=key)
            return
        record = self.split(split_key)
        for sample_id, before, now in zip(record.sample_ids, known, texts, strict=True):
            if before != now:
                (change,) = differences({"prompt": {"": before}}, {"prompt": {"": now}})
                raise StudyError(
                    f"{record.task} {record.split} was measured with other prompts: sample "
                    f"{sample_id}, {change}",
                    where=str(self._path),
                    mend=new_study(),
                )

    def prompts(self, split_key: int, settings: str) -> list[tuple[str, ...]] | None:
        """Return what the model was sent for each sample of a split; None when not recorded."""
        known = self._prompts(split_key, settings)
        return None if known is None else [tuple(json.loads(text)) for text in known]

    def keep_references(self, split_key: int, references: Sequence[Sequence[str]]) -> None:
        """Store the accepted answers to each sample of a split, in its order, once."""
        if self.references(split_key) is None:
            texts = [json.dumps(list(one)) for one in references]
            with self.transaction():
                self._insert_texts("accepted", texts, split_id=split_key)

    def references(self, split_key: int) -> list[tuple[str, ...]] | None:
        """Return the accepted answers to each sample of a split; None when not recorded."""
        found = self._query(
            "SELECT split_id, texts, checksum FROM accepted WHERE split_id = ?", (split_key,)
        )
        texts = self._texts("accepted", found, "the accepted answers of a split")
        return None if texts is None else [tuple(json.loads(text)) for text in texts]

    def cut_answers(
        self, split_key: int, settings: str, removal: Removal
    ) -> tuple[int, ...] | None:
        """Return the places of answers that reached the limit of their length; None: not known."""
        found = self._query(
            "SELECT measurement_id, places, cut.checksum FROM cut "
            "JOIN measurement ON measurement.id = measurement_id "
            "JOIN settings ON settings.id = settings_id "
            "WHERE split_id = ? AND text = ? AND removal = ?",
            (split_key, settings, rows.pack_removal(make_removal(removal))),
        )
        places = self._texts("cut", found, "which answers of a measurement were cut off")
        return None if places is None else tuple(map(int, places))

    def _texts(
        self, table: str, found: Sequence[tuple[Any, ...]], what: str
    ) -> tuple[str, ...] | None:
        """Return packed texts out of a query; None where there are none, or damaged ones."""
        read = partial(rows.sealed_texts, self._connection, table, what=what)
        return next(self._intact(found, read), None)

    def _insert_texts(
        self, table: str, texts: Sequence[str], *, column: str = "texts", **keys: int
    ) -> None:
        """Insert packed texts with their checksum."""
        packed = rows.pack_texts(texts)
        columns = {**keys, column: packed, "checksum": bytes_checksum(packed)}
        rows.insert(self._connection, table, **columns)
        if table in rows.SEALED:
            rows.seal(self._connection, table, *keys.values(), columns["checksum"])

    def _prompts(self, split_key: int, settings: str) -> tuple[str, ...] | None:
        found = self._query(
            "SELECT task, split.split, texts, prompts.checksum FROM prompts "
            "JOIN settings ON settings.id = settings_id JOIN split ON split.id = split_id "
            "WHERE split_id = ? AND text = ?",
            (split_key, settings),
        )
        return rows.prompts_from_row(found[0]) if found else None

    def _check_metric_version(self, record: SplitRecord) -> None:
        """Refuse scores of a rule that is not the one by which the study scored before."""
        found = self._query(
            "SELECT task, split, metric_version FROM split "
            "WHERE metric = ? AND metric_version != ? LIMIT 1",
            (record.metric, record.metric_version),
        )
        for task, split, version in found:
            raise StudyError(
                f"the rule of the metric {record.metric} has changed since {task} {split} was "
                f"measured: was version {version}, is version {record.metric_version}",
                where=str(self._path),
                mend=f"{new_study()}: scores by two rules do not compare",
            )

    def split(self, split_key: int) -> SplitRecord:
        """Return the split to which `add_split` gave this key.

        Raises:
            StudyError: there is none.
        """
        found = self._query(f"{rows.SELECT_SPLIT} WHERE id = ?", (split_key,))
        if not found:
            raise StudyError(f"the study has no split number {split_key}", where=str(self._path))
        return rows.split_from_row(found[0])[1]

    def splits(self, role: Role | None = "search") -> list[StoredSplit]:
        """Return the splits with the settings under which they were measured, by task and split.

        Args:
            role: of the splits that are wanted; None wants all. What verified a removal is found
                only by those who ask for it.
        """
        settings: dict[int, list[str]] = {}
        for split_key, text in self._query(
            "SELECT DISTINCT split_id, text FROM measurement "
            "JOIN settings ON settings.id = settings_id ORDER BY split_id, text"
        ):
            settings.setdefault(split_key, []).append(text)
        found = self._intact(
            self._query(f"{rows.SELECT_SPLIT} ORDER BY task, split, id"), rows.split_from_row
        )
        return [
            StoredSplit(key, record, tuple(settings.get(key, ())))
            for key, record in found
            if role in (None, record.role)
        ]

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
        *,
        cut: Sequence[int] | None = None,
        losses: NDArray[np.float32] | None = None,
    ) -> None:
        """Store one measurement; when this returns, it is on the disk.

        Args:
            split_key: from `add_split`.
            settings: the decoding settings, see `Evaluator.settings`.
            removal: the blocks that were left out; `()` is the baseline.
            scores: one number for each sample of the split, in its order; kept as float32.
            answers: the answers behind them.
            seconds: how long the measurement took.
            cut: places of the answers that reached the limit of their length; None: not known.
            losses: of each sample, see `option_losses`; None: not known.

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
        self._store(split_key, settings, removal, columns, samples, cut, losses)

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
            split_key: of this split; None means all splits of the role `search`.
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
            f"{rows.SELECT_BARE_MEASUREMENT} WHERE split_id = ? AND text = ?", (split_key, settings)
        )
        accuracies = list(self._intact(found, rows.checked_measurement))
        baseline = next((accuracy for removal, accuracy, _ in accuracies if not removal), None)
        if baseline is None:
            return {}
        drops = {
            removal: baseline - accuracy if stated is None else stated
            for removal, accuracy, stated in accuracies
        }
        return {removal: drops[removal] for removal in sorted(drops, key=_rank)}

    def losses(self, split_key: int, settings: str) -> dict[Removal, NDArray[np.float32]]:
        """Return the loss of each sample under every removal measured on a split, and without any.

        Empty where one of them has none: losses and accuracies do not compare.
        """
        found = self._query(
            "SELECT measurement_id, removal, losses, loss.checksum FROM measurement "
            "LEFT JOIN loss ON measurement_id = measurement.id "
            "JOIN settings ON settings.id = settings_id WHERE split_id = ? AND text = ?",
            (split_key, settings),
        )
        if any(key is None for key, *_ in found):
            return {}
        losses = dict(self._intact(found, rows.losses_from_row))
        return losses if len(losses) == len(found) else {}

    def race(self, record: RaceRecord) -> StoredRace:
        """Return the race that `record` is about, begun if it is new; see `StoredRace`."""
        return StoredRace(self._connection, self._path, record)

    def stopped(self, split_key: int, settings: str) -> list[StoppedCandidate]:
        """Return what races stopped on a split, without what is measured in full meanwhile.

        None of it is a measurement: a mean over the samples that were seen compares with nothing.
        Ordered as `measurements`.
        """
        with database.explained_errors(self._path):
            found, read = stopped_candidates(self._connection, split_key, settings)
            stopped = [one for one in self._intact(found, read) if split_key in one.race.splits]
        return sorted(stopped, key=lambda one: (len(one.removal), one.removal))

    def _store(
        self,
        split_key: int,
        settings: str,
        removal: Removal,
        columns: dict[str, Any],
        samples: _Samples | None,
        cut: Sequence[int] | None = None,
        losses: NDArray[np.float32] | None = None,
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
        columns |= {"removal": rows.pack_removal(removal), "created": _now(), "run_id": self._run}
        packed = None
        if samples is not None:
            packed = rows.pack_scores(samples[0]), rows.pack_texts(samples[1])
        with self.transaction():
            key = rows.insert_measurement(self._connection, split_key, settings, columns, packed)
            if cut is not None:
                places = list(map(str, cut))
                self._insert_texts("cut", places, column="places", measurement_id=key)
            if losses is not None:
                loss = rows.pack_scores(losses)
                checksum = rows.loss_checksum(key, loss)
                columns = {"measurement_id": key, "losses": loss, "checksum": checksum}
                rows.insert(self._connection, "loss", **columns)

    def _checked_samples(
        self, split_key: int, removal: Removal, scores: ArrayLike, answers: Sequence[str]
    ) -> _Samples:
        values = np.array(scores, dtype=np.float32)
        record = self.split(split_key)
        expected = len(record.sample_ids)
        if not expected or values.shape != (expected,) or len(answers) != expected:
            raise StudyError(
                f"{record.task} {record.split} has {counted(expected, 'sample')}, but there are "
                "scores of "
                f"shape {values.shape} and {counted(len(answers), 'answer')}",
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
            "text = ?": settings,
            "role = ?": "search" if split_key is None else None,
            "removal = ?": None if removal is None else rows.pack_removal(removal),
        }
        wanted = {condition: value for condition, value in wanted.items() if value is not None}
        statement = rows.SELECT_BARE_MEASUREMENT
        if with_samples:
            statement = rows.SELECT_MEASUREMENT if with_answers else rows.SELECT_SCORED_MEASUREMENT
        if wanted:
            statement += " WHERE " + " AND ".join(wanted)
        found = self._query(
            f"{statement} ORDER BY task, split.split, split_id, text", tuple(wanted.values())
        )
        read = partial(rows.measurement_from_row, with_samples=with_samples)
        if removal is not None:
            return list(map(read, found))
        return sorted(self._intact(found, read), key=lambda one: _rank(one.removal))

    def _intact(
        self, found: Iterable[tuple[Any, ...]], read: Callable[[tuple[Any, ...]], _Row]
    ) -> Iterator[_Row]:
        """Yield what rows hold. A reader leaves out and names what is damaged; a writer stops."""
        for row in found:
            try:
                yield read(row)
            except DamagedError as error:
                if self._lock is not None:
                    raise
                if error.what not in self.damage:
                    self.damage.append(error.what)

    def _check_place(self) -> None:
        """Stop a writer whose file is no longer the one in the folder: nobody would find more."""
        if self._lock is not None and _file_number(self._path) != self._file:
            raise StudyError(
                "the study file was deleted or replaced while it was written",
                where=str(self._path),
                mend="what was measured since the run began is lost with it: put the file back, or "
                "run again",
            )

    def _query(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        self._check_place()
        with database.explained_errors(self._path):
            return self._connection.execute(statement, values).fetchall()


def _file_number(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from all others on this machine; None where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _mend_for_scores(removal: Removal) -> str:
    metric = "check the metric: a score is a number, usually from 0 to 1"
    if not removal:
        return f"try {option('dtype', 'float32')}, or {metric}"
    named = "this block" if len(removal) == 1 else "one of these blocks, for instance"
    return (
        f"the model may not bear this loss: keep {named} by "
        f"{option('protect', removal[0])}; or {metric}"
    )


def _equal(existing: Measurement, columns: dict[str, Any], samples: _Samples | None) -> bool:
    stated = (columns["accuracy"], columns.get("stated_drop"))
    if (existing.accuracy, existing.stated_drop) != stated:
        return False
    if existing.scores is None or samples is None:
        return True
    return np.array_equal(existing.scores, samples[0]) and existing.answers == samples[1]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _rank(removal: Removal) -> tuple[int, Removal]:
    return len(removal), removal
