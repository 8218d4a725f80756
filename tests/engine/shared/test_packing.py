"""Rows that begin alike are read as one, and nothing but the number of tokens changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from depthprune.engine import ReferenceEvaluator, SharedEvaluator
from depthprune.engine.inputs import Row
from depthprune.engine.shared.agreement import alike
from depthprune.engine.shared.scoring import Packing, first_packed, plan_packing
from depthprune.tasks.task import Request, Sample, TaskSplit
from depthprune.testing import evaluators as conformance
from depthprune.testing import tiny_models as tiny

REMOVALS = [(), (0,), (3,), (1, 2)]


def row(index: int, *tokens: int) -> Row:
    return Row(index, Sample(f"validation/{index}", ""), "", tokens)


def test_rows_of_a_sample_share_what_they_begin_with() -> None:
    rows = [row(0, 1, 2, 3, 4), row(0, 1, 2, 3, 5, 6), row(1, 1, 2, 3, 4), row(0, 1, 2, 9)]
    packing = plan_packing(rows, [4, 5, 4, 3])
    assert packing == Packing(((0, 1, 3), (2,)), (2, 4), (4, 5, 4, 3))
    assert packing.tokens()[0] == [
        *[(0, 0), (0, 1), (0, 2), (0, 3)],
        *[(1, 2), (1, 3), (1, 4), (3, 2)],
    ]
    assert first_packed(packing, [3, 4, 3, 1]) == 1
    assert first_packed(packing, [3, 4, 3, 2]) == 3


def test_a_picture_in_the_context_counts_with_all_its_tokens() -> None:
    packing = plan_packing([row(0, 1, 2, 3), row(0, 1, 2, 4, 5)], [38, 39])
    assert packing is not None
    assert packing.shared == (37,)


def test_rows_of_different_samples_are_not_packed() -> None:
    assert plan_packing([row(0, 1, 2, 3), row(1, 1, 2, 3)], [3, 3]) is None


def test_little_in_common_is_not_worth_it() -> None:
    rows = [row(0, 1, *range(10, 40)), row(0, 1, *range(50, 80))]
    assert plan_packing(rows, [31, 31]) is None


def options_split(subject: conformance.Subject) -> TaskSplit:
    """Return questions with options of one to four words."""
    options = ("red", "blue fish", "green cat", "two red fish .", "blue fish dog")
    samples = [
        replace(sample, choices=options[: 3 + index % 3])
        for index, sample in enumerate(subject.split.samples)
    ]
    task = replace(subject.split.task, answer="choose", prompt="{question}")
    return replace(subject.split, samples=tuple(samples), task=task)


@pytest.mark.parametrize(
    "make",
    [
        conformance.llama_writes,
        conformance.gpt2_writes,
        conformance.llava_sees,
        conformance.qwen2_vl_sees,
    ],
)
@pytest.mark.parametrize("batch_size", [3, 64])
def test_choices_are_those_of_the_reference(make: Any, batch_size: int) -> None:
    subject = make()
    split = options_split(subject)
    evaluator = SharedEvaluator(subject.loaded, batch_size=batch_size, self_check=False)
    plain = ReferenceEvaluator(subject.loaded, batch_size=4).evaluate(split, REMOVALS)
    for _ in range(2):
        assert evaluator.evaluate(split, REMOVALS).answers == plain.answers
    assert evaluator.statistics.fallbacks == 0


def requests_split(words: str) -> TaskSplit:
    endings = ("the red cat", "the red dog", "a fish", "two blue fish . what")
    samples = [
        replace(
            sample,
            requests=tuple(
                Request("loglikelihood", f"{words} {sample.question}", f" {ending}")
                for ending in endings
            ),
        )
        for sample in tiny.text_samples()
    ]
    return tiny.split_of(samples, answer="respond")


@pytest.mark.parametrize("make", [tiny.llama, tiny.gpt2, tiny.sliding_qwen2])
def test_likelihoods_are_those_of_the_reference(make: Any) -> None:
    loaded = tiny.loaded(make(), tiny.word_tokenizer())
    split = requests_split("what is the colour of")
    evaluator = SharedEvaluator(loaded, batch_size=16, self_check=False)
    found = evaluator.evaluate(split, REMOVALS)
    plain = ReferenceEvaluator(loaded, batch_size=16).evaluate(split, REMOVALS)
    for row, other in zip(found.answers, plain.answers, strict=True):
        assert all(map(alike, row, other))
    assert len(set(found.answers)) == len(REMOVALS)
    assert evaluator.statistics.fallbacks == 0


def test_a_shared_context_is_read_once() -> None:
    loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer())
    split = requests_split("what is the colour of the sky ? " * 3)
    evaluator = SharedEvaluator(loaded, batch_size=64, self_check=False)
    evaluator.evaluate(split, [()])
    seen = evaluator.statistics
    tokens = sum(
        len(loaded.tokenizer(request.context + request.continuation)["input_ids"]) - 1
        for sample in split.samples
        for request in sample.requests
    )
    assert seen.real_tokens < tokens / 2
