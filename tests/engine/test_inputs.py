"""From samples to tensors: prompts in a model's words, padding, errors that name samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from depthprune.base.errors import TaskError
from depthprune.engine import inputs
from depthprune.engine.inputs import Prompt, Row, prompt_of
from depthprune.tasks.task import Sample
from depthprune.testing import tiny_models as tiny

TASK = tiny.split_of([]).task
QUESTION = Sample("validation/0", "a cat ?")
PICTURE = tiny.PlainPicture((255, 0, 0), [])


def rows_of(processor: Any, samples: list[Sample]) -> list[Row]:
    rows = []
    for index, sample in enumerate(samples):
        prompt = prompt_of(processor, TASK, sample)
        tokens = inputs.tokenize(
            processor, prompt.text, add_special_tokens=prompt.add_special_tokens
        )
        rows.append(Row(index, sample, prompt.text, tokens, prompt.add_special_tokens))
    return rows


# Prompts


def test_a_model_without_chat_template_gets_the_plain_prompt() -> None:
    task = replace(TASK, prompt="what is {question}")
    assert prompt_of(tiny.word_tokenizer(), task, QUESTION) == Prompt(
        "what is a cat ?", add_special_tokens=True, is_chat=False
    )


def test_a_chat_model_gets_the_question_as_the_user_s_turn() -> None:
    prompt = prompt_of(tiny.word_tokenizer(chat=True), TASK, QUESTION)
    assert prompt == Prompt("<user> a cat ? <answer> ", add_special_tokens=False, is_chat=True)


def test_thinking_is_switched_off_where_a_template_offers_it() -> None:
    tokenizer = tiny.word_tokenizer()
    tokenizer.chat_template = "{% if enable_thinking is false %}<answer>{% else %}what{% endif %}"
    assert prompt_of(tokenizer, TASK, QUESTION).text == "<answer>"


def test_a_template_that_refuses_a_sample_is_an_error_that_names_it() -> None:
    tokenizer = tiny.word_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no questions') }}"
    with pytest.raises(TaskError, match="no questions") as error:
        prompt_of(tokenizer, TASK, QUESTION)
    assert "validation/0" in str(error.value.where)


def test_a_vision_language_model_gets_a_placeholder_per_picture() -> None:
    sample = replace(QUESTION, images=(PICTURE, PICTURE))
    prompt = prompt_of(tiny.demo_processor(), TASK, sample)
    assert prompt.text == "<s><|user|><image><image>a cat ?<|assistant|>"
    assert not prompt.add_special_tokens


def test_without_a_chat_template_the_placeholders_stand_in_front() -> None:
    processor = tiny.demo_processor()
    processor.chat_template = None
    prompt = prompt_of(processor, TASK, replace(QUESTION, images=(PICTURE, PICTURE)))
    assert prompt == Prompt("<image><image>a cat ?", add_special_tokens=True, is_chat=False)


def test_without_a_chat_template_too_pictures_stand_where_the_text_names_them() -> None:
    processor = tiny.demo_processor()
    processor.chat_template = None
    named = replace(QUESTION, question="is <image 1> or <image 2> ?", images=(PICTURE, PICTURE))
    assert prompt_of(processor, TASK, named).text == "is <image> or <image> ?"
    once = replace(named, images=(PICTURE,))
    assert prompt_of(processor, TASK, once).text == "<image>is <image 1> or <image 2> ?"


def test_a_template_that_leaves_the_start_token_out_gets_it_from_the_tokenizer() -> None:
    processor = tiny.demo_processor()
    processor.chat_template = "<|user|>{{ messages[0]['content'][0]['text'] }}"
    assert prompt_of(processor, TASK, QUESTION).add_special_tokens


# Tensors


def test_rows_are_padded_on_the_side_asked_for() -> None:
    left = inputs.pad([[5, 6, 7], [8]], "left", fill=9)
    assert left["input_ids"].tolist() == [[5, 6, 7], [9, 9, 8]]
    assert left["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    right = inputs.pad([[5, 6, 7], [8]], "right", fill=9)
    assert right["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert right["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert inputs.lengths(right) == [3, 1]


def test_a_tokenizer_without_padding_pads_with_its_end_token() -> None:
    tokenizer = tiny.word_tokenizer(pad=False)
    rows = rows_of(tokenizer, [QUESTION, replace(QUESTION, question="dog")])
    encoded = inputs.encode(tokenizer, rows, "left", torch.float32)
    assert encoded["input_ids"][1].tolist()[:2] == [tokenizer.eos_token_id] * 2
    assert tokenizer.pad_token is None


def test_pictures_come_as_the_processor_makes_them_in_the_model_s_number_type() -> None:
    processor = tiny.demo_processor()
    rows = rows_of(processor, tiny.picture_samples()[:3])
    encoded = inputs.encode(processor, rows, "left", torch.bfloat16)
    assert encoded["pixel_values"].shape == (3, 3, 48, 48)
    assert encoded["pixel_values"].dtype == torch.bfloat16
    assert encoded["input_ids"].dtype == torch.int64
    assert encoded["attention_mask"][1, 0] == 0
    assert inputs.lengths(encoded) == [len(row.tokens) - 1 + 36 for row in rows]
    assert inputs.num_bytes(encoded) > encoded["pixel_values"].nbytes


# What is refused


class DamagedFile:
    """A picture of a source that raises what the imaging library raises."""

    def open(self) -> Image.Image:
        raise OSError("image file is truncated")


def test_a_damaged_picture_of_any_source_names_the_sample() -> None:
    rows = rows_of(tiny.demo_processor(), [replace(QUESTION, images=(DamagedFile(),))])
    with pytest.raises(TaskError, match="truncated") as error:
        inputs.encode(tiny.demo_processor(), rows, "left", torch.float32)
    assert error.value.where == "sample validation/0"


def test_a_question_that_the_processor_refuses_is_found_in_its_batch() -> None:
    samples = tiny.picture_samples()[:4]
    samples[2] = replace(samples[2], question="what does <image> mean ?")
    processor = tiny.demo_processor()
    with pytest.raises(TaskError, match="refuses the sample") as error:
        inputs.encode(processor, rows_of(processor, samples), "left", torch.float32)
    assert error.value.where == "sample validation/2"


def test_a_batch_that_fails_only_as_a_whole_says_so() -> None:
    def processor(text: list[str], **_: Any) -> dict[str, Any]:
        if len(text) > 1:
            raise ValueError("pictures of different sizes")
        return {}

    samples = tiny.picture_samples()[:2]
    rows = rows_of(tiny.demo_processor(), samples)
    with pytest.raises(TaskError, match="different sizes") as error:
        inputs.encode(processor, rows, "left", torch.float32)
    assert error.value.where == "samples validation/0 to validation/1"


def test_a_sample_longer_than_the_model_s_positions_is_refused_not_cut() -> None:
    rows = [Row(0, QUESTION, "", (5,) * 6)]
    batch = inputs.pad([rows[0].tokens], "left", fill=0)
    inputs.check_lengths(batch, rows, limit=8, new_tokens=3)
    inputs.check_lengths(batch, rows, limit=None, new_tokens=300)
    with pytest.raises(TaskError, match="6 tokens and the answer up to 4") as error:
        inputs.check_lengths(batch, rows, limit=8, new_tokens=4)
    assert error.value.where == "sample validation/0"


def test_a_processor_that_adds_to_the_end_of_a_text_is_refused() -> None:
    rows = [Row(0, QUESTION, "", (5, 6, 7), continuations=((6, 7), (6, 8)))]
    inputs.check_continuations(inputs.pad([[5, 6, 7]], "right", fill=0), rows)
    with pytest.raises(TaskError, match="changes what follows the prompt"):
        inputs.check_continuations(inputs.pad([[5, 6, 7, 9]], "right", fill=0), rows)
