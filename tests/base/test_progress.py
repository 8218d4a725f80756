"""Signs of life: a bar on a terminal, a line now and then elsewhere, nothing where not wanted."""

from __future__ import annotations

import io
import logging
import re
import time
from typing import Any

import pytest

from depthprune.base import progress as module
from depthprune.base.language import language
from depthprune.base.log import configure_logging, logger
from depthprune.base.progress import Progress, duration, progress, shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let stderr be a terminal; in a fixture the capture of the tests would undo it."""
    found = Terminal()
    monkeypatch.setattr("sys.stderr", found)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lines come at once, and again."""
    monkeypatch.setattr(module, "FIRST", 0.01)
    monkeypatch.setattr(module, "EVERY", 0.01)


def search_a_little(pause: float = 0.0) -> None:
    with progress("measuring", 12) as bar:
        bar.describe("okvqa, train (1 of 1)")
        bar.advance(4)
        bar.shrink(2)
        bar.count(2, 5)
        bar.found((4, 13), 0.0125)
        time.sleep(pause)
        bar.advance(6)


def test_short_work_leaves_nothing_where_nobody_watches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    search_a_little()
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""


@pytest.mark.usefixtures("impatient")
def test_outside_a_terminal_a_line_says_what_how_far_the_best_and_the_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    search_a_little(pause=0.2)
    first, second, *_ = capsys.readouterr().err.splitlines()
    told = "okvqa, train (1 of 1): 2 of 5 removals, best of 2 removed so far: 4, 13 "
    assert first.startswith(told + "(drop 1.25 points), 40%, about ")
    assert first.endswith(" s left")
    assert second.startswith(told)


@pytest.mark.usefixtures("impatient")
def test_a_line_is_in_the_language_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with language("zh"):
        search_a_little(pause=0.1)
    assert "5 个移除方案中已完成 2 个" in capsys.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_quiet_is_quiet_whatever_is_asked_for_inside(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(False), shown(True):
        search_a_little(pause=0.1)
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("impatient")
def test_a_reader_that_goes_away_does_not_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with progress("measuring", 1) as bar:
        monkeypatch.setattr("sys.stderr", closed)
        time.sleep(0.1)
        bar.advance()


def test_a_bar_on_a_terminal_ends_full_with_removals_and_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_terminal(monkeypatch)
    search_a_little()
    text = terminal.getvalue()
    for told in ("okvqa, train (1 of 1)", "100%", "2 of 5 removals", "4, 13 (drop 1.25 points)"):
        assert told in text


def test_where_nobody_knows_how_much_there_is_a_spinner_turns_and_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_terminal(monkeypatch)
    with progress("loading a model"):
        time.sleep(0.6)
    text = terminal.getvalue()
    assert re.search(r"loading a model [-\\\\|/] 0 s so far", text)
    assert text.endswith("\x1b[2K")  # the line is cleared


def test_warnings_stand_above_a_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_terminal(monkeypatch)
    configure_logging()
    with progress("measuring", 10):
        logger.warning("look here")
    text = terminal.getvalue()
    assert "WARNING: look here\nmeasuring" in text.replace("\r\n", "\n")


def test_time_left_follows_the_pace_of_late_and_comes_after_the_first_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    bar = Progress("measuring", 2000)
    assert bar.seconds_left() is None
    now = 100.0
    bar.advance(100)
    assert bar.seconds_left() == 1900
    for second in range(101, 401):  # ten times as fast from now on
        now = float(second)
        bar.advance(3)
    assert bar.seconds_left() == pytest.approx(1000 / 3)


def test_what_other_processes_are_told_is_plain_and_says_how_it_ended() -> None:
    told: list[dict[str, Any]] = []
    with progress("measuring", 10, told.append) as bar:
        bar.advance(5)
        bar.count(1, 2)
        bar.found((4,), -0.5)
    last = told[-1]
    assert (last["state"], last["done"], last["total"], last["removals"]) == (
        *("finished", 5, 10),
        [1, 2],
    )
    assert last["best"] == {"removal": [4], "drop": -0.5}
    with pytest.raises(KeyboardInterrupt), progress("measuring", 10, told.append):
        raise KeyboardInterrupt
    assert told[-1]["state"] == "stopped"
    assert "KeyboardInterrupt" in told[-1]["what"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (5300, "88 min"),
        (5400, "1 h 30 min"),
        (47 * 3600, "47 h 0 min"),
        (100 * 3600, "4 days 4 h"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_warnings_are_always_shown_and_details_when_asked_for() -> None:
    configure_logging()
    assert logger.level == logging.WARNING
    configure_logging(verbose=True)
    assert logger.level == logging.DEBUG
    assert len(logger.handlers) == 1
