"""Choosing and reading: which tokens are predicted, how options compare, what is refused."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from depthprune.base.errors import TaskError
from depthprune.engine import inputs, likelihood
from depthprune.engine.inputs import Row
from depthprune.engine.likelihood import Likelihood, choose, reading, score
from depthprune.tasks.task import Sample
from depthprune.testing import tiny_models as tiny

LETTERS = tiny.split_of([], answer="choose", prompt="{question} {choices} :").task
TEXTS = tiny.split_of([], answer="choose").task
READ = tiny.split_of([], answer="read").task
SAMPLE = Sample("validation/0", "a", choices=("red", "blue cat", "blue dog"), references=("A",))


def words(tokenizer: Any, tokens: tuple[int, ...]) -> str:
    return str(tokenizer.decode(tokens))


def found(*nll: float) -> list[tuple[Row, list[Likelihood]]]:
    return [
        (Row(0, SAMPLE, "", (), options=(option,)), [Likelihood(loss, 1, 0)])
        for option, loss in enumerate(nll)
    ]


# Rows


def test_letters_compete_where_the_prompt_shows_the_options() -> None:
    tokenizer = tiny.word_tokenizer()
    (row,) = likelihood.rows_to_choose(tokenizer, LETTERS, [SAMPLE])
    assert [words(tokenizer, tokens) for tokens in row.continuations] == ["A", "B", "C"]
    assert row.options == (0, 1, 2)
    assert words(tokenizer, row.tokens).endswith(": A")


def test_texts_compete_where_the_prompt_does_not_show_them() -> None:
    tokenizer = tiny.word_tokenizer()
    rows = likelihood.rows_to_choose(tokenizer, TEXTS, [SAMPLE])
    assert [[words(tokenizer, tokens) for tokens in row.continuations] for row in rows] == [
        ["red"],
        ["blue cat", "blue dog"],
    ]
    assert [row.options for row in rows] == [(0,), (1, 2)]
    assert [row.text for row in rows] == ["a red", "a blue cat"]


def test_the_answer_of_a_chat_model_follows_its_template_at_once() -> None:
    tokenizer = tiny.word_tokenizer(chat=True)
    (row,) = likelihood.rows_to_choose(tokenizer, LETTERS, [SAMPLE])
    assert row.text.endswith("<answer> A")


def test_options_that_merge_with_the_prompt_are_compared_from_where_they_leave_it() -> None:
    """A byte-pair tokenizer may read the prompt's end and an option as one token."""

    class Merging:
        bos_token = None

        def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
            merged = {"a": [1], "a x": [1, 3], "a y": [2, 4], "a yz": [2, 4, 5]}
            return {"input_ids": [9, *merged[text]]}

    sample = replace(SAMPLE, choices=("x", "y", "yz"))
    rows = likelihood.rows_to_choose(Merging(), TEXTS, [sample])
    assert [row.continuations for row in rows] == [((1, 3),), ((2, 4),), ((2, 4, 5),)]


@pytest.mark.parametrize("choices", [(), ("red", " "), ("red",) * 27], ids=["none", "empty", "27"])
def test_options_that_cannot_be_chosen_from_are_refused(choices: tuple[str, ...]) -> None:
    with pytest.raises(TaskError) as error:
        likelihood.rows_to_choose(tiny.word_tokenizer(), TEXTS, [replace(SAMPLE, choices=choices)])
    assert "validation/0" in str(error.value)


def test_an_option_that_adds_no_token_is_refused() -> None:
    class Deaf:
        bos_token = None

        def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": [1, 2]}

    with pytest.raises(TaskError, match="no token of its own"):
        likelihood.rows_to_choose(Deaf(), TEXTS, [SAMPLE])


def test_a_text_is_read_as_it_stands_from_its_second_token_on() -> None:
    tokenizer = tiny.word_tokenizer()
    sample = Sample("0", "what is the question ?", references=("the sky is blue",))
    (row,) = likelihood.rows_to_read(tokenizer, READ, [sample], limit=None)
    assert row.tokens[0] == tokenizer.bos_token_id
    assert words(tokenizer, row.continuations[0]) == "the sky is blue"


def test_a_long_text_is_cut_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    samples = [Sample(str(index), "", references=("sky " * 3 * index,)) for index in (1, 2, 3)]
    with caplog.at_level(logging.WARNING, logger="depthprune"):
        rows = likelihood.rows_to_read(tiny.word_tokenizer(), READ, samples, limit=6)
    assert [len(row.tokens) for row in rows] == [4, 6, 6]
    assert "2 of 3 texts are read up to token 6 only" in caplog.text


@pytest.mark.parametrize(
    "sample",
    [
        Sample("7", "", references=()),
        Sample("7", "", references=("one", "two")),
        Sample("7", "", references=("",)),
        Sample("7", "", images=(tiny.PlainPicture((0, 0, 0), []),), references=("red",)),
    ],
    ids=["no text", "two texts", "empty", "picture"],
)
def test_what_cannot_be_read_is_refused(sample: Sample) -> None:
    with pytest.raises(TaskError) as error:
        likelihood.rows_to_read(tiny.word_tokenizer(), READ, [sample], limit=None)
    assert "sample 7" in str(error.value)


# Likelihoods


def test_a_model_without_logits_to_keep_gives_the_same() -> None:
    tokenizer = tiny.word_tokenizer()
    samples = [*tiny.choice_samples()[:3], replace(SAMPLE, question="the sky is a red fish")]
    rows = likelihood.rows_to_choose(tokenizer, TEXTS, samples)
    batch = inputs.pad([row.tokens for row in rows], "right", fill=0)
    model = tiny.llama()

    class Everything:
        config = model.config

        def forward(self, input_ids: Any, attention_mask: Any, use_cache: bool) -> Any:
            return model(input_ids, attention_mask=attention_mask, use_cache=use_cache)

        __call__ = forward

    with torch.inference_mode():
        some, everything = score(model, batch, rows), score(Everything(), batch, rows)
    for row, other in zip(some, everything, strict=True):
        assert [one.nll for one in row] == pytest.approx([one.nll for one in other], rel=1e-5)


def test_texts_whose_logits_would_not_fit_are_read_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, tokenizer = tiny.llama(), tiny.word_tokenizer()
    rows = likelihood.rows_to_read(tokenizer, READ, tiny.read_samples(), limit=None)
    batch = inputs.pad([row.tokens for row in rows], "right", fill=0)
    with torch.inference_mode():
        at_once = score(model, batch, rows)
        monkeypatch.setattr(likelihood, "LOGITS_BYTES", 3 * batch["input_ids"].shape[1] * 29 * 4)
        passes: list[int] = []
        model.lm_head.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
        in_turns = score(model, batch, rows)
    assert passes == [3, 3, 2]
    for (one,), (other,) in zip(at_once, in_turns, strict=True):
        assert one.nll == pytest.approx(other.nll, rel=1e-5)


def test_a_model_that_overflows_predicts_nothing() -> None:
    class Overflowing:
        config = tiny.llama().config

        def forward(self, input_ids: Any, attention_mask: Any, use_cache: bool) -> Any:
            return SimpleNamespace(logits=torch.full((1, 3, 10), torch.nan))

        __call__ = forward

    rows = [Row(0, SAMPLE, "", (1, 2, 3), continuations=((2, 3),))]
    ((result,),) = score(Overflowing(), inputs.pad([(1, 2, 3)], "right", fill=0), rows)
    assert result.nll == math.inf


# Answers


def test_the_likeliest_letter_wins_and_of_equal_ones_the_first() -> None:
    assert choose(LETTERS, SAMPLE, found(2.0, 1.0, 3.0)) == "B"
    assert choose(LETTERS, SAMPLE, found(2.0, 1.0, 1.0)) == "B"
    assert choose(LETTERS, SAMPLE, found(math.inf, math.inf, math.inf)) == "A"


def test_texts_are_compared_per_byte() -> None:
    """`red` has 3 bytes and `blue cat` 8."""
    assert choose(TEXTS, SAMPLE, found(3.0, 7.9, 9.0)) == "B"
    assert choose(TEXTS, SAMPLE, found(3.0, 8.1, 9.0)) == "A"


def test_the_order_of_the_outcomes_does_not_matter() -> None:
    assert choose(LETTERS, SAMPLE, found(3.0, 2.0, 1.0)[::-1]) == "C"


def test_a_reading_is_told_as_json() -> None:
    assert json.loads(
        reading(SAMPLE, [(Row(0, SAMPLE, "", ()), [Likelihood(12.345678, 7, 3)])])
    ) == {
        "nll": 12.3457,
        "tokens": 7,
        "correct": 3,
    }
