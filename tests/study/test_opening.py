"""Specification of opening a study: whose it is, who may write, and what is refused."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from depthprune.base.errors import DepthpruneError, FileError, StudyError
from depthprune.base.removal import Removal
from depthprune.study import StudyStore, database
from tests.study.example import MODEL, REMOVALS, SETTINGS, SPLIT, add, environment, filled_study

unless_root = pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")


def test_without_a_study_there_is_nothing_to_read(tmp_path: Path) -> None:
    for options in [{}, {"read_only": True}, {"model": MODEL, "create": False}]:
        with pytest.raises(StudyError, match="no study here"):
            StudyStore.open(tmp_path / "none", **options)  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()


def test_a_study_of_another_model_is_refused_by_name_and_left_as_it_is(tmp_path: Path) -> None:
    filled_study(tmp_path).close()
    before = (tmp_path / "study.db").read_bytes()
    other = replace(MODEL, name="grown", fingerprint="model-2")
    with pytest.raises(StudyError, match=r"about tiny .*model-1.* not about grown .*model-2"):
        StudyStore.open(tmp_path, model=other)
    assert (tmp_path / "study.db").read_bytes() == before
    StudyStore.open(tmp_path, model=MODEL).close()


def test_a_study_of_another_stack_of_the_same_model_is_refused(tmp_path: Path) -> None:
    filled_study(tmp_path).close()
    with pytest.raises(StudyError, match="vision"):
        StudyStore.open(tmp_path, model=replace(MODEL, stack="vision.layers"))


def test_the_same_model_under_another_name_is_welcome(tmp_path: Path) -> None:
    filled_study(tmp_path).close()
    with StudyStore.open(tmp_path, model=replace(MODEL, name="/elsewhere/tiny")) as study:
        assert study.model.name == "tiny"


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with filled_study(tmp_path), pytest.raises(StudyError) as refused:
        StudyStore.open(tmp_path, model=MODEL)
    assert f"process {os.getpid()} on " in refused.value.what
    StudyStore.open(tmp_path, model=MODEL).close()


def test_every_commit_is_synced_to_the_disk_through_the_log(tmp_path: Path) -> None:
    with filled_study(tmp_path) as study:
        settings = [
            study._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == ["wal", 2, 1]


def test_closing_twice_is_allowed(tmp_path: Path) -> None:
    study = filled_study(tmp_path)
    study.close()
    study.close()


def test_a_reader_sees_what_a_writer_adds_and_cannot_write(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study, StudyStore.open(tmp_path, read_only=True) as reader:
        add(study, (3,))
        assert [one.removal for one in reader.measurements()] == [(), (3,)]
        with pytest.raises(StudyError, match="cannot be written"):
            add(reader, (4,))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_closing_a_study_leaves_one_file_with_everything(tmp_path: Path) -> None:
    filled_study(tmp_path / "study").close()
    assert files_in(tmp_path / "study") == ["study.db", "study.lock"]
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "study" / "study.db", tmp_path / "copy")
    with StudyStore.open(tmp_path / "copy", read_only=True) as study:
        assert len(study.measurements()) == 12


def test_reading_a_closed_study_adds_no_file(tmp_path: Path) -> None:
    filled_study(tmp_path).close()
    with StudyStore.open(tmp_path, read_only=True) as study:
        assert len(study.measurements()) == 12
        assert files_in(tmp_path) == ["study.db", "study.lock"]
    assert files_in(tmp_path) == ["study.db", "study.lock"]


def test_a_writer_may_come_and_go_while_a_reader_stays(tmp_path: Path) -> None:
    filled_study(tmp_path, [()]).close()
    with StudyStore.open(tmp_path, read_only=True) as reader:
        assert len(reader.measurements()) == 1
        for removal in [(1,), (2,)]:
            with StudyStore.open(tmp_path, model=MODEL) as study:
                add(study, removal)
            assert reader.measurements()[-1].removal == removal
    filled_study(tmp_path, [(3,)]).close()
    assert files_in(tmp_path) == ["study.db", "study.lock"]


def test_a_writer_waits_for_a_reader_that_is_amid_a_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled_study(tmp_path).close()
    monkeypatch.setattr(database, "_PATIENCE", 0.05)
    with StudyStore.open(tmp_path, read_only=True) as reader:
        query = reader._connection.execute("SELECT * FROM measurement")
        query.fetchone()
        with pytest.raises(StudyError, match=r"in use by another program[^!]*wait for it to end"):
            StudyStore.open(tmp_path, model=MODEL)
        query.close()
        StudyStore.open(tmp_path, model=MODEL).close()


HOLDER = """
import os, sys, time
from pathlib import Path
from tests.study.example import filled_study
study = filled_study(Path(sys.argv[1]), [()])
child = os.fork() if sys.argv[2] == "fork" else 1
if child:
    print(child, flush=True)
time.sleep(60)
"""


@contextmanager
def holder(folder: Path, mode: str = "alone") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a process that holds the study; yields it and, in mode `fork`, the id of its child."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), mode],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_the_lock_of_a_killed_process_is_gone_at_once(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, _):
        with pytest.raises(StudyError, match=f"written by process {process.pid} on"):
            StudyStore.open(tmp_path, model=MODEL)
        with StudyStore.open(tmp_path, read_only=True) as reader:
            assert len(reader.measurements()) == 1
        process.send_signal(signal.SIGKILL)
        process.wait()
        with StudyStore.open(tmp_path, model=MODEL) as study:
            assert len(study.measurements()) == 1


def test_a_process_left_behind_by_a_killed_one_is_named_as_the_reason(tmp_path: Path) -> None:
    with holder(tmp_path, "fork") as (process, child):
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            with pytest.raises(StudyError, match="has ended; a process that it started"):
                StudyStore.open(tmp_path, model=MODEL)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_lock_file_without_a_name_in_it_still_locks(tmp_path: Path) -> None:
    with filled_study(tmp_path):
        (tmp_path / "study.lock").write_text("")
        with pytest.raises(StudyError, match="written by another process"):
            StudyStore.open(tmp_path, model=MODEL)


def test_a_file_system_without_locks_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(StudyError, match="cannot lock files: No locks available"):
        StudyStore.open(tmp_path, model=MODEL)


def test_a_process_that_ended_before_the_first_table_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "study.db").touch()
    with pytest.raises(StudyError, match="no study here"):
        StudyStore.open(tmp_path, read_only=True)
    filled_study(tmp_path).close()


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="a file, not a folder"):
        StudyStore.open(tmp_path / "file", model=MODEL)


@unless_root
def test_a_read_only_folder_is_refused_for_writing_and_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(DepthpruneError, match="Permission denied"):
            StudyStore.open(tmp_path, model=MODEL)
        assert list(tmp_path.iterdir()) == []
    finally:
        tmp_path.chmod(0o755)


@unless_root
def test_a_read_only_folder_can_be_read(tmp_path: Path) -> None:
    filled_study(tmp_path).close()
    tmp_path.chmod(0o555)
    try:
        with StudyStore.open(tmp_path, read_only=True) as study:
            assert len(study.measurements()) == 12
    finally:
        tmp_path.chmod(0o755)


@unless_root
def test_a_study_copied_into_a_read_only_folder_can_be_read_if_its_log_is_empty(
    tmp_path: Path,
) -> None:
    filled_study(tmp_path).close()
    log = tmp_path / "study.db-wal"
    for content, readable in [(b"", True), (b"something", False)]:
        log.write_bytes(content)
        tmp_path.chmod(0o555)
        try:
            if readable:
                StudyStore.open(tmp_path, read_only=True).close()
            else:
                with pytest.raises(StudyError, match="cannot be opened"):
                    StudyStore.open(tmp_path, read_only=True)
        finally:
            tmp_path.chmod(0o755)


def test_neither_torch_nor_transformers_is_imported() -> None:
    command = "import depthprune.study, sys; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, env=environment(), check=True
    )
    assert done.stdout.strip() == b"set()"


@unless_root
def test_a_folder_that_may_not_be_entered_is_refused(tmp_path: Path) -> None:
    filled_study(tmp_path / "study").close()
    (tmp_path / "study").chmod(0)
    try:
        with pytest.raises(StudyError, match="cannot be read"):
            StudyStore.open(tmp_path / "study", read_only=True)
    finally:
        (tmp_path / "study").chmod(0o755)


@unless_root
def test_a_database_that_may_not_be_written_is_refused_for_writing(tmp_path: Path) -> None:
    filled_study(tmp_path).close()
    (tmp_path / "study.db").chmod(0o444)
    with pytest.raises(StudyError, match="cannot be written"):
        StudyStore.open(tmp_path, model=MODEL)


def test_a_lock_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "study.lock").mkdir()
    with pytest.raises(StudyError, match="cannot lock"):
        StudyStore.open(tmp_path, model=MODEL)


@pytest.mark.parametrize("content", [b"not a database, not at all" * 9, b"\0" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "study.db").write_bytes(content)
    with pytest.raises(StudyError, match="damaged or is not a study"):
        StudyStore.open(tmp_path, model=MODEL)
    assert (tmp_path / "study.db").read_bytes() == content


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    filled_study(tmp_path, REMOVALS).close()
    content = (tmp_path / "study.db").read_bytes()
    (tmp_path / "study.db").write_bytes(content[: len(content) // 3])
    with pytest.raises(StudyError, match="damaged"), StudyStore.open(tmp_path) as study:
        study.measurements()


def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(StudyError, match="not a study of depthprune"):
        StudyStore.open(tmp_path, model=MODEL)
    assert (tmp_path / "study.db").read_bytes() == before


def test_a_study_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    filled_study(tmp_path).close()
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION + 1}")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(StudyError, match="newer depthprune"):
            StudyStore.open(tmp_path, read_only=read_only)


@pytest.mark.parametrize(("column", "value"), [("scores", b"\0\0\0"), ("answers", b"not zlib")])
def test_damaged_samples_are_an_error_not_a_result(
    tmp_path: Path, column: str, value: bytes
) -> None:
    with filled_study(tmp_path, [()]) as study:
        study._connection.execute(f"UPDATE samples SET {column} = ?", (value,))
        with pytest.raises(StudyError, match="damaged"):
            study.measurements()


def test_a_full_disk_loses_only_the_measurement_in_flight(tmp_path: Path) -> None:
    with filled_study(tmp_path, [()]) as study:
        (pages,) = study._connection.execute("PRAGMA page_count").fetchone()
        study._connection.execute(f"PRAGMA max_page_count = {pages}")
        stored: list[Removal] = [()]
        with pytest.raises(StudyError, match="disk is full"):
            for removal in REMOVALS[1:]:
                add(study, removal)
                stored.append(removal)
        assert [one.removal for one in study.measurements()] == stored
        study._connection.execute("PRAGMA max_page_count = 100000")
        add(study, REMOVALS[len(stored)])
    with StudyStore.open(tmp_path) as study:
        assert len(study.measurements()) == len(stored) + 1


FILLER = """
import resource, sys
from pathlib import Path
from depthprune.base.errors import DepthpruneError
from tests.study.example import REMOVALS, add, filled_study
study = filled_study(Path(sys.argv[1]), [()])
limit = Path(sys.argv[1], "study.db-wal").stat().st_size + 100_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    for removal in REMOVALS[1:]:
        add(study, removal)
        print("stored")
except DepthpruneError as error:
    print(error.what)
"""


def test_a_failing_disk_loses_only_the_measurement_in_flight(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    *stored, error = done.stdout.splitlines()
    assert "nothing was stored" in error
    assert set(stored) == {"stored"}
    with StudyStore.open(tmp_path) as study:
        assert len(study.measurements()) == 1 + len(stored)
        assert study.missing(1, [()], SETTINGS) == []
        assert study.split(1) == SPLIT


def test_a_disk_that_is_full_from_the_start_leaves_a_folder_that_can_be_used_later(
    tmp_path: Path,
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(StudyError, match="disk"):
            StudyStore.open(tmp_path, model=MODEL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    filled_study(tmp_path).close()
