"""What commands print in Chinese."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.program import Program

SMALL = ("--task", "demo_okvqa", "demo_doc_qa", "--num-samples", 1)
FEW = ("--protect", *range(3, 16))


@pytest.mark.parametrize("command", ["profile", "search"])
def test_a_measuring_command_prints_and_keeps_chinese(
    program: Program, tmp_path: Path, command: str
) -> None:
    done = program(command, "demo", *SMALL, *FEW, "--output", tmp_path, "--lang", "zh")
    assert done.code == 0, done.err
    assert "百分点" in done.out
    assert "本次测量" in done.out
    kept = (tmp_path / "summary.txt").read_text(encoding="utf-8")
    assert kept.startswith("数据划分：train+validation\n")
    assert max(map(cell_len, kept.splitlines())) <= 100
    again = program(command, "demo", *SMALL, *FEW, "--output", tmp_path, "--lang", "zh")
    assert "没有重新测量" in again.out


def test_a_study_file_names_the_language_and_the_option_wins(
    program: Program, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "model: {source: demo}\ntasks: demo_okvqa\nnum_samples: 2\nlang: zh\n"
        "search: {protect: [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]}\n"
    )
    assert "数据划分：" in program("run", path).out
    assert "Split: " in program("run", path, "--lang", "en").out


def test_values_for_scripts_are_the_same_in_both(program: Program, tmp_path: Path) -> None:
    common = ("profile", "demo", *SMALL, *FEW, "--output", tmp_path, "--json")
    program(*common)
    english, chinese = (json.loads(program(*common, "--lang", lang).out) for lang in ("en", "zh"))
    assert english | {"seconds": 0} == chinese | {"seconds": 0}


def test_listings_are_chinese(program: Program) -> None:
    assert "可跳过" in program("inspect", "demo", "--lang", "zh").out
    assert "任务类型" in program("tasks", "--lang", "zh").out


def test_an_example_is_announced_in_chinese(program: Program, tmp_path: Path) -> None:
    assert "已写入" in program("init", tmp_path / "study.yaml", "--lang", "zh").out


def test_a_language_that_is_not_there(program: Program) -> None:
    done = program("inspect", "demo", "--lang", "de")
    assert done.code == 2
    assert "de" in done.err
