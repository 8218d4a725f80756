"""`depthprune study`: what is damaged is listed and dropped, and the reports name it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.study.example import REMOVALS, filled_study


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Return a study in which one removal and the samples of another are not what was stored."""
    filled_study(tmp_path / "study", REMOVALS[:16]).close()
    with sqlite3.connect(tmp_path / "study" / "study.db") as connection:
        connection.execute("UPDATE measurement SET removal = '7-10' WHERE removal = '1'")
        connection.execute("UPDATE samples SET scores = zeroblob(32) WHERE measurement_id = 4")
    connection.close()
    return tmp_path / "study"


def test_damage_is_listed_and_dropped(program: Program, damaged: Path) -> None:
    done = program("study", "check", damaged)
    assert done.code == 1
    assert "damaged: demo_okvqa train+validation, removal 7-10" in done.out
    assert "damaged: demo_okvqa train+validation, removal 2" in done.out
    assert "depthprune study repair" in done.out

    listed = json.loads(program("study", "check", damaged, "--json").out)["damaged"]
    assert [one["table"] for one in listed] == ["measurement", "measurement"]

    done = program("study", "repair", damaged, "--lang", "zh")
    assert done.code == 0
    assert done.out.count("已丢弃") == 2
    done = program("study", "check", damaged)
    assert (done.code, done.out) == (0, "Everything is what was stored.\n")


def test_an_analysis_leaves_out_and_names_what_is_damaged(
    program: Program, damaged: Path, tmp_path: Path
) -> None:
    for command in (("recommend", damaged), ("analyze", damaged, "--output", tmp_path / "out")):
        done = program(*command)
        assert done.code == 0, done.err
        told = " ".join((done.out + done.err).split())
        assert "removal 7-10" in told
        assert "removal 2," in told


def test_a_folder_without_a_study_is_refused(program: Program, tmp_path: Path) -> None:
    for command in ("check", "repair"):
        done = program("study", command, tmp_path)
        assert done.code == 2
        assert "there is no study here" in done.err
