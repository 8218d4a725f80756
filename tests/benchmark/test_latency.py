"""Specification of timing: what each stage is, what is counted, that the model is as before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch

from depthprune.base.errors import (
    DepthpruneError,
    InadmissibleRemovalError,
    RemovalError,
    TaskError,
)
from depthprune.base.removal import Removal
from depthprune.benchmark import latency as latency
from depthprune.benchmark import stages as stages
from depthprune.benchmark.latency import (
    Latency,
    LatencyOptions,
    SampleLatency,
    conditions_of,
    measure_latency,
    removed_bytes,
)
from depthprune.benchmark.stages import StageClock, vision_roots, watch
from depthprune.blocks.stack import find_stack
from depthprune.tasks.task import Request, Sample
from depthprune.testing.tiny_models import (
    choice_samples,
    demo_processor,
    gpt2,
    lfm2,
    llama,
    llava,
    loaded,
    picture_samples,
    qwen2_vl,
    qwen2_vl_processor,
    read_samples,
    split_of,
    text_samples,
    without_blocks,
    word_tokenizer,
)

FEW = LatencyOptions(latency_samples=2, warmup=1, latency_tokens=4)


@pytest.fixture(scope="module")
def text_model() -> Any:
    return loaded(llama(), word_tokenizer())


@pytest.fixture(scope="module")
def seeing_model() -> Any:
    return loaded(llava(), demo_processor())


def measure(model: Any, samples: Any, options: LatencyOptions = FEW, **task: Any) -> Latency:
    stack = find_stack(model.model)
    (found,) = measure_latency(model, stack, split_of(samples, **task), [(1,)], options)
    return found


def test_a_generation_is_a_prefill_and_a_pass_for_each_further_token(text_model: Any) -> None:
    found = measure(text_model, text_samples())
    assert [one.sample_id for one in found.samples] == ["validation/0", "validation/1"]
    for one in found.samples:
        assert (one.new_tokens, len(one.decode)) == (4, 3)
        assert one.prefill > 0
        assert one.prefill + sum(one.decode) <= one.total


def always_first_token() -> Any:
    """Return a model that finds all tokens equally likely, and so writes token 0."""
    model = llama()
    with torch.no_grad():
        model.lm_head.weight.zero_()
    return model


def test_as_many_tokens_are_written_when_the_model_wants_to_stop_at_once() -> None:
    model = always_first_token()
    model.generation_config.eos_token_id = 0
    found = measure(loaded(model, word_tokenizer()), text_samples())
    assert {one.new_tokens for one in found.samples} == {4}


def test_prompt_tokens_are_those_of_the_prompt(text_model: Any) -> None:
    first = measure(text_model, text_samples()).samples[0]
    text = text_samples()[0].question
    assert first.prompt_tokens == len(word_tokenizer()(text)["input_ids"])


def test_a_text_model_has_no_vision_stage(text_model: Any) -> None:
    assert {one.vision for one in measure(text_model, text_samples()).samples} == {None}


def test_a_vision_language_model_without_pictures_has_no_vision_stage(seeing_model: Any) -> None:
    assert {one.vision for one in measure(seeing_model, text_samples()).samples} == {None}


@pytest.mark.parametrize(
    ("model", "processor"), [(llava, demo_processor), (qwen2_vl, qwen2_vl_processor)]
)
def test_vision_is_a_stage_of_its_own(
    model: Callable[[], Any], processor: Callable[[], Any]
) -> None:
    found = measure(loaded(model(), processor()), picture_samples())
    for one in found.samples:
        assert one.vision is not None
        assert one.vision > 0
        assert one.vision + one.prefill + sum(one.decode) <= one.total


@pytest.mark.parametrize(
    ("model", "roots"),
    [(llava, ["model.vision_tower"]), (gpt2, [])],
)
def test_the_root_of_the_vision_tower_is_found(model: Callable[[], Any], roots: list[str]) -> None:
    assert vision_roots(model()) == roots


def test_likelihoods_of_options_are_prefill_only(text_model: Any) -> None:
    found = measure(text_model, choice_samples(), answer="choose")
    for one in found.samples:
        assert (one.new_tokens, one.decode) == (0, ())
        assert 0 < one.prefill <= one.total


def test_a_text_that_is_read_is_prefill_only(text_model: Any) -> None:
    found = measure(text_model, read_samples(), answer="read")
    assert {one.decode for one in found.samples} == {()}


def test_responses_have_a_prefill_and_a_pass_for_each_further_token() -> None:
    write = Request("generate", "what is the sky ?", until=("dog",), max_new_tokens=5)
    likely = Request("loglikelihood", "what is the", " sky")
    samples = [Sample("validation/0", "", requests=(write,)), Sample("1", "", requests=(likely,))]
    model = loaded(always_first_token(), word_tokenizer())
    writes, tells = measure(model, samples, answer="respond").samples
    assert (len(writes.decode), writes.new_tokens) == (4, 4)
    assert (len(tells.decode), tells.new_tokens) == (0, 0)
    assert min(writes.prefill, tells.prefill) > 0


def test_the_model_is_as_before_also_after_an_error() -> None:
    model = llava()
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    attributes = [set(vars(module)) for module in model.modules()]
    with pytest.raises(ZeroDivisionError), watch(model):
        raise ZeroDivisionError
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()] == hooks
    assert [set(vars(module)) for module in model.modules()] == attributes


def test_the_same_tokens_come_out_while_it_is_watched() -> None:
    model = llama()
    tokens = torch.tensor([[1, 7, 8, 9]])
    before = model(tokens).logits
    with watch(model) as clock:
        assert torch.equal(model(tokens).logits, before)
    assert [one.tokens for one in clock.passes] == [4]


def test_nested_parts_that_look_at_pictures_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = count()
    monkeypatch.setattr(stages, "perf_counter", lambda: next(seconds))
    clock = StageClock(lambda: None)
    clock.begin_look()  # at 0 s
    clock.begin_look()
    clock.end_look()
    clock.end_look()  # at 1 s
    assert clock.vision == 1000


def test_devices_are_waited_for_before_the_clock_is_read() -> None:
    waited: list[int] = []
    clock = StageClock(lambda: waited.append(1))
    clock.begin_pass(3)
    clock.end_pass()
    assert len(waited) == 2


def order_of_runs(
    monkeypatch: pytest.MonkeyPatch, model: Any, removals: list[Removal], options: LatencyOptions
) -> tuple[list[tuple[Removal, str]], list[Latency]]:
    runs: list[tuple[Removal, str]] = []

    def run(model: Any, stack: Any, removal: Removal, job: Any, clock: Any) -> Any:
        runs.append((removal, job.sample_id))
        return SampleLatency(job.sample_id, 1, 1, None, 1.0, (), float(len(runs))), len(runs)

    monkeypatch.setattr(latency, "_run", run)
    split = split_of(text_samples())
    return runs, measure_latency(model, find_stack(model.model), split, removals, options)


def test_removals_take_turns_and_each_round_begins_with_another(
    monkeypatch: pytest.MonkeyPatch, text_model: Any
) -> None:
    options = LatencyOptions(latency_samples=2, warmup=0)
    runs, _ = order_of_runs(monkeypatch, text_model, [(), (1,), (2,)], options)
    first, second = "validation/0", "validation/1"
    assert runs[:3] == [((), first), ((1,), first), ((2,), first)]
    assert runs[3:] == [((1,), second), ((2,), second), ((), second)]


def test_warm_up_rounds_do_not_count(monkeypatch: pytest.MonkeyPatch, text_model: Any) -> None:
    runs, (found,) = order_of_runs(
        monkeypatch, text_model, [()], LatencyOptions(latency_samples=2, warmup=3)
    )
    assert len(runs) == 5
    assert [one.total for one in found.samples] == [4.0, 5.0]


def test_memory_is_the_peak_over_the_samples(
    monkeypatch: pytest.MonkeyPatch, text_model: Any
) -> None:
    _, (found,) = order_of_runs(
        monkeypatch, text_model, [()], LatencyOptions(latency_samples=2, warmup=0)
    )
    assert found.peak_memory == 2


def test_on_a_cpu_memory_is_the_peak_of_the_process(text_model: Any) -> None:
    found = measure(text_model, text_samples())
    assert found.memory_kind == "process_peak_rss"
    assert (found.peak_memory or 0) > 2**24


def test_the_bytes_of_the_blocks_left_out_are_what_the_shorter_model_lacks() -> None:
    model = llama()
    shorter = without_blocks(model, (1, 2))
    sizes = [sum(p.nbytes for p in one.parameters()) for one in (model, shorter)]
    assert removed_bytes(model, find_stack(model), (1, 2)) == sizes[0] - sizes[1]


def test_each_removal_says_what_it_took_turns_with(text_model: Any) -> None:
    found = measure_latency(
        text_model, find_stack(text_model.model), split_of(text_samples()), [(), (1,)], FEW
    )
    assert [one.alternated_with for one in found] == [((1,),), ((),)]


def test_conditions_are_the_same_for_the_same_and_tell_models_and_options_apart(
    text_model: Any,
) -> None:
    stack, split = find_stack(text_model.model), split_of(text_samples())
    here = conditions_of(text_model, stack, split, FEW)
    assert conditions_of(text_model, stack, split, FEW) == here
    assert conditions_of(replace(text_model, fingerprint="x"), stack, split, FEW) != here
    assert conditions_of(text_model, stack, replace(split, fingerprint="x"), FEW) != here
    assert conditions_of(text_model, stack, split, replace(FEW, latency_tokens=5)) != here


def test_no_more_samples_are_timed_than_there_are(text_model: Any) -> None:
    options = LatencyOptions(latency_samples=100, warmup=0, latency_tokens=2)
    found = measure(text_model, text_samples()[:3], options)
    assert len(found.samples) == found.conditions.samples == 3


def test_every_run_is_told(text_model: Any) -> None:
    told: list[int] = []
    split = split_of(text_samples())
    measure_latency(
        text_model, find_stack(text_model.model), split, [(), (1,)], FEW, on_run=told.append
    )
    assert told == [1] * 6


@pytest.mark.parametrize("wrong", [{"latency_samples": 0}, {"warmup": -1}, {"latency_tokens": 1}])
def test_numbers_that_time_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(DepthpruneError, match="or more, not"):
        LatencyOptions(**wrong)


def test_a_block_that_does_not_exist_is_refused(text_model: Any) -> None:
    with pytest.raises(RemovalError, match="block 9 does not exist"):
        measure_latency(
            text_model, find_stack(text_model.model), split_of(text_samples()), [(9,)], FEW
        )


def test_a_removal_that_the_architecture_cannot_express_is_refused() -> None:
    model = lfm2()
    stack, split = find_stack(model), split_of(text_samples())
    with pytest.raises(InadmissibleRemovalError):
        measure_latency(loaded(model, word_tokenizer()), stack, split, [(1,)], FEW)


def test_more_tokens_than_the_model_can_read_are_refused(text_model: Any) -> None:
    with pytest.raises(TaskError, match="allow fewer new tokens"):
        measure(text_model, text_samples(), replace(FEW, latency_tokens=128))


def test_memory_that_runs_out_is_told(monkeypatch: pytest.MonkeyPatch, text_model: Any) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(latency, "_write", fail)
    with pytest.raises(DepthpruneError, match="not enough memory"):
        measure(text_model, text_samples())
