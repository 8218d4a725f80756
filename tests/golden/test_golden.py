"""What commands print and write is what was recorded; see `make golden`.

The default run has only what reads results, with numbers rounded: the last digits of a mean, and
which of two equal tokens a model says, differ between processors.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.golden.recorder import ROOT

LONG = pytest.mark.timeout(1800)


def check(action: str, group: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.golden", action, group],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stdout + done.stderr


@LONG
def test_reading_results_gives_what_was_recorded() -> None:
    check("check-rounded", "results")


@LONG
@pytest.mark.golden
@pytest.mark.parametrize("group", ["help"])
def test_all_else_is_as_recorded(group: str) -> None:
    check("check", group)
