"""The recorder of golden files: what it masks, keeps and shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.commands import GROUPS, Command, help_commands
from tests.golden.masks import masked, rounded
from tests.golden.recorder import difference, read_files, record, write_files


def test_every_command_of_the_program_is_recorded() -> None:
    lines = [command.line for group in GROUPS.values() for command in group]
    for shown in help_commands():
        name = shown.line.removesuffix(" --help")
        group = any(
            other.line.startswith(f"{name} ") for other in help_commands() if other != shown
        )
        if not shown.line.startswith("--") and not group and name != "structure summarise":
            assert any(line.split()[: len(name.split())] == name.split() for line in lines), name


def test_masks_hide_times_and_places_alone() -> None:
    text = 'Measured 8 removals in 49 s; at 2026-11-30T19:22:38+00:00, {"torch": "2.6", "n": 4}'
    assert masked("measured/x: stdout", text + " /tmp/a/b", Path("/tmp/a")) == (
        'Measured 8 removals in SECONDS s; at DATE, {"torch": "VERSION", "n": 4} FOLDER/b'
    )
    assert masked("measured/x: stdout", "drop 0.25, 4 of 16 blocks", Path("/tmp/a")) == (
        "drop 0.25, 4 of 16 blocks"
    )


def test_rounding_forgives_the_last_digits_alone() -> None:
    assert rounded("0.91666666666666674 of -1.5") == rounded("0.91666666666666663 of -1.5")
    assert rounded("0.916666671") != rounded("0.916666672")
    assert rounded("version 1.2, 0.25") == "version 1.2, 0.25"


def test_a_difference_is_shown_line_by_line() -> None:
    shown = difference("table", "a\nb\nc\n", "a\nB\nc\n")
    assert "-b" in shown.splitlines() and "+B" in shown.splitlines()
    assert difference("table", "a\n", "a\n") == ""
    assert difference("table", None, "a\n") and difference("table", "a\n", None)
    assert "57 more lines" in difference("table", "", "line\n" * 50 + "other\n" * 64, lines=60)


def test_files_are_read_as_written_whatever_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.golden.recorder.FILES", tmp_path)
    texts = {"group/short": "窄\r\n", "group/long": "a line\n" * 9999}
    write_files("group", texts.items())
    assert read_files("group") == texts
    before = (tmp_path / "group/long.txt.gz").read_bytes()
    write_files("group", texts.items())
    assert (tmp_path / "group/long.txt.gz").read_bytes() == before


def test_what_differs_only_by_its_date_counts_as_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = "structure summarize --dirs models --output s --format json"
    commands = [Command("first", line), Command("again", f"{line} --lang zh")]
    monkeypatch.setitem(GROUPS, "results", commands)
    first, again = (text for _, text in record("results"))
    assert "# file s.json" in first and '"timestamp": "DATE"' in first
    assert "# file" not in again


def test_a_command_is_recorded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [
        Command("made", "scores from-removals 4 13 --output_file made.json"),
        Command("again", "scores from-removals 4 13 --output_file again.json"),
        Command("wrong", "select --importance_scores_file made.json --num_active_blocks 99"),
    ]
    monkeypatch.setitem(GROUPS, "results", commands)
    made, again, wrong = (text for _, text in record("results"))
    assert made.startswith("$ depthprune scores from-removals 4 13 --output_file made.json\n")
    assert "# exit code 0" in made and "# file made.json" in made and '"importance_scores"' in made
    assert "# the same as made: file made.json" in again
    assert "# exit code 2" in wrong and "error:" in wrong and "# stdout: empty" in wrong
