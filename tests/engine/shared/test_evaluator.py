"""What the shared evaluator does around the answers: progress, the self-check, pace, fallbacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from depthprune.engine import ReferenceEvaluator, SharedEvaluator
from depthprune.engine.evaluator import in_calls
from depthprune.engine.shared import evaluator as module
from depthprune.engine.shared.agreement import alike
from depthprune.engine.shared.block_calls import NotShareable
from depthprune.engine.shared.split_run import TooManyRemovals
from depthprune.tasks.task import Request
from depthprune.testing import evaluators as conformance
from depthprune.testing import tiny_models as tiny
from depthprune.testing.evaluators import assert_same

REMOVALS = [(), (1,), (0, 2)]


@pytest.mark.parametrize("make", conformance.SUBJECTS, ids=conformance.name)
def test_progress_counts_every_sample_of_every_removal_once(make: Any) -> None:
    subject = make()
    done: list[int] = []
    evaluator = SharedEvaluator(subject.loaded, batch_size=3, on_batch=done.append)
    evaluator.evaluate(subject.split, REMOVALS, slice(0, 7))
    assert sum(done) == len(REMOVALS) * 7
    assert len(done) > 2


def test_progress_counts_once_what_is_left_to_the_reference_in_the_middle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = conformance.llama_writes()
    done: list[int] = []
    evaluator = SharedEvaluator(subject.loaded, batch_size=3, on_batch=done.append)
    whole = module.SplitRun.answers

    def unshareable(self: Any, removals: Any) -> Any:
        whole(self, removals[:2])
        raise NotShareable("a later batch is another")

    monkeypatch.setattr(module.SplitRun, "answers", unshareable)
    for call in (1, 2):
        evaluator.evaluate(subject.split, REMOVALS)
        assert sum(done) == call * len(REMOVALS) * len(subject.split.samples)


def test_progress_counts_once_what_is_run_again_with_fewer_removals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = conformance.llama_writes()
    done: list[int] = []
    evaluator = SharedEvaluator(subject.loaded, on_batch=done.append, self_check=False)
    whole = module.SplitRun._answers

    def too_many(self: Any, together: Any) -> Any:
        found = whole(self, together)
        if len(together) == 4:
            raise TooManyRemovals("no memory")
        return found

    monkeypatch.setattr(module.SplitRun, "_answers", too_many)
    evaluator.evaluate(subject.split, [*REMOVALS, (3,)])
    assert sum(done) == 4 * len(subject.split.samples)


def test_settings_are_those_of_the_reference() -> None:
    loaded = conformance.llama_writes().loaded
    for limit in (None, 64):
        ours = SharedEvaluator(loaded, read_tokens=limit)
        assert ours.settings == ReferenceEvaluator(loaded, read_tokens=limit).settings


# Self-check


@pytest.mark.parametrize("make", conformance.SUBJECTS, ids=conformance.name)
def test_answers_that_differ_from_the_reference_s_are_seen_and_not_given(
    make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subject = make()
    plain = ReferenceEvaluator(subject.loaded, batch_size=3).evaluate(subject.split, REMOVALS)
    done: list[int] = []
    evaluator = SharedEvaluator(subject.loaded, batch_size=3, on_batch=done.append)
    whole = module.SplitRun.answers

    def wrong(self: Any, removals: Any) -> Any:
        return {
            removal: ("nonsense", *answers[1:]) if removal else answers
            for removal, answers in whole(self, removals).items()
        }

    monkeypatch.setattr(module.SplitRun, "answers", wrong)
    assert_same(evaluator.evaluate(subject.split, REMOVALS), plain)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'nonsense' instead of" in caplog.text
    assert sum(done) == len(REMOVALS) * len(subject.split.samples)
    assert_same(evaluator.evaluate(subject.split, REMOVALS), plain)
    assert evaluator.statistics.fallbacks == 2 * len(REMOVALS)


def test_samples_in_reverse_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = conformance.llama_writes()
    backwards = slice(2, None, -1)
    plain = ReferenceEvaluator(subject.loaded).evaluate(subject.split, REMOVALS, backwards)

    def wrong(self: Any, removals: Any) -> Any:
        return dict.fromkeys(removals, ("nonsense",) * 3)

    monkeypatch.setattr(module.SplitRun, "answers", wrong)
    evaluator = SharedEvaluator(subject.loaded)
    assert_same(evaluator.evaluate(subject.split, REMOVALS, backwards), plain)


def test_an_interrupted_self_check_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = conformance.llama_writes()
    evaluator = SharedEvaluator(subject.loaded)
    with monkeypatch.context() as patch:
        patch.setattr(ReferenceEvaluator, "evaluate", _interrupted)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                evaluator.evaluate(subject.split, REMOVALS)
    evaluator.evaluate(subject.split, REMOVALS)
    assert evaluator.statistics.fallbacks == 0


def _interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_the_self_check_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = conformance.llama_writes()
    evaluator = SharedEvaluator(subject.loaded, self_check=False)

    def forbidden(*_: Any) -> None:
        raise AssertionError("compared")

    monkeypatch.setattr(ReferenceEvaluator, "evaluate", forbidden)
    evaluator.evaluate(subject.split, REMOVALS)


def test_each_way_of_answering_is_checked_whole_and_pruned_once() -> None:
    subject = conformance.llama_writes()
    texts = tiny.split_of(tiny.read_samples(), answer="read")
    evaluator = SharedEvaluator(subject.loaded)
    asked: list[int] = []
    whole = evaluator._reference.evaluate

    def noted(split: Any, removals: Any, samples: Any) -> Any:
        asked.append(len(removals))
        return whole(split, removals, samples)

    evaluator._reference.evaluate = noted  # type: ignore[method-assign]
    for split in (subject.split, texts, subject.split, texts):
        evaluator.evaluate(split, [()])
        evaluator.evaluate(split, [(1,), (2,)])
    assert asked == [1, 2, 1, 2]


def test_in_half_precision_a_few_answers_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = conformance.llama_writes()
    subject.loaded.model.to(torch.bfloat16)
    evaluator = SharedEvaluator(subject.loaded)
    whole = module.SplitRun.answers

    def nearly_right(self: Any, removals: Any) -> Any:
        return {
            removal: ("nonsense", *answers[1:])
            for removal, answers in whole(self, removals).items()
        }

    monkeypatch.setattr(module.SplitRun, "answers", nearly_right)
    evaluator.evaluate(subject.split, REMOVALS)
    assert evaluator.statistics.fallbacks == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("red", "red", True),
        ("red", "blue", False),
        ('{"nll": 1.00001, "tokens": 3}', '{"nll": 1.0, "tokens": 3}', True),
        ('{"nll": 1.1, "tokens": 3}', '{"nll": 1.0, "tokens": 3}', False),
        ('{"nll": 1.0, "tokens": 4}', '{"nll": 1.0, "tokens": 3}', False),
        ("[[-1.0, true], -2.5]", "[[-1.00001, true], -2.5]", True),
        ("[[-1.0, true], null]", "[[-1.0, false], null]", False),
        ("[1.0]", "[1.0, 2.0]", False),
    ],
)
def test_numbers_are_alike_but_for_their_last_digits(ours: str, theirs: str, same: bool) -> None:
    assert alike(ours, theirs) is same


# Pace


def test_few_removals_are_asked_for_at_once_where_each_takes_long() -> None:
    evaluator = SharedEvaluator(conformance.llama_writes().loaded)
    assert evaluator.removals_per_call == 64
    paces = {0.001: 64, 20.0: 30, 10_000.0: 16}
    for pace, expected in paces.items():
        evaluator._pace = pace
        assert evaluator.removals_per_call == expected


def test_removals_come_in_calls_as_large_as_liked_by_then() -> None:
    sizes = [3, 1, 2, 9]

    class Slowing:
        @property
        def removals_per_call(self) -> int:
            return sizes.pop(0)

    removals = [(block,) for block in range(7)]
    calls = list(in_calls(Slowing(), removals))  # type: ignore[arg-type]
    assert [len(call) for call in calls] == [3, 1, 2, 1]
    assert [removal for call in calls for removal in call] == removals


# Requests


def requests_split(*kinds: str) -> Any:
    samples = [
        replace(
            sample,
            requests=tuple(
                Request(kind, sample.question, continuation, max_new_tokens=4)  # type: ignore[arg-type]
                for kind in kinds
                for continuation in ("the red cat", "the red dog")
            ),
        )
        for sample in tiny.text_samples()
    ]
    return tiny.split_of(samples, answer="respond")


def test_likelihoods_of_requests_are_shared() -> None:
    loaded = conformance.llama_writes().loaded
    split = requests_split("loglikelihood")
    evaluator = SharedEvaluator(loaded, batch_size=3)
    found = evaluator.evaluate(split, REMOVALS)
    plain = ReferenceEvaluator(loaded, batch_size=3).evaluate(split, REMOVALS)
    for row, other in zip(found.answers, plain.answers, strict=True):
        assert all(map(alike, row, other))
    assert evaluator.statistics.fallbacks == 0


# Scores


def test_equal_answers_are_scored_once() -> None:
    subject = conformance.llama_writes()
    scored: list[int] = []

    class Counting(tiny.Exactly):
        def score_many(self, samples: Any, answers: Any) -> list[float]:
            scored.append(len(answers))
            return super().score_many(samples, answers)

    split = replace(subject.split, scorer=Counting())
    evaluator = SharedEvaluator(subject.loaded, self_check=False)
    first = evaluator.evaluate(split, REMOVALS)
    again = evaluator.evaluate(split, REMOVALS)
    assert (first.scores == again.scores).all()
    pairs = {pair for row in first.answers for pair in zip(first.sample_ids, row, strict=True)}
    assert scored == [len(pairs)]
