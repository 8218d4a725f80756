"""`answers` tells why a score fell, `tasks --show` what exactly was sent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from depthprune.study import StudyStore
from tests.cli.program import Program
from tests.study.example import MODEL, SETTINGS, SPLIT

WHOLE = ["dog", "cat", "bird", "two", "red", "blue", "green", "fish"]
WITHOUT = ["dog", "no no no no", "", "собака", "red", "blue\x1b[31m", "green", "dogs"]
SCORES = [1, 0, 0, 0, 1, 1, 1, 0]
PROMPT = "<user> what is it ?\nAnswer with a word. <answer>"


def measure(
    folder: Path, *, as_before: bool = False, metric: str = "vqa_accuracy", task: str = "okvqa"
) -> Path:
    """Return a study of one removal; `as_before` leaves out what older studies did not keep."""
    with StudyStore.open(folder, model=MODEL) as study:
        record = replace(SPLIT, task=task, metric=metric, fingerprint=task)
        key = study.add_split(record)
        cut = None if as_before else [1]
        study.add(key, SETTINGS, (), [1] * 8, WHOLE, 1.0, cut=None if as_before else [])
        study.add(key, SETTINGS, (4, 1), SCORES, WITHOUT, 1.0, cut=cut)
        if not as_before:
            study.keep_prompts(key, SETTINGS, [(PROMPT,)] * 8)
            study.keep_references(key, [(word, word, "x") for word in WHOLE])
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measure(tmp_path_factory.mktemp("study"))


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(capsys)


def test_prompt_references_and_both_answers_stand_together(study: Path, program: Program) -> None:
    shown = program("answers", study, "--removal", "4,1", "--task", "okvqa")
    assert shown.code == 0, shown.err
    assert "whole model's: 5 of 8. Scored less: 4, more: 0." in shown.out
    assert r"<user> what is it ?\nAnswer with a word. <answer>" in shown.out
    assert "Accepted: cat (×2); x" in shown.out
    assert "all blocks (100.00): cat\nwithout 1, 4 (0.00): no no no no  [repetitive, cut off]" in (
        shown.out
    )
    assert "(nothing)  [empty]" in shown.out
    assert "[other script]" in shown.out


def test_nothing_shown_steers_the_terminal_or_leaves_it(study: Path, program: Program) -> None:
    shown = program("answers", study, "--removal", "4,1").out
    assert "\x1b" not in shown
    assert r"blue\x1b[31m" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_changed_answers_come_with_the_greatest_loss_first(study: Path, program: Program) -> None:
    line = ("answers", study, "--removal", "4", "1", "--changed", "-n", "2", "--json")
    value = json.loads(program(*line).out)
    assert [one["sample"] for one in value["answers"]] == ["validation/1", "validation/2"]
    assert value["num_changed"] == 5
    assert value["damage"]["removal"] == {
        "num_answers": 8, "empty": 0.125, "repetitive": 0.125, "cut": 0.125, "script": 0.125,
        "any": 0.375,
    }  # fmt: skip


def test_zero_shows_all(study: Path, program: Program) -> None:
    assert (
        len(
            json.loads(program("answers", study, "--removal", "1,4", "-n", "0", "--json").out)[
                "answers"
            ]
        )
        == 8
    )


def test_an_older_study_says_what_it_lacks(tmp_path: Path, program: Program) -> None:
    shown = program("answers", measure(tmp_path / "old", as_before=True), "--removal", "4,1")
    assert shown.code == 0, shown.err
    for what in ("Prompts were", "Accepted answers were", "Which answers were cut was"):
        assert f"{what} not kept" in shown.out


def test_likelihoods_are_no_answers_that_could_be_damaged(tmp_path: Path, program: Program) -> None:
    folder = measure(tmp_path / "study", metric="choice_likelihood")
    shown = program("answers", folder, "--removal", "4,1")
    assert "asked for likelihoods" in shown.out
    assert "repetitive" not in shown.out


def test_answers_are_shown_in_chinese(study: Path, program: Program) -> None:
    shown = program("answers", study, "--removal", "4,1", "--lang", "zh").out
    assert "移除 1, 4（0.00）：no no no no" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--removal", "4"), "was not measured on okvqa"),
        (("--removal", "4,1", "--task", "mmmu"), "choose from okvqa"),
        (("--removal", "4,1", "-n", "-1"), "the number of samples must be"),
        (("--removal", "99"), "99"),
        (("--removal", "4,1", "--split", "test"), "test"),
    ],
)
def test_what_cannot_be_shown_is_said(
    study: Path, program: Program, arguments: tuple[str, ...], said: str
) -> None:
    shown = program("answers", study, *arguments)
    assert (shown.code, said in shown.err) == (2, True), shown.err


def test_of_several_datasets_one_must_be_named(tmp_path: Path, program: Program) -> None:
    measure(tmp_path / "study")
    measure(tmp_path / "study", task="text_vqa")
    shown = program("answers", tmp_path / "study", "--removal", "4,1")
    assert shown.code == 2
    assert "okvqa, text_vqa" in shown.err


def test_a_task_is_shown_as_it_is_sent(program: Program) -> None:
    line = ("tasks", "--show", "demo-okvqa", "--model", "demo", "-n", "2")
    shown = program(*line)
    assert shown.code == 0, shown.err
    assert "Picture 1: 48x48 pixels, sent as 48x48" in shown.out
    assert "<s><|user|><image>what is the capital" in shown.out
    assert "Tokens: " in shown.out
    assert "tokens at most: 8" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    (value,) = json.loads(program(*line, "--json").out)["tasks"]
    assert [len(one["tokens"]) for one in value["samples"]] == [1, 1]


def test_lines_of_a_prompt_are_numbered(tmp_path: Path, program: Program) -> None:
    (tmp_path / "mine.jsonl").write_text('{"question": "a\\u001b[2J ?", "answer": "b"}\n')
    (tmp_path / "tasks.yaml").write_text(
        'mine: {task_type: Exact Match, path: mine.jsonl, prompt: "{question}\\nSay it."}\n'
    )
    shown = program(
        "tasks", "--show", "mine", "--task-file", tmp_path / "tasks.yaml", "--split", "validation"
    )
    assert shown.code == 0, shown.err
    assert r"1  a\x1b[2J ?" in shown.out
    assert "2  Say it." in shown.out
    assert "--model shows the text" in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--show", "nothing"), "there is no task"),
        (("--show", "demo_okvqa", "-n", "0"), "the number of samples must be"),
        (("--show", "demo_okvqa", "--model", "demo", "--max-pixels", "9"), "--max-pixels"),
        (("--show", "demo_okvqa", "--max-pixels", "0"), "--max-pixels"),
    ],
)
def test_what_cannot_be_sent_is_said(
    program: Program, arguments: tuple[str, ...], said: str
) -> None:
    shown = program("tasks", *arguments)
    assert (shown.code, said in shown.err) == (2, True), shown.err
