"""Whether a study is being written, and how far it is, is read while another process holds it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import StudyError
from depthprune.base.progress import Progress
from depthprune.engine.session import Session, SplitGroup
from depthprune.report.sections.status import status_section
from depthprune.study.status import read_status
from tests.strategies.fakes import FakeEvaluator, make_split, open_study

SPLIT = SplitGroup((make_split("okvqa", 4),))
DROPS = {(1,): 0.25, (2,): 0.125, (1, 2): 0.375}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_study(tmp_path / "study")


def small_study(folder: Path) -> Path:
    """Make a study of a few measurements; return its folder."""
    with open_study(folder) as study:
        session = Session(study, FakeEvaluator(lambda _, removal: DROPS[removal]))
        session.measure(SPLIT, [(), *DROPS])
    return folder


def holder(folder: Path, **content: Any) -> None:
    """Write the lock file as a process would."""
    host = {"pid": os.getpid(), "host": socket.gethostname(), "since": "2026-12-01T00:00:00+00:00"}
    (folder / "study.lock").write_text(json.dumps(host | content) + "\n")


def ended_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def work() -> dict[str, Any]:
    bar = Progress("okvqa, train", 40)
    bar.count(3, 10)
    bar.found((1, 2), 0.375)
    bar.advance(12)
    return bar.value()


def test_a_study_that_is_written_tells_what_is_done_how_far_and_by_whom(folder: Path) -> None:
    with open_study(folder) as study:
        study.tell(work())
        status = read_status(folder)  # held by this very process meanwhile
    assert status.state == "running"
    assert status.holder is not None
    assert (status.holder.pid, status.holder.is_alive) == (os.getpid(), True)
    sign = status.sign
    assert (sign.what, sign.removals, sign.best) == ("okvqa, train", (3, 10), ((1, 2), 0.375))
    assert (sign.done, sign.total) == (12, 40)
    assert sign.age is not None
    assert sign.age < 60
    (split,) = status.splits
    assert (split.task, split.measured, split.best) == ("okvqa", 4, ((1, 2), 0.375))
    assert split.num_samples == 4


def test_a_process_that_let_the_study_go_and_lives_on_does_not_hang(folder: Path) -> None:
    """In Python, one process may measure many studies, without any bar."""
    with open_study(folder):
        status = read_status(folder)
        assert status.state == "silent"
        (said, *_) = status_section(status).sentences
        assert "gives no signs of life" in str(said)
    assert read_status(folder).state == "unknown"


def test_one_that_was_killed_is_told_from_one_that_finished_or_was_stopped(folder: Path) -> None:
    gone = ended_process()
    holder(folder, **work() | {"pid": gone})
    assert read_status(folder).state == "ended"
    holder(folder, **work() | {"pid": gone, "state": "finished"})
    assert read_status(folder).state == "finished"
    holder(folder, **work() | {"pid": gone, "state": "stopped"})
    assert read_status(folder).state == "stopped"


def test_one_that_was_killed_and_that_nobody_has_asked_for_has_ended(folder: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder(folder, **work() | {"pid": killed.pid})
    assert read_status(folder).state == "running"
    killed.kill()
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    assert read_status(folder).state == "ended"
    killed.communicate()


def test_a_process_without_a_sign_for_long_hangs_or_is_another_one(folder: Path) -> None:
    old = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    holder(folder, **work() | {"updated": old})
    status = read_status(folder)
    assert status.state == "silent"
    assert status.sign.age == pytest.approx(600, abs=30)


def test_of_a_process_on_another_machine_its_signs_tell(folder: Path) -> None:
    holder(folder, **work() | {"host": "elsewhere"})
    status = read_status(folder)
    assert status.state == "running"
    assert status.holder is not None
    assert status.holder.is_alive is None


def test_a_study_of_before_there_were_signs_is_read_too(folder: Path) -> None:
    holder(folder, pid=ended_process())
    assert read_status(folder).state == "unknown"
    (folder / "study.lock").unlink()
    status = read_status(folder)
    assert (status.state, status.holder) == ("unknown", None)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("removals", "3/10"),
        ("removals", [1.5, None]),
        ("best", [1]),
        ("best", {"removal": [True], "drop": 0}),
        ("best", {"removal": 4, "drop": 0}),
        ("best", {"removal": [4], "drop": "much"}),
        ("done", "12"),
        ("total", float("nan")),
        ("what", 3),
    ],
)
def test_what_is_no_sign_is_left_out(folder: Path, field: str, wrong: Any) -> None:
    holder(folder, **work() | {field: wrong})
    assert getattr(read_status(folder).sign, field) is None


@pytest.mark.parametrize("wrong", [7, None, "yesterday", ["2026"], "2026-12-01T00:00:00"])
def test_a_time_that_is_none_is_unknown(folder: Path, wrong: Any) -> None:
    holder(folder, **work() | {"updated": wrong})
    status = read_status(folder)
    assert (status.sign.age, status.state) == (None, "silent")


def test_half_a_lock_file_and_none_are_no_error(folder: Path) -> None:
    for text in ("", "{", "[]", '{"pid": "x"}', "\n\n"):
        (folder / "study.lock").write_text(text)
        assert read_status(folder).holder is None


def test_what_a_shorter_message_leaves_of_a_longer_one_is_not_read(folder: Path) -> None:
    with open_study(folder) as study:
        study.tell(work() | {"what": "x" * 500})
        study.tell(work())
        text = (folder / "study.lock").read_text()
        assert text.count("\n") == 1
        (folder / "study.lock").write_text(text + "xxxx")  # as between its two writes
        assert read_status(folder).sign.what == "okvqa, train"


def test_no_study_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study"):
        read_status(tmp_path)
