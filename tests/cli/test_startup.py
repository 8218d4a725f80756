"""What is imported until the program answers: nothing that takes time (benchmarks/startup.py)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from depthprune.cli import app as module
from tests.cli.program import Program

HEAVY = {"torch", "transformers", "datasets", "matplotlib", "numpy", "pandas", "pydantic", "yaml"}

RUN = """
import sys
from depthprune.cli.app import main
try:
    main({arguments!r})
except SystemExit as stopped:
    assert not stopped.code, stopped.code
"""


def imported(code: str) -> set[str]:
    """Return the packages that a new process has after this code, without what it printed."""
    ending = "\nimport sys\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code + ending], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stderr.split()}


def test_importing_the_package_imports_next_to_nothing() -> None:
    assert imported("import depthprune") & (HEAVY | {"typing", "rich", "cyclopts"}) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["--version"],
        ["recommend", "--help"],
        ["cut", "--help"],
        ["scores", "--help"],
        ["structure", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_that_takes_time(arguments: list[str]) -> None:
    found = imported(RUN.format(arguments=arguments))
    assert "cyclopts" in found
    assert found & HEAVY == set()


def test_the_list_of_commands_is_that_of_the_imported_ones(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = program("--help").out
    assert "Recommend which blocks to remove" in quick
    monkeypatch.setattr(module, "_docstring", lambda source, function: None)
    assert program("--help").out == quick


def test_the_help_of_a_command_is_the_same_after_the_list(program: Program) -> None:
    alone = program("recommend", "--help").out
    assert "--min-coverage" in alone
    program("--help")
    assert program("recommend", "--help").out == alone
    assert program("--verbose", "recommend", "--help").out == alone


def test_the_program_alone_says_where_to_begin() -> None:
    alone, asked = (
        subprocess.run(
            [sys.executable, "-c", RUN.format(arguments=arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for arguments in ([], ["--help"])
    )
    first, _, help_text = alone.partition("\n\n")
    assert first == "New here? depthprune init, then depthprune run study.yaml"
    assert help_text == asked
