"""`depthprune recommend`, as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.analysis.results import PUBLISHED
from tests.cli.program import Program
from tests.report.analyses import BEAM

SUMMARY = "exp3_accuracy_sensitivity_v2_results.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of three of the published datasets."""
    for name in ("okvqa", "st-qa", "doc-qa"):
        shutil.copytree(BEAM / name, tmp_path / "results" / name)
    return tmp_path / "results"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_published_results_fit_80_columns(
    program: Program, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = program("recommend", BEAM, "--lang", lang)
    assert done.code == 0, done.err
    assert max(map(cell_len, done.out.splitlines())) <= 80
    for number in ("3.09", "5.41", "7.53", "18.36", "2.32", "10.83", "62.70"):
        assert number in done.out
    assert "2, 4, 10, 13" in done.out


def test_no_column_is_lost_in_a_narrow_terminal(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    lines = [" ".join(line.split()) for line in program("recommend", BEAM).out.splitlines()]
    assert "1 15 4 3.09 3.15 72.62 8/8 8000 3.09" in lines


def test_scripts_get_json_of_all_of_it(program: Program, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    done = program("recommend", BEAM, "--json", "--output_file", kept, "--max_drop", 0.05)
    value = json.loads(done.out)
    assert value == json.loads(kept.read_text(encoding="utf-8"))
    assert value["targets"][0]["recommendation"]["removed_blocks"] == [2, 10]


def test_the_kept_file_is_named(program: Program, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    assert f"Recommendations: {kept}" in program("recommend", BEAM, "--output-file", kept).out


def test_a_results_file_is_not_overwritten(program: Program, folder: Path) -> None:
    done = program("recommend", folder, "--output-file", folder / "okvqa" / SUMMARY)
    assert done.code == 2
    assert "hold measured results" in done.err


def test_ranking_options_count(program: Program) -> None:
    assert "2, 10 " not in program("recommend", BEAM, "--min-coverage", 3).out
    negative = program("recommend", BEAM, "--min-coverage", 1, "--min-drop", -1)
    assert "-5.58" in negative.out


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--max-drop", 7), "0.05 stands for five points"),
        (("--speedup", 0.5), "above 1"),
        (("--params", 2), "between 0 and 1"),
        (("--min-drop", "nan"), "must be a fraction"),
        (("--min-coverage", 0), "1 or more"),
        (("--split", "test"), "no dataset was measured on the split"),
    ],
)
def test_options_that_make_no_sense(
    program: Program, option: tuple[object, ...], told: str
) -> None:
    done = program("recommend", BEAM, *option)
    assert done.code == 2
    assert told in done.err


def test_no_results_found(program: Program, tmp_path: Path) -> None:
    done = program("recommend", tmp_path)
    assert done.code == 2
    assert "no result files here" in done.err
    assert program("recommend", tmp_path / "nowhere").code == 2


def test_a_broken_file_is_named_with_its_line_and_the_others_count(
    program: Program, folder: Path
) -> None:
    broken = folder / "okvqa" / "train+validation" / SUMMARY
    broken.write_text('{\n "summary": [\n')
    (broken.parent / "layer_importance_scores.json").unlink()
    done = program("recommend", folder)
    assert done.code == 0, done.err
    assert "line 3" in done.out
    assert "datasets: 2" in done.out


def test_nothing_but_broken_files(program: Program, folder: Path) -> None:
    for path in folder.rglob("*.json"):
        path.write_text("{")
    done = program("recommend", folder)
    assert done.code == 2
    assert "line 1" in done.err


@pytest.mark.parametrize("number", ["NaN", "7.5"])
def test_a_drop_that_cannot_be_is_left_out_and_said(
    program: Program, folder: Path, number: str
) -> None:
    path = folder / "st-qa" / "train+validation" / SUMMARY
    (path.parent / "layer_importance_scores.json").unlink()
    change(path, '"accuracy_drop": 0.49149868695164967', f'"accuracy_drop": {number}')
    done = program("recommend", folder)
    assert done.code == 0, done.err
    assert "About the input" in done.out


def test_a_file_of_another_block_count_is_left_out_and_said(program: Program, folder: Path) -> None:
    path = folder / "st-qa" / "train+validation" / SUMMARY
    one = {"removed_block_indices": [20], "accuracy": 0.5, "accuracy_drop": 0.1}
    other = {"num_total_blocks": 24, "baseline_accuracy": 0.6, "summary": [one]}
    path.write_text(json.dumps(other))
    (path.parent / "layer_importance_scores.json").unlink()
    done = program("recommend", folder)
    assert done.code == 0, done.err
    assert "a model of 24 blocks, the others have 16" in " ".join(done.out.split())
    assert "datasets: 2" in done.out


@pytest.mark.parametrize("name", ["evil\x1b[31m", "two\nlines", "half\ud800"])
def test_a_name_that_would_command_the_terminal_is_left_out(
    program: Program, folder: Path, name: str
) -> None:
    path = folder / "st-qa" / "train+validation" / SUMMARY
    change(path, '"st_qa"', json.dumps(name))
    (path.parent / "layer_importance_scores.json").unlink()
    done = program("recommend", folder)
    assert done.code == 0, done.err
    assert "is not a name" in " ".join(done.out.split())
    assert "dataset_name" in done.out
    assert name not in done.out


def test_a_dataset_twice_counts_once_and_is_said(program: Program, folder: Path) -> None:
    shutil.copytree(folder / "okvqa", folder / "zz" / "okvqa")
    done = program("recommend", folder)
    assert done.code == 0, done.err
    assert "datasets: 3" in done.out
    assert "already" in " ".join(done.out.split())


def test_one_dataset_alone_is_ranked_and_warned_of(program: Program, folder: Path) -> None:
    done = program("recommend", folder / "okvqa")
    assert done.code == 0, done.err
    assert "only one dataset was measured" in done.out
    assert "datasets 1/1, n" in done.out


def test_a_single_file_may_be_named(program: Program) -> None:
    done = program("recommend", BEAM / "okvqa" / "train+validation" / SUMMARY)
    assert done.code == 0, done.err


def test_comparisons_of_splits_alone_are_read(program: Program) -> None:
    done = program("recommend", PUBLISHED / "exp3_importance_comparison")
    assert done.code == 0, done.err
    assert "only comparisons of splits" in done.out


@pytest.mark.parametrize("number", [True, 60])
@pytest.mark.parametrize("first", [True, False])
def test_the_number_of_verify_may_be_left_out_also_before_the_folder(
    program: Program, folder: Path, monkeypatch: pytest.MonkeyPatch, number: bool | int, first: bool
) -> None:
    asked: list[bool | int] = []
    monkeypatch.setattr(
        "depthprune.cli.analyze._verify", lambda path, places, verify, *_: asked.append(verify)
    )
    verify = ["--verify"] if number is True else ["--verify", number]
    done = program("recommend", *([*verify, folder] if first else [folder, *verify]))
    assert done.code == 0, done.err
    assert asked == [number]
