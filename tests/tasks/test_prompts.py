"""Built-in tasks can be asked as lmms-eval asks them, where that is otherwise."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from depthprune.base.errors import DepthpruneError
from depthprune.tasks.builtin import asked_as
from depthprune.tasks.load import load_split
from depthprune.tasks.options import DataOptions
from depthprune.tasks.registry import list_tasks
from depthprune.tasks.task import TaskSplit, render_prompt

DOCS = Path(__file__).parents[2] / "docs" / "tasks.md"
END = "\nAnswer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."
SCIENCE = {"hint": "It rains.", "question": "What is wet?", "choices": ["a", "b"], "answer": 1}


def split_of(tmp_path: Path, task: str, row: dict[str, Any], prompts: Any) -> TaskSplit:
    """Return one sample of a built-in task, read from a local copy."""
    folder = tmp_path / task
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(folder / "one.png")
    (folder / "validation.jsonl").write_text(json.dumps({"image": "one.png", **row}) + "\n")
    (found,) = DataOptions(tasks=(task,), data_dir=tmp_path, prompts=prompts).find_tasks()
    return load_split(found, "validation")


@pytest.mark.parametrize(
    ("task", "row", "own", "theirs"),
    [
        (
            "okvqa",
            {"question": "what is it?", "answers": ["a"]},
            "what is it?" + END,
            "what is it?\nWhen the provided information is insufficient, respond with "
            "'Unanswerable'." + END,
        ),
        (
            "text_vqa",
            {"question": "what does NASA say?", "answers": ["a"]},
            "what does NASA say?" + END,
            "What does nasa say?" + END,
        ),
        (
            "science_qa_img",
            SCIENCE,
            f"It rains.\nWhat is wet?\nA. a\nB. b\n{LETTER}",
            f"Context: It rains.\nWhat is wet?\nA. a\nB. b\n{LETTER}",
        ),
        (
            "science_qa_img",
            SCIENCE | {"hint": ""},
            f"What is wet?\nA. a\nB. b\n{LETTER}",
            f"What is wet?\nA. a\nB. b\n{LETTER}",
        ),
        (
            "doc_qa",
            {"question": "what is it?", "answers": ["a"]},
            "what is it?" + END,
            "what is it?" + END,
        ),
    ],
)
def test_the_text_is_the_one_that_was_asked_for(
    tmp_path: Path, task: str, row: dict[str, Any], own: str, theirs: str
) -> None:
    for prompts, expected in (("own", own), ("lmms-eval", theirs)):
        split = split_of(tmp_path, task, row, prompts)
        assert render_prompt(split.task, split.samples[0]) == expected


def test_other_words_are_another_fingerprint(tmp_path: Path) -> None:
    row = {"question": "what does NASA say?", "answers": ["a"]}
    own, theirs = (split_of(tmp_path, "text_vqa", row, one) for one in ("own", "lmms-eval"))
    assert own.fingerprint != theirs.fingerprint


def test_a_local_copy_with_plain_columns_keeps_the_words(tmp_path: Path) -> None:
    row = {"hint": "It rains.", "question": "What is wet?", "options": ["a", "b"], "answer": "B"}
    split = split_of(tmp_path, "science_qa_img", row, "lmms-eval")
    assert split.samples[0].question == "Context: It rains.\nWhat is wet?"


def test_what_it_does_not_know_is_asked_as_defined_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    known = {one.name: one for one in list_tasks()}
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        found = asked_as([known["tally_qa"], known["demo_okvqa"], known["okvqa"]], "lmms-eval")
    assert found[:2] == [known["tally_qa"], known["demo_okvqa"]]
    assert "tally_qa, demo_okvqa: asked as defined" in caplog.text


def test_a_users_task_of_the_same_name_stays_as_it_is() -> None:
    known = {one.name: one for one in list_tasks()}
    own = replace(known["okvqa"], source=known["demo_okvqa"].source)
    assert asked_as([own], "lmms-eval") == [own]


def test_lengths_are_theirs_where_they_say_any() -> None:
    found = {one.name: one.max_new_tokens for one in asked_as(list_tasks(), "lmms-eval")}
    expected = {"science_qa_img": 16, "coco_caption": 64, "mmmu": 128, "okvqa": 16, "st_qa": 32}
    assert expected.items() <= found.items()


def test_the_table_has_a_row_for_every_built_in_task() -> None:
    text = DOCS.read_text(encoding="utf-8").split("### Beside lmms-eval")[1].split("\n#")[0]
    built_in = [one.name for one in list_tasks() if not one.name.startswith("demo_")]
    assert [name for name in built_in if f"\n| `{name}` |" not in text] == []
    known = yaml.safe_load(
        (Path(__file__).parents[2] / "src/depthprune/tasks/lmms_eval.yaml").read_text("utf-8")
    )
    assert set(known) == set(built_in) - {"tally_qa"}


def test_other_programs_are_refused() -> None:
    with pytest.raises(DepthpruneError, match="one of own, lmms-eval"):
        DataOptions(prompts="vlmeval")  # type: ignore[arg-type]
