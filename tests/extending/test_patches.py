"""One option, metric, strategy or proxy more takes one file of source and one test, and works.

Each patch is applied to a copy of the tree, and what it adds is used as a user would.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = sorted(Path(__file__).parent.glob("*.patch"))
FEW = ("--split", "validation", "--num-samples", "2", "--allow-weak-baseline")
PROTECTED = ", ".join(map(str, range(3, 15)))

STUDY = f"""
model: {{source: demo}}
tasks: demo_okvqa
splits: validation
num_samples: 2
allow_weak_baseline: true
output: study
search: {{max_blocks_to_remove: 2, protect: [{PROTECTED}], SAID}}
"""

TASK = """
mine:
  demo: demo_okvqa
  task_type: VQA
  metric: first_letter
"""


def apply(patch: str, folder: Path) -> None:
    """Put a copy of the sources and their documentation into a folder, and change it."""
    for name in ("src", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = Path(__file__).parent / f"{patch}.patch"
    subprocess.run(["git", "apply", "--unsafe-paths", str(file)], cwd=folder, check=True)


def python(folder: Path, *arguments: str) -> str:
    """Run Python on the changed sources; return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src"), "GIT_DIR": os.devnull},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def program(folder: Path, *arguments: str) -> str:
    return python(folder, "-m", "depthprune", *arguments)


def measured(folder: Path, study: str = "study") -> set[tuple[int, ...]]:
    """Return the removals that a study holds."""
    code = (
        "import sys, json; from depthprune.study import Study\n"
        f"with Study.open({study!r}, read_only=True) as study:\n"
        "    print(json.dumps([one.removal for one in study.measurements()]))"
    )
    return {tuple(removal) for removal in json.loads(python(folder, "-c", code))}


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_patch_touches_one_file_of_source_and_one_test(patch: Path) -> None:
    names = [line[6:] for line in patch.read_text().splitlines() if line.startswith("+++ b/")]
    source, test = names
    assert source.startswith("src/depthprune/")
    assert test.startswith("tests/")


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_the_test_of_a_patch_passes(patch: Path, tmp_path: Path) -> None:
    apply(patch.stem, tmp_path)
    (test,) = (tmp_path / "tests").rglob("test_*.py")
    python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test))


def test_an_option_of_a_strategy_is_known_everywhere(tmp_path: Path) -> None:
    apply("option", tmp_path)
    said = program(tmp_path, "search", "--help")
    assert "--spare-first INT" in said
    assert "Number of first blocks that a beam leaves alone." in " ".join(said.split("│"))
    python(tmp_path, "docs/make_api.py")
    assert "spare_first" in (tmp_path / "docs" / "api.md").read_text()
    (tmp_path / "study.yaml").write_text(STUDY.replace("SAID", "spare_first: 2"))
    program(tmp_path, "run", "study.yaml")
    assert measured(tmp_path) == {(), (2,), (15,), (2, 15)}
    code = "import depthprune as dp; print(dp.Beam(spare_first=1).spare_first)"
    assert python(tmp_path, "-c", code).split() == ["1"]
    value = json.loads(
        program(
            *(tmp_path, "search", "demo", "--task", "demo_okvqa", *FEW, "--output", "study"),
            *("--protect", *map(str, range(3, 15)), "--max-blocks-to-remove", "1"),
            *("--spare-first", "2", "--json"),
        )
    )
    assert value["search"]["spare_first"] == 2
    (tmp_path / "study.yaml").write_text(STUDY.replace("SAID", "spare_first: -1"))
    with pytest.raises(AssertionError, match="spare_first"):
        program(tmp_path, "run", "study.yaml")


def test_a_strategy_is_known_everywhere(tmp_path: Path) -> None:
    apply("strategy", tmp_path)
    assert "evolutionary, last]" in " ".join(program(tmp_path, "search", "--help").split("│"))
    (tmp_path / "study.yaml").write_text(STUDY.replace("SAID", "strategy: last"))
    program(tmp_path, "run", "study.yaml")
    assert measured(tmp_path) >= {(), (0,), (1,), (2,), (15,), (2, 15)}
    done = program(
        *(tmp_path, "search", "demo", "--task", "demo_okvqa", *FEW, "--output", "study"),
        *("--protect", *map(str, range(3, 15)), "--max-blocks-to-remove", "2"),
        *("--strategy", "last", "--json"),
    )
    assert json.loads(done)["search"]["strategy"] == "last"
    assert json.loads(done)["measured"] == 0


def test_a_metric_is_known_everywhere(tmp_path: Path) -> None:
    apply("metric", tmp_path)
    (tmp_path / "tasks.yaml").write_text(TASK)
    program(
        *(tmp_path, "profile", "demo", "--task-file", "tasks.yaml", "--task", "mine", *FEW),
        *("--protect", *map(str, range(1, 16)), "--output", "study"),
    )
    assert measured(tmp_path) == {(), (0,)}
    code = "import depthprune as dp; print(dp.metric('first-letter').score('Ant', 'apple'))"
    assert python(tmp_path, "-c", code).split() == ["1.0"]


def test_a_proxy_is_known_everywhere(tmp_path: Path) -> None:
    apply("proxy", tmp_path)
    assert "depth" in program(tmp_path, "proxies", "--help")
    few = ("--task", "demo_okvqa", "--split", "validation", "--num-samples", "2")
    program(tmp_path, "proxies", "demo", *few, "--output", "study", "--proxy", "depth")
    (file,) = (tmp_path / "study" / "proxies").rglob("depth.json")
    scores = json.loads(file.read_text())["importance_scores"]
    assert min(scores, key=scores.__getitem__) == "15"
    (tmp_path / "study.yaml").write_text(STUDY.replace("SAID", "warm_start: depth"))
    program(tmp_path, "run", "study.yaml")
    assert (2, 15) in measured(tmp_path)
