"""Run the program in this process, as a user would from a shell."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from logging import NullHandler
from pathlib import Path
from typing import NoReturn

import pytest

from depthprune.base.log import logger
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
        try:
            with pytest.raises(SystemExit) as stopped:
                main([str(argument) for argument in arguments])
        finally:
            # The program's end: what it logged to is closed after this test.
            logger.handlers[:] = [NullHandler()]
        captured = self._capsys.readouterr()
        return Finished(int(stopped.value.code or 0), captured.out, captured.err)


def run_quietly(arguments: Sequence[str], errors: Path | str = os.devnull) -> NoReturn:
    """Run a command in a process of its own; of what it prints only the errors are kept."""
    with Path(os.devnull).open("w") as nowhere, Path(errors).open("w") as kept:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(kept.fileno(), 2)
    main(list(arguments))
    sys.exit(0)
