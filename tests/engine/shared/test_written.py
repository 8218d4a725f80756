"""Texts that requests ask for are shared: stop texts, lengths, common examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from depthprune.base.removal import Removal
from depthprune.blocks.models import LoadedModel
from depthprune.engine import ReferenceEvaluator, SharedEvaluator
from depthprune.engine.shared import generation
from depthprune.engine.shared.generation import KnownAnswers
from depthprune.tasks.task import Request, Sample, TaskSplit
from depthprune.testing import tiny_models as tiny

REMOVALS: tuple[Removal, ...] = ((), (0,), (2,), (3,), (1, 2), (0, 3), (1, 2, 3))
EXAMPLES = "a red cat ? dog \n what fish the blue ? cat \n the dog is what red ? blue \n "


def llama() -> LoadedModel:
    return tiny.loaded(tiny.llama(), tiny.word_tokenizer())


def gpt2() -> LoadedModel:
    return tiny.loaded(tiny.gpt2(), tiny.word_tokenizer(start=False, pad=False))


def sliding() -> LoadedModel:
    return tiny.loaded(tiny.sliding_qwen2(), tiny.word_tokenizer())


def llava() -> LoadedModel:
    return tiny.loaded(tiny.llava(), tiny.demo_processor())


def split_of(requests: Callable[[int, str], Sequence[Request]]) -> TaskSplit:
    samples = [
        Sample(f"validation/{place}", "", references=("",), requests=tuple(requests(place, text)))
        for place, text in enumerate(tiny.QUESTIONS)
    ]
    return tiny.split_of(samples, answer="respond")


def of_equal_length(place: int, text: str) -> list[Request]:
    return [Request("generate", EXAMPLES + text, until=("dog",), max_new_tokens=12)]


def of_many_lengths(place: int, text: str) -> list[Request]:
    """Several texts of a sample; some with the same context, some of one token."""
    until = (("dog",), (), ("red cat", "fish"), ("",))[place % 4]
    return [
        Request("generate", EXAMPLES + text, until=until, max_new_tokens=1 + 5 * (place % 3)),
        Request("generate", text, until=("cat",), max_new_tokens=9),
        Request("generate", text, max_new_tokens=9),
    ]


@pytest.mark.parametrize("make", [llama, gpt2, sliding, llava], ids=lambda make: str(make.__name__))
@pytest.mark.parametrize("requests", [of_equal_length, of_many_lengths])
def test_written_answers_are_those_of_the_reference(
    make: Callable[[], LoadedModel], requests: Any
) -> None:
    loaded = make()
    removals = [each for each in REMOVALS if max(each, default=0) < blocks(loaded)]
    split = split_of(requests)
    evaluator = SharedEvaluator(loaded, batch_size=3, self_check=False)
    plain = ReferenceEvaluator(loaded, batch_size=4).evaluate(split, removals)
    # The second time there are drafts, the third time kept hidden states.
    for _ in range(3):
        assert evaluator.evaluate(split, removals).answers == plain.answers
    assert evaluator.statistics.fallbacks == 0
    assert evaluator.statistics.common_tokens > 0
    assert len(set(plain.answers)) > 1


def blocks(loaded: LoadedModel) -> int:
    return SharedEvaluator(loaded, batch_size=1).stack.num_blocks


def test_an_answer_ends_before_its_stop_text() -> None:
    loaded = llama()
    free = split_of(lambda place, text: [Request("generate", text, max_new_tokens=12)])
    evaluator = SharedEvaluator(loaded, batch_size=3, self_check=False)
    (answers,) = evaluator.evaluate(free, [()]).answers
    written = json.loads(max(answers, key=len))[0]
    stop = written.split()[2]
    stopped = split_of(
        lambda place, text: [Request("generate", text, until=(stop,), max_new_tokens=12)]
    )
    (found,) = evaluator.evaluate(stopped, [()]).answers
    assert [json.loads(one)[0] for one in found] == [
        json.loads(one)[0].split(stop)[0] for one in answers
    ]
    assert any(one != other for one, other in zip(found, answers, strict=True))


def test_texts_beside_likelihoods_are_left_to_the_reference() -> None:
    split = split_of(
        lambda place, text: [
            Request("generate", text, max_new_tokens=3),
            Request("loglikelihood", text, " red cat"),
        ]
    )
    evaluator = SharedEvaluator(llama(), batch_size=3)
    evaluator.evaluate(split, REMOVALS)
    assert evaluator.statistics.fallbacks == len(REMOVALS)


def test_a_context_that_fills_the_model_is_written_on() -> None:
    """The room of the longest answer is no one else's: learned positions end there."""
    loaded = gpt2()
    positions = loaded.model.config.n_positions

    def full(place: int, text: str) -> list[Request]:
        length = (3, 20)[place % 2]
        return [Request("generate", " ".join(["red"] * positions), max_new_tokens=length)]

    split = split_of(full)
    plain = ReferenceEvaluator(loaded, batch_size=4).evaluate(split, REMOVALS[:3])
    found = SharedEvaluator(loaded, batch_size=4, self_check=False).evaluate(split, REMOVALS[:3])
    assert found.answers == plain.answers


# Guesses


def row(sample: str = "a", options: tuple[int, ...] = ()) -> Any:
    return generation.Row(0, Sample(sample, "", references=()), "", (), options=options)


def test_what_an_answer_repeats_is_guessed_to_be_repeated() -> None:
    draft = KnownAnswers().draft(row(), [9, 1, 2, 3, 1, 2])
    assert draft[:7] == (3, 1, 2, 3, 1, 2, 3)


def test_what_followed_in_another_answer_is_guessed() -> None:
    known = KnownAnswers()
    known.add(row(), [7, 1, 2, 3, 4, 0])
    assert known.draft(row(), [8, 1, 2]) == (3, 4)
    assert known.draft(row(options=(1,)), [8, 1, 2]) == ()


def test_few_answers_are_remembered() -> None:
    known = KnownAnswers()
    for answer in range(1000):
        known.add(row(), [5, answer, 0])
    assert known.draft(row(), [5]) == (1000 - generation.MOST_ANSWERS,)
    assert known.draft(row(), [5, 3]) == ()


def test_any_token_can_be_remembered() -> None:
    known = KnownAnswers()
    tokens = [0, 10, 0xD800, 0xDFFF, 300_000, 1]
    known.add(row(), tokens)
    assert known.draft(row(), tokens[:1]) == tuple(tokens[1:-1])
