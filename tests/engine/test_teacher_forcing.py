"""Specification of the rows that tell a model the right answer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from depthprune.base.errors import TaskError
from depthprune.engine.inputs import encode
from depthprune.engine.likelihood import score
from depthprune.engine.teacher_forcing import (
    num_reference_tokens,
    reference_loss,
    rows_with_reference,
)
from depthprune.tasks.task import Request, Sample, TaskSplit
from depthprune.testing import tiny_models as tiny


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


def responding(*asked: Request, references: tuple[str, ...] = ("",)) -> TaskSplit:
    sample = Sample("validation/7", "", references=references, requests=asked)
    return tiny.split_of([sample], answer="respond")


def options(*texts: str) -> list[Request]:
    return [Request("loglikelihood", "a cat ?", f" {text}") for text in texts]


def test_of_requests_that_compete_the_right_one_is_told() -> None:
    split = responding(*options("red", "blue dog"), references=("1", "0"))
    (row,) = rows(split)
    assert told(split) == ["blue dog"]
    assert row.text == "a cat ? blue dog"
    assert tiny.word_tokenizer().decode(row.tokens) == "<s> a cat ? blue dog"


def test_the_only_request_for_a_likelihood_is_its_own_reference() -> None:
    assert told(responding(*options("blue dog"), references=("3",))) == ["blue dog"]


def test_what_is_generated_on_request_is_told_after_a_blank() -> None:
    asked = Request("generate", "a cat ?", until=("dog",), max_new_tokens=4)
    assert rows(responding(asked, references=("two fish",)))[0].text == "a cat ? two fish"
    spaced = Request("generate", "a cat ? ", max_new_tokens=4)
    assert rows(responding(spaced, references=("two fish",)))[0].text == "a cat ? two fish"


def test_a_whole_text_is_told_after_the_start_and_cut_at_its_end() -> None:
    split = responding(Request("rolling", "", "a red cat ?"))
    (row,) = rows(split, tiny.word_tokenizer(start=False), limit=3)
    assert tiny.word_tokenizer().decode(row.tokens) == "<s> a red"
    assert row.continuations == (row.tokens[1:],)


def test_a_long_context_of_a_request_loses_its_beginning() -> None:
    (row,) = rows(responding(*options("red dog")), limit=4)
    assert tiny.word_tokenizer().decode(row.tokens) == "cat ? red dog"
    assert row.continuations == (row.tokens[-2:],)


@pytest.mark.parametrize("reference", ["", "2", "-1", "red"])
def test_requests_of_which_none_is_known_to_be_right_are_refused(reference: str) -> None:
    with pytest.raises(TaskError, match=r"no reference answer[\s\S]*validation/7"):
        rows(responding(*options("red", "blue"), references=(reference,)))


def test_an_answer_as_long_as_the_model_reads_is_refused() -> None:
    with pytest.raises(TaskError, match=r"cannot be told an answer of 2[\s\S]*validation/7"):
        rows(responding(*options("red dog")), limit=2)


def test_the_loss_is_that_of_the_references_alone_whatever_the_padding() -> None:
    model, tokenizer = tiny.llama(), tiny.word_tokenizer()
    batch = rows(tiny.split_of(tiny.text_samples()))
    inputs = encode(tokenizer, batch, "right", torch.float32)
    with torch.no_grad():
        expected = sum(found.nll for (found,) in score(model, inputs, batch))
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
