"""`search --race`, end to end on the embedded model: a few samples, a few blocks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depthprune.study import StudyStore
from tests.cli.program import Finished, Program

FREE = (0, 3, 4, 6)
PROTECTED = tuple(block for block in range(16) if block not in FREE)


def search(program: Program, folder: Path, *options: object) -> Finished:
    return program(
        *("search", "demo", "--task", "demo_okvqa", "--split", "validation"),
        *("--num-samples", 32, "--output", folder, "--protect", *PROTECTED),
        *("--max-blocks-to-remove", 2, "--width", 1, *options),
    )


RACE = ("--race", "--race-confidence", 0.8, "--race-chunk", 8)


def test_a_raced_search_says_what_it_stopped_and_keeps_it_out_of_everything_else(
    program: Program, tmp_path: Path
) -> None:
    done = search(program, tmp_path, *RACE, "--json")
    assert done.code == 0, done.err
    value = json.loads(done.out)
    assert value["search"]["race"] == {"confidence": 0.8, "chunk": 8}
    (race,) = value["search"]["splits"]["validation"]["races"]
    assert race["tasks"] == ["demo_okvqa"]
    assert race["stopped"], "two of the blocks cost so much that their pairs cannot win"
    stopped = {tuple(one["removed_block_indices"]) for one in race["stopped"]}
    assert race["evaluations_saved"] == sum(32 - one["num_samples_seen"] for one in race["stopped"])
    with StudyStore.open(tmp_path, read_only=True) as study:
        (split,) = study.splits()
        assert {one.removal for one in study.stopped(split.key, split.settings[0])} == stopped
        assert not {one.removal for one in study.measurements()} & stopped
    ranked = value["splits"]["validation"]["combinations"]
    named = json.dumps(ranked)
    for removal in stopped:
        assert str(list(removal)) not in named

    again = search(program, tmp_path, *RACE, "--lang", "zh")
    assert "竞速，demo_okvqa" in again.out
    assert "80%" in again.out
    assert json.loads(search(program, tmp_path, *RACE, "--json").out)["measured"] == 0
    assert "Racing, demo_okvqa" in search(program, tmp_path, *RACE).out
    assert "Racing" in (tmp_path / "summary.txt").read_text()

    plain = json.loads(search(program, tmp_path, "--json").out)
    assert plain["measured"] == len(stopped)
    assert plain["search"]["race"] is None
    assert "races" not in plain["search"]["splits"]["validation"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--race", "--strategy", "exhaustive"), "exhaustive cannot race"),
        (("--race", "--strategy", "evolutionary"), "evolutionary cannot race"),
        (("--race", "--race-confidence", 1), "must be less than 1"),
        (("--race", "--race_confidence", 0), "must be more than 0"),
        (("--race", "--race-chunk", 0), "must be 1 or more"),
        (("--race-chunk", 8), "add --race"),
    ],
)
def test_races_that_cannot_be_are_refused(
    program: Program, tmp_path: Path, options: tuple[object, ...], named: str
) -> None:
    done = search(program, tmp_path / "study", *options)
    assert done.code == 2
    assert named in done.err
    assert not (tmp_path / "study").exists()


def test_a_profile_is_not_raced_and_says_why(program: Program, tmp_path: Path) -> None:
    done = program("profile", "demo", "--race", "--output", tmp_path / "study")
    assert done.code == 2
    assert "needs the full number of every removal" in done.err
    assert "--race" not in program("profile", "--help").out


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ("strategy: exhaustive\n  race: true", ("exhaustive cannot race", "line 5, search.race")),
        ("race_chunk: 8", ("add --race", "line 4, search.race_chunk")),
        ("race_confidence: 0.9", ("add --race", "line 4, search.race_confidence")),
        ("race: true\n  race_confidence: 1", ("'search.race_confidence'", "line 5")),
        ("race: true\n  race_chunk: 0", ("'search.race_chunk'", "line 5")),
    ],
)
def test_a_study_file_that_races_as_cannot_be_is_refused_with_its_line(
    program: Program, tmp_path: Path, fields: str, named: tuple[str, ...]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(f"model: {{source: demo}}\ntasks: demo_okvqa\nsearch:\n  {fields}\n")
    done = program("run", file)
    assert done.code == 2
    for text in named:
        assert text in done.err
