"""Drafts: guesses that are checked token by token."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from depthprune.engine.inputs import Row
from depthprune.engine.shared.generation import KnownAnswers, accept
from depthprune.tasks.task import Sample

END = 0
LONGEST = 5
tokens = st.lists(st.integers(0, 3), max_size=LONGEST)


def ended(answer: Sequence[int]) -> bool:
    return answer[-1] == END or len(answer) == LONGEST


def row(sample: str) -> Row:
    return Row(0, Sample(sample, "", references=()), "", ())


def greedy(answer: list[int], begun: int, draft: list[int]) -> list[int]:
    """Return what a model that gives `answer` predicts after its first tokens and a draft.

    After a wrong token it predicts something else: a number that is no token of the answer.
    """
    predicted = []
    right = True
    for place in range(len(draft) + 1):
        if place:
            right = right and begun + place - 1 < len(answer)
            right = right and draft[place - 1] == answer[begun + place - 1]
        here = begun + place
        predicted.append(answer[here] if right and here < len(answer) else 9)
    return predicted


def written(answer: list[int]) -> list[int]:
    """Return an answer as greedy decoding would end it."""
    if END in answer:
        return answer[: answer.index(END) + 1]
    return [*answer, *[2] * LONGEST][:LONGEST]


@given(tokens, st.lists(tokens, min_size=1, max_size=12))
def test_no_drafts_change_an_answer(answer: list[int], drafts: list[list[int]]) -> None:
    answer = written(answer)
    found: list[int] = []
    finished = False
    for draft in [*drafts, *[[]] * LONGEST]:
        if finished:
            break
        found, finished = accept(found, draft, greedy(answer, len(found), draft), ended)
        assert found == answer[: len(found)]
    assert finished
    assert found == answer


@given(tokens)
def test_a_right_draft_is_accepted_at_once(answer: list[int]) -> None:
    answer = written(answer)
    draft = answer[:-1]
    assert accept((), draft, greedy(answer, 0, draft), ended) == (answer, True)


def test_without_a_draft_one_token_is_certain() -> None:
    assert accept((), (), [3, 7], ended) == ([3], False)


def test_an_answer_ends_with_an_end_token_whatever_the_draft_says() -> None:
    assert accept((), (3, 0, 3), [3, 0, 3, 3], ended) == ([3, 0], True)


def test_an_answer_ends_at_its_longest() -> None:
    assert accept((1, 1, 1, 1), (1, 1), [1, 1, 1], ended) == ([1] * 5, True)


def test_the_most_frequent_answer_is_the_draft_without_its_last_token() -> None:
    known = KnownAnswers()
    for answer in ([1, 2, 0], [1, 3, 0], [1, 3, 0]):
        known.add(row("a"), answer)
    assert known.draft(row("a")) == (1, 3)
    assert known.draft(row("b")) == ()


def test_only_an_answer_that_begins_alike_can_go_on() -> None:
    known = KnownAnswers()
    known.add(row("a"), [1, 2, 3, 0])
    known.add(row("a"), [2, 2, 0])
    assert known.draft(row("a"), [1]) == (2, 3)
    assert known.draft(row("a"), [1, 2]) == (3,)
    assert known.draft(row("a"), [3]) == ()
    assert known.draft(row("a"), [1, 2, 3, 0]) == ()
