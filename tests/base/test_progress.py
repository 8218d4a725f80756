"""Progress bars show on a terminal, and nowhere else."""

from __future__ import annotations

import io
import logging

import pytest

from depthprune.base.log import configure_logging, logger
from depthprune.base.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_a_bar() -> None:
    with progress("measuring", 10) as bar:
        bar.describe("okvqa train (1 of 1)")
        bar.advance(4)
        bar.shrink(2)
        bar.advance(4)


def test_a_bar_is_silent_when_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    run_a_bar()
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""


def test_a_bar_on_a_terminal_ends_full(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    run_a_bar()
    assert "okvqa train (1 of 1)" in terminal.getvalue()
    assert "100%" in terminal.getvalue()


def test_warnings_are_always_shown_and_details_when_asked_for() -> None:
    configure_logging()
    assert logger.level == logging.WARNING
    configure_logging(verbose=True)
    assert logger.level == logging.DEBUG
    assert len(logger.handlers) == 1
