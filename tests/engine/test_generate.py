"""Generated answers: where they end, and what they are cleaned of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from depthprune.engine.generate import checkpoint_ends, decode, end_tokens
from depthprune.testing import tiny_models as tiny

RED, BLUE, CAT = (6 + tiny.WORDS.index(word) for word in ("red", "blue", "cat"))
START, END, PAD = 1, 2, 0


def model(ends: Any) -> Any:
    return SimpleNamespace(generation_config=SimpleNamespace(eos_token_id=ends))


@pytest.mark.parametrize(
    ("tokens", "answer"),
    [
        ([RED, CAT], "red cat"),
        ([RED, END, PAD, PAD], "red"),
        ([RED, END, CAT], "red"),
        ([END], ""),
        ([], ""),
        ([START, RED, PAD, CAT], "red cat"),
    ],
)
def test_an_answer_ends_before_its_end_token_and_holds_no_special_ones(
    tokens: list[int], answer: str
) -> None:
    assert decode(tiny.word_tokenizer(), tokens, [END]) == answer


def test_an_end_token_counts_also_when_it_is_a_word() -> None:
    assert decode(tiny.word_tokenizer(), [RED, BLUE, CAT], [END, BLUE]) == "red"


def test_every_token_that_anything_names_as_the_end_ends_an_answer() -> None:
    tokenizer = tiny.word_tokenizer()
    assert end_tokens(model([7, 8]), tokenizer) == (END, 7, 8)
    assert end_tokens(model(0), tokenizer) == (0, END)
    assert end_tokens(model(None), tokenizer) == (END,)
    tokenizer.eos_token = None
    assert end_tokens(model(None), tokenizer) == ()


def test_what_a_chat_template_writes_after_an_answer_ends_it() -> None:
    tokenizer = tiny.word_tokenizer(extra=["<end_of_turn>"])
    end = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert end_tokens(model(END), tokenizer) == (END,)
    tokenizer.chat_template = (
        "{% for turn in messages %}<user> {{ turn['content'] }} <end_of_turn> {% endfor %}"
    )
    assert end_tokens(model(END), tokenizer) == (END, end)
    tokenizer.chat_template = tiny.CHAT
    assert end_tokens(model(END), tokenizer) == (END,), "a word is no end"


def test_the_harness_ends_an_answer_as_it_does_itself() -> None:
    tokenizer = tiny.word_tokenizer(chat=True)
    assert checkpoint_ends(model([7, 8]), tokenizer) == (7, 8)
    assert checkpoint_ends(model(None), tokenizer) == (END,)
