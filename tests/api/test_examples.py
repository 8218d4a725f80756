"""What README and examples/ show runs as it stands, but for the number of samples."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

import depthprune as dp
from depthprune.tasks import Sample, Task
from tests.analysis.results import PUBLISHED

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def python_of(readme: str) -> str:
    """Return the Python that a README shows, with few samples."""
    (code,) = re.findall(r"```python\n(import depthprune.*?)```", (ROOT / readme).read_text(), re.S)
    fewer, count = re.subn(r"num_samples=\d+", "num_samples=3", code)
    assert count == 1
    return fewer


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(python_of("README.md"), names)
    assert len(python_of("README.md").strip().splitlines()) == 6
    assert dp.load_model("smaller").num_blocks < 16
    assert dp.open_study("study").num_blocks == 16
    # The Chinese one shows the same code; only the remarks differ.
    for ours, theirs in zip(
        python_of("README.md").splitlines(), python_of("README.zh-CN.md").splitlines(), strict=True
    ):
        assert ours.partition("  #")[0].rstrip() == theirs.partition("  #")[0].rstrip()


def test_the_notebook_runs_from_top_to_bottom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = json.loads((EXAMPLES / "quickstart.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    names: dict[str, object] = {}
    cells = ["".join(one["source"]) for one in notebook["cells"] if one["cell_type"] == "code"]
    assert len(cells) > 8
    for number, cell in enumerate(cells):
        code = re.sub(r"samples=\d+", "samples=3", cell)
        exec(compile(code, f"quickstart.ipynb, cell {number}", "exec"), names)
    assert isinstance(names["study"], dp.Study)
    assert isinstance(names["made"], dp.CutReport)
    assert names["made"].verification
    assert names["made"].verification.agrees
    # No outputs are kept: they would go stale.
    assert not any(one.get("outputs") for one in notebook["cells"])


def script(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run a script as `python examples/NAME ARGUMENTS` does."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script("decide.py", monkeypatch, PUBLISHED, tmp_path / "report")
    told = capsys.readouterr().out
    assert "conservative: remove (4, 13), drop 0.0541, 7 datasets" in told
    assert "Recommended (max_drop): remove" in told
    assert (tmp_path / "report/pruning_recommendations.json").is_file()


def test_skip_and_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script("skip_and_cut.py", monkeypatch, tmp_path / "smaller")
    told = capsys.readouterr().out
    assert "14 blocks; largest difference:" in told
    assert float(told.split()[-1]) < 1e-4


def test_own_strategy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script("own_strategy.py", monkeypatch, tmp_path / "study", 3)
    pairs = re.findall(r"\((\d+), (\d+)\): drop -?\d\.\d{4} on 2 datasets", capsys.readouterr().out)
    assert pairs
    assert all(int(second) == int(first) + 1 for first, second in pairs)


def test_every_script_and_notebook_is_run_here() -> None:
    ran = {"decide.py", "skip_and_cut.py", "own_strategy.py", "quickstart.ipynb"}
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == ran


def test_documented_imports_keep_working() -> None:
    assert Sample is dp.Sample
    assert Task is dp.Task
    for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"^(?:from|import) depthprune.*$", text, re.M):
            exec(line, {})
