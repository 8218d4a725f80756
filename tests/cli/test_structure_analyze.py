"""`depthprune structure analyze`: what a model consists of and what it lost, on 80 columns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from depthprune.structure.layouts import read_anatomy, read_comparison
from tests.cli.program import Finished, Program
from tests.structure.llamas import (
    LAYER,
    OUTSIDE,
    change_layers,
    keep_layers,
    make_state,
    prune_layer,
    save,
)

STATE = make_state(6)
COPIES = Path(__file__).parents[1] / "structure" / "pruned_models"


@pytest.fixture
def run(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return the program on a terminal of 80 columns, beside a model `base` of six layers."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "base", STATE)
    return program


def tables(done: Finished) -> list[str]:
    """Return the lines of the tables: all but the sentences, which a terminal folds."""
    assert done.code == 0, done.err
    return [line for line in done.out.splitlines() if line.startswith(" ") and line.strip()]


def rows(done: Finished) -> dict[str, list[str]]:
    """Return the cells of each line by the first."""
    return {cells[0]: cells[1:] for cells in (line.split() for line in tables(done)) if cells}


def cut(run: Program, blocks: str = "1,4") -> Path:
    assert run("cut", "base", "--remove", blocks, "--output", "cut").code == 0
    return Path("cut")


# What is shown


def test_a_model_alone_shows_its_parts_and_layers(run: Program) -> None:
    found = rows(run("structure", "analyze", "base"))
    assert found["Embedding"][0] == "2,048"
    assert found["Total"] == [f"{OUTSIDE + 6 * LAYER:,}", "100.00"]
    assert found["0-5"] == [f"{LAYER:,}", "3,072", "4/2", "4,608", "48"]


def test_a_cut_shows_which_layers_are_gone(run: Program) -> None:
    done = run("structure", "analyze", cut(run), "--compare_with", "base")
    found = rows(done)
    assert found["1"] == ["0", "100.00", "100.00", "100.00", "48", ">", "0", "REMOVED"]
    assert found["2-3"][-3:] == ["as", "it", "was"]
    assert found["Total"][:2] == [f"{OUTSIDE + 6 * LAYER:,}", f"{OUTSIDE + 4 * LAYER:,}"]
    assert "layer removal: 2 of 6 layers removed" in done.out
    assert "what the checkpoint says of its origin" in done.out


def test_pruned_layers_stand_out_by_word(run: Program) -> None:
    save(Path("p"), prune_layer(prune_layer(STATE, 2, heads=0, inner=6), 3, inner=1))
    found = rows(run("structure", "analyze", "p", "--compare-with", "base"))
    assert found["2"][-3:] == ["HEAVY,", "NO", "ATTENTION"]
    assert found["2"][4:7] == ["48", ">", "6"]
    assert found["3"][-1] == "moderate"


def test_layers_that_are_gone_unknown_where_are_called_missing(run: Program) -> None:
    alike = change_layers(STATE, torch.zeros_like)
    save(Path("base"), alike)
    save(Path("p"), keep_layers(alike, range(4)))
    done = run("structure", "analyze", "p", "--compare_with", "base")
    assert rows(done)["?"][:2] == ["2", "missing,"]
    assert "nothing tells which" in done.out


def test_zeros_are_counted_when_asked_for(run: Program) -> None:
    half = change_layers(STATE, lambda tensor: tensor * (tensor.abs() > 0.6745))
    save(Path("p"), half)
    done = run("structure", "analyze", "p", "--compare_with", "base", "--count-zeros")
    assert "Zeros: " in done.out
    assert "Strategy: unstructured" in done.out
    assert 45 < float(rows(done)["0"][5]) < 55


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("model", ["HGSP_2000", "layerwise_20"])
def test_real_models_fit_80_columns(run: Program, model: str, lang: str) -> None:
    from rich.cells import cell_len

    found = COPIES / "results" / model / "analysis" / "pruned_model_analysis.json"
    original = make_original(Path("original.json"))
    done = run(
        *("structure", "analyze", found, "--compare_with", original, "--lang", lang),
        *("--name", model),
    )
    lines = tables(done)
    assert max(map(cell_len, lines)) <= 80
    assert len([line for line in lines if line.split()[0].isdecimal()]) >= 20


def make_original(path: Path) -> Path:
    """Write the anatomy of Llama-3-8B as a file of the old scripts."""
    layer = {
        "total": 218112000,
        "attention": {"total": 41943040, "num_heads": 32, "num_kv_heads": 8},
        "mlp": {"total": 176160768, "intermediate_size": 14336},
        "norm": 8192,
        "is_zero_layer": False,
    }
    document = {
        "model_name": "Llama-3-8B-Instruct",
        "total_params": 8030261248,
        "embedding_params": 525336576,
        "lm_head_params": 525336576,
        "layers": [{"layer_idx": index} | layer for index in range(32)],
    }
    path.write_text(json.dumps(document))
    return path


def test_chinese(run: Program) -> None:
    done = run("structure", "analyze", cut(run), "--compare_with", "base", "--lang", "zh")
    assert rows(done)["1"][-1] == "整层移除"
    assert "剪枝策略：整层移除" in done.out


def test_json_is_the_documents(run: Program) -> None:
    done = run("structure", "analyze", cut(run), "--compare_with", "base", "--json")
    value = json.loads(done.out)
    assert value["model"]["total_params"] == OUTSIDE + 4 * LAYER
    assert value["original"]["total_params"] == OUTSIDE + 6 * LAYER
    assert value["comparison"]["removed_layers"] == [1, 4]
    assert "cut/analysis/model_structure.json" in value["files"]
    alone = json.loads(run("structure", "analyze", "cut", "--json").out)
    assert (alone["original"], alone["comparison"]) == (None, None)


def test_the_embedded_model_has_its_name(run: Program) -> None:
    done = run("structure", "analyze", "demo", "--compare_with", "demo")
    assert done.out.startswith("demo: 1,638,432 parameters in 16 layers")
    assert rows(done)["vision"][-1] == "0.00"


# What is written


def test_the_analysis_goes_beside_the_weights_where_the_summary_finds_it(run: Program) -> None:
    assert run("structure", "analyze", "base").code == 0
    assert read_anatomy(Path("base/analysis/model_structure.json")).total == OUTSIDE + 6 * LAYER
    done = run("structure", "summarize", "--dirs", "base", "--output", "all")
    assert done.code == 0
    assert Path("all.txt").is_file()


def test_an_unknown_count_is_an_error_only_where_that_is_asked_for(run: Program) -> None:
    Path("rank").mkdir()
    torch.save({"a.layers.0.weight": torch.ones(2)}, "rank/model_world_size_2_rank_0.pt")
    done = run("structure", "analyze", "rank")
    assert (done.code, "an unknown number of parameters" in done.out) == (0, True)
    done = run("structure", "analyze", "rank", "--strict")
    assert (done.code, "1 of 2 ranks" in done.err) == (2, True)


def test_all_documented_files_are_written(run: Program) -> None:
    done = run(
        *("structure", "analyze", "--model_path", cut(run), "--compare_with", "base"),
        *("--output_dir", "cut/analysis"),
    )
    folder = Path("cut/analysis")
    files = sorted(path.name for path in folder.iterdir())
    assert files == [
        "model_comparison.json",
        "model_structure.json",
        "original_model_analysis.json",
        "pruned_model_analysis.json",
        "pruning_comparison.json",
        "pruning_summary_by_layer.txt",
        "structure_summary.txt",
    ]
    assert all(name in done.out for name in files)
    assert read_anatomy(folder / "model_structure.json").total == OUTSIDE + 4 * LAYER
    assert read_comparison(folder / "pruning_comparison.json").layers[4].removed


def test_the_summary_in_chinese_is_that_of_the_old_scripts(run: Program) -> None:
    """Line by line what stands in structure_summary.txt of ShortGPT_remove_7, but for its path."""
    folder = COPIES / "baselines" / "ShortGPT_remove_7" / "analysis"
    done = run(
        *("structure", "analyze", folder / "model_structure.json", "--lang", "zh"),
        *("--compare_with", make_original(Path("original.json")), "--output_dir", "out"),
    )
    assert done.code == 0
    assert Path("out/structure_summary.txt").read_text(encoding="utf-8").splitlines() == [
        "模型结构分析摘要",
        "=" * 80,
        "",
        "模型名称: ShortGPT_remove_7",
        "模型路径: ",
        "",
        "总参数量: 6,503,477,248",
        "  - Embedding: 525,336,576",
        "  - LM Head: 525,336,576",
        "  - Decoder Layers: 5,452,800,000",
        "  - 层数: 25",
        "",
        "剪枝统计:",
        "  - 原始参数: 8,030,261,248",
        "  - 剪枝后参数: 6,503,477,248",
        "  - 减少参数: 1,526,784,000",
        "  - 剪枝比例: 19.01%",
    ]


def test_the_summary_of_a_model_alone_ends_with_its_layers(run: Program) -> None:
    assert run("structure", "analyze", "base", "--output_dir", "out").code == 0
    text = Path("out/structure_summary.txt").read_text(encoding="utf-8")
    assert text.startswith("Summary of the model's structure\n" + "=" * 80 + "\n\nModel name: base")
    assert text.endswith("  - Number of layers: 6\n")
    assert not Path("out/pruning_summary_by_layer.txt").exists()


def test_the_text_by_layer_names_every_layer(run: Program) -> None:
    save(Path("p"), keep_layers(prune_layer(STATE, 3, heads=2, inner=9), [0, 1, 3, 4, 5]))
    done = run("structure", "analyze", "p", "--compare_with", "base", "--output_dir", "out")
    assert done.code == 0
    text = Path("out/pruning_summary_by_layer.txt").read_text(encoding="utf-8")
    found = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert found["0"] == [
        *("7,744", "7,744", "0.00", "0.00", "0.00", "4/2", "48", "as", "it", "was"),
    ]
    assert found["2"][:5] == ["7,744", "0", "100.00", "100.00", "100.00"]
    assert found["2"][-1] == "REMOVED"
    assert found["3"][5:-1] == ["4/2", ">", "2/1", "48", ">", "9"]
    assert "REMOVED: 1" in text
    assert "Layers were found by equal weights." in text


def test_the_text_by_layer_makes_up_no_number_of_heads(run: Program) -> None:
    found = COPIES / "results" / "HGSP_2000" / "analysis" / "pruned_model_analysis.json"
    original = make_original(Path("original.json"))
    assert run(
        "structure", "analyze", found, "--compare_with", original, "--output_dir", "out"
    ).code == 0  # fmt: skip
    text = Path("out/pruning_summary_by_layer.txt").read_text(encoding="utf-8")
    rows = {line.split()[0]: line.split()[6:9] for line in text.splitlines() if line.strip()}
    assert rows["0"][0] == "32/8"
    assert rows["9"] == ["32/8", ">", "4/1"]
    assert rows["11"] == ["32/8", ">", "0"]


def test_names_of_a_file_cannot_write_to_the_terminal(run: Program) -> None:
    original = make_original(Path("original.json"))
    document = json.loads(original.read_text()) | {"model_name": "\x1b[2J[red]base\nx"}
    original.write_text(json.dumps(document))
    done = run(
        *("structure", "analyze", original, "--compare_with", original, "--output_dir", "out"),
    )
    assert done.code == 0
    for text in (done.out, *(path.read_text() for path in Path("out").glob("*.txt"))):
        assert "\x1b" not in text
        assert "\\x1b[2J[red]base\\nx" in text


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("absent",), "absent"),
        (("base", "--compare_with", "absent.json"), "absent.json"),
        (("base", "--output_dir", "base/config.json/out"), "config.json"),
        ((), "model-path"),
    ],
)
def test_mistakes_are_told_in_words(run: Program, arguments: tuple[str, ...], words: str) -> None:
    done = run("structure", "analyze", *arguments)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert words in done.err + done.out


def test_zeros_of_an_analysis_file_cannot_be_counted(run: Program) -> None:
    assert run("structure", "analyze", "base", "--output_dir", "out").code == 0
    done = run("structure", "analyze", "out/model_structure.json", "--count_zeros")
    assert done.code == 2
    assert "no weights" in done.err


# The commands


def test_the_help_of_structure_says_what_each_command_does(run: Program) -> None:
    for arguments in (("structure", "--help"), ("structure",)):
        done = run(*arguments)
        assert done.code == 0
        text = " ".join(done.out.replace("│", " ").split())
        assert "what each layer lost" in text
        assert "summarize (summarise)" in text


def test_analysing_needs_neither_torch_nor_numpy(tmp_path: Path) -> None:
    model = str(save(tmp_path / "base", STATE))
    code = (
        "import sys\nfrom depthprune.cli.app import main\n"
        f"try: main(['structure', 'analyze', {model!r}, '--compare_with', {model!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "print([m for m in ('torch', 'transformers', 'numpy', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
