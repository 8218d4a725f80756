"""Inside `skip` a model is the one built without these blocks; outside it is as before."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    DiffLlamaConfig,
    DiffLlamaForCausalLM,
    Gemma3nForCausalLM,
    Gemma3nTextConfig,
    PreTrainedModel,
)

from depthprune.base.errors import RemovalError, StackError
from depthprune.base.removal import Removal
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import find_stack
from tests import models as tiny
from tests.architectures.check import snapshot_difference, take_snapshot

MODELS: dict[str, Callable[[], Any]] = {
    "llama": tiny.llama,
    "gemma2": tiny.gemma2,
    "qwen2": tiny.qwen2,
}
REMOVALS: list[Removal] = [(0,), (1, 3), (0, 4, 5), (1, 2, 3, 4, 5)]


def shorter(model: PreTrainedModel, removal: Removal) -> PreTrainedModel:
    """Build the model without the blocks, with a configuration written by hand."""
    config = copy.deepcopy(model.config)
    kinds = getattr(config, "layer_types", None)
    config.num_hidden_layers -= len(removal)
    if kinds is not None:
        config.layer_types = [kind for block, kind in enumerate(kinds) if block not in removal]
    return tiny.built_without(model, set(removal), "model.layers", config)


@pytest.mark.parametrize("removal", REMOVALS, ids=str)
@pytest.mark.parametrize("name", MODELS)
class TestAgainstTheBuiltModel:
    def test_logits(self, name: str, removal: Removal) -> None:
        model = MODELS[name]()
        inputs = tiny.left_padded()
        with skip(model, removal):
            ours = tiny.logits(model, **inputs)
        theirs = tiny.logits(shorter(model, removal), **inputs)
        assert (ours - theirs).abs().max() <= 1e-4
        assert (ours - tiny.logits(model, **inputs)).abs().max() > 1e-2

    def test_generation_from_left_padded_prompts(self, name: str, removal: Removal) -> None:
        model = MODELS[name]()
        inputs = tiny.left_padded()
        with skip(model, removal):
            cached = tiny.continued(model, inputs)
            uncached = tiny.continued(model, inputs, use_cache=False)
        assert torch.equal(cached, uncached)
        assert torch.equal(cached, tiny.continued(shorter(model, removal), inputs))


def test_padding_does_not_change_an_answer_without_block_0() -> None:
    model = tiny.llama()
    padded = tiny.left_padded(4)
    alone = {name: value[:1, 4:] for name, value in padded.items()}
    with skip(model, (0,)):
        together = tiny.continued(model, padded)[0, 9:]
        single = tiny.continued(model, alone)[0, 5:]
    assert torch.equal(together, single)


def test_the_cache_has_an_entry_per_block_that_stays() -> None:
    model = tiny.llama()
    with skip(model, (0, 3)), torch.no_grad():
        cache = model(tiny.tokens(), use_cache=True).past_key_values
    assert len(cache.layers) == 4
    assert cache.get_seq_length() == 9


def test_hidden_states_are_those_of_the_blocks_that_stay() -> None:
    model = tiny.llama()
    with skip(model, (2,)), torch.no_grad():
        output = model(tiny.tokens(), output_hidden_states=True)
    assert len(output.hidden_states) == 6


class TestHiddenStates:
    """transformers installs its recording hooks once, when they are needed for the first time."""

    def test_of_the_whole_model_are_complete_when_first_asked_for_while_skipping(self) -> None:
        model = tiny.llama()
        before = take_snapshot(model)
        with skip(model, (2,)):
            model(tiny.tokens(), output_hidden_states=True)
        assert not snapshot_difference(before, take_snapshot(model))
        assert len(model(tiny.tokens(), output_hidden_states=True).hidden_states) == 7

    def test_hooks_from_before_stay(self) -> None:
        model = tiny.llama()
        model(tiny.tokens(), output_hidden_states=True)
        before = take_snapshot(model)
        with skip(model, (2,)):
            assert len(model(tiny.tokens(), output_hidden_states=True).hidden_states) == 6
        assert not snapshot_difference(before, take_snapshot(model))
        assert len(model(tiny.tokens(), output_hidden_states=True).hidden_states) == 7

    def test_the_vision_layer_that_text_looks_at_is_right_after_vision_blocks_came_back(
        self,
    ) -> None:
        model = tiny.llava()
        model.config.vision_feature_layer = -2
        ids = tiny.tokens(1)
        ids[0, 1:5] = 63
        inputs = {"input_ids": ids, "pixel_values": torch.randn(1, 3, 16, 16)}
        expected = tiny.logits(copy.deepcopy(model), **inputs)
        with skip(model, (1,), find_stack(model, "vision")):
            tiny.logits(model, **inputs)
        assert torch.equal(tiny.logits(model, **inputs), expected)


def test_a_picture_is_seen_without_text_blocks() -> None:
    model = tiny.llava()
    ids = tiny.tokens(1)
    ids[0, 1:5] = 63
    inputs = {"input_ids": ids, "pixel_values": torch.randn(1, 3, 16, 16)}
    config = copy.deepcopy(model.config)
    config.text_config.num_hidden_layers = 4
    path = "model.language_model.layers"
    with skip(model, (1, 3)):
        ours = tiny.logits(model, **inputs)
    theirs = tiny.logits(tiny.built_without(model, {1, 3}, path, config), **inputs)
    assert (ours - theirs).abs().max() <= 1e-4


def test_vision_blocks_are_skipped_on_request() -> None:
    model = tiny.llava()
    ids = tiny.tokens(1)
    ids[0, 1:5] = 63
    inputs = {"input_ids": ids, "pixel_values": torch.randn(1, 3, 16, 16)}
    config = copy.deepcopy(model.config)
    config.vision_config.num_hidden_layers = 3
    path = "model.vision_tower.encoder.layers"
    with skip(model, (1,), find_stack(model, "vision")):
        ours = tiny.logits(model, **inputs)
    theirs = tiny.logits(tiny.built_without(model, {1}, path, config), **inputs)
    assert (ours - theirs).abs().max() <= 1e-4


def test_what_depends_on_a_blocks_index_is_that_of_its_new_place() -> None:
    options = {**tiny.SIZES, "num_hidden_layers": 4, "num_key_value_heads": 2}
    model = DiffLlamaForCausalLM(DiffLlamaConfig(**options)).eval()
    before = [block.self_attn.lambda_init for block in model.model.layers]
    with skip(model, (1,)):
        inside = [block.self_attn.lambda_init for block in model.model.layers]
    assert inside == before[:3]
    assert [block.self_attn.lambda_init for block in model.model.layers] == before


class TestTheNaiveWays:
    """Identity in place of a block, or only taking it out of the list, is silently wrong."""

    def test_identity_in_place_of_block_0_is_wrong_for_padded_rows(self) -> None:
        model = tiny.llama()
        inputs = tiny.left_padded()
        expected = tiny.continued(shorter(model, (0,)), inputs)
        with skip(model, (0,)):
            ours = tiny.continued(model, inputs)
        block = model.model.layers[0]
        block.forward = lambda hidden_states, *_, **__: hidden_states
        naive = tiny.continued(model, inputs)
        del block.forward
        assert torch.equal(ours, expected)
        assert not torch.equal(naive, expected)

    def test_dropping_without_renumbering_is_wrong_for_padded_rows(self) -> None:
        model = tiny.llama()
        inputs = tiny.left_padded()
        expected = tiny.continued(shorter(model, (0,)), inputs)
        model.model.layers = nn.ModuleList(model.model.layers[1:])
        assert not torch.equal(tiny.continued(model, inputs), expected)

    def test_renumbering_without_the_kinds_of_layers_is_wrong(self) -> None:
        model = tiny.gemma2()
        ids = tiny.tokens()
        expected = tiny.logits(shorter(model, (1,)), input_ids=ids)
        with skip(model, (1,)):
            ours = tiny.logits(model, input_ids=ids)
        blocks = [block for index, block in enumerate(model.model.layers) if index != 1]
        for index, block in enumerate(blocks):
            block.self_attn.layer_idx = index
        model.model.layers = nn.ModuleList(blocks)
        model.config.num_hidden_layers = 5
        naive = tiny.logits(model, input_ids=ids)
        assert (ours - expected).abs().max() <= 1e-4
        assert (naive - expected).abs().max() > 1e-2


class TestTheModelIsAsBefore:
    @pytest.mark.parametrize("name", MODELS)
    def test_after_the_body(self, name: str) -> None:
        model = MODELS[name]()
        before, logits = take_snapshot(model), tiny.logits(model, input_ids=tiny.tokens())
        with skip(model, (1, 3)):
            assert snapshot_difference(before, take_snapshot(model))
        assert not snapshot_difference(before, take_snapshot(model))
        assert torch.equal(tiny.logits(model, input_ids=tiny.tokens()), logits)

    def test_after_an_exception_in_the_body(self) -> None:
        model = tiny.gemma2()
        before = take_snapshot(model)
        with pytest.raises(ZeroDivisionError), skip(model, (1, 3)):
            1 / 0  # noqa: B018
        assert not snapshot_difference(before, take_snapshot(model))

    def test_after_an_error_while_entering(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model = tiny.llama()
        stack = find_stack(model)
        before = take_snapshot(model)
        del model.model.layers[5].self_attn  # the last of the blocks that are renumbered
        model.model.layers[5].self_attn = None
        with pytest.raises(AttributeError), skip(model, (1,), stack):
            pass
        changed = snapshot_difference(before, take_snapshot(model))
        assert "model.layers.5" in changed
        assert "model.layers.4" not in changed

    def test_what_the_body_sets_stays(self) -> None:
        model = tiny.llama()
        with skip(model, (1,)):
            model.config.use_cache = False
        assert model.config.use_cache is False

    def test_hooks_on_blocks_stay_and_work(self) -> None:
        model = tiny.llama()
        calls: list[int] = []
        for index, block in enumerate(model.model.layers):
            block.register_forward_hook(lambda *_, index=index: calls.append(index))
        with skip(model, (1, 3)):
            tiny.logits(model, input_ids=tiny.tokens())
        assert calls == [0, 2, 4, 5]


def test_weights_offloaded_by_accelerate_still_come_and_go() -> None:
    accelerate = pytest.importorskip("accelerate")
    model = tiny.llama()
    stack = find_stack(model)
    with skip(model, (0, 3), stack):
        expected = tiny.continued(model, tiny.left_padded())
    accelerate.cpu_offload(model, execution_device="cpu")
    assert model.model.layers[1].self_attn.q_proj.weight.is_meta
    with skip(model, (0, 3), stack):
        ours = tiny.continued(model, tiny.left_padded())
    assert torch.equal(ours, expected)
    assert model.model.layers[3].self_attn.q_proj.weight.is_meta


class TestWhatIsRefused:
    def test_a_block_that_does_not_exist(self) -> None:
        with (
            pytest.raises(RemovalError, match="block 99 does not exist"),
            skip(tiny.llama(), (99,)),
        ):
            pass

    def test_a_negative_block(self) -> None:
        with pytest.raises(RemovalError, match="not a block index"), skip(tiny.llama(), (-1,)):
            pass

    def test_all_blocks(self) -> None:
        with pytest.raises(RemovalError, match="leaves no model"), skip(tiny.llama(2), (0, 1)):
            pass

    def test_skipping_inside_skipping(self) -> None:
        model = tiny.llama()
        stack = find_stack(model)
        with (
            skip(model, (1,), stack),
            pytest.raises(RemovalError, match="skipped already"),
            skip(model, (2,), stack),
        ):
            pass

    def test_the_stack_of_another_model(self) -> None:
        stack = find_stack(tiny.llama(4))
        with pytest.raises(StackError, match="4 blocks"), skip(tiny.llama(6), (1,), stack):
            pass

    def test_the_stack_of_another_architecture(self) -> None:
        stack = find_stack(tiny.bert())
        with pytest.raises(StackError, match="does not belong"), skip(tiny.llama(), (1,), stack):
            pass


def test_the_baseline_changes_nothing() -> None:
    model = tiny.llama()
    before = take_snapshot(model)
    with skip(model, ()) as same:
        assert same is model
        assert not snapshot_difference(before, take_snapshot(model))


def test_vision_and_text_blocks_are_skipped_together() -> None:
    model = tiny.llava()
    text, vision = find_stack(model), find_stack(model, "vision")
    with skip(model, (1,), text), skip(model, (2,), vision):
        assert len(model.get_submodule(text.path)) == 5
        assert len(model.get_submodule(vision.path)) == 3


def test_a_tensor_with_a_slice_per_block_loses_the_slices_of_missing_blocks() -> None:
    config = Gemma3nTextConfig(
        **tiny.SIZES,
        num_hidden_layers=4,
        num_key_value_heads=2,
        head_dim=8,
        num_kv_shared_layers=0,
        layer_types=["full_attention"] * 4,
        activation_sparsity_pattern=[0.0] * 4,
        vocab_size_per_layer_input=64,
        hidden_size_per_layer_input=8,
        laurel_rank=4,
    )
    model = Gemma3nForCausalLM(config).eval()
    stack = find_stack(model)
    name = "model.embed_tokens_per_layer.weight"
    assert name in {tensor.name for tensor in stack.tensors}
    whole = model.get_parameter(name)
    with skip(model, (1,), stack):
        part = model.get_parameter(name)
        assert part.shape == (64, 3 * 8)
        assert torch.equal(part[:, 8:16], whole[:, 16:24])
    assert model.get_parameter(name) is whole


def test_entering_again_takes_a_few_milliseconds() -> None:
    model = tiny.llama(16)
    stack = find_stack(model)
    with skip(model, (3, 5), stack):
        pass
    times = []
    for _ in range(5):
        start = time.process_time()
        with skip(model, (3, 5), stack):
            pass
        times.append(time.process_time() - start)
    assert min(times) < 0.01
