"""A model's anatomy is read from its configuration alone."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from depthprune.base.errors import ModelError, StackError
from depthprune.blocks.inspect import inspect_model
from tests import models as tiny


def folder_of(model: PreTrainedModel, path: Path) -> Path:
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(path)  # config.json only
    return path


def parameters(module: object) -> int:
    return sum(parameter.numel() for parameter in module.parameters())  # type: ignore[attr-defined]


def test_parameters_are_those_of_the_real_model(tmp_path: Path) -> None:
    model = tiny.llava()
    found = inspect_model(folder_of(model, tmp_path))
    assert found.parameters == parameters(model)
    assert found.parameters_per_block == tuple(
        parameters(block) for block in model.model.language_model.layers
    )
    assert found.vision_parameters == parameters(model.model.vision_tower)
    assert found.embedding_parameters == 2 * 64 * 32


def test_tied_embeddings_count_once(tmp_path: Path) -> None:
    found = inspect_model(folder_of(tiny.llama(2, tie_word_embeddings=True), tmp_path))
    assert found.embedding_parameters == 64 * 32


def test_the_stack_and_the_others(tmp_path: Path) -> None:
    found = inspect_model(folder_of(tiny.llava(), tmp_path))
    assert found.architecture == "LlavaForConditionalGeneration"
    assert found.stack.path == "model.language_model.layers"
    assert found.num_blocks == 6
    assert [stack.part for stack in found.other_stacks] == ["vision"]


def test_the_vision_stack_on_request(tmp_path: Path) -> None:
    assert inspect_model(folder_of(tiny.llava(), tmp_path), "vision").num_blocks == 4


def test_of_a_vision_model_everything_is_vision(tmp_path: Path) -> None:
    found = inspect_model(folder_of(tiny.vit(), tmp_path))
    assert found.kind == "image"
    assert found.can_skip


def test_kinds_of_blocks_are_counted(tmp_path: Path) -> None:
    found = inspect_model(folder_of(tiny.gemma2(), tmp_path))
    (field,) = (field for field in found.layer_fields if field.name == "layer_types")
    assert field.counts == {"sliding_attention": 3, "full_attention": 3}


def test_what_can_be_done(tmp_path: Path) -> None:
    found = inspect_model(folder_of(tiny.llama(3), tmp_path))
    assert found.admissible_blocks == (0, 1, 2)
    assert found.reasons == (None, None, None)
    assert (found.can_skip, found.can_cut) == (True, True)


def test_with_one_block_nothing_can_be_done(tmp_path: Path) -> None:
    found = inspect_model(folder_of(tiny.llama(1), tmp_path))
    assert (found.can_skip, found.can_cut) == (False, False)


def test_it_can_be_written_as_json(tmp_path: Path) -> None:
    json.dumps(asdict(inspect_model(folder_of(tiny.gemma2(), tmp_path))))


def test_a_part_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StackError):
        inspect_model(folder_of(tiny.llama(), tmp_path), "vision")


def test_a_configuration_that_cannot_be_built_is_an_error(tmp_path: Path) -> None:
    folder = folder_of(tiny.llama(), tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "no such function"}))
    with pytest.raises(ModelError, match="cannot be built"):
        inspect_model(folder)
