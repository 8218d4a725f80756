"""Which answers count as damaged, and how the shares are taken."""

from __future__ import annotations

import random
from time import perf_counter

import pytest

from depthprune.tasks.damage import Damage, damage, is_empty, is_repetitive, kinds_of, scripts


@pytest.mark.parametrize("text", ["", "  \n\t", "\u200b", "\x00\x1b", "\u2060\ufeff"])
def test_what_shows_nothing_is_empty(text: str) -> None:
    assert is_empty(text)


@pytest.mark.parametrize("text", [".", "0", "é", "一"])
def test_what_shows_anything_is_not(text: str) -> None:
    assert not is_empty(text)


@pytest.mark.parametrize(
    "text",
    [
        "no no no",
        "dog dog dog dog",
        "it is it is it is",
        "a red a red a red ball is here",
        "one two three four " * 3,
        "Dog, dog. DOG!",
        "dogdogdogdogdogdogdog",
        "wwwwdogdogdogdogdogdogdogdog",
        "1111111111111111111",
        "的的的的",
        "很好很好很好",
        "!!!!!!!!",
        "ха ха ха ха",
    ],
)
def test_what_says_the_same_for_half_of_it_is_repetitive(text: str) -> None:
    assert is_repetitive(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dog",
        "New York, New York",
        "1000000",
        "a, b, c, d, e",
        "555-555-5555",
        "the cat and the dog and the bird",
        "up and down and up and down",
        "一只猫坐在草地上",
        "a man riding a wave on top of a surfboard",
        "https://www.example.com/one/two/three/four",
        "हिन्दी में लिखा हुआ उत्तर",
        "five plus five is ten",
    ],
)
def test_what_people_write_is_not(text: str) -> None:
    assert not is_repetitive(text)


def test_half_is_the_limit() -> None:
    assert is_repetitive("no no no a b c")
    assert not is_repetitive("no no no a b c d")


def test_a_long_n_gram_is_not_looked_for() -> None:
    assert is_repetitive("one two three four five six seven eight " * 3)
    assert not is_repetitive("one two three four five six seven eight nine " * 3)


def test_a_long_answer_takes_no_time() -> None:
    text = " ".join(random.Random(0).choices("abcdefgh", k=5000)) + "x" * 50_000
    started = perf_counter()
    is_repetitive(text)
    assert perf_counter() - started < 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog", ("LATIN",)),
        ("ｄｏｇ", ("LATIN",)),
        ("собака dog", ("CYRILLIC", "LATIN")),
        ("犬はイヌ", ("CJK",)),
        ("개", ("HANGUL",)),
        ("12 %", ()),
    ],
)
def test_the_script_with_most_letters_is_the_first(text: str, expected: tuple[str, ...]) -> None:
    assert scripts(text) == expected


def test_each_answer_is_held_against_the_whole_models() -> None:
    whole = ["dog", "dog", "собака", "3", "Tokyo 東京"]
    found = kinds_of(["собака", "dog", "пёс", "три", "東京"], whole)
    # A number has no script: then any that the whole model usually writes in will do.
    assert found == [("script",), (), (), (), ()]
    assert kinds_of(["tre", "三"], ["3", "3"]) == [("script",), ("script",)]


def test_one_answer_may_be_damaged_in_several_ways() -> None:
    assert kinds_of(["нет нет нет"], ["no"], cut=[0]) == [("repetitive", "cut", "script")]


def test_shares_are_of_all_answers() -> None:
    found = damage(["", "no no no", "dog", "cat"], ["dog", "dog", "dog", "cat"], cut=[1])
    assert found == Damage(4, empty=0.25, repetitive=0.25, cut=0.25, script=0, any=0.5)


def test_what_was_not_recorded_is_not_zero() -> None:
    assert damage(["dog"], ["dog"]).cut is None
    assert damage(["dog"], ["dog"], cut=[]).cut == 0
