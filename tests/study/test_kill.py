"""Specification of survival: a measuring process is killed again and again, and nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from depthprune.base.errors import StudyError
from depthprune.base.removal import Removal
from depthprune.study import Measurement, StudyStore
from tests.study.measuring import REMOVALS, SPLITS, measure

KILLS = 40
Key = tuple[str, Removal]


def start(folder: Path, log: Path) -> int:
    """Start a process that measures to the end (forked: no import to wait for); return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        measure(folder, os.open(log, os.O_WRONLY | os.O_APPEND), 0.003)
        code = 0
    finally:
        os._exit(code)


def logged(log: Path, word: str) -> list[Key]:
    """Return the measurements of which the log says `word`, in its order."""
    lines = log.read_text().splitlines()
    told = [line.split(" ")[1:] for line in lines if line.startswith(word)]
    return [
        (f"part{number}", tuple(map(int, blocks.split(","))) if blocks else ())
        for number, blocks in told
    ]


def held(folder: Path) -> list[Measurement]:
    """Return what the study holds, all but the time of storing."""
    try:
        with StudyStore.open(folder, read_only=True) as study:
            return [replace(one, created="") for one in study.measurements()]
    except StudyError as error:
        assert "no study here" in error.what
        return []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Measurement]:
    folder = tmp_path_factory.mktemp("undisturbed")
    log = os.open(os.devnull, os.O_WRONLY)
    measure(folder, log, 0.0)
    os.close(log)
    return held(folder)


def test_a_study_killed_at_random_instants_ends_as_an_undisturbed_one(
    tmp_path: Path, undisturbed: list[Measurement]
) -> None:
    generator = random.Random(1)
    folder, log = tmp_path / "study", tmp_path / "log"
    log.touch()
    killed = 0
    for attempt in range(KILLS):
        child = start(folder, log)
        # Some instants lie in the making of the study, most among its measurements.
        time.sleep(generator.random() * (0.01 if attempt < 10 else 0.025))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        stored, returned = {key(one) for one in held(folder)}, set(logged(log, "stored"))
        assert returned <= stored
        # A kill may fall between the commit and the log.
        assert len(stored - returned) <= killed
    assert killed >= 15
    _, status = os.waitpid(start(folder, log), 0)
    assert status == 0

    assert [key(one) for one in held(folder)] == [key(one) for one in undisturbed]
    for one, expected in zip(held(folder), undisturbed, strict=True):
        assert one == expected
        assert one.scores is not None
        assert expected.scores is not None
        assert one.scores.tobytes() == expected.scores.tobytes()
    begun_often = Counter(logged(log, "measuring"))
    assert set(begun_often) == {(f"part{n}", one) for n in range(SPLITS) for one in REMOVALS}
    # What was begun twice was in flight when the process was killed: once in a kill at most.
    assert sum(begun_often.values()) - len(begun_often) <= killed
    assert max(Counter(logged(log, "stored")).values()) == 1
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def key(one: Measurement) -> Key:
    return one.split, one.removal
