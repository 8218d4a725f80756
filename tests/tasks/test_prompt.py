"""How a sample is put into words."""

from __future__ import annotations

import pytest

from depthprune.base.errors import TaskError
from depthprune.tasks.registry import get_task
from depthprune.tasks.task import Sample, messages, render_prompt
from tests.tasks.samples import make_task

QUESTION = Sample("v/0", "which color is it ?", references=("A",), choices=("red", "blue"))


class NoImage:
    """Stands for a picture that nobody opens."""

    def open(self) -> None:
        raise AssertionError


def test_the_question_alone() -> None:
    assert render_prompt(make_task(), QUESTION) == "which color is it ?"


def test_the_question_with_options() -> None:
    task = make_task(prompt="{question}\n{choices}\nAnswer with a letter.")
    expected = "which color is it ?\nA. red\nB. blue\nAnswer with a letter."
    assert render_prompt(task, QUESTION) == expected


def test_the_demo_s_prompts_are_those_its_model_was_trained_on() -> None:
    mcq = get_task("demo_science_qa_img")
    assert render_prompt(mcq, QUESTION) == "which color is it ? A) red B) blue"
    assert render_prompt(get_task("demo_okvqa"), QUESTION) == "which color is it ?"


def test_an_open_question_leaves_no_blank_end() -> None:
    task = make_task(prompt="{question} {choices}")
    assert render_prompt(task, Sample("v/0", "how many ?")) == "how many ?"


def test_braces_in_a_question_are_text() -> None:
    assert render_prompt(make_task(), Sample("v/0", "{choices} {0} ?")) == "{choices} {0} ?"


@pytest.mark.parametrize("template", ["{query}", "{", "{0}", "{question.id.x}"])
def test_a_template_that_cannot_be_filled_is_named(template: str) -> None:
    with pytest.raises(TaskError, match="cannot be filled") as error:
        render_prompt(make_task(prompt=template), QUESTION)
    assert "task my_task" in str(error.value)
    assert "{question} and {choices}" in str(error.value)


def test_more_options_than_letters() -> None:
    many = Sample("v/0", "which ?", choices=tuple(map(str, range(27))))
    with pytest.raises(TaskError, match="27 options"):
        render_prompt(make_task(), many)


def test_a_message_has_the_images_first() -> None:
    sample = Sample("v/0", "what ?", images=(NoImage(), NoImage()))  # type: ignore[arg-type]
    assert messages(make_task(), sample) == [
        {
            "role": "user",
            "content": [
                {"type": "image"},
                {"type": "image"},
                {"type": "text", "text": "what ?"},
            ],
        }
    ]
