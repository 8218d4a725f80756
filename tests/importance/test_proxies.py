"""Specification of the proxies: each equals its slow twin, whatever the model and the batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, wraps
from typing import Any

import pytest
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlavaForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from depthprune.base.errors import DepthpruneError, ModelError, TaskError
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.stack import find_stack
from depthprune.importance.proxies import (
    PROXIES,
    ProxyScores,
    measure_proxies,
    num_passes,
    proxy_scores,
    taylor,
)
from depthprune.tasks.task import Sample, TaskSplit
from depthprune.testing import tiny_models as tiny
from tests.importance import proxy_twins as twins

ALL = tuple(PROXIES)
SEEN = tuple(name for name, proxy in PROXIES.items() if proxy.needs == "hidden states")


def gemma3() -> Any:
    """Return a Gemma 3: norms after attention and MLP too, windows of four tokens."""
    config = Gemma3TextConfig(
        vocab_size=6 + len(tiny.WORDS),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=4,
        layer_types=["sliding_attention", "full_attention"] * 2,
    )
    return tiny.spread(Gemma3ForCausalLM(config), scale=0.1)


MODELS: dict[str, tuple[Callable[[], Any], Callable[[], Any], str, Callable[[], list[Sample]]]] = {
    "llama": (tiny.llama, tiny.word_tokenizer, "model.norm", tiny.text_samples),
    "gpt2": (tiny.gpt2, tiny.word_tokenizer, "transformer.ln_f", tiny.text_samples),
    "gemma3": (gemma3, tiny.word_tokenizer, "model.norm", tiny.text_samples),
    "llava": (tiny.llava, tiny.demo_processor, "model.language_model.norm", tiny.picture_samples),
    "qwen2_vl": (
        tiny.qwen2_vl,
        tiny.qwen2_vl_processor,
        "model.language_model.norm",
        tiny.picture_samples,
    ),
}


def case(name: str) -> tuple[LoadedModel, TaskSplit]:
    model, processor, _, samples = MODELS[name]
    return tiny.loaded(model(), processor()), tiny.split_of(samples()[:5])


def text_case(model: Any = None) -> tuple[LoadedModel, TaskSplit]:
    loaded = tiny.loaded(tiny.llama() if model is None else model, tiny.word_tokenizer())
    return loaded, tiny.split_of(tiny.text_samples())


def close(value: float) -> Any:
    return pytest.approx(value, rel=1e-4, abs=1e-6)


@cache
def measured(name: str) -> tuple[LoadedModel, TaskSplit, dict[str, ProxyScores]]:
    """Return a model, its samples and all proxies, from batches of rows of different lengths."""
    loaded, split = case(name)
    return loaded, split, measure_proxies(ALL, loaded, split, batch_size=3)


@pytest.mark.parametrize("name", MODELS)
def test_proxies_of_hidden_states_are_those_of_samples_alone(name: str) -> None:
    loaded, split, found = measured(name)
    states = twins.hidden_states(loaded, split, MODELS[name][2])
    for block in range(4):
        assert found["block_influence"].scores[block] == close(twins.block_influence(states, block))
        magnitude = twins.relative_magnitude(states, block)
        assert found["relative_magnitude"].scores[block] == close(magnitude)
        angle = twins.angular_distance(states, block, 1)
        assert found["angular_distance"].scores[block] == close(angle)
    for run, angle in found["angular_distance"].runs.items():
        assert angle == close(twins.angular_distance(states, run[0], len(run)))
    assert set(found["angular_distance"].runs) == {
        *((0,), (1,), (2,), (3,), (0, 1), (1, 2), (2, 3), (0, 1, 2), (1, 2, 3)),
    }
    tokens = sum(len(sample[0]) for sample in states)
    assert (found["block_influence"].num_samples, found["block_influence"].num_tokens) == (
        len(split.samples),
        tokens,
    )
    assert found["angular_distance"].num_tokens == len(split.samples)


@pytest.mark.parametrize("name", MODELS)
def test_taylor_is_the_gradient_of_the_mean_loss(name: str) -> None:
    loaded, split, found = measured(name)
    blocks = loaded.model.get_submodule(find_stack(loaded.model).path)
    for index, block in enumerate(blocks):
        assert found["taylor"].scores[index] == close(twins.taylor(loaded, split, block))


@pytest.mark.parametrize("name", MODELS)
def test_perplexity_is_the_loss_of_a_model_built_without_the_block(name: str) -> None:
    loaded, split, found = measured(name)
    for block in range(4):
        assert found["perplexity"].scores[block] == close(twins.perplexity(loaded, split, block))


def test_a_text_that_is_read_is_its_own_reference() -> None:
    loaded = tiny.loaded(tiny.llama(), tiny.word_tokenizer())
    split = tiny.split_of(tiny.read_samples(), answer="read")
    found = measure_proxies(["block_influence", "perplexity"], loaded, split, batch_size=3)
    states = twins.hidden_states(loaded, split, "model.norm")
    assert found["block_influence"].scores[1] == close(twins.block_influence(states, 1))
    assert found["perplexity"].scores[1] == close(twins.perplexity(loaded, split, 1))


@pytest.mark.parametrize("name", ["llama", "qwen2_vl"])
def test_neither_batch_size_nor_padding_changes_a_score(name: str) -> None:
    loaded, split, found = measured(name)
    for size in (1, 8):
        again = measure_proxies(ALL, loaded, split, batch_size=size)
        for proxy in ALL:
            expected = pytest.approx(found[proxy].scores, rel=1e-5, abs=1e-6)
            assert again[proxy].scores == expected


def test_angular_distance_can_be_taken_at_all_tokens() -> None:
    loaded, split = text_case()
    found = measure_proxies(["angular_distance"], loaded, split, angular_tokens="all")
    states = twins.hidden_states(loaded, split, "model.norm")
    expected = twins.angular_distance(states, 1, 2, last_only=False)
    assert found["angular_distance"].runs[1, 2] == close(expected)


def test_a_block_that_does_nothing_is_worth_nothing() -> None:
    model = tiny.llama()
    with torch.no_grad():
        model.model.layers[2].self_attn.o_proj.weight.zero_()
        model.model.layers[2].mlp.down_proj.weight.zero_()
    found = measure_proxies(ALL, *text_case(model))
    for name in ALL:
        assert found[name].scores[2] == pytest.approx(0, abs=1e-6), name


def test_one_proxy_is_the_same_as_among_all() -> None:
    loaded, split, found = measured("llama")
    for name in ALL:
        alone = proxy_scores(name, loaded, split, batch_size=3)
        assert alone == found[name]


def test_activations_are_taken_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, split = text_case()
    calls = []
    loaded.model.register_forward_pre_hook(lambda *_: calls.append(1))
    measure_proxies(SEEN, loaded, split, batch_size=4)
    assert len(calls) == 2


def test_progress_counts_every_pass() -> None:
    loaded, split = text_case()
    done: list[float] = []
    measure_proxies(ALL, loaded, split, batch_size=3, on_batch=done.append)
    assert sum(done) == pytest.approx(num_passes(ALL, 4) * len(split.samples))
    assert num_passes(ALL, 4) == 1 + 1 + 5


def test_memory_that_runs_out_halves_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, split = text_case()
    expected = measure_proxies(ALL, loaded, split)
    forward, sizes = loaded.model.forward, []

    @wraps(forward)
    def small_memory(*args: Any, **kwargs: Any) -> Any:
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("out of memory")
        return forward(*args, **kwargs)

    monkeypatch.setattr(loaded.model, "forward", small_memory)
    found = measure_proxies(ALL, loaded, split, batch_size=8)
    assert sizes.count(8) == sizes.count(4) == 1
    for name in ALL:
        assert found[name].scores == pytest.approx(expected[name].scores, rel=1e-5, abs=1e-6)


def test_gradients_that_do_not_fit_are_taken_some_blocks_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded, split = text_case()
    whole = proxy_scores("taylor", loaded, split)
    block = loaded.model.model.layers[0]
    monkeypatch.setattr(
        taylor, "GRADIENT_BYTES", 3 * 8 * sum(p.numel() for p in block.parameters())
    )
    done: list[float] = []
    found = proxy_scores("taylor", loaded, split, on_batch=done.append)
    assert len(done) == 2
    assert sum(done) == pytest.approx(len(split.samples))
    assert found.scores == pytest.approx(whole.scores, rel=1e-6)


def state_of(model: Any) -> Any:
    return (
        [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()],
        [module.training for module in model.modules()],
        [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
    )


def unusual_llama() -> Any:
    """Return a model in training mode, with a gradient and a frozen weight."""
    model = tiny.llama()
    model.train()
    model.lm_head.weight.requires_grad_(False)
    model.model.layers[1].mlp.up_proj.weight.requires_grad_(False)
    weight = model.model.layers[0].mlp.up_proj.weight
    weight.grad = torch.ones_like(weight)
    return model


def test_the_model_is_as_before_also_after_an_error() -> None:
    loaded, split = text_case(unusual_llama())
    before = state_of(loaded.model)
    measure_proxies(ALL, loaded, split)
    assert str(state_of(loaded.model)) == str(before)

    def fail(_: float) -> None:
        raise KeyboardInterrupt

    for name in ALL:
        with pytest.raises(KeyboardInterrupt):
            proxy_scores(name, loaded, split, on_batch=fail)
        assert str(state_of(loaded.model)) == str(before)


def test_blocks_that_cannot_go_alone_have_no_perplexity() -> None:
    found = measure_proxies(["perplexity", "taylor"], *text_case(tiny.lfm2()))
    assert set(found["perplexity"].scores) == {0, 2}
    assert set(found["taylor"].scores) == {0, 1, 2}


def seeing_llava() -> LoadedModel:
    """Return a LLaVA with three blocks in its vision tower."""
    config = tiny.llava().config
    config.vision_config.num_hidden_layers = 3
    model = tiny.spread(LlavaForConditionalGeneration(config))
    return tiny.loaded(model, tiny.demo_processor())


def test_a_vision_tower_is_scored_at_all_its_positions() -> None:
    split = tiny.split_of(tiny.picture_samples()[:3])
    found = measure_proxies(ALL, seeing_llava(), split, part="vision", batch_size=2)
    for name in ALL:
        assert set(found[name].scores) == {0, 1, 2}, name
    assert found["angular_distance"].num_tokens == 3 * 36
    assert found["block_influence"].num_tokens == 3 * 36


def test_a_vision_tower_that_sees_no_picture_is_an_error() -> None:
    split = tiny.split_of(tiny.text_samples())
    with pytest.raises(TaskError, match=r"never runs[\s\S]*pictures"):
        proxy_scores("block_influence", seeing_llava(), split, part="vision")


def test_an_unknown_proxy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DepthpruneError, match=r"no proxy 'magic'[\s\S]*taylor"):
        proxy_scores("magic", *text_case())
    with pytest.raises(DepthpruneError, match="no proxy was named"):
        measure_proxies([], *text_case())


@pytest.mark.parametrize("size", [0, -1])
def test_an_empty_batch_is_refused(size: int) -> None:
    with pytest.raises(DepthpruneError, match="at least 1"):
        proxy_scores("taylor", *text_case(), batch_size=size)


def test_no_samples_are_refused() -> None:
    loaded, split = text_case()
    with pytest.raises(DepthpruneError, match="no samples"):
        proxy_scores("taylor", loaded, replace(split, samples=()))


def test_a_model_that_reads_prompt_and_answer_apart_is_refused() -> None:
    config = T5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=16, num_heads=2, num_layers=2)
    loaded, split = text_case(T5ForConditionalGeneration(config))
    with pytest.raises(ModelError, match="prompt and its answer as one text"):
        proxy_scores("block_influence", replace(loaded, kind="seq2seq"), split)


def test_quantised_weights_have_no_gradients() -> None:
    loaded, split = text_case()
    loaded.model.config.quantization_config = {"quant_method": "bitsandbytes"}
    with pytest.raises(ModelError, match="quantised"):
        proxy_scores("taylor", loaded, split)


def test_offloaded_weights_have_no_gradients() -> None:
    loaded, split = text_case()
    loaded.model.model.layers[1].to("meta")
    with pytest.raises(ModelError, match="offloaded"):
        proxy_scores("taylor", loaded, split)


@pytest.mark.parametrize("name", ALL)
def test_a_model_that_overflows_is_an_error_that_says_so(name: str) -> None:
    loaded, split = text_case()
    with torch.no_grad():
        loaded.model.model.layers[1].mlp.up_proj.weight.fill_(float("inf"))
    with pytest.raises(ModelError, match=r"overflow[\s\S]*float32"):
        proxy_scores(name, loaded, split)


def test_hidden_states_that_are_no_rows_of_tokens_are_an_error() -> None:
    loaded, split = text_case()
    loaded.model.model.layers[1].register_forward_hook(lambda *call: call[-1].flatten(0, 1))
    with pytest.raises(ModelError, match="do not fit 8 rows"):
        proxy_scores("relative_magnitude", loaded, split)


def test_blocks_that_do_not_follow_each_other_have_no_runs() -> None:
    loaded, split = text_case()
    layers = loaded.model.model.layers

    def run_another(_: Any, args: Any, kwargs: Any) -> None:
        layers[1](*args, **kwargs)

    layers[0].register_forward_pre_hook(run_another, with_kwargs=True)
    with pytest.raises(ModelError, match="one after the other"):
        proxy_scores("angular_distance", loaded, split)


def test_a_sample_that_is_too_long_is_refused_by_name() -> None:
    loaded, split = text_case(tiny.gpt2())
    long = Sample("validation/long", "cat " * 80, references=("dog",))
    with pytest.raises(TaskError, match=r"64 at most[\s\S]*validation/long"):
        proxy_scores("taylor", loaded, replace(split, samples=(long,)))


def test_every_proxy_names_its_source() -> None:
    for name, proxy in PROXIES.items():
        assert proxy.name == name
        assert "arXiv:" in proxy.source
