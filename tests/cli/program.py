"""Run the program in this process, as a user would from a shell."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from depthprune.cli.app import main


@dataclass(frozen=True)
class Finished:
    """How a run ended, and what it printed."""

    code: int
    out: str
    err: str


class Program:
    """Runs commands and captures what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Finished:
        """Run the program with these arguments."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        captured = self._capsys.readouterr()
        return Finished(int(stopped.value.code or 0), captured.out, captured.err)
