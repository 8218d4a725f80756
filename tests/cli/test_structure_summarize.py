"""`depthprune structure summarize`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import Program

COPIES = Path(__file__).parents[1] / "structure" / "pruned_models"
COMMAND = ("structure", "summarize", "--dirs", COPIES / "baselines", COPIES / "results")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_the_models_are_printed_and_kept_as_text_and_json(program: Program) -> None:
    done = program(*COMMAND)
    assert done.code == 0
    assert "baselines/ShortGPT_remove_7: 7 layers missing" in done.out
    assert "attention removed in layers 11, 12, 25" in done.out
    assert "NaN is not a JSON number" in done.out
    assert written() == {"models_structure_summary.txt", "models_structure_summary.json"}


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (("--output", "all", "--format", "csv", "md"), {"all.csv", "all.md"}),
        (("--output", "all.csv"), {"all.csv"}),
        (("--output", "all.md", "--format", "csv", "md"), {"all.csv", "all.md"}),
        (("--output", "all.md", "--format", "csv"), {"all.md.csv"}),
        (("--output", "all_0.2"), {"all_0.2.txt", "all_0.2.json"}),
    ],
)
def test_name_and_formats_are_as_asked(
    options: tuple[str, ...], files: set[str], program: Program
) -> None:
    assert program(*COMMAND, *options).code == 0
    assert written() == files


def test_pages_and_workbooks_are_written_on_request(program: Program) -> None:
    pytest.importorskip("openpyxl")
    pytest.importorskip("jinja2")
    assert program(*COMMAND, "--output", "all", "--format", "html", "xlsx").code == 0
    assert Path("all.xlsx").read_bytes().startswith(b"PK")
    assert "HGSP_2000" in Path("all.html").read_text(encoding="utf-8")


def test_models_are_chosen_by_method_and_ratio(program: Program) -> None:
    done = program(*COMMAND, "--method", "h-gsp", "--ratio", "20%", "--json")
    value = json.loads(done.out)
    assert [one["name"] for one in value["models"]] == ["results/HGSP_2000"]
    assert value["files"] == ["models_structure_summary.txt", "models_structure_summary.json"]


def test_chinese_is_spoken_and_written(program: Program) -> None:
    assert "缺少 7 层，文件未说明是哪些层" in program(*COMMAND, "--lang", "zh").out
    text = Path("models_structure_summary.txt").read_text(encoding="utf-8")
    assert "模型结构分析汇总表" in text


def test_the_current_folder_is_searched_when_none_is_named(program: Program) -> None:
    (Path("x") / "evaluation").mkdir(parents=True)
    done = program("structure", "summarize")
    assert done.code == 0
    assert "--model_path MODEL --output_dir x/analysis" in done.out


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--dirs", "nowhere"), "no such folder"),
        (("--dirs", "."), "no model, no analysis and no evaluation here"),
        ((*COMMAND[2:], "--method", "magic"), "none of the 3 models fits --method magic"),
        ((*COMMAND[2:], "--ratio", "50"), "none of the 3 models fits --ratio 50"),
        ((*COMMAND[2:], "--ratio", "much"), "a share or a percentage, not 'much'"),
        ((*COMMAND[2:], "--format", "pdf"), "pdf"),
    ],
)
def test_bad_input_ends_with_exit_code_2_and_writes_nothing(
    options: tuple[object, ...], what: str, program: Program
) -> None:
    done = program("structure", "summarize", *options)
    assert done.code == 2
    assert what in done.err
    assert written() == set()


def test_the_commands_start_without_what_takes_time_to_load() -> None:
    code = "import depthprune.cli.structure, sys; print({'numpy', 'torch'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
