"""The block stack is found without knowing an architecture."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    LlamaConfig,
    MixtralConfig,
    MixtralForCausalLM,
    ResNetConfig,
    ResNetForImageClassification,
)

import depthprune.blocks
from depthprune.base.errors import RemovalError, StackError
from depthprune.blocks.skipping import skip
from depthprune.blocks.stack import Stack, choose_stack, find_stack, find_stacks
from tests import models as tiny


def test_a_decoder_has_one_stack_named_by_its_list_and_its_count() -> None:
    stack = find_stack(tiny.llama(6))
    assert stack.path == "model.layers"
    assert stack.config_path == "num_hidden_layers"
    assert stack.num_blocks == 6
    assert stack.containers == ("model.layers",)


def test_of_a_vision_language_model_the_text_decoder_is_meant() -> None:
    stack = find_stack(tiny.llava())
    assert (stack.path, stack.num_blocks) == ("model.language_model.layers", 6)
    assert stack.config_path == "text_config.num_hidden_layers"


def test_the_vision_tower_is_found_on_request() -> None:
    stack = find_stack(tiny.llava(), part="vision")
    assert (stack.path, stack.num_blocks) == ("model.vision_tower.encoder.layers", 4)


def test_stacks_of_equal_length_are_told_apart() -> None:
    stack = find_stack(tiny.llava(4))
    assert stack.path == "model.language_model.layers"


def test_a_number_that_equals_the_count_by_chance_is_no_count() -> None:
    assert find_stack(tiny.llama(4)).config_path == "num_hidden_layers"  # has 4 heads as well


@pytest.mark.parametrize(
    ("part", "path", "count"),
    [
        ("text", "decoder.block", "num_decoder_layers"),
        ("decoder", "decoder.block", "num_decoder_layers"),
        ("encoder", "encoder.block", "num_layers"),
    ],
)
def test_encoder_and_decoder_of_equal_length_are_told_apart(
    part: str, path: str, count: str
) -> None:
    stack = find_stack(tiny.t5(4, 4), part)
    assert (stack.path, stack.config_path) == (path, count)


def test_experts_are_not_blocks() -> None:
    config = MixtralConfig(
        **tiny.SIZES, num_hidden_layers=4, num_local_experts=4, num_key_value_heads=2
    )
    with torch.device("meta"):
        model = MixtralForCausalLM(config)
    assert find_stack(model).path == "model.layers"


@pytest.mark.parametrize("model", [tiny.bert(), tiny.vit()], ids=["bert", "vit"])
def test_the_only_stack_of_an_encoder_is_meant_by_text(model: nn.Module) -> None:
    assert find_stack(model).num_blocks == 4


def test_a_stack_can_be_named_by_its_count() -> None:
    stack = find_stack(tiny.llava(), part="vision_config.num_hidden_layers")
    assert stack.part == "vision"


def test_a_part_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(StackError, match=r"no stack for part 'vision'") as caught:
        find_stack(tiny.llama(), part="vision")
    assert "model.layers (6 blocks" in str(caught.value)


def test_blocks_spread_over_stages_are_refused_and_the_stages_named() -> None:
    with pytest.raises(StackError, match="spread over stages") as caught:
        find_stack(tiny.swin())
    assert "depths[1]" in str(caught.value)


def test_a_stage_can_be_named() -> None:
    assert find_stack(tiny.swin(), part="depths[1]").num_blocks == 4


def test_a_convolutional_network_is_refused() -> None:
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[2, 3])
    with pytest.raises(StackError, match="stages"):
        find_stack(ResNetForImageClassification(config))


def test_a_model_that_shares_one_block_has_no_stack() -> None:
    config = AlbertConfig(**tiny.SIZES, embedding_size=16, num_hidden_layers=4)
    with pytest.raises(StackError, match="no stack of transformer blocks"):
        find_stack(AlbertForMaskedLM(config))


def test_a_module_without_blocks_has_no_stack() -> None:
    with pytest.raises(StackError, match="no stack of transformer blocks"):
        find_stack(nn.Sequential(nn.Linear(2, 2)))


class PlainModel(nn.Module):
    def __init__(self, *lengths: int) -> None:
        super().__init__()
        for index, length in enumerate(lengths):
            setattr(self, f"blocks{index}", nn.ModuleList(nn.Linear(2, 2) for _ in range(length)))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        for block in self.blocks0:
            hidden = torch.tanh(block(hidden))
        return hidden


def test_a_plain_module_has_the_stack_of_its_only_list() -> None:
    stack = find_stack(PlainModel(5))
    assert (stack.path, stack.num_blocks, stack.config_path) == ("blocks0", 5, "")


def test_two_lists_in_a_plain_module_are_ambiguous_and_named() -> None:
    with pytest.raises(StackError, match="2 lists of modules") as caught:
        find_stack(PlainModel(5, 3))
    assert "blocks0 (5 blocks" in str(caught.value)
    assert "blocks1 (3 blocks" in str(caught.value)


def test_the_configuration_of_a_plain_module_says_which_list_is_meant() -> None:
    model = PlainModel(5, 3)
    model.config = LlamaConfig(num_hidden_layers=3)
    assert find_stack(model).path == "blocks1"


def test_blocks_of_a_plain_module_are_skipped() -> None:
    model, hidden = PlainModel(3), torch.ones(1, 2)
    expected = torch.tanh(model.blocks0[2](torch.tanh(model.blocks0[0](hidden))))
    with skip(model, (1,)):
        assert torch.equal(model(hidden), expected)


def test_blocks_of_a_plain_module_are_renumbered() -> None:
    model = PlainModel(3)
    for index, block in enumerate(model.blocks0):
        block.layer_idx = index
    with skip(model, (1,)):
        assert [block.layer_idx for block in model.blocks0] == [0, 1]
    assert [block.layer_idx for block in model.blocks0] == [0, 1, 2]


def test_a_wrapped_model_is_to_be_named_itself() -> None:
    with pytest.raises(StackError, match="wraps a transformers model"):
        find_stack(nn.ModuleDict({"base": tiny.llama()}))


def test_no_stack_is_looked_for_while_blocks_are_skipped() -> None:
    model = tiny.llama()
    with skip(model, (1,)), pytest.raises(RemovalError, match="skipped already"):
        find_stack(model)


class TestChoosing:
    """Which of several stacks is meant, when the names alone do not say."""

    def stack(self, path: str, config_path: str, part: str) -> Stack:
        return Stack(path, 4, config_path, (path,), part=part)

    def test_two_that_could_be_meant_are_named(self) -> None:
        stacks = (
            self.stack("asr.layers", "asr.layers", "audio"),
            self.stack("tts.layers", "tts.layers", "audio"),
        )
        with pytest.raises(StackError, match="2 stacks that could be meant") as caught:
            choose_stack(stacks, "audio", "Model")
        assert "asr.layers (4 blocks" in str(caught.value)
        assert "tts.layers (4 blocks" in str(caught.value)

    def test_of_two_text_stacks_the_language_models_is_meant(self) -> None:
        model = tiny.llava()
        (text,) = (
            found for found in find_stacks(type(model), model.config) if found.part == "text"
        )
        other = replace(text, path="model.other", config_path="num_hidden_layers")
        assert choose_stack((other, text), "text", "Model") is text

    def test_auxiliary_stacks_are_not_meant(self) -> None:
        stacks = (
            self.stack("model.layers", "num_hidden_layers", "text"),
            self.stack("qformer.layer", "qformer_config.num_hidden_layers", "auxiliary"),
        )
        assert choose_stack(stacks, "text", "Model") is stacks[0]

    def test_an_only_stack_of_another_kind_is_meant_by_text(self) -> None:
        stacks = (self.stack("encoder.layers", "encoder_layers", "encoder"),)
        assert choose_stack(stacks, "text", "Model") is stacks[0]


def test_the_package_does_not_import_torch() -> None:
    code = "import sys, depthprune.blocks; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_package_names_what_it_lacks() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        depthprune.blocks.no_such_name  # noqa: B018


def test_a_configuration_that_cannot_be_built_is_an_error() -> None:
    model = tiny.llama()
    model.config.num_attention_heads = 0
    with pytest.raises(StackError, match="cannot be built"):
        find_stacks(type(model), model.config)
