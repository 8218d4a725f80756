"""What commands print and write is what was recorded; see `make golden`.

The default run has only what reads results, with numbers rounded: the last digits of a mean, and
which of two equal tokens a model says, differ between processors.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.golden.commands import GROUPS, help_commands
from tests.golden.masks import MASKS
from tests.golden.recorder import FILES, ROOT, read_files

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
@pytest.mark.parametrize("group", ["demo", "study", "measured", "help"])
def test_all_else_is_as_recorded(group: str) -> None:
    if not read_files(group):
        pytest.skip(f"{group} is not recorded yet: make golden")
    check("check", group)


def test_golden_files_belong_to_commands_and_are_small() -> None:
    for group, commands in {**GROUPS, "help": help_commands()}.items():
        if read_files(group):
            assert set(read_files(group)) == {f"{group}/{command.name}" for command in commands}
    assert sum(path.stat().st_size for path in FILES.rglob("*.*")) < 3_000_000


def test_every_mask_is_needed() -> None:
    texts = "".join("".join(read_files(group).values()) for group in (*GROUPS, "help"))
    if not all(read_files(group) for group in GROUPS):
        pytest.skip("not all groups are recorded yet: make golden")
    for mask in MASKS:
        word = mask.replacement.replace(r"\1", "").replace(r"\2", "").strip(' ":')
        assert word in texts, mask.name
