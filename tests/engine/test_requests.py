"""Responding to requests: tokens, windows, stop texts, and the contract of every evaluator."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from depthprune.base.errors import TaskError
from depthprune.blocks.models import LoadedModel
from depthprune.engine import likelihood, requests
from depthprune.engine.evaluator import Evaluation
from depthprune.engine.generate import StopAtTexts, StopTexts
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.engine.requests import encode_pair, rolling_windows, rows_to_respond
from depthprune.tasks.metrics.likelihood import parse_responses
from depthprune.tasks.task import Request, Sample, Scorer, TaskSplit
from depthprune.testing import tiny_models as tiny

REMOVALS = ((), (0,), (1, 2))


class FirstNumber(Scorer):
    """Scores a sample by its first response."""

    name = "first number"

    def score(self, sample: Sample, answer: str) -> float:
        first = parse_responses(sample, answer)[0]
        return float(len(first) if isinstance(first, str) else np.ravel(first)[0])


def split_of(samples: Sequence[Sample]) -> TaskSplit:
    plain = tiny.split_of(samples, answer="respond")
    return TaskSplit(plain.task, plain.split, plain.samples, FirstNumber(), plain.fingerprint)


def sample_of(*asked: Request, name: str = "validation/0") -> Sample:
    return Sample(name, "", references=("",), requests=asked)


def mixed_samples() -> list[Sample]:
    """Every kind of request, several of a sample, of very different lengths."""
    samples = []
    for index, question in enumerate(tiny.QUESTIONS):
        likely = [
            Request("loglikelihood", question, f" {option}")
            for option in ("red", "blue", "blue dog", "the red cat")
        ]
        rolling = Request("rolling", "", f"{question} {question}")
        write = Request("generate", question, until=("dog",), max_new_tokens=4 + index % 2)
        orders = (likely, [rolling], [write], [*likely, write, rolling])
        samples.append(sample_of(*orders[index % 4], name=f"validation/{index}"))
    return samples


def llama() -> LoadedModel:
    return tiny.loaded(tiny.llama(), tiny.word_tokenizer())


def gpt2() -> LoadedModel:
    return tiny.loaded(tiny.gpt2(), tiny.word_tokenizer(start=False, pad=False))


def sliding() -> LoadedModel:
    return tiny.loaded(tiny.sliding_qwen2(), tiny.word_tokenizer())


def llava() -> LoadedModel:
    return tiny.loaded(tiny.llava(), tiny.demo_processor())


@pytest.fixture(params=[llama, gpt2, sliding, llava], ids=lambda make: str(make.__name__))
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return request.param()  # type: ignore[no-any-return]


def assert_same(found: Evaluation, expected: Evaluation) -> None:
    assert found.sample_ids == expected.sample_ids
    for row, other in zip(found.answers, expected.answers, strict=True):
        assert_same_answers(row, other)


def assert_same_answers(found: Sequence[str], expected: Sequence[str]) -> None:
    for answer, other in zip(found, expected, strict=True):
        for one, two in zip(json.loads(answer), json.loads(other), strict=True):
            if isinstance(two, float):
                assert one == pytest.approx(two, rel=1e-4)
            elif isinstance(two, list):
                assert one == [pytest.approx(two[0], rel=1e-4, abs=1e-5), two[1]]
            else:
                assert one == two


# The contract of evaluators


def test_answers_are_those_of_a_model_built_without_the_blocks(loaded: LoadedModel) -> None:
    split = split_of(mixed_samples())
    found = ReferenceEvaluator(loaded, batch_size=3).evaluate(split, REMOVALS)
    for removal, answers in zip(REMOVALS, found.answers, strict=True):
        shorter = tiny.without_blocks(loaded.model, removal)
        expected = [plain_answer(shorter, loaded.tokenizer, sample) for sample in split.samples]
        assert_same_answers(answers, expected)
    assert len(set(found.answers)) == len(REMOVALS)


@pytest.mark.parametrize("size", [1, 5, 100])
def test_answers_do_not_depend_on_the_batch_size(loaded: LoadedModel, size: int) -> None:
    split = split_of(mixed_samples())
    expected = ReferenceEvaluator(loaded, batch_size=2).evaluate(split, REMOVALS)
    assert_same(ReferenceEvaluator(loaded, batch_size=size).evaluate(split, REMOVALS), expected)


def test_answers_do_not_depend_on_slice_and_other_removals(loaded: LoadedModel) -> None:
    split = split_of(mixed_samples())
    evaluator = ReferenceEvaluator(loaded, batch_size=3)
    together = evaluator.evaluate(split, REMOVALS)
    alone = evaluator.evaluate(split, [(1, 2)], slice(2, 6))
    assert_same_answers(alone.answers[0], together.answers[2][2:6])


def test_what_a_sample_scores_is_what_the_scorer_says(loaded: LoadedModel) -> None:
    split = split_of(mixed_samples())
    found = ReferenceEvaluator(loaded, batch_size=3).evaluate(split, [()])
    pairs = zip(split.samples, found.answers[0], strict=True)
    expected = [split.scorer.score(*pair) for pair in pairs]
    np.testing.assert_array_equal(found.scores[0], np.array(expected, np.float32))


def test_progress_counts_samples_not_rows() -> None:
    finished: list[int] = []
    evaluator = ReferenceEvaluator(llama(), batch_size=3, on_batch=finished.append)
    evaluator.evaluate(split_of(mixed_samples()), [()])
    assert sum(finished) == len(tiny.QUESTIONS)


# Tokens


def test_a_space_between_context_and_continuation_belongs_to_the_latter() -> None:
    tokenizer = tiny.word_tokenizer()
    apart = encode_pair(tokenizer, "a cat", " is red")
    assert encode_pair(tokenizer, "a cat ", "is red") == apart
    assert [tokenizer.decode(part) for part in apart] == ["<s> a cat", "is red"]


def test_a_start_token_that_is_written_is_not_written_twice() -> None:
    tokenizer = tiny.word_tokenizer()
    assert encode_pair(tokenizer, "<s> a", " cat") == encode_pair(tokenizer, "a", " cat")


def test_an_empty_context_is_the_start_token() -> None:
    tokenizer = tiny.word_tokenizer()
    cat = tokenizer.convert_tokens_to_ids("cat")
    assert encode_pair(tokenizer, "", "cat") == ((1,), (cat,))
    assert encode_pair(tokenizer, "", "<s> cat") == ((1,), (cat,))
    tokenizer.bos_token = None
    assert encode_pair(tokenizer, "", "cat") == ((tokenizer.eos_token_id,), (cat,))
    tokenizer.eos_token = None
    with pytest.raises(TaskError, match="neither a start nor an end token"):
        encode_pair(tokenizer, "", "cat")


def test_continuations_after_equal_tokens_share_a_row() -> None:
    loaded = llama()
    words = ("red", "blue", "blue dog", "blue cat")
    sample = sample_of(*(Request("loglikelihood", "a", f" {word}") for word in words))
    rows = rows_to_respond(loaded.model, loaded.tokenizer, [sample], None)
    assert [row.options for row in rows] == [(0, 1), (2, 3)]
    assert [loaded.tokenizer.decode(row.tokens) for row in rows] == ["<s> a", "<s> a blue"]


def test_what_is_too_long_loses_its_beginning() -> None:
    loaded = llama()
    words = "what is the colour of a red fish"
    asked = (
        Request("loglikelihood", words, " two three"),
        Request("generate", words, max_new_tokens=3),
    )
    write, likely = rows_to_respond(loaded.model, loaded.tokenizer, [sample_of(*asked)], 5)
    assert loaded.tokenizer.decode(write.tokens) == "red fish"
    assert loaded.tokenizer.decode(likely.tokens) == "of a red fish two"
    assert loaded.tokenizer.decode(likely.targets[0]) == "two three"


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (Request("loglikelihood", "a", ""), "the continuation of a request has no tokens"),
        (Request("loglikelihood", " ", "cat"), "the context of a request has no tokens"),
        (Request("loglikelihood", "a", " cat" * 9), "has 9 tokens, but the model reads 8"),
        (Request("generate", "", max_new_tokens=2), "the context of a request has no tokens"),
        (Request("generate", "a", max_new_tokens=8), "leaves no room for its question"),
    ],
)
def test_requests_that_cannot_be_responded_to_name_their_sample(
    request_: Request, complaint: str
) -> None:
    loaded = gpt2()
    sample = sample_of(request_, name="validation/7")
    with pytest.raises(TaskError, match=complaint) as error:
        rows_to_respond(loaded.model, loaded.tokenizer, [sample], 8)
    assert "validation/7" in str(error.value)


def test_the_length_is_the_config_s_then_the_tokenizer_s_then_a_default() -> None:
    tokenizer = tiny.word_tokenizer()
    assert requests.context_length(tiny.llama(), tokenizer) == 128
    config = SimpleNamespace(max_position_embeddings=None)
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda decoder: config))
    tokenizer.model_max_length = 77
    assert requests.context_length(model, tokenizer) == 77
    tokenizer.model_max_length = int(1e30)
    assert requests.context_length(model, tokenizer) == 2048


# Windows


@given(st.integers(0, 40), st.integers(1, 12))
def test_windows_are_the_harness_s(length: int, longest: int) -> None:
    utils = pytest.importorskip("lm_eval.utils")
    tokens = list(range(100, 100 + length))
    theirs = [
        utils.make_disjoint_window(pair)
        for pair in utils.get_rolling_token_windows(tokens, 7, longest, 1)
    ]
    ours = list(rolling_windows(tokens, 7, longest))
    assert [(list(context), list(target)) for context, target in ours] == theirs


def test_windows_are_added_up() -> None:
    loaded = llama()
    text = "the sky is blue . the fish is green ."
    split = split_of([sample_of(Request("rolling", "", text))])
    evaluator = ReferenceEvaluator(loaded, batch_size=2, read_tokens=4)
    (found,) = json.loads(evaluator.evaluate(split, [()]).answers[0][0])
    tokens = loaded.tokenizer(text)["input_ids"]
    total = 0.0
    for begin in range(0, len(tokens), 4):
        target = tokens[begin : begin + 4]
        end = begin + len(target)
        before = tokens[end - 5 : begin] if begin else [1]
        total += plain_likelihood(loaded.model, before, target)[0]
    assert found == pytest.approx(total, rel=1e-5)


def test_a_text_without_tokens_is_certain() -> None:
    split = split_of(
        [sample_of(Request("rolling", "", "")), sample_of(Request("rolling", "", "a"))]
    )
    answers = ReferenceEvaluator(gpt2()).evaluate(split, [()]).answers[0]
    assert answers[0] == "[0.0]"


# Likelihoods and texts


def test_likelihoods_whose_logits_would_not_fit_are_computed_in_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded, split = llama(), split_of(mixed_samples())
    at_once = ReferenceEvaluator(loaded, batch_size=50).evaluate(split, [()])
    monkeypatch.setattr(likelihood, "LOGITS_BYTES", 1)
    in_turns = ReferenceEvaluator(loaded, batch_size=50).evaluate(split, [()])
    assert_same(in_turns, at_once)


def test_a_model_that_overflows_is_told_as_null() -> None:
    loaded = llama()
    loaded.model.get_output_embeddings().weight.data.fill_(math.nan)
    asked = (Request("loglikelihood", "a", " cat"), Request("rolling", "", "a cat"))
    answers = ReferenceEvaluator(loaded).evaluate(split_of([sample_of(*asked)]), [()]).answers
    assert json.loads(answers[0][0]) == [[None, False], None]


def test_a_row_stops_at_its_own_text_whatever_its_neighbours_do() -> None:
    loaded = llama()
    words = [word for word in tiny.WORDS if word.isalpha()]
    texts = [" ".join(words[index : index + 3]) for index in range(8)]
    free = [sample_of(Request("generate", text, max_new_tokens=8)) for text in texts]
    whole = [
        json.loads(answer)[0]
        for answer in ReferenceEvaluator(loaded).evaluate(split_of(free), [()]).answers[0]
    ]
    stop = next(word for text in whole for word in text.split()[1:])
    stopped = [
        sample_of(Request("generate", text, until=(stop, ""), max_new_tokens=8)) for text in texts
    ]
    found = ReferenceEvaluator(loaded).evaluate(split_of(stopped), [()]).answers[0]
    assert [json.loads(answer)[0] for answer in found] == [text.split(stop)[0] for text in whole]
    assert any(stop in text for text in whole)


def test_a_row_that_has_stopped_writes_no_more() -> None:
    tokenizer = tiny.word_tokenizer()
    red, blue, cat = tokenizer.convert_tokens_to_ids(["red", "blue", "cat"])
    stopping = StopAtTexts(StopTexts(tokenizer, ["blue cat"]), start=1)
    steps = ([[1, red], [1, blue]], [[1, red, blue], [1, blue, cat]])
    done = [stopping(torch.tensor(step), None).tolist() for step in steps]
    assert done == [[False, False], [False, True]]
    assert stopping.ends == [None, 2]


def test_a_stop_text_in_the_prompt_stops_nothing() -> None:
    tokenizer = tiny.word_tokenizer()
    stopping = StopAtTexts(StopTexts(tokenizer, ["cat"]), start=2)
    tokens = tokenizer.convert_tokens_to_ids(["a", "cat", "red"])
    assert stopping(torch.tensor([tokens]), None).tolist() == [False]


def plain_answer(model: Any, tokenizer: Any, sample: Sample) -> str:
    """Answer one sample alone: no batch, no padding, no cache, no `generate`."""
    answers: list[Any] = []
    for request in sample.requests:
        if request.kind == "generate":
            answers.append(plain_text(model, tokenizer, request))
            continue
        if request.kind == "rolling":
            start, target = [tokenizer.bos_token_id], tokenizer(request.continuation)["input_ids"]
            answers.append(plain_likelihood(model, start, target)[0])
            continue
        before = tokenizer(request.context)["input_ids"]
        whole = tokenizer(request.context + request.continuation)["input_ids"]
        answers.append(list(plain_likelihood(model, before, whole[len(before) :])))
    return json.dumps(answers)


def plain_likelihood(model: Any, before: list[int], target: list[int]) -> tuple[float, bool]:
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([before + target]), use_cache=False).logits[0]
    chances = logits.float().log_softmax(-1)[len(before) - 1 : -1]
    wanted = torch.tensor(target)
    greedy = bool((chances.argmax(-1) == wanted).all())
    return float(chances.gather(1, wanted[:, None]).double().sum()), greedy


def plain_text(model: Any, tokenizer: Any, request: Request) -> str:
    tokens = tokenizer(request.context)["input_ids"]
    new: list[int] = []
    for _ in range(request.max_new_tokens):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([tokens + new]), use_cache=False).logits
        new.append(int(logits[0, -1].argmax()))
        text: str = tokenizer.decode(new, skip_special_tokens=True)
        if new[-1] == tokenizer.eos_token_id or any(stop in text for stop in request.until):
            break
    for stop in request.until:
        text = text.split(stop)[0]
    return text


def test_a_stop_text_counts_also_when_it_is_written_in_other_tokens_than_its_own() -> None:
    words = ["dog", "d", "o", "g", "cat"]
    tokenizer = SimpleNamespace(
        encode=lambda text, **_: [words.index(text)],
        decode=lambda tokens: "".join(words[token] for token in tokens),
    )
    stopping = StopAtTexts(StopTexts(tokenizer, ["dog"]), 1)
    assert stopping(torch.tensor([[9, 4, 1, 2]]), None).tolist() == [False]
    assert stopping(torch.tensor([[9, 4, 1, 2, 3]]), None).tolist() == [True]
    assert stopping.ends == [4]
