"""Which option a reader sees in an answer; cases/choice_letter*.json hold answers of every kind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from string import ascii_uppercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

import depthprune
from depthprune.tasks.metrics.choice import parse_choice

CASES = Path(__file__).parent / "cases"


def cases(name: str) -> Iterator[tuple[str, str | None, list[str]]]:
    """Return answers with the letter that is seen in them (None: none, or several), and options."""
    document = json.loads((CASES / name).read_text(encoding="utf-8"))
    for answer, letter, *options in document["cases"]:
        yield answer, letter, options[0] if options else document["options"]


@pytest.mark.parametrize(("answer", "letter", "options"), [*cases("choice_letter.json")])
def test_answers_that_were_misread_once(
    answer: str, letter: str | None, options: list[str]
) -> None:
    assert parse_choice(answer, options) == letter


def test_answers_of_every_kind() -> None:
    misread = [
        (answer, letter, parse_choice(answer, options))
        for answer, letter, options in cases("choice_letter_more.json")
        if parse_choice(answer, options) != letter
    ]
    assert misread == []


ANIMALS = ("a cat", "a dog", "a hot dog", "a fish")
PHRASES = (
    "{letter}", "({letter})", "{letter}. {text}", "The answer is {letter}.", "**{letter}**",
    "\\boxed{{{letter}}}", "{text}", "It is {text}.", "答案是{letter}",
    "Maybe A or B.\nAnswer: {letter}",
)  # fmt: skip


@given(st.text(max_size=60), st.permutations(ANIMALS))
def test_which_option_is_right_never_changes_what_is_read(answer: str, options: list[str]) -> None:
    metric = depthprune.metric("choice_letter")
    scores = [metric.score(answer, letter, choices=options) for letter in "ABCD"]
    read = parse_choice(answer, options)
    assert scores == [float(letter == read) for letter in "ABCD"]


@given(st.sampled_from(PHRASES), st.permutations(ANIMALS), st.integers(0, 3))
def test_an_answer_means_the_same_in_every_order_of_the_options(
    phrase: str, options: list[str], place: int
) -> None:
    letter = ascii_uppercase[place]
    assert parse_choice(phrase.format(letter=letter, text=options[place]), options) == letter


@given(
    st.lists(st.sampled_from([*"ABCDabI.,:()*\n?\"'", "\\boxed{", "}", "答案", "选", "不是",
        "the ", "answer ", "is ", "not ", " or ", " and ", "cat ", "dog ", "<answer>", "~~"]),
        max_size=25,
    )
)  # fmt: skip
def test_whatever_is_written_a_letter_or_nothing_is_read(pieces: list[str]) -> None:
    assert parse_choice("".join(pieces), ANIMALS) in (None, *"ABCD")


@pytest.mark.parametrize(
    "text",
    [
        "红是B正确 ",
        "x because B is correct ",
        "answer is ",
        "A, ",
        "'a' ",
        "答案是",
        "(",
        "\\boxed{",
        "the answer is the option ",
    ],
)
def test_a_long_answer_takes_no_long_time(text: str) -> None:
    started = time.process_time()
    parse_choice(text * (10_000 // len(text)), ANIMALS)
    assert time.process_time() - started < 2


def test_options_beyond_the_alphabet_have_no_letter() -> None:
    assert parse_choice("option 30", [f"option {number}" for number in range(40)]) is None
