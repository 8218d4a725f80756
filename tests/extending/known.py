"""What the patches add is known everywhere: runs inside the changed copy, see `test_patches.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import depthprune as dp
from depthprune.study import StudyStore
from tests.cli.program import Program

COPY = Path(dp.__file__).parents[2]
FEW = ("--split", "validation", "--num-samples", "2", "--allow-weak-baseline")
PROTECTED = list(range(3, 15))
MEASURE = ("demo", "--task", "demo_okvqa", *FEW, "--output", "study", "--protect")

STUDY = f"""
model: {{source: demo}}
tasks: demo_okvqa
splits: validation
num_samples: 2
allow_weak_baseline: true
output: study
search: {{max_blocks_to_remove: 2, protect: {PROTECTED}, SAID}}
"""

TASK = """
mine:
  demo: demo_okvqa
  task_type: VQA
  metric: first_letter
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)


def run(program: Program, said: str) -> set[tuple[int, ...]]:
    """Run a study file; return the removals that its study holds."""
    Path("study.yaml").write_text(STUDY.replace("SAID", said))
    done = program("run", "study.yaml")
    assert done.code == 0, done.err
    return measured()


def measured() -> set[tuple[int, ...]]:
    with StudyStore.open(Path("study"), read_only=True) as study:
        return {one.removal for one in study.measurements()}


def test_an_option_of_a_strategy(program: Program) -> None:
    said = program("search", "--help").out
    assert "--spare-first INT" in said
    assert "Number of first blocks that a beam leaves alone." in " ".join(said.split("│"))
    subprocess.run([sys.executable, "docs/make_api.py"], cwd=COPY, check=True)
    assert "spare_first" in (COPY / "docs" / "api.md").read_text()
    assert run(program, "spare_first: 2") == {(), (2,), (15,), (2, 15)}
    assert dp.Beam(spare_first=1).spare_first == 1
    few = ("--max-blocks-to-remove", "1", "--spare-first", "2", "--json")
    done = program("search", *MEASURE, *PROTECTED, *few)
    assert json.loads(done.out)["search"]["spare_first"] == 2
    Path("study.yaml").write_text(STUDY.replace("SAID", "spare_first: -1"))
    assert "spare_first" in program("run", "study.yaml").err


def test_a_strategy(program: Program) -> None:
    assert "evolutionary, last]" in " ".join(program("search", "--help").out.split("│"))
    assert run(program, "strategy: last") >= {(), (0,), (1,), (2,), (15,), (2, 15)}
    few = ("--max-blocks-to-remove", "2", "--strategy", "last", "--json")
    value = json.loads(program("search", *MEASURE, *PROTECTED, *few).out)
    assert value["search"]["strategy"] == "last"
    assert value["measured"] == 0


def test_a_metric(program: Program) -> None:
    Path("tasks.yaml").write_text(TASK)
    task = ("--task-file", "tasks.yaml", "--task", "mine", "--protect", *range(1, 16))
    assert program("profile", "demo", *task, *FEW, "--output", "study").code == 0
    assert measured() == {(), (0,)}
    assert dp.metric("first-letter").score("Ant", "apple") == 1.0


def test_a_proxy(program: Program) -> None:
    assert "depth" in program("proxies", "--help").out
    few = ("--task", "demo_okvqa", "--split", "validation", "--num-samples", "2")
    assert program("proxies", "demo", *few, "--output", "study", "--proxy", "depth").code == 0
    (file,) = Path("study", "proxies").rglob("depth.json")
    scores = json.loads(file.read_text())["importance_scores"]
    assert min(scores, key=scores.__getitem__) == "15"
    assert (2, 15) in run(program, "warm_start: depth")
    # A finding stands in the text report and on the page; the study is there anyway.
    assert program("analyze", "study", "--skip", "figures", "latex").code == 0
    for name in ("comprehensive_report.txt", "report.html"):
        (report,) = Path().rglob(name)
        assert "Free blocks" in report.read_text()
        assert "blocks cost nothing on average." in report.read_text()
