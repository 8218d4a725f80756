"""Parameters by kind, speed and memory of a model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
from scipy import stats

from depthprune.base.errors import DepthpruneError
from depthprune.benchmark import cost
from depthprune.benchmark.compare import speed_ratio
from depthprune.benchmark.cost import (
    KINDS,
    Speed,
    SpeedOptions,
    measure_in_turns,
    model_info,
    parameters_by_kind,
    peak_while,
    prompt_tokens,
    weight_bytes,
)
from depthprune.blocks.models import LoadedModel
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import find_stack
from depthprune.testing import tiny_models as tiny

QUICK = SpeedOptions(batch_sizes=(1,), prompt_tokens=5, new_tokens=4, repeats=2)


def llama() -> Any:
    return tiny.loaded(tiny.llama(), tiny.word_tokenizer())


def measure_speed(
    loaded: LoadedModel, batch_size: int, options: SpeedOptions, **more: Any
) -> Speed:
    (found,) = measure_in_turns(loaded, batch_size, options, [nullcontext], **more)
    return found


class TestParameters:
    def test_of_a_llama(self) -> None:
        model = tiny.llama()
        block = model.model.layers[0]

        def count(module: Any) -> int:
            return sum(parameter.numel() for parameter in module.parameters())

        assert parameters_by_kind(model) == {
            "embedding": count(model.model.embed_tokens),
            "attention": tiny.BLOCKS * count(block.self_attn),
            "mlp": tiny.BLOCKS * count(block.mlp),
            "norm": (2 * tiny.BLOCKS + 1) * 32,
            "lm_head": count(model.lm_head),
            "vision": 0,
            "other": 0,
        }

    @pytest.mark.parametrize(
        "make", [tiny.llama, tiny.gpt2, tiny.llava, tiny.qwen2_vl, tiny.lfm2, tiny.sliding_qwen2]
    )
    def test_the_kinds_add_up_and_tied_weights_count_once(self, make: Any) -> None:
        model = make()
        found = parameters_by_kind(model)
        assert tuple(found) == KINDS
        distinct = {id(tensor): tensor.numel() for tensor in model.parameters()}
        assert sum(found.values()) == sum(distinct.values())

    def test_a_tied_head_is_the_embedding(self) -> None:
        model = tiny.gpt2()
        found = parameters_by_kind(model)
        assert found["lm_head"] == 0
        positions = model.transformer.wpe.weight.numel()
        assert found["embedding"] == model.transformer.wte.weight.numel() + positions
        assert found["other"] == 0

    def test_the_tower_and_the_projector_are_vision(self) -> None:
        model = tiny.llava()
        vision = (model.model.vision_tower, model.model.multi_modal_projector)
        expected = sum(tensor.numel() for part in vision for tensor in part.parameters())
        assert parameters_by_kind(model)["vision"] == expected

    def test_without_blocks_it_is_the_shorter_model(self) -> None:
        loaded = llama()
        stack = find_stack(loaded.model)
        with skip(loaded.model, (1, 2), stack):
            info = model_info(loaded, stack, (1, 2), name="mine")
        shorter = tiny.without_blocks(loaded.model, (1, 2))
        assert info["module_parameters"] == parameters_by_kind(shorter)
        assert (info["name"], info["dtype"], info["num_active_blocks"]) == ("mine", "float32", 2)


class TestSpeed:
    def test_every_run_writes_as_many_tokens_as_asked(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded = llama()
        shapes = []
        generate = loaded.model.generate

        def watched(**inputs: Any) -> Any:
            shapes.append((tuple(inputs["input_ids"].shape), generate(**inputs).shape[1]))
            return generate(**inputs)

        monkeypatch.setattr(loaded.model, "generate", watched)
        shares: list[float] = []
        found = measure_speed(loaded, 3, QUICK, on_progress=shares.append)
        assert shapes == [((3, 5), 9)] * 3
        assert (found.batch_size, found.new_tokens, len(found.seconds)) == (3, 4, 2)
        assert sum(shares) == pytest.approx(1)

    def test_an_end_token_ends_nothing(self) -> None:
        loaded = llama()
        # The end token is now the likeliest after everything.
        loaded.model.lm_head.weight.data.zero_()
        loaded.model.generation_config.eos_token_id = 0
        assert measure_speed(loaded, 1, QUICK).seconds
        assert loaded.model.generation_config.eos_token_id == 0

    def test_the_figures(self) -> None:
        found = Speed(batch_size=4, new_tokens=10, seconds=(1.0, 3.0))
        assert found.tokens_per_second == 20
        assert found.tokens_per_second_std == pytest.approx((40 - 40 / 3) / 2)
        assert (found.ms_per_token, found.ms_per_step) == (50, 200)
        assert found.ms_per_token_std == 25

    def test_a_model_with_too_few_positions(self) -> None:
        with pytest.raises(DepthpruneError, match="more than the 128 that the model reads"):
            measure_speed(llama(), 1, SpeedOptions(prompt_tokens=64, new_tokens=65))

    def test_a_model_that_stops_by_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded = llama()
        monkeypatch.setattr(loaded.model, "generate", lambda **inputs: inputs["input_ids"])
        with pytest.raises(DepthpruneError, match="wrote 0 tokens in place of 4"):
            measure_speed(loaded, 1, QUICK)

    @pytest.mark.parametrize(
        "wrong", [{"batch_sizes": (0,)}, {"prompt_tokens": 0}, {"new_tokens": 0}, {"repeats": 0}]
    )
    def test_options_that_make_no_sense(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(DepthpruneError, match="at least one"):
            SpeedOptions(**wrong)

    def test_a_prompt_is_as_long_as_asked(self) -> None:
        tokenizer = tiny.word_tokenizer()
        assert [len(prompt_tokens(tokenizer, count)) for count in (1, 7, 100)] == [1, 7, 100]
        with pytest.raises(DepthpruneError, match="no tokens"):
            prompt_tokens(lambda *_, **__: {"input_ids": []}, 3)

    def test_gpus_are_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        waited: list[int] = []
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
        cost.write_once(llama(), 1, QUICK)
        assert waited == [0, 1, 0, 1]


class TestMemory:
    def test_weights_count_once_and_without_skipped_blocks(self) -> None:
        for make in (tiny.llama, tiny.gpt2):
            model = make()
            with skip(model, (0, 3)):
                skipping = weight_bytes(model)
            assert (
                skipping == weight_bytes(tiny.without_blocks(model, (0, 3))) < weight_bytes(model)
            )

    def test_of_a_process_nothing_is_told_and_nothing_is_run(self) -> None:
        ran: list[int] = []
        assert peak_while(lambda: ran.append(1), "cpu") is None
        assert ran == []

    def test_on_gpus_it_is_the_sum_over_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        reset: list[int] = []
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset.append)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda index: 100 + index)
        found = peak_while(lambda: None, "cuda")
        assert (found, reset) == (201, [0, 1])


class TestRatio:
    def test_of_sides_that_took_turns_what_hit_both_leaves_no_doubt(self) -> None:
        whole = [1.0, 2.0, 4.0, 1.5, 3.0]
        found = speed_ratio(whole, [0.8 * one for one in whole], in_turns=True)
        assert found.value == pytest.approx(1.25)
        assert (found.low, found.high) == (pytest.approx(1.25), pytest.approx(1.25))
        assert found.is_separable
        assert not speed_ratio(whole, [0.8 * one for one in whole], in_turns=False).is_separable

    def test_the_interval_is_students(self) -> None:
        first, second = [1.0, 1.1, 0.9, 1.2, 1.05], [0.7, 0.8, 0.75, 0.9, 0.6]
        for in_turns, test in ((True, stats.ttest_rel), (False, stats.ttest_ind)):
            options = {} if in_turns else {"equal_var": False}
            ends = test(np.log(first), np.log(second), **options).confidence_interval()
            found = speed_ratio(first, second, in_turns=in_turns)
            assert found.low == pytest.approx(math.exp(ends.low))
            assert found.high == pytest.approx(math.exp(ends.high))

    def test_one_repeat_says_nothing_about_another(self) -> None:
        found = speed_ratio([2.0], [1.0], in_turns=True)
        assert (found.value, found.low, found.is_separable) == (2.0, None, False)

    def test_sides_take_turns_and_each_round_begins_with_another(self) -> None:
        order: list[str] = []

        def side(name: str) -> Any:
            @contextmanager
            def enter() -> Iterator[None]:
                order.append(name)
                yield

            return enter

        options = SpeedOptions(prompt_tokens=3, new_tokens=2, repeats=2, warmup=1)
        found = measure_in_turns(llama(), 1, options, [side("a"), side("b")])
        assert "".join(order) == "abbaab"
        assert [len(one.seconds) for one in found] == [2, 2]
