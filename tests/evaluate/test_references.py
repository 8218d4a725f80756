"""Specification of the rows that tell a model the right answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from depthprune.base.errors import TaskError
from depthprune.evaluate.inputs import encode
from depthprune.evaluate.likelihood import foretell
from depthprune.evaluate.references import (
    num_reference_tokens,
    reference_loss,
    rows_with_reference,
)
from depthprune.tasks.task import Sample, TaskSplit
from tests.evaluate import tiny


def rows(split: TaskSplit, processor: Any = None, limit: int | None = None) -> list[Any]:
    processor = tiny.word_tokenizer() if processor is None else processor
    return rows_with_reference(processor, split.task, split.samples, limit)


def told(split: TaskSplit, processor: Any = None) -> list[str]:
    """Return what the model is told, in words, for every sample."""
    processor = tiny.word_tokenizer() if processor is None else processor
    return [processor.decode(row.continuations[0]) for row in rows(split, processor)]


def test_a_row_is_the_prompt_and_the_first_reference() -> None:
    sample = Sample("validation/0", "a cat ?", references=("two fish", "three"))
    (row,) = rows(tiny.split_of([sample]))
    assert row.text == "a cat ? two fish"
    assert tiny.word_tokenizer().decode(row.continuations[0]) == "two fish"
    assert row.tokens[-2:] == row.continuations[0]


def test_an_empty_reference_is_passed_over() -> None:
    sample = Sample("validation/0", "a cat ?", references=("", " ", "dog"))
    assert told(tiny.split_of([sample])) == ["dog"]


def test_after_a_chat_template_the_answer_follows_at_once() -> None:
    sample = Sample("validation/0", "a cat ?", references=("dog",))
    (row,) = rows(tiny.split_of([sample]), tiny.word_tokenizer(chat=True))
    assert row.text == "<user> a cat ? <answer> dog"


def test_the_right_option_is_told_as_text_or_as_letter() -> None:
    sample = Sample("validation/0", "a ?", choices=("red", "blue sky"), references=("B",))
    by_text = tiny.split_of([sample], answer="choose")
    by_letter = tiny.split_of([sample], answer="choose", prompt="{question} {choices}")
    assert told(by_text) == ["blue sky"]
    assert told(by_letter) == ["B"]


def test_a_generated_letter_is_told_as_it_would_be_written() -> None:
    sample = Sample("validation/0", "a ?", choices=("red", "blue"), references=("B",))
    assert told(tiny.split_of([sample], prompt="{question} {choices}")) == ["B"]


def test_a_text_is_read_as_it_stands_and_cut() -> None:
    split = tiny.split_of([Sample("validation/0", "", references=("a red cat",))], answer="read")
    assert [row.continuations[0] for row in rows(split)] == [rows(split)[0].tokens[1:]]
    (cut,) = rows(split, limit=3)
    assert len(cut.tokens) == 3


@pytest.mark.parametrize("answer", ["generate", "choose"])
def test_a_sample_without_an_answer_is_refused_by_name(answer: Any) -> None:
    sample = Sample("validation/7", "a ?", choices=("red", "blue"), references=("",))
    with pytest.raises(TaskError, match=r"no reference answer[\s\S]*validation/7"):
        rows(tiny.split_of([sample], answer=answer))


def test_a_letter_beyond_the_options_is_no_answer() -> None:
    sample = Sample("validation/7", "a ?", choices=("red", "blue"), references=("C",))
    with pytest.raises(TaskError, match="no reference answer"):
        rows(tiny.split_of([sample], answer="choose"))


def test_tasks_that_answer_in_another_way_are_refused() -> None:
    split = tiny.split_of(tiny.text_samples())
    task = replace(split.task, answer="respond")  # type: ignore[arg-type]
    with pytest.raises(TaskError, match=r"tiny_task has no reference answers[\s\S]*respond"):
        rows_with_reference(tiny.word_tokenizer(), task, split.samples, None)


def test_the_loss_is_that_of_the_references_alone_whatever_the_padding() -> None:
    model, tokenizer = tiny.llama(), tiny.word_tokenizer()
    batch = rows(tiny.split_of(tiny.text_samples()))
    inputs = encode(tokenizer, batch, "right", torch.float32)
    with torch.no_grad():
        expected = sum(found.nll for (found,) in foretell(model, inputs, batch))
    loss = reference_loss(model, inputs, batch)
    assert loss.requires_grad
    assert loss.item() == pytest.approx(expected, rel=1e-5)

    def alone(row: Any) -> float:
        # The loss of transformers is the mean over the tokens that have a label.
        tokens = torch.tensor([row.tokens])
        labels = tokens.clone()
        labels[:, : -len(row.continuations[0])] = -100
        return model(input_ids=tokens, labels=labels).loss.item() * len(row.continuations[0])

    assert loss.item() == pytest.approx(sum(map(alone, batch)), rel=1e-5)
    assert num_reference_tokens(batch) == len(batch)
