"""The whole model's answers are a basis for drops, or the reason why they are none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest

from depthprune.tasks.task import Request, Sample, Task, TaskSplit
from depthprune.tasks.weak import (
    Baseline,
    Weakness,
    baseline_of,
    chance_of,
    find_weakness,
    wilson,
)
from tests.tasks.samples import ListedSource


def texts(
    answers: Sequence[str], scores: Sequence[float], metric: str = "vqa_accuracy"
) -> Baseline:
    return Baseline(
        metric,
        float(np.mean(scores)),
        len(scores),
        np.array(scores, dtype=np.float32),
        tuple(answers),
        mode="generate",
    )


def options(right: int, n: int, chance: float | None = 0.25) -> Baseline:
    scores = [1.0] * right + [0.0] * (n - right)
    answers = [("A", "B", "C", "D")[place % 4] for place in range(n)]
    return replace(texts(answers, scores, "choice_likelihood"), mode="choose", chance=chance)


def reason(baseline: Baseline) -> str | None:
    found = find_weakness(baseline)
    return None if found is None else found.reason


class TestTexts:
    @pytest.mark.parametrize("empty", ["", "  ", "\n", "\x1b\x00", "\u200b"])
    def test_more_than_half_empty_is_weak(self, empty: str) -> None:
        answers = [empty] * 21 + [str(n) for n in range(19)]
        assert reason(texts(answers, [0.0] * 21 + [1.0] * 19)) == "empty"

    def test_half_empty_is_not(self) -> None:
        answers = [""] * 20 + [str(n) for n in range(20)]
        assert reason(texts(answers, [0.0] * 20 + [1.0] * 20)) is None

    def test_an_empty_answer_that_is_right_is_none_of_them(self) -> None:
        answers = [""] * 30 + [str(n) for n in range(10)]
        assert reason(texts(answers, [1.0] * 10 + [0.0] * 30)) is None
        assert reason(texts(answers, [1.0] * 9 + [0.0] * 31)) == "empty"

    def test_answers_that_were_not_kept_beside_the_scores_say_nothing(self) -> None:
        assert reason(texts([""] * 40, [1.0] * 5 + [0.0] * 35)) is None

    def test_one_answer_nearly_always_is_weak_where_it_is_mostly_wrong(self) -> None:
        answers = ["yes"] * 18 + ["Yes "] * 19 + ["no", "two", "red"]
        assert reason(texts(answers, [1.0] * 20 + [0.0] * 20)) == "one answer"

    def test_one_answer_is_no_weakness_where_it_is_the_right_one(self) -> None:
        # A data set on which "yes" is right 7 times of 10.
        assert reason(texts(["yes"] * 40, [1.0] * 28 + [0.0] * 12)) is None
        assert reason(texts(["yes"] * 40, [1.0] * 27 + [0.0] * 13)) == "one answer"

    def test_90_percent_is_not_more_than_90_percent(self) -> None:
        answers = ["yes"] * 36 + ["no", "two", "red", "blue"]
        assert reason(texts(answers, [0.0] * 36 + [1.0] * 4)) is None

    def test_a_score_of_0_is_weak_whatever_the_answers(self) -> None:
        assert reason(texts([str(n) for n in range(20)], [0.0] * 20)) == "zero"

    def test_few_samples_are_not_certain(self) -> None:
        few = find_weakness(texts([str(n) for n in range(19)], [0.0] * 19))
        many = find_weakness(texts([str(n) for n in range(20)], [0.0] * 20))
        assert few is not None and not few.is_certain
        assert many is not None and many.is_certain

    def test_answers_with_escapes_are_told_without(self) -> None:
        found = find_weakness(texts(["\x1b[2Jx" + "y" * 100] * 30, [0.1] * 30))
        assert found is not None
        assert "\x1b" not in str(found)
        assert len(str(found)) < 200

    def test_a_partly_right_answer_counts_by_its_score(self) -> None:
        assert reason(texts(["a"] * 30, [0.9] * 30)) is None
        assert reason(texts(["a"] * 30, [0.3] * 30)) == "one answer"


class TestOptions:
    def test_below_chance_is_weak(self) -> None:
        assert reason(options(2, 40)) == "below chance"

    def test_at_chance_is_weak_with_50_samples(self) -> None:
        assert reason(options(13, 50)) == "at chance"
        assert reason(options(12, 49)) is None

    def test_above_chance_is_not(self) -> None:
        low, _ = wilson(0.4, 100)
        assert low > 0.25
        assert reason(options(40, 100)) is None

    def test_few_below_chance_are_not_certain(self) -> None:
        found = find_weakness(options(0, 19, chance=0.5))
        assert found is not None and found.reason == "below chance" and not found.is_certain

    def test_always_the_same_option_is_judged_by_chance_alone(self) -> None:
        one = replace(options(24, 30), answers=("A",) * 30)
        assert reason(one) is None

    def test_0_of_many_options_is_no_weakness_but_of_written_ones_it_is(self) -> None:
        assert reason(options(0, 30, chance=0.04)) is None
        written = replace(options(0, 30, chance=0.04), mode="generate", metric="choice_letter")
        assert reason(written) == "zero"

    def test_unknown_chance_judges_nothing_but_0(self) -> None:
        assert reason(options(20, 100, chance=None)) is None
        assert reason(options(0, 100, chance=None)) == "zero"

    def test_written_letters_are_texts_too(self) -> None:
        scores = [1.0] * 14 + [0.0] * 26
        written = replace(texts(["B"] * 40, scores, "choice_letter"), chance=0.25)
        assert reason(written) == "one answer"
        mixed = replace(texts(["A", "B"] * 20, [1.0] * 2 + [0.0] * 38), chance=0.25)
        assert reason(mixed) == "below chance"

    def test_wilson_is_that_of_scipy(self) -> None:
        from scipy.stats import binomtest

        for right, n in ((0, 20), (3, 20), (50, 50), (13, 50), (250, 1000)):
            exact = binomtest(right, n).proportion_ci(0.95, method="wilson")
            assert wilson(right / n, n) == pytest.approx((exact.low, exact.high), abs=1e-6)


def reading(nll: float) -> str:
    return json.dumps({"nll": nll, "tokens": 10, "correct": 3})


class TestLikelihoods:
    def test_only_0_or_not_finite_is_weak(self) -> None:
        low = texts([reading(50.0)] * 60, [0.01] * 60, "perplexity")
        assert reason(replace(low, mode="read")) is None
        zero = texts([reading(9000.0)] * 60, [0.0] * 60, "perplexity")
        assert reason(replace(zero, mode="read")) == "zero"
        some = texts([reading(50.0)] * 59 + [reading(inf)], [0.01] * 60, "perplexity")
        assert reason(replace(some, mode="read")) == "not finite"

    def test_captions_are_judged_by_their_score_alone(self) -> None:
        name = "cider_d (nltk Treebank tokens)"
        assert reason(texts(["a cat"] * 60, [0.05] * 60, name)) is None
        assert reason(texts([""] * 59 + ["a cat"], [0.0] * 59 + [0.7], name)) is None
        assert reason(texts(["a cat"] * 60, [0.0] * 60, name)) == "zero"

    def test_scores_beyond_0_to_1_are_judged_by_their_score_alone(self) -> None:
        assert reason(texts(["x"] * 60, [-3.0] * 60, "ter (lm-eval)")) is None
        assert reason(texts(["x"] * 60, [12.0] * 60, "bleu (lm-eval)")) is None

    def test_a_score_that_is_not_finite_is_weak(self) -> None:
        assert reason(texts(["x"] * 60, [nan] * 60, "mine")) == "not finite"


class TestTasksOfTheHarness:
    def respond(self, answers: Sequence[object], scores: Sequence[float]) -> Baseline:
        given = [json.dumps(answer) for answer in answers]
        return replace(texts(given, scores, "acc (lm-eval)"), mode="respond")

    def test_options_are_counted_in_the_answers(self) -> None:
        answers = [[[-1.0, False]] * 4] * 60
        assert reason(self.respond(answers, [1.0] * 15 + [0.0] * 45)) == "at chance"
        assert reason(self.respond(answers, [1.0] * 40 + [0.0] * 20)) is None
        pairs = [[[-1.0, False]] * 2] * 60
        assert reason(self.respond(pairs, [1.0] * 40 + [0.0] * 20)) is None
        assert reason(self.respond(pairs, [1.0] * 33 + [0.0] * 27)) == "at chance"

    def test_a_share_of_probability_is_no_choice(self) -> None:
        assert reason(self.respond([[[-1.0, False]] * 4] * 60, [0.24] * 60)) is None

    def test_one_continuation_is_a_likelihood(self) -> None:
        assert reason(self.respond([[[-9.0, False]]] * 60, [0.0] * 59 + [1.0])) is None
        assert reason(self.respond([[[-9.0, False]]] * 60, [0.0] * 60)) == "zero"
        assert reason(self.respond([[[None, False]]] * 60, [0.1] * 60)) == "not finite"
        assert reason(self.respond([[None]] * 60, [0.1] * 60)) == "not finite"

    def test_written_answers_are_texts(self) -> None:
        assert reason(self.respond([[""]] * 40 + [["4"]] * 20, [0.0] * 40 + [1.0] * 20)) == "empty"
        varied = [[str(n)] for n in range(60)]
        assert reason(self.respond(varied, [0.0] * 59 + [1.0])) is None

    def test_the_answers_tell_the_mode_where_it_is_not_known(self) -> None:
        """A study holds metric, scores and answers, and not how they were asked for."""
        for baseline in (
            self.respond([[[-1.0, False]] * 4] * 60, [1.0] * 15 + [0.0] * 45),
            self.respond([[""]] * 60, [0.0] * 60),
            replace(texts([reading(inf)] * 60, [0.1] * 60, "perplexity"), mode="read"),
            options(2, 40),
            texts(["yes"] * 60, [0.1] * 60),
        ):
            assert reason(replace(baseline, mode=None)) == reason(baseline) is not None


class TestWhatFilesLeaveOut:
    def test_an_accuracy_alone_is_weak_where_it_is_0(self) -> None:
        found = find_weakness(Baseline("", 0.0))
        assert found == Weakness("zero", 0, {"n": "?"})
        assert found.is_certain
        assert find_weakness(Baseline("", 0.4)) is None
        assert find_weakness(Baseline("", nan)) is None

    def test_scores_without_answers_tell_what_they_tell(self) -> None:
        assert reason(replace(texts(["x"] * 30, [0.0] * 30), answers=None)) == "zero"
        assert reason(replace(texts(["x"] * 30, [0.2] * 30), answers=None)) is None
        assert reason(replace(options(2, 40), answers=None)) == "below chance"


class Mean:
    def __init__(self, name: str) -> None:
        self.name = name

    def score(self, sample: Sample, answer: str) -> float:
        raise NotImplementedError

    def score_many(self, samples: Sequence[Sample], answers: Sequence[str]) -> list[float]:
        raise NotImplementedError


def split(samples: Sequence[Sample], metric: str, **settings: object) -> TaskSplit:
    task = Task("t", "Multiple Choice", ListedSource({}), **settings)  # type: ignore[arg-type]
    return TaskSplit(task, "validation", tuple(samples), Mean(metric), "f")


def choice(count: int) -> Sample:
    return Sample(str(count), "?", references=("A",), choices=tuple("abcdefgh"[:count]))


class TestChance:
    def test_it_is_the_mean_of_one_over_the_number_of_options(self) -> None:
        mixed = [choice(2), choice(4), choice(4)]
        assert chance_of(split(mixed, "choice_likelihood", answer="choose")) == pytest.approx(1 / 3)

    def test_an_open_question_cannot_be_guessed(self) -> None:
        mixed = [choice(2), choice(0)]
        assert chance_of(split(mixed, "choice_letter")) == pytest.approx(1 / 4)

    def test_options_that_are_shown_count_whatever_the_metric(self) -> None:
        assert chance_of(split([choice(4)], "exact_match", prompt="{question} {choices}")) == 0.25
        assert chance_of(split([choice(4)], "exact_match")) is None

    def test_texts_have_none(self) -> None:
        request = Request("loglikelihood", "a", "b")
        sample = Sample("0", "?", references=("x",), requests=(request,))
        assert chance_of(split([sample], "acc (lm-eval)", answer="respond")) is None

    def test_what_is_known_of_a_split_is_judged(self) -> None:
        one = split([choice(4)] * 60, "choice_likelihood", answer="choose")
        scores = np.array([1.0] * 15 + [0.0] * 45, dtype=np.float32)
        baseline = baseline_of(one, scores, ["A"] * 60)
        assert baseline.accuracy == 0.25
        assert reason(baseline) == "at chance"
