"""`depthprune structure batch`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.structure.llamas import keep_layers, make_state, save

FOUR = make_state(4)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    save(tmp_path / "base", FOUR)
    save(tmp_path / "models" / "a", keep_layers(FOUR, [0, 3]))
    return tmp_path


def broken(place: Path) -> None:
    (place / "models" / "b").mkdir()
    (place / "models" / "b" / "model.safetensors").write_bytes(b"x" * 40)


def options(place: Path) -> tuple[object, ...]:
    folders = ("--models_dir", place / "models", "--base_model", place / "base")
    return ("structure", "batch", *folders, "--output-dir", place / "out")


def test_what_each_model_lost_is_printed_and_kept(place: Path, program: Program) -> None:
    done = program(*options(place))
    assert done.code == 0
    assert "a: removed layers: 1, 2" in done.out
    assert "Analysed: 1; unchanged since an earlier run: 0; failed: 0" in done.out
    names = {path.name for path in (place / "out" / "a" / "analysis").iterdir()}
    assert {"model_structure.json", "model_comparison.json", "structure_summary.txt"} <= names


def test_a_second_run_says_that_nothing_changed_unless_forced(
    place: Path, program: Program
) -> None:
    program(*options(place))
    assert "Analysed: 0; unchanged since an earlier run: 1;" in program(*options(place)).out
    assert (
        "Analysed: 1; unchanged since an earlier run: 0;" in program(*options(place), "--force").out
    )


def test_a_broken_model_is_told_with_exit_code_1(place: Path, program: Program) -> None:
    broken(place)
    done = program(*options(place))
    assert done.code == 1
    assert "Failed: b: " in done.out
    assert "Analysed: 1; unchanged since an earlier run: 0; failed: 1" in done.out


def test_the_results_are_merged_on_request(place: Path, program: Program) -> None:
    broken(place)
    program(*options(place))
    assert not (place / "out" / "models_summary.json").exists()
    program(*options(place), "--merge_results")
    value = json.loads((place / "out" / "models_summary.json").read_text())
    assert value["total_models"] == 1
    assert value["models"][0]["removed_layers"] == [1, 2]
    assert value["without_analysis"][0]["name"] == "b"


def test_merging_without_an_original_analyses_nothing(place: Path, program: Program) -> None:
    program(*options(place))
    before = (place / "out" / "a" / "analysis" / "model_structure.json").stat().st_mtime_ns
    folders = ("--models_dir", place / "models", "--output_dir", place / "out")
    done = program("structure", "batch", *folders, "--merge_results")
    assert done.code == 0
    value = json.loads((place / "out" / "models_summary.json").read_text())
    (model,) = value["models"]
    assert model["removed_layers"] == [1, 2]
    # As the users' guide documents these fields.
    assert model["params"]["total"] == model["pruning"]["pruned"]
    assert model["params"]["num_layers"] == 2
    assert 0 < model["pruning"]["reduction_ratio"] < 1
    gone = [one["layer_idx"] for one in model["layer_pruning"] if one["reduction_ratio"] == 1]
    assert gone == [one["layer_idx"] for one in model["layer_pruning"] if one["is_zero"]] == [1, 2]
    after = (place / "out" / "a" / "analysis" / "model_structure.json").stat().st_mtime_ns
    assert after == before


def test_merging_where_nothing_was_analysed_says_so(place: Path, program: Program) -> None:
    done = program("structure", "batch", "--models_dir", place / "models", "--merge_results")
    assert done.code == 2
    assert "--base_model" in done.err


def test_scripts_get_one_object(place: Path, program: Program) -> None:
    value = json.loads(program(*options(place), "--json").out)
    assert value["results"][0]["status"] == "success"
    assert value["files"] == [str(place / "out" / "batch_analysis_results.json")]


def test_chinese_is_spoken(place: Path, program: Program) -> None:
    (place / "models" / "c" / "evaluation").mkdir(parents=True)
    done = program(*options(place), "--lang", "zh")
    assert "已分析：1；自上次运行后未变化：0；失败：0" in done.out
    assert "无模型" in done.out


@pytest.mark.parametrize(("models", "base"), [("nowhere", "base"), ("models", "nowhere")])
def test_bad_input_ends_with_exit_code_2(
    models: str, base: str, place: Path, program: Program
) -> None:
    done = program(
        *("structure", "batch", "--models_dir", place / models),
        *("--base_model", place / base, "--output_dir", place / "out"),
    )
    assert done.code == 2
    assert "error:" in done.err
