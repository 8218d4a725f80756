"""`depthprune analyze`, as a user runs it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import depthprune.report
from depthprune.base import files
from tests.analysis.results import PUBLISHED
from tests.cli.program import Program
from tests.report.analyses import BEAM

EXPECTED: Mapping[str, Any] = json.loads((PUBLISHED / "expected.json").read_text())
TEXTS = ("--skip", "figures", "html")
DOCUMENTS = {
    "block_configs_for_core_exp.json",
    "block_importance_table.tex",
    "comprehensive_report.txt",
    "cross_dataset_analysis.json",
    "cross_dataset_report.txt",
    "importance_scores_recommended.json",
    "pairwise_dataset_stats.json",
    "pruning_recommendations.json",
    "quick_summary.md",
}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_prints_the_answer_and_writes_every_document(program: Program, tmp_path: Path) -> None:
    done = program("analyze", BEAM, "--output", tmp_path / "out", *TEXTS)
    assert done.code == 0, done.err
    assert names(tmp_path / "out") == DOCUMENTS
    for told in (
        "18.36",
        "10.83 !",
        "Block 0: drop 62.70",
        "About the input (1):",
        "7/8 (not",
    ):
        assert told in done.out
    for name in DOCUMENTS:
        assert f"  {name}\n" in done.out


def test_figures_and_page_are_written(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import depthprune.report.figures as figures

    monkeypatch.setattr(figures.write_figures, "__defaults__", (("png",), 40))
    done = program("analyze", BEAM, "--output", tmp_path)
    assert done.code == 0, done.err
    pictures = {f"{name}.png" for name in figures.FIGURES}
    assert len(pictures) == 10
    assert names(tmp_path) == DOCUMENTS | pictures | {"report.html"}
    assert "10 figures (png)" in done.out


def test_the_score_file_selects_exactly_the_path(program: Program, tmp_path: Path) -> None:
    program("analyze", BEAM, "--output", tmp_path, *TEXTS)
    scores = tmp_path / "importance_scores_recommended.json"
    wanted = EXPECTED["num_active_blocks"]
    done = program(
        "select", "--importance_scores_file", scores, "--num_active_blocks", *wanted, "--json"
    )
    configs = json.loads(done.out)["block_configs"]
    assert {n: one["removed_block_indices"] for n, one in configs.items()} == wanted


def test_the_printed_command_works_as_it_is(program: Program, tmp_path: Path) -> None:
    done = program("analyze", BEAM, "--output", tmp_path / "a b", *TEXTS)
    command = done.out.rstrip().splitlines()[-1].strip()
    assert command.startswith("depthprune select --importance_scores_file '")
    assert command.endswith("--num_active_blocks 15 14 13 12")


def test_running_again_gives_the_same_bytes(program: Program, tmp_path: Path) -> None:
    program("analyze", BEAM, "--output", tmp_path, *TEXTS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    program("analyze", BEAM, "--output", tmp_path, *TEXTS)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_output_inside_the_results_is_not_read_as_results(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    for name in ("okvqa", "st-qa"):
        shutil.copytree(BEAM / name, folder / name)
    inside = folder / "okvqa" / "train+validation"
    first = program("analyze", folder, "--output", inside, *TEXTS, "--json")
    second = program("analyze", folder, "--output", inside, *TEXTS, "--json")
    assert first.code == 0, first.err
    assert first.out == second.out


def test_without_output_the_documents_go_into_what_is_analysed(
    program: Program, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    shutil.copytree(BEAM, folder)
    for given in (folder, next((folder / "okvqa").rglob("exp3_*.json"))):
        before = program("recommend", given, "--json").out
        done = program("analyze", given, *TEXTS)
        assert done.code == 0, done.err
        place = (given.parent if given.is_file() else given) / "analysis"
        assert names(place) == DOCUMENTS
        # What was written there is no result.
        assert program("recommend", given, "--json").out == before


def test_a_study_keeps_its_analysis(program: Program, tmp_path: Path) -> None:
    few = ("--protect", *range(3, 16))
    task = ("--task", "demo_okvqa", "demo_doc_qa", "--num-samples", 8)
    assert program("profile", "demo", *task, *few, "--output", tmp_path).code == 0
    for given in (tmp_path, tmp_path / "study.db"):
        done = program("analyze", given, *TEXTS, "--min-drop", -1)
        assert done.code == 0, done.err
        assert "95% interval" in done.out
    assert (tmp_path / "analysis" / "quick_summary.md").is_file()


def test_scripts_get_json_with_the_files(program: Program, tmp_path: Path) -> None:
    done = program("analyze", BEAM, "--output", tmp_path, *TEXTS, "--json")
    value = json.loads(done.out)
    assert {Path(path).name for path in value["files"]} == DOCUMENTS
    assert value["stepwise"]["steps"][3]["removed_blocks"] == [2, 4, 10, 13]
    assert value["not_written"] == {}


def test_chinese(program: Program, tmp_path: Path) -> None:
    done = program("analyze", BEAM, "--output", tmp_path, *TEXTS, "--lang", "zh")
    assert "绝不能移除的块" in done.out
    text = (tmp_path / "quick_summary.md").read_text(encoding="utf-8")
    assert text.startswith("# 哪些块可以移除")


def test_without_the_packages_the_documents_are_written_and_the_extra_is_named(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.split(".")[0] in ("matplotlib", "jinja2") or name.startswith(
            ("depthprune.report.figures", "depthprune.report.html")
        ):
            monkeypatch.delitem(sys.modules, name)
    for name in ("figures", "html"):
        monkeypatch.delattr(depthprune.report, name, raising=False)
    for name in ("matplotlib", "jinja2"):
        monkeypatch.setitem(sys.modules, name, None)
    done = program("analyze", BEAM, "--output", tmp_path)
    assert done.code == 0, done.err
    assert names(tmp_path) == DOCUMENTS
    for kind, package in (("figures", "matplotlib"), ("html", "jinja2")):
        told = f"Not written: {kind}. It needs {package}: pip install 'depthprune[report]'"
        assert told in done.out


def test_an_output_that_cannot_be_written_is_told_first(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = program("analyze", BEAM, "--output", tmp_path / "file" / "out", *TEXTS)
    assert done.code == 2
    assert "cannot write" in done.err


@pytest.mark.parametrize("last", [0, 1, 4])
def test_a_full_disk_leaves_the_old_files_and_no_mixture(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    folder = tmp_path / "out"
    assert program("analyze", BEAM, "--output", folder, *TEXTS).code == 0
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    left = iter([None] * last)

    def disk_full(descriptor: int) -> None:
        if next(left, "full"):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", disk_full)
        done = program("analyze", BEAM, "--output", folder, *TEXTS, "--lang", "zh")
    assert done.code == 2
    assert "No space left" in done.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == old

    assert program("analyze", BEAM, "--output", folder, *TEXTS, "--lang", "zh").code == 0
    assert names(folder) == DOCUMENTS
    assert "推荐策略" in (folder / "quick_summary.md").read_text(encoding="utf-8")


def test_no_results_found(program: Program, tmp_path: Path) -> None:
    done = program("analyze", tmp_path, "--output", tmp_path / "out")
    assert done.code == 2
    assert "no result files here" in done.err
    assert not (tmp_path / "out").exists()


def test_an_unknown_format(program: Program, tmp_path: Path) -> None:
    assert program("analyze", BEAM, "--output", tmp_path, "--formats", "bmp").code == 2
