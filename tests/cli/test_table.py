"""`depthprune table` from the command line."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.benchmark.cards import card
from tests.cli.program import Program
from tests.structure.models import SHARED, put, real_models


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with `results` and `baselines`, and go there."""
    monkeypatch.chdir(real_models(tmp_path))
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def order(text: str) -> list[str]:
    return [line[0] for line in csv.reader(StringIO(text))][1:]


def test_several_folders_become_one_table_on_the_terminal(program: Program, models: Path) -> None:
    done = program("table", "--result_dir", "baselines", "results")
    assert done.code == 0, done.err
    for text in ("baselines/ShortGPT_remove_7", "39.87 [1]", "window not stated", "11, 12, 25"):
        assert text in done.out
    assert "attention removed in layers 11, 12, 25" in done.out
    assert "Written" not in done.out


def test_the_ending_of_the_output_says_the_format(program: Program, models: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    done = program("table", "--result-dir", "results", "--output", "made/summary.xlsx")
    assert done.code == 0, done.err
    assert "Written: made/summary.xlsx" in done.out
    sheet = openpyxl.load_workbook(models / "made/summary.xlsx").worksheets[0]
    assert sheet["A2"].value == "results/base"


def test_a_format_may_be_named_instead(program: Program, models: Path) -> None:
    done = program("table", "--dirs", "results", "--output", "summary.txt", "--format", "csv")
    assert done.code == 0, done.err
    assert (models / "summary.txt").read_text().startswith("model,size_gb,parameters_b,")


@pytest.mark.parametrize(
    ("kind", "beginning"),
    [("csv", "model,"), ("md", "| model |"), ("html", "<!DOCTYPE"), ("latex", "% Written")],
)
def test_a_format_without_an_output_is_printed(
    program: Program, models: Path, kind: str, beginning: str
) -> None:
    assert program("table", "--format", kind).out.startswith(beginning)


def test_rows_are_sorted_and_filtered(program: Program, models: Path) -> None:
    asked = ("table", "--result_dir", "results", "baselines", "--output", "o.csv")
    program(*asked, "--sort_by", "mean_accuracy")
    first = order((models / "o.csv").read_text())
    assert first[:3] == ["results/base", "results/HGSP_2000", "baselines/SliceGPT_2000"]
    program(*asked, "--sort-by", "mean_accuracy", "--reverse")
    assert order((models / "o.csv").read_text())[1] == "baselines/SliceGPT_2000"
    program(*asked, "--method", "hgsp")
    assert order((models / "o.csv").read_text()) == ["results/HGSP_2000"]
    program(*asked, "--ratio", "20%", "--base", "layerwise_20")
    assert order((models / "o.csv").read_text())[0] == "results/layerwise_20"


def test_the_other_window_can_be_shown(program: Program, models: Path) -> None:
    for window in ("128", "128/128"):
        done = program("table", "--result_dir", "results", "--window", window, "--json")
        found = {model["model"]: model for model in json.loads(done.out)["models"]}
        assert found["results/base"]["ppl_wikitext2"] == 19.52301597595215


def test_the_current_folder_is_searched_when_none_is_named(program: Program, models: Path) -> None:
    done = program("table", "--json")
    assert len(json.loads(done.out)["models"]) == 5


def test_figures_are_drawn_when_a_folder_is_named(program: Program, models: Path) -> None:
    pytest.importorskip("matplotlib")
    done = program(
        *("table", "--result_dir", "results", "--figures", "made"),
        *("--figure_formats", "svg", "pdf", "--json"),
    )
    assert json.loads(done.out)["files"] == [
        f"made/{name}.{kind}"
        for name in ("pruning_heatmap", "size_performance")
        for kind in ("svg", "pdf")
    ]
    assert (models / "made/pruning_heatmap.svg").exists()


def test_it_speaks_chinese(program: Program, models: Path) -> None:
    done = program("table", "--result_dir", "results", "--output", "o.md", "--lang", "zh")
    assert "模型" in done.out
    assert "已写入：o.md" in done.out
    assert "| 模型 | 大小（GB） |" in (models / "o.md").read_text(encoding="utf-8")


def test_an_evaluation_of_ours_stands_beside_old_ones(program: Program, models: Path) -> None:
    put(models / "results/ours", card(ppl=11.0), "evaluation_results.json")
    done = program("table", "--result_dir", "results", "--json")
    value = json.loads(done.out)
    found = {model["model"]: model for model in value["models"]}
    assert found["results/ours"]["ppl_wikitext2"] == 11.0
    assert value["apart"]["ppl_wikitext2"] == ["results/HGSP_2000"]


def test_a_broken_file_costs_only_its_numbers(program: Program, models: Path) -> None:
    path = models / "results/HGSP_2000/evaluation/evaluation_results.json"
    path.write_text(path.read_text()[:100])
    done = program("table", "--result_dir", "results")
    assert done.code == 0
    assert "evaluation_results.json, line 1" in done.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--result_dir", "nowhere"), "there is no such folder"),
        (("--result_dir", "empty"), "no model, no analysis and no evaluation here"),
        (("--method", "wanda"), "none of the 5 models fits --method wanda"),
        (("--ratio", "many"), "pruning ratio must be a share"),
        (("--sort_by", "ppl"), "choose from model, size_gb"),
        (("--base", "llama"), "none of the models is called 'llama'"),
        (("--window", "long"), "the window of a perplexity must be"),
        (("--output", "summary.txt"), "--format"),
        (("--output", "summary"), "says no format"),
        (("--output", "empty"), "this is a folder"),
        (("--format", "xlsx"), "--output"),
        (("--output", "results/base/evaluation/evaluation_results.json/a.csv"), "cannot write"),
        (("--figures", "results/base/evaluation/evaluation_results.json"), "cannot write"),
    ],
)
def test_what_makes_no_sense_is_refused(
    program: Program, models: Path, options: tuple[Any, ...], told: str
) -> None:
    (models / "empty").mkdir()
    done = program("table", *options)
    assert done.code == 2
    assert told in done.err
    assert done.out == ""
    assert "Traceback" not in done.err


@pytest.mark.skipif(not SHARED.exists(), reason="the real files are not here")
@pytest.mark.parametrize("ending", ["xlsx", "csv", "md", "html", "tex"])
def test_all_real_files_become_a_table(program: Program, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"summary.{ending}"
    done = program("table", "--result_dir", SHARED, "--output", path)
    assert done.code == 0, done.err
    assert path.stat().st_size > 2000


def test_table_and_figures_are_written_together_or_not_at_all(
    program: Program, models: Path
) -> None:
    pytest.importorskip("matplotlib")
    (models / "made" / "size_performance.png").mkdir(parents=True)
    given = ("--result_dir", "results", "--output", "table.csv", "--figures", "made")
    assert program("table", *given).code == 2
    assert not (models / "table.csv").exists()
    assert [one.name for one in (models / "made").iterdir()] == ["size_performance.png"]
