"""Checkpoints in files of torch.save are cut to the very tensors that safetensors files give."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedModel, T5ForConditionalGeneration

from depthprune.base.errors import FileError
from depthprune.cutting.plan import plan_cut
from tests import models as tiny
from tests.cutting.cutting import cut, load_strictly, saved, skipped_logits, tensors


def saved_as_pickles(
    model: PreTrainedModel, folder: Path, parts: int = 1, *, old: bool = False
) -> Path:
    """Save a model as `pytorch_model.bin`, or as several with an index."""
    folder.mkdir()
    model.config.save_pretrained(folder)
    state = model.state_dict()
    names = [f"pytorch_model-{part + 1:05d}-of-{parts:05d}.bin" for part in range(parts)]
    if parts == 1:
        names = ["pytorch_model.bin"]
    weight_map = {name: names[index % parts] for index, name in enumerate(state)}
    for file in names:
        part = {name: tensor for name, tensor in state.items() if weight_map[name] == file}
        torch.save(part, folder / file, _use_new_zipfile_serialization=not old)
    if parts > 1:
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
@pytest.mark.parametrize("parts", [1, 3])
def test_pickles_give_what_safetensors_give(tmp_path: Path, parts: int, old: bool) -> None:
    model = tiny.llama().to(torch.bfloat16)
    cut(saved_as_pickles(model, tmp_path / "bin", parts, old=old), (1, 3), tmp_path / "a")
    cut(saved(model, tmp_path / "safe"), (1, 3), tmp_path / "b")
    found, expected = tensors(tmp_path / "a"), tensors(tmp_path / "b")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("model", "model_class"),
    [
        (tiny.llama(tie_word_embeddings=True), LlamaForCausalLM),
        (tiny.t5(), T5ForConditionalGeneration),
    ],
    ids=["llama", "t5"],
)
def test_tied_weights_load_as_skip_runs(tmp_path: Path, model: Any, model_class: Any) -> None:
    source = saved_as_pickles(model, tmp_path / "whole")
    cut(source, (1,), tmp_path / "smaller")
    inputs = {"input_ids": tiny.tokens()}
    if model_class is T5ForConditionalGeneration:
        inputs["decoder_input_ids"] = tiny.tokens(length=4)
    loaded = load_strictly(model_class, tmp_path / "smaller")
    difference = tiny.logits(loaded, **inputs) - skipped_logits(model, (1,), inputs)
    assert difference.abs().max() < 1e-4


class Calls:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def test_code_in_a_checkpoint_never_runs(tmp_path: Path) -> None:
    source = saved_as_pickles(tiny.llama(), tmp_path / "whole")
    state = torch.load(source / "pytorch_model.bin")
    torch.save(state | {"extra": Calls(tmp_path / "marker")}, source / "pytorch_model.bin")
    cut(source, (1,), tmp_path / "smaller")
    assert not (tmp_path / "marker").exists()
    assert not any(b"touch" in path.read_bytes() for path in (tmp_path / "smaller").iterdir())


def test_a_truncated_pickle_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    source = saved_as_pickles(tiny.llama(), tmp_path / "whole", parts=2)
    damaged = source / "pytorch_model-00002-of-00002.bin"
    damaged.write_bytes(damaged.read_bytes()[:-500])
    with pytest.raises(FileError, match="truncated") as caught:
        plan_cut(source, (1,))
    assert caught.value.where == str(damaged)
