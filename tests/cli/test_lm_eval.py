"""Tasks of the lm-evaluation-harness on the command line."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import datasets
import pytest

from tests.cli.program import Program
from tests.tasks import harness

pytest.importorskip("lm_eval")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return harness.write_definitions(tmp_path / "definitions")


def test_a_profile_of_two_tasks_prints_nothing_but_results(
    program: Program, folder: Path, tmp_path: Path
) -> None:
    options = ("--lm-eval-path", folder, "--num-samples", 2, "--output", tmp_path / "s", "--json")
    done = program(
        "profile", "demo", "--task", "lm_eval:tiny_choice", "lm-eval:tiny_texts", *options
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)
    assert sorted(path.name for path in (tmp_path / "s" / "results").iterdir()) == [
        "lm-eval-tiny-choice",
        "lm-eval-tiny-texts",
    ]


def test_proxies_are_told_the_right_continuations(
    program: Program, folder: Path, tmp_path: Path
) -> None:
    options = ("--lm-eval-path", folder, "--num-samples", 2, "--output", tmp_path / "s")
    asked = ("--task", "lm_eval:tiny_choice", "lm_eval:tiny_written", "lm_eval:tiny_texts")
    done = program("proxies", "demo", *asked, *options)
    assert done.code == 0, done.err
    assert "lm_eval_tiny_texts" in done.out
    (command,) = (line for line in done.out.splitlines() if line.startswith("To measure"))
    assert program(*shlex.split(command.partition("depthprune ")[2])).code == 0
    again = program("proxies", "demo", *asked, *options)
    assert "To measure the drops" not in again.out
    assert "rho" in again.out


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ("lm_eval:arc_esay", "did you mean lm_eval:arc_easy"),
        ("lm_eval:", "the lm-evaluation-harness has no task ''"),
        ("lm_eval_arc_easy", "did you mean lm_eval:arc_easy"),
        ("lm_eval:arc_easy", "allow the download (--download)"),
        ("lm_eval:humaneval", "executes code that the model writes"),
    ],
)
def test_what_is_wrong_with_a_name_is_told(program: Program, task: str, complaint: str) -> None:
    done = program("profile", "demo", "--task", task)
    assert (done.code, done.out) == (2, "")
    assert complaint in done.err


def test_without_the_harness_its_extra_is_named(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "lm_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    done = program("profile", "demo", "--task", "lm_eval:arc_easy")
    assert done.code == 2
    assert "pip install 'depthprune[lm-eval]'" in done.err
