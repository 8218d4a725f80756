"""The reference evaluator: the contract, and what is its own: batches, memory, progress."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from depthprune.base.errors import DepthpruneError, ModelError, StackError, TaskError
from depthprune.blocks.models import LoadedModel
from depthprune.engine import reference
from depthprune.engine.reference import ReferenceEvaluator, input_device
from depthprune.tasks.task import Sample
from depthprune.testing import evaluators as conformance
from depthprune.testing import tiny_models as tiny
from depthprune.testing.evaluators import EvaluatorConformance, assert_same


class TestReferenceEvaluator(EvaluatorConformance):
    """The reference evaluator fulfils the contract."""

    def make(self, loaded: LoadedModel, batch_size: int) -> ReferenceEvaluator:
        return ReferenceEvaluator(loaded, batch_size=batch_size)


def openings(subject: conformance.Subject) -> list[int]:
    pictures: Any = [sample.images[0] for sample in subject.split.samples]
    return [len(picture.opened) for picture in pictures]


# Inputs


def test_pictures_are_opened_once_for_all_removals_and_calls() -> None:
    subject = conformance.llava_sees()
    evaluator = ReferenceEvaluator(subject.loaded, batch_size=3)
    other = tiny.split_of(tiny.picture_samples())
    evaluator.evaluate(subject.split, [(), (1,), (2,)])
    evaluator.evaluate(other, [()])
    evaluator.evaluate(subject.split, [(3,)])
    assert openings(subject) == [1] * 8


def test_without_memory_for_inputs_the_answers_are_the_same() -> None:
    subject = conformance.llava_sees()
    kept = ReferenceEvaluator(subject.loaded, batch_size=3)
    forgetful = ReferenceEvaluator(subject.loaded, batch_size=3, cache_bytes=0)
    removals = [(), (1,)]
    assert_same(forgetful.evaluate(subject.split, removals), kept.evaluate(subject.split, removals))


def test_the_splits_that_were_not_used_for_longest_are_forgotten_first() -> None:
    subject = conformance.llava_sees()
    probe = ReferenceEvaluator(subject.loaded)
    probe.evaluate(subject.split, [])
    room_for_two = 2 * probe._cached_bytes()
    evaluator = ReferenceEvaluator(subject.loaded, cache_bytes=room_for_two)
    first, second, third = (conformance.llava_sees() for _ in range(3))
    for each in (first, second, first, third, first, second):
        evaluator.evaluate(each.split, [])
    assert (openings(first)[0], openings(second)[0]) == (1, 2)


def test_splits_with_equal_names_are_not_mixed_up() -> None:
    """Two splits may carry one fingerprint by mistake; their samples are told apart."""
    loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer())
    evaluator = ReferenceEvaluator(loaded)
    questions = tiny.text_samples()
    other = [replace(sample, question="two") for sample in questions]
    first = evaluator.evaluate(tiny.split_of(questions), [()])
    second = evaluator.evaluate(tiny.split_of(other), [()])
    assert first.answers != second.answers


def test_a_prompt_longer_than_the_model_s_positions_is_refused() -> None:
    subject = conformance.gpt2_writes()
    split = tiny.split_of([*tiny.text_samples(), Sample("long", "sky " * 60)], max_new_tokens=6)
    with pytest.raises(TaskError, match="reads 64 at most") as error:
        ReferenceEvaluator(subject.loaded).evaluate(split, [()])
    assert error.value.where == "sample long"


# Memory


class LimitedMemory:
    """Lets a model's head take at most `room` rows at once."""

    def __init__(self, model: Any, room: int) -> None:
        self.rows: list[int] = []
        head = model.get_output_embeddings()
        whole = head.forward

        def forward(hidden: torch.Tensor) -> torch.Tensor:
            self.rows.append(hidden.shape[0])
            if hidden.shape[0] > room:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return whole(hidden)  # type: ignore[no-any-return]

        head.forward = forward


@pytest.mark.parametrize("make", conformance.SUBJECTS, ids=conformance.name)
def test_memory_that_runs_out_changes_no_answer(make: Any) -> None:
    subject = make()
    removals = [(), (1,), (0, 2)]
    whole = ReferenceEvaluator(subject.loaded, batch_size=8).evaluate(subject.split, removals)
    memory = LimitedMemory(subject.loaded.model, room=3)
    evaluator = ReferenceEvaluator(subject.loaded, batch_size=8)
    assert_same(evaluator.evaluate(subject.split, removals), whole)
    assert [rows for rows in memory.rows if rows > 3] == [8, 4]


def test_memory_that_runs_out_midway_repeats_no_sample() -> None:
    subject = conformance.llama_writes()
    done: list[int] = []
    evaluator = ReferenceEvaluator(subject.loaded, batch_size=2, on_batch=done.append)
    evaluator.evaluate(subject.split, [()])
    LimitedMemory(subject.loaded.model, room=1)
    evaluator.evaluate(subject.split, [()])
    assert done == [2] * 4 + [1] * 8


def test_a_sample_that_does_not_fit_at_all_is_an_error_and_the_model_is_as_before() -> None:
    subject = conformance.llama_writes()
    LimitedMemory(subject.loaded.model, room=0)
    with (
        conformance.untouched(subject.loaded),
        pytest.raises(DepthpruneError, match="a single sample"),
    ):
        ReferenceEvaluator(subject.loaded, batch_size=2).evaluate(subject.split, [(), (1,)])


# Progress


@pytest.mark.parametrize("make", conformance.SUBJECTS, ids=conformance.name)
def test_progress_counts_every_sample_of_every_removal_once(make: Any) -> None:
    subject = make()
    done: list[int] = []
    evaluator = ReferenceEvaluator(subject.loaded, batch_size=3, on_batch=done.append)
    evaluator.evaluate(subject.split, [(), (1,)], slice(0, 7))
    assert sum(done) == 2 * 7
    assert len(done) > 2


# Settings


def test_settings_name_the_number_type_and_what_else_changes_answers() -> None:
    model = tiny.llama().to(torch.bfloat16)
    loaded = tiny.loaded(model, tiny.word_tokenizer())
    assert ReferenceEvaluator(loaded, batch_size=2).settings == "greedy dtype=bfloat16"
    limited = ReferenceEvaluator(loaded, read_tokens=64)
    assert limited.settings == "greedy dtype=bfloat16 read_tokens=64"


@pytest.mark.parametrize(
    "quantization", [{"quant_method": "gptq"}, SimpleNamespace(quant_method="gptq")], ids=type
)
def test_settings_name_a_quantization(quantization: Any) -> None:
    loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer())
    evaluator = ReferenceEvaluator(loaded)
    loaded.model.config.quantization_config = quantization
    assert evaluator.settings == "greedy dtype=float32 quantization=gptq"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(
    "make", [conformance.llava_sees, conformance.llama_reads], ids=conformance.name
)
def test_half_precision_answers_the_same_each_time(make: Any, dtype: torch.dtype) -> None:
    subject = make()
    subject.loaded.model.to(dtype)
    removals = [(), (1,)]
    once = ReferenceEvaluator(subject.loaded, batch_size=4).evaluate(subject.split, removals)
    again = ReferenceEvaluator(subject.loaded, batch_size=4).evaluate(subject.split, removals)
    assert once.answers == again.answers
    assert once.scores.dtype == "float32"


def test_a_limit_for_texts_is_kept() -> None:
    subject = conformance.llama_reads()
    evaluation = ReferenceEvaluator(subject.loaded, read_tokens=4).evaluate(subject.split, [()])
    assert all('"tokens": 3' in answer for answer in evaluation.answers[0])


# What is refused at once


@pytest.mark.parametrize("batch_size", [0, -3])
def test_an_impossible_batch_size_is_refused(batch_size: int) -> None:
    with pytest.raises(DepthpruneError, match="cannot be run"):
        ReferenceEvaluator(tiny.loaded(tiny.llama(), tiny.word_tokenizer()), batch_size=batch_size)


def test_models_that_write_no_text_are_refused() -> None:
    loaded = replace(tiny.loaded(tiny.llama(), tiny.word_tokenizer()), kind="image")
    with pytest.raises(ModelError, match="image model"):
        ReferenceEvaluator(loaded)


def test_a_part_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(StackError):
        ReferenceEvaluator(tiny.loaded(tiny.llama(), tiny.word_tokenizer()), part="vision")


# Devices


def test_inputs_go_where_the_first_weights_are() -> None:
    assert input_device(tiny.llama()) == torch.device("cpu")
    with torch.device("meta"):
        embedding = nn.Embedding(4, 4)
    model = SimpleNamespace(get_input_embeddings=lambda: embedding)
    assert input_device(model) == torch.device("meta")


def test_inputs_of_a_model_with_offloaded_weights_go_where_the_hook_loads_them() -> None:
    with torch.device("meta"):
        embedding: Any = nn.Embedding(4, 4)
    embedding._hf_hook = SimpleNamespace(execution_device="cuda:0")
    model = SimpleNamespace(get_input_embeddings=lambda: embedding)
    assert input_device(model) == torch.device("cuda:0")


def test_a_model_spread_by_accelerate_answers_the_same() -> None:
    accelerate = pytest.importorskip("accelerate")
    subject = conformance.llama_writes()
    removals = [(), (0,), (1, 2)]
    whole = ReferenceEvaluator(subject.loaded).evaluate(subject.split, removals)
    spread = accelerate.dispatch_model(
        subject.loaded.model, {"": "cpu"}, main_device="cpu", force_hooks=True
    )
    loaded = replace(subject.loaded, model=spread)
    assert_same(ReferenceEvaluator(loaded).evaluate(subject.split, removals), whole)


def test_cpu_offload_answers_the_same() -> None:
    accelerate = pytest.importorskip("accelerate")
    subject = conformance.llama_writes()
    removals = [(), (0,), (1, 2)]
    whole = ReferenceEvaluator(subject.loaded).evaluate(subject.split, removals)
    accelerate.cpu_offload(subject.loaded.model, execution_device=torch.device("cpu"))
    assert_same(ReferenceEvaluator(subject.loaded).evaluate(subject.split, removals), whole)


def test_splits_are_kept_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "KEPT_SPLITS", 2)
    subjects = [conformance.llava_sees() for _ in range(3)]
    evaluator = ReferenceEvaluator(subjects[0].loaded)
    for subject in (*subjects, subjects[2], subjects[0]):
        evaluator.evaluate(subject.split, [])
    assert [openings(subject)[0] for subject in subjects] == [2, 1, 1]
