"""`depthprune status` answers: is it still working, how far is it, how long does it take?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.study.test_status import ended_process, holder, small_study, work


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_study(tmp_path / "study")


def test_it_says_what_is_done_and_how_long_it_takes(program: Program, folder: Path) -> None:
    doing = work() | {"per_second": 2.0, "seconds_left": 7200.0}
    holder(folder, **doing, command="depthprune search m --task okvqa")
    done = program("status", folder)
    assert done.code == 0
    assert "Working: okvqa, train (process" in done.out
    assert "3 of 10 removals, best of 2 removed so far: 1, 2 (drop 37.50 points)" in done.out
    assert "30%, about 2 h 0 min left, 2 per second" in done.out
    assert "Command: depthprune search m --task okvqa" in done.out
    assert max(map(len, done.out.splitlines()[-5:])) <= 80


def test_after_a_kill_it_says_how_to_go_on(program: Program, folder: Path) -> None:
    holder(folder, **work() | {"pid": ended_process()})
    out = program("status", folder).out
    assert re.search(r"Not working: killed; the last sign came \d s ago", out)
    assert "Run the same command again to go on" in out
    assert "left" not in out


def test_it_speaks_chinese_and_json(program: Program, folder: Path) -> None:
    holder(folder, **work())
    assert "正在运行" in program("status", folder, "--lang", "zh").out
    value = json.loads(program("status", folder, "--json").out)
    assert value["state"] == "running"
    assert value["process"]["is_alive"] is True
    assert value["progress"]["best"] == {"removal": [1, 2], "drop": 0.375}
    assert value["splits"][0]["measured"] == 4


def test_no_study_is_a_users_error(program: Program, tmp_path: Path) -> None:
    done = program("status", tmp_path)
    assert done.code == 2
    assert "there is no study here" in done.err


def test_what_would_steer_a_terminal_is_shown(program: Program, folder: Path) -> None:
    holder(folder, **work() | {"what": "\x1b[2Jgone", "command": "a\x07b"})
    out = program("status", folder).out
    assert "\x1b" not in out
    assert "\x07" not in out
