"""Specification of the loss over the options, which ranks removals where a task has options."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, log
from typing import Any

import pytest

from depthprune.engine.objective import DIGITS, LEAST, OptionLosses
from depthprune.tasks.task import ChosenOption, CutAnswer, Request, Sample, Scorer, TaskSplit
from depthprune.testing import tiny_models as tiny

HALF = 10**-DIGITS


class ByAnswer(Scorer):
    """Scores an answer by what it is; a letter that is not named scores 0."""

    name = "by answer"

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores = scores

    def score(self, sample: Sample, answer: str) -> float:
        if not sample.requests:
            return self.scores.get(answer, 0.0)
        likelihoods = [one for one, _ in json.loads(answer)]
        return self.scores.get("ABCD"[likelihoods.index(max(likelihoods))], 0.0)


def split_of(sample: Sample, scores: dict[str, float]) -> TaskSplit:
    made = tiny.split_of([sample])
    return replace(made, scorer=ByAnswer(scores))


def loss(sample: Sample, answer: str, scores: dict[str, float]) -> float | None:
    found = OptionLosses().of(split_of(sample, scores), [answer])
    return None if found is None else float(found[0])


FOUR = Sample("s", "?", choices=("a", "b", "c", "d"))


def test_it_is_the_log_loss_of_the_right_option_as_a_multiple_of_a_blind_guess() -> None:
    answer = ChosenOption("B", (1.0, 0.5, 2.0, 0.7))
    weights = [2.718281828459045**-one for one in answer.losses]
    expected = -log(weights[3] / sum(weights)) / log(4)
    assert loss(FOUR, answer, {"D": 1.0}) == pytest.approx(expected, abs=HALF)
    assert loss(FOUR, ChosenOption("A", (3.0,) * 4), {"D": 1.0}) == pytest.approx(1.0)


def test_several_right_options_and_half_right_ones_count_with_what_they_score() -> None:
    answer = ChosenOption("A", (0.0, 0.0, 0.0, 0.0))
    assert loss(FOUR, answer, {"A": 1.0, "B": 1.0}) == pytest.approx(0.5, abs=HALF)
    assert loss(FOUR, answer, {"C": 0.5}) == pytest.approx(1.5, abs=HALF)


@pytest.mark.parametrize("losses", [(inf,) * 4, (0.0, 0.0, 0.0, inf), (0.0, 0.0, 0.0, 5000.0)])
def test_a_model_that_breaks_down_has_a_large_finite_loss(losses: tuple[float, ...]) -> None:
    assert loss(FOUR, ChosenOption("A", losses), {"D": 1.0}) == pytest.approx(
        -log(LEAST) / log(4), 1e-4
    )


def test_a_single_option_is_never_wrong() -> None:
    assert loss(Sample("s", "?", choices=("a",)), ChosenOption("A", (2.0,)), {"A": 1.0}) == 0.0


@pytest.mark.parametrize("answer", ["A", CutAnswer("a b"), ChosenOption("A")])
def test_answers_without_losses_have_none(answer: str) -> None:
    assert loss(FOUR, answer, {"A": 1.0}) is None


def asked(*requests: tuple[str, str]) -> Sample:
    found = tuple(Request("loglikelihood", *one) for one in requests)
    return Sample("s", "", requests=found)


def test_requests_whose_continuations_or_contexts_compete_are_options() -> None:
    answer = json.dumps([[-4.0, False], [-2.0, True]])
    weights = 2.718281828459045**-2.0, 2.718281828459045**-0.5
    expected = -log(weights[1] / sum(weights)) / log(2)
    continued = asked(("it is", " a"), ("it is", " odd"))
    assert loss(continued, answer, {"B": 1.0}) == pytest.approx(expected, abs=HALF)
    filled = asked(("he said", " so"), ("she said", " so"))
    assert loss(filled, answer, {"B": 1.0}) is not None


@pytest.mark.parametrize(
    "sample",
    [
        asked(("it", " is")),
        # Every option once more without the question: the two kinds do not compete.
        asked(("q", " a"), ("q", " b"), ("", " a"), ("", " b")),
        replace(FOUR, requests=(Request("generate", "q", max_new_tokens=3),) * 2),
    ],
)
def test_other_requests_have_no_loss(sample: Sample) -> None:
    answer = json.dumps([[-1.0, False]] * len(sample.requests))
    assert loss(sample, answer, {"A": 1.0}) is None


def test_what_options_score_is_asked_once_for_each_split() -> None:
    calls: list[Any] = []

    class Counted(ByAnswer):
        def score_many(self, samples: Any, answers: Any) -> list[float]:
            calls.append(list(answers))
            return super().score_many(samples, answers)

    split = replace(tiny.split_of([FOUR]), scorer=Counted({"A": 1.0}))
    losses = OptionLosses()
    for _ in range(3):
        losses.of(split, [ChosenOption("A", (0.0, 1.0, 1.0, 1.0))])
    assert calls == [["A", "B", "C", "D"]]
