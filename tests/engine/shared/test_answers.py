"""The shared evaluator gives the reference's answers: any model, drafts, memory, lengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from depthprune.base.removal import Removal
from depthprune.blocks.admissible import inadmissible_reason
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.stack import find_stack
from depthprune.engine import Evaluation, ReferenceEvaluator, SharedEvaluator
from depthprune.engine.inputs import Row
from depthprune.engine.shared import split_run as call
from depthprune.engine.shared.generation import KnownAnswers
from depthprune.tasks.task import TaskSplit
from depthprune.testing import evaluators as conformance
from depthprune.testing import tiny_models as tiny
from depthprune.testing.evaluators import assert_same
from tests.architectures.check import build

REMOVALS: tuple[Removal, ...] = ((), (0,), (3,), (1, 2), (0, 3), (0, 1, 2), (1, 2, 3))


def reference(loaded: LoadedModel, split: TaskSplit, removals: Any = REMOVALS) -> Evaluation:
    return ReferenceEvaluator(loaded, batch_size=3).evaluate(split, removals)


@cache
def plain_answers(make: Callable[[], conformance.Subject]) -> Evaluation:
    """Return what the reference answers, worked out once for all tests of a subject."""
    subject = make()
    return reference(subject.loaded, subject.split)


def shared(loaded: LoadedModel, **options: Any) -> SharedEvaluator:
    return SharedEvaluator(loaded, **{"batch_size": 3, "self_check": False, **options})


# Architectures

ARCHITECTURES = (
    *("llama", "qwen2", "qwen3", "gemma2", "gemma3_text", "mistral", "gpt2", "opt", "phi3"),
    *("gpt_neox", "falcon", "mixtral", "olmoe", "qwen3_moe", "gpt_oss", "cohere2"),
)


def tiny_architecture(model_type: str) -> tuple[LoadedModel, tuple[Removal, ...]]:
    model: Any = build("causal", model_type)
    model.generation_config.eos_token_id = 5
    stack = find_stack(model)
    wanted = ((), (0,), (5,), (1, 3), (0, 4, 5), (1, 2, 3, 4))
    removals = [each for each in wanted if inadmissible_reason(stack, each) is None]
    return tiny.loaded(model, tiny.word_tokenizer()), tuple(removals)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_architectures_are_shared_and_answer_as_the_reference(model_type: str) -> None:
    loaded, removals = tiny_architecture(model_type)
    split = tiny.split_of(tiny.text_samples(), max_new_tokens=6)
    texts = tiny.split_of(tiny.read_samples(), answer="read")
    options = tiny.split_of(tiny.choice_samples(), answer="choose")
    evaluator = shared(loaded)
    evaluator.evaluate(split, removals[:1])
    for each in (split, texts, options):
        assert_same(evaluator.evaluate(each, removals), reference(loaded, each, removals))
    assert evaluator.statistics.fallbacks == 0


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("bloom", "dimensions have no known meaning"),
        ("mpt", "get_seq_length"),
        ("mamba", "padding"),
        ("gemma3n_text", "more than a list of blocks"),
    ],
)
def test_other_architectures_fall_back_and_say_so(
    model_type: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    loaded, removals = tiny_architecture(model_type)
    split = tiny.split_of(tiny.text_samples()[:4], max_new_tokens=3)
    evaluator = shared(loaded)
    assert_same(evaluator.evaluate(split, removals), reference(loaded, split, removals))
    evaluator.evaluate(split, removals[:1])
    assert evaluator.statistics.fallbacks == len(removals) + 1
    said = [record.message for record in caplog.records if record.name == "depthprune"]
    assert [reason in message for message in said] == [True]


def test_a_sliding_window_shorter_than_the_prompt_is_honoured() -> None:
    loaded = tiny.loaded(tiny.sliding_qwen2(), tiny.word_tokenizer())
    split = tiny.split_of(tiny.text_samples())
    evaluator = shared(loaded)
    plain = reference(loaded, split)
    for _ in range(2):
        assert_same(evaluator.evaluate(split, REMOVALS), plain)
    assert evaluator.statistics.fallbacks == 0


def test_a_removal_that_makes_other_blocks_of_those_that_stay_is_not_shared() -> None:
    """GPT-2 may scale attention by the index of the block."""
    model = tiny.gpt2()
    model.config.scale_attn_by_inverse_layer_idx = True
    loaded = tiny.loaded(tiny.spread(type(model)(model.config)), tiny.word_tokenizer(start=False))
    split = tiny.split_of(tiny.text_samples(), max_new_tokens=5)
    evaluator = shared(loaded)
    assert_same(evaluator.evaluate(split, REMOVALS), reference(loaded, split))
    assert 0 < evaluator.statistics.fallbacks < len(REMOVALS)


# Answers of all lengths


@pytest.mark.parametrize("longest", [1, 2, 12])
@pytest.mark.parametrize("make", [conformance.llama_writes, conformance.llava_sees])
def test_answers_may_be_short_or_long(make: Any, longest: int) -> None:
    subject = make()
    split = replace(subject.split, task=replace(subject.split.task, max_new_tokens=longest))
    evaluator = shared(subject.loaded)
    plain = reference(subject.loaded, split)
    for _ in range(2):
        assert_same(evaluator.evaluate(split, REMOVALS), plain)


def test_answers_may_end_at_once() -> None:
    subject = conformance.llama_writes()
    head = subject.loaded.model.lm_head.weight
    with torch.no_grad():
        head[2] = head.mean(0) * 0 + 3 * head[5]
    plain = reference(subject.loaded, subject.split)
    evaluator = shared(subject.loaded)
    for _ in range(2):
        assert_same(evaluator.evaluate(subject.split, REMOVALS), plain)


def test_every_token_may_end_an_answer() -> None:
    subject = conformance.llama_writes()
    subject.loaded.model.generation_config.eos_token_id = list(range(3, 29))
    evaluator = shared(subject.loaded)
    found = evaluator.evaluate(subject.split, REMOVALS)
    assert_same(found, reference(subject.loaded, subject.split))
    assert evaluator.statistics.decoded < evaluator.statistics.answers


# Drafts

WORDS = st.lists(st.integers(0, 28), min_size=1, max_size=8)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 7), WORDS), max_size=12))
def test_no_drafts_change_an_answer(
    drafting: tuple[SharedEvaluator, TaskSplit, Evaluation], drafts: list[tuple[int, list[int]]]
) -> None:
    evaluator, split, plain = drafting
    known = evaluator._memories[0].known = KnownAnswers()
    evaluator._stores.states.clear()
    for sample, answer in drafts:
        known.add(Row(0, split.samples[sample], "", ()), answer)
    assert_same(evaluator.evaluate(split, REMOVALS), plain)


@pytest.fixture(scope="module")
def drafting() -> tuple[SharedEvaluator, TaskSplit, Evaluation]:
    subject = conformance.llama_writes()
    evaluator = shared(subject.loaded)
    evaluator.evaluate(subject.split, [()])
    return evaluator, subject.split, reference(subject.loaded, subject.split)


def test_a_known_answer_is_not_decoded_again() -> None:
    subject = conformance.llava_sees()
    evaluator = shared(subject.loaded, cache_bytes=0)
    evaluator.evaluate(subject.split, [(1,)])
    decoded = evaluator.statistics.decoded
    evaluator.evaluate(subject.split, [(1,)])
    seen = evaluator.statistics
    assert seen.decoded == decoded
    assert seen.drafts_accepted == seen.drafts_offered == len(subject.split.samples)


# What is kept


@pytest.mark.parametrize("make", conformance.SUBJECTS, ids=conformance.name)
@pytest.mark.parametrize("room", [0, 10_000, 100_000, 2**30])
def test_answers_do_not_depend_on_the_memory_for_states(make: Any, room: int) -> None:
    subject = make()
    evaluator = shared(subject.loaded, cache_bytes=room, disk_bytes=room)
    plain = plain_answers(make)
    for part in (REMOVALS[:1], REMOVALS[1:3], REMOVALS):
        found = evaluator.evaluate(subject.split, part)
        for removal, answers in zip(part, found.answers, strict=True):
            conformance.assert_same_answers(answers, plain.answers[REMOVALS.index(removal)])


def test_states_of_an_earlier_call_are_not_computed_again() -> None:
    subject = conformance.llama_writes()
    evaluator = shared(subject.loaded, batch_size=8)
    evaluator.evaluate(subject.split, [()])
    evaluator.evaluate(subject.split, [(1,), (2,)])
    before = evaluator.statistics
    evaluator.evaluate(subject.split, [(1, 2), (2, 3)])
    after = evaluator.statistics
    # Of blocks 0 and 3 behind (1,), and 0 and 1 without 2 and 3, only the last are run.
    assert after.nodes - before.nodes == 2
    assert after.nodes_known - before.nodes_known == 1


def test_pictures_go_through_the_vision_tower_once_for_all_removals() -> None:
    subject = conformance.llava_sees()
    evaluator = shared(subject.loaded, batch_size=8)
    evaluator.evaluate(subject.split, [()])
    rows: list[int] = []
    tower = subject.loaded.model.model.vision_tower
    tower.register_forward_hook(lambda *_: rows.append(1))
    evaluator.evaluate(subject.split, REMOVALS)
    assert rows == []
    assert evaluator.statistics.prefix_states == 1


def test_work_is_shared() -> None:
    subject = conformance.llama_writes()
    calls: list[int] = []
    for block in subject.loaded.model.model.layers:
        block.mlp.register_forward_hook(lambda _, inputs, __: calls.append(inputs[0].shape[0]))
    evaluator = shared(subject.loaded, batch_size=8)
    evaluator.evaluate(subject.split, REMOVALS)
    fast = len(calls)
    calls.clear()
    reference(subject.loaded, subject.split)
    # The trial before the first call counts among them, but not in the statistics.
    assert 0 < evaluator.statistics.block_calls < fast
    assert 4 * evaluator.statistics.block_calls < len(calls)
    seen = evaluator.statistics
    assert seen.padding_tokens > 0
    assert seen.peak_states <= 2 * len(REMOVALS)


# Memory that runs out


class LimitedMemory:
    """Lets a model's head take at most `room` rows at once."""

    def __init__(self, model: Any, room: int) -> None:
        self.refused = 0
        head = model.get_output_embeddings()
        whole = head.forward

        def forward(hidden: torch.Tensor) -> torch.Tensor:
            if hidden.shape[0] > room:
                self.refused += 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            return whole(hidden)  # type: ignore[no-any-return]

        head.forward = forward


@pytest.mark.parametrize("make", conformance.SUBJECTS, ids=conformance.name)
@pytest.mark.parametrize("room", [40, 20, 4])
def test_memory_that_runs_out_changes_no_answer(make: Any, room: int) -> None:
    subject = make()
    plain = plain_answers(make)
    done: list[int] = []
    evaluator = shared(subject.loaded, batch_size=8, on_batch=done.append)
    evaluator.evaluate(subject.split, [()])
    done.clear()
    memory = LimitedMemory(subject.loaded.model, room)
    assert_same(evaluator.evaluate(subject.split, REMOVALS), plain)
    assert memory.refused > 0
    assert sum(done) == len(REMOVALS) * len(subject.split.samples)


def test_few_answers_are_under_way_where_memory_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "FLIGHT_BYTES", 0)
    subject = conformance.llama_writes()
    evaluator = shared(subject.loaded, batch_size=1)
    plain = plain_answers(conformance.llama_writes)
    assert_same(evaluator.evaluate(subject.split, REMOVALS), plain)


def test_inputs_are_let_go_once_their_stem_is_there() -> None:
    subject = conformance.llava_sees()
    evaluator = shared(subject.loaded)
    evaluator.evaluate(subject.split, [()])
    assert [group.num_bytes for group in evaluator._memories[0].groups] == [0]
    pictures: Any = [sample.images[0] for sample in subject.split.samples]
    evaluator.evaluate(subject.split, REMOVALS)
    assert [len(picture.opened) for picture in pictures] == [1] * len(pictures)
