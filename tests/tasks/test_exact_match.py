"""When two answers are the same; cases/exact_match*.json hold pairs with their score."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import depthprune
from depthprune.tasks.metrics.words import compared

CASES = Path(__file__).parent / "cases"
METRIC = depthprune.metric("exact_match")


def cases() -> Iterator[tuple[str, str, int]]:
    for name in ("exact_match.json", "exact_match_more.json"):
        yield from json.loads((CASES / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("answer", "reference", "score"), [*cases()])
def test_pairs(answer: str, reference: str, score: int) -> None:
    assert METRIC.score(answer, reference) == METRIC.score(reference, answer) == score


@given(st.integers(-(10**30), 10**30))
def test_a_whole_number_equals_itself_however_it_is_written(number: int) -> None:
    assert compared(f"{number:,}") == compared(f"{number}.00") == compared(f" {number}. ")
    assert compared(str(number)) != compared(str(number + 1))


@given(st.integers(1, 10**6))
def test_the_sign_counts(number: int) -> None:
    assert METRIC.score(str(-number), str(number)) == 0


@given(st.text(max_size=30))
def test_an_answer_equals_itself_unless_it_is_blank(text: str) -> None:
    assert METRIC.score(text, text) == float(bool(compared(text)))
    assert not text.strip().isascii() or bool(text.strip()) == bool(compared(text))


def test_a_blank_answer_matches_nothing_literally_too() -> None:
    assert depthprune.metric("exact_match", normalised=False).score(" ", "") == 0.0
