"""Which configuration and which weights of a folder count: those that transformers loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from depthprune.base.errors import ModelError
from depthprune.checkpoint.fingerprint import model_fingerprint
from depthprune.checkpoint.folder import (
    configuration_path,
    find_weight_files,
    read_config,
    weight_files,
)
from depthprune.structure.reading import read_checkpoint
from tests import models as tiny
from tests.cutting.cutting import cut, saved


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return saved(tiny.llama(), tmp_path / "whole")


def edit(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "weights.safetensors")
    edit(folder, transformers_weights="weights.safetensors")


def named_beside_another(folder: Path) -> None:
    named(folder)
    (folder / "model.safetensors").write_bytes(b"not read")


def named_in_a_folder(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "model.safetensors").rename(folder / "inner" / "a.safetensors")
    edit(folder, transformers_weights="inner/a.safetensors")


def index_with_folders(folder: Path) -> None:
    from safetensors.torch import load_file

    (folder / "parts").mkdir()
    names = dict.fromkeys(load_file(folder / "model.safetensors"), "parts/1.safetensors")
    (folder / "model.safetensors").rename(folder / "parts" / "1.safetensors")
    index = {"metadata": {}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def named_index(folder: Path) -> None:
    index_with_folders(folder)
    (folder / "model.safetensors.index.json").rename(folder / "other.safetensors.index.json")
    edit(folder, transformers_weights="other.safetensors.index.json")


def pickled_beside(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"not read")


WAYS = [named, named_beside_another, named_in_a_folder, index_with_folders, named_index,
        pickled_beside]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_weights_that_transformers_loads_are_read(
    way: Callable[[Path], None], source: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(source, plain)
    way(source)
    expected = AutoModelForCausalLM.from_pretrained(source).state_dict()
    assert set(read_checkpoint(source).tensors) >= set(expected) - {"lm_head.weight"}
    cut(source, (1,), tmp_path / "out")
    cut(plain, (1,), tmp_path / "other")
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    same = AutoModelForCausalLM.from_pretrained(tmp_path / "other").state_dict()
    assert found.keys() == same.keys()
    assert all(torch.equal(found[name], same[name]) for name in same)
    assert not (tmp_path / "out" / "weights.safetensors").exists()


@pytest.mark.parametrize(
    "path", ["../secret.safetensors", "/secret.safetensors", "gone.safetensors", "config.json", 3]
)
def test_weights_named_elsewhere_are_refused(path: object, source: Path, tmp_path: Path) -> None:
    (source / "model.safetensors").rename(tmp_path / "secret.safetensors")
    edit(source, transformers_weights=path)
    with pytest.raises(ModelError, match="transformers_weights names"):
        weight_files(source)


def test_the_configuration_of_this_version_is_read(source: Path, tmp_path: Path) -> None:
    older, newer, own = "config.4.0.0.json", "config.99.0.0.json", "config.5.0.0.json"
    content = json.loads((source / "config.json").read_text())
    for name, eps in ((older, 0.1), (newer, 0.2), (own, 0.3)):
        (source / name).write_text(json.dumps(content | {"rms_norm_eps": eps}))
    edit(source, configuration_files=[older, newer, own, "config.json"])
    assert configuration_path(source).name == own
    assert read_config(source)["rms_norm_eps"] == AutoConfig.from_pretrained(source).rms_norm_eps
    plan = cut(source, (1,), tmp_path / "out")
    assert AutoConfig.from_pretrained(tmp_path / "out").rms_norm_eps == 0.3
    assert plan.files.left_out == ((older, "whole model"), (newer, "whole model"))
    before = model_fingerprint(source)
    (source / newer).write_text("{}")
    assert model_fingerprint(source) == before
    (source / own).write_text(json.dumps(content))
    assert model_fingerprint(source) != before


def test_a_configuration_elsewhere_is_refused(source: Path) -> None:
    edit(source, configuration_files=["config.4.0.0/../../x.json", "config.1.json"])
    with pytest.raises(ModelError, match="configuration_files names"):
        read_config(source)


def test_the_only_variant_is_read_and_of_several_none(source: Path, tmp_path: Path) -> None:
    (source / "model.safetensors").rename(source / "model.fp16.safetensors")
    found = find_weight_files(source)
    assert (found.variant, found.files[0].name) == ("fp16", "model.fp16.safetensors")
    cut(source, (1,), tmp_path / "out")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.num_hidden_layers == 5
    shutil.copy(source / "model.fp16.safetensors", source / "model.bf16.safetensors")
    with pytest.raises(ModelError, match=r"several variants: model\.bf16"):
        find_weight_files(source)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_pointers_of_git_lfs_are_named_as_such(name: str, source: Path) -> None:
    (source / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ModelError, match="pointer of Git LFS") as caught:
        cut(source, (1,), source.parent / "out")
    assert "git lfs pull" in (caught.value.mend or "")
    if name != "config.json":
        with pytest.raises(ModelError, match="pointer of Git LFS"):
            read_checkpoint(source)


@pytest.mark.parametrize(
    ("name", "word"),
    [("consolidated.00.pth", "consolidated"), ("adapter_config.json", "adapter"),
     ("model.gguf", "gguf"), ("notes.txt", "no weights")],
)  # fmt: skip
def test_a_folder_without_weights_says_what_it_has(name: str, word: str, source: Path) -> None:
    (source / "model.safetensors").unlink()
    (source / name).write_text("{}")
    with pytest.raises(ModelError, match=word):
        weight_files(source)
