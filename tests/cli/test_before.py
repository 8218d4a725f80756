"""What can be known before the hours is known: what it takes, and everything that is missing."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from depthprune.strategies import pipeline
from depthprune.tasks.metrics import captions
from depthprune.testing import tiny_models
from tests.cli.program import Program

TASKS = """
{name}:
  task_type: {kind}
  path: {data}
  prompt: "{{question}}"
  metric: {metric}
"""


def test_a_dry_run_says_what_a_search_takes_and_makes_nothing(
    program: Program, tmp_path: Path
) -> None:
    given = ("search", "demo", "--task", "demo_okvqa", "--num-samples", 4, "--output")
    done = program(*given, tmp_path / "new", "--dry-run")
    assert done.code == 0
    for told in (
        "146",
        "584",
        "Memory: 6.55 MB",
        "Time: not known; with --estimate",
        "Nothing was measured",
    ):
        assert told in done.out
    assert max(map(len, done.out.splitlines()[1:])) <= 80
    value = json.loads(program(*given, tmp_path / "new", "--dry-run", "--json").out)
    assert value["searches"][0]["removals_by_number"] == {"1": 16, "2": 46, "3": 43, "4": 40}
    assert not (tmp_path / "new").exists()


def test_a_run_foresees_its_stages(program: Program, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    study.write_text(
        "model:\n  source: demo\ntasks: [demo_okvqa]\nnum_samples: 4\n"
        f"output: {tmp_path / 'new'}\nprofile:\n"
        "  splits: [train+validation]\nsearch:\nanalyze:\ncut:\n"
    )
    value = json.loads(program("run", study, "--estimate", "--json").out)
    assert [one["strategy"] for one in value["searches"]] == ["ablation", "beam"]
    assert value["searches"][1]["splits"][0]["held"] == 17
    assert value["seconds"] > 0
    assert value["cut_bytes"] > 1_000_000
    assert not (tmp_path / "new").exists()


def test_everything_that_is_missing_is_told_at_once_before_data_are_read(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, str, str, str]] = [
        ("captions", "Captioning", ".", "cider_d"),
        ("absent", "VQA", "nowhere", "exact_match"),
    ]
    (tmp_path / "validation.jsonl").write_text('{"question": "?", "answers": ["a"]}\n')
    tasks = tmp_path / "tasks.yaml"
    tasks.write_text(
        "".join(TASKS.format(name=n, kind=k, data=d, metric=m) for n, k, d, m in given)
    )
    monkeypatch.setattr(captions, "_has_ptb", lambda: False)
    without(monkeypatch, "nltk")

    def not_yet(*_: Any) -> Any:
        raise AssertionError("data were read")

    monkeypatch.setattr(pipeline, "load_split", not_yet)
    done = program(
        *("search", tmp_path / "no-model", "--task-file", tasks, "--task", "captions", "absent")
    )
    assert done.code == 2
    assert "3 things are missing or wrong" in done.err
    for told in (
        "1. there is no such model",
        "2. CIDEr-D needs nltk",
        "3. there is no such folder",
    ):
        assert told in done.err


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = builtins.__import__

    def imported(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", imported)


def test_names_that_nobody_knows_are_told_together(program: Program) -> None:
    done = program("profile", "demo", "--task", "okvqa_", "demo_okvqa", "textvqa")
    assert done.code == 2
    assert "2 things are missing or wrong" in done.err
    assert "did you mean okvqa or demo_okvqa?" in done.err
    assert "did you mean text_vqa or" in done.err


def test_data_that_cannot_be_used_are_told_together(program: Program, tmp_path: Path) -> None:
    for name, line in (("one", "{"), ("two", '{"question": "?"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "validation.jsonl").write_text(f"{line}\n")
    tasks = tmp_path / "tasks.yaml"
    tasks.write_text(
        "".join(
            TASKS.format(name=n, kind="Exact Match", data=n, metric="exact_match")
            for n in ("one", "two")
        )
    )
    done = program(
        *("profile", "demo", "--task-file", tasks, "--task", "one", "two"),
        *("--split", "validation", "--output", tmp_path / "study"),
    )
    assert done.code == 2
    assert "2 things are missing or wrong" in done.err
    assert not (tmp_path / "study").exists()


def test_a_text_model_refuses_tasks_with_pictures_before_anything_is_read(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.llama().save_pretrained(tmp_path / "text")
    tiny_models.word_tokenizer().save_pretrained(tmp_path / "text")
    given = ("profile", tmp_path / "text", "--num-samples", 2, "--output", tmp_path / "study")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "load_split", None)
        done = program(*given, "--task", "demo_okvqa", "demo_science_qa_img", "demo_doc_qa")
    assert done.code == 2
    assert (
        "text reads text only, and these tasks have pictures: demo_okvqa, demo_doc_qa" in done.err
    )
    # Of a multiple choice only the data tell.
    done = program(*given, "--task", "demo_science_qa_img")
    assert done.code == 2
    assert "these tasks have pictures: demo_science_qa_img" in done.err
    assert not (tmp_path / "study").exists()


def test_a_model_without_weights_is_refused_before_data_are_read(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.llama().config.save_pretrained(tmp_path / "text")
    tiny_models.word_tokenizer().save_pretrained(tmp_path / "text")
    monkeypatch.setattr(pipeline, "load_split", None)
    done = program("profile", tmp_path / "text", "--task", "demo_okvqa")
    assert done.code == 2
    assert "weights" in done.err
