"""Checkpoints that are odd, or made to do harm: refused in words, or cut like any other."""

from __future__ import annotations

import errno
import fcntl
import json
import shlex
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from depthprune.base.errors import FileError, ModelError
from depthprune.checkpoint.folder import weight_files
from depthprune.checkpoint.safetensors_files import read_safetensors
from depthprune.cutting.execute import clear_leftovers, execute_cut
from depthprune.cutting.model_card import model_card
from depthprune.cutting.plan import plan_cut
from depthprune.workflow.cutting import cut_command
from tests import models as tiny
from tests.cutting.cutting import cut, load_strictly, saved


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return saved(tiny.llama(), tmp_path / "source")


def write_header(path: Path, header: bytes, data: bytes = b"") -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def change_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    "name", [b"\\ud800", b"\xed\xa0\x80", b"\xff"], ids=["escape", "surrogate", "no utf-8"]
)
def test_names_that_are_no_text_are_refused(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_header(path, b'{"' + name + b'":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x")
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        read_safetensors(path)


def test_half_a_character_in_the_configuration_is_kept(source: Path, tmp_path: Path) -> None:
    change_config(source, comment="\ud800")
    cut(source, (1,), tmp_path / "smaller")
    assert json.loads((tmp_path / "smaller" / "config.json").read_text())["comment"] == "\ud800"


def test_more_blocks_than_tensors_are_refused_before_they_are_counted(source: Path) -> None:
    change_config(source, num_hidden_layers=10**15)
    with pytest.raises(ModelError, match="counts 1,000,000,000,000,000 blocks"):
        plan_cut(source, (1,))


def test_a_count_that_is_said_twice_is_changed_twice(tmp_path: Path) -> None:
    config = GPT2Config(n_layer=4, n_embd=16, n_head=2, vocab_size=50, n_positions=32)
    source = saved(GPT2LMHeadModel(config), tmp_path / "whole")
    change_config(source, num_hidden_layers=4)
    cut(source, (1,), tmp_path / "smaller")
    assert load_strictly(GPT2LMHeadModel, tmp_path / "smaller").config.n_layer == 3


def test_two_keys_that_would_get_the_same_name_are_refused(source: Path) -> None:
    path = source / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.01.mlp.up_proj.weight"] = tensors["lm_head.weight"].clone()
    save_file(tensors, path)
    with pytest.raises(ModelError, match="same name"):
        plan_cut(source, (0,))


def test_metadata_that_the_tensors_need_is_not_lost(source: Path) -> None:
    path = source / "model.safetensors"
    save_file(load_file(path), path, metadata={"format": "pt", "tensor_names": '["a"]'})
    with pytest.raises(ModelError, match="torchao"):
        plan_cut(source, (0,))


def test_the_single_safetensors_file_counts_before_the_index_of_pickles(source: Path) -> None:
    index = {"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}
    (source / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert weight_files(source) == (source / "model.safetensors",)
    assert plan_cut(source, (1,)).num_tensors


def test_a_cut_of_a_cut_for_other_tools(source: Path, tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    execute_cut(plan_cut(source, (1,)), first, extra_files={"mergekit.yaml": "old"})
    execute_cut(plan_cut(first, (1,)), second, extra_files={"mergekit.yaml": "new"})
    execute_cut(plan_cut(first, (1,)), third)
    assert (second / "mergekit.yaml").read_text() == "new"
    assert not (third / "mergekit.yaml").exists()


@pytest.mark.parametrize(
    "line", ["license: *nothing", 'license: "open', "license: [mit", "license: |"]
)
def test_a_broken_card_of_the_source_does_not_break_the_new_one(source: Path, line: str) -> None:
    (source / "README.md").write_text(f"---\n{line}\n---\n# x\n")
    front = model_card(plan_cut(source, (1,)), (), None).split("---\n")[1]
    assert yaml.safe_load(front)["tags"] == ["depthprune", "pruned"]


@pytest.mark.parametrize("name", ["a/b: [", "a/b\n---\nlicense: mit", "a/*b"])
def test_a_name_does_not_break_the_card(source: Path, name: str) -> None:
    card = model_card(plan_cut(source, (1,), name=name), (), None)
    front, _, text = card.removeprefix("---\n").partition("\n---\n")
    assert yaml.safe_load(front) == {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["depthprune", "pruned"],
    }
    assert text.startswith("\n# ")
    assert "\n---\n" not in text.replace("|---|---|---|", "")


def test_a_system_without_locks_is_written_to(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def refuse(*_: Any) -> None:
        calls.append(1)
        assert len(calls) < 5, "tries without an end"
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    cut(source, (1,), tmp_path / "smaller")
    assert (tmp_path / "smaller" / "config.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["smaller", "source"]


def test_without_locks_nothing_is_taken_for_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / ".out.depthprune-new-abcdefgh"
    other.mkdir()

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert not clear_leftovers(tmp_path / "out")
    assert other.is_dir()


def test_folders_of_other_names_are_no_leftovers(tmp_path: Path) -> None:
    mine = tmp_path / ".out.depthprune-notes"
    mine.mkdir()
    others = tmp_path / ".out.depthprune-2.depthprune-replaced-abcdefgh"
    others.mkdir()
    assert not clear_leftovers(tmp_path / "out")
    assert mine.is_dir()
    assert others.is_dir()


def test_an_output_that_came_back_is_refused_before_anything_is_copied(
    source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    cut(source, (1,), output)
    output.rename(tmp_path / ".out.depthprune-replaced-abcdefgh")
    told: list[int] = []
    with pytest.raises(FileError, match="exists already"):
        execute_cut(plan_cut(source, (1,)), output, on_bytes=told.append)
    assert not told
    assert (output / "config.json").is_file()
    shutil.rmtree(output)


def test_the_command_in_the_card_can_be_pasted(source: Path) -> None:
    plan = plan_cut(source, (0, 1))
    command = cut_command("my model", plan, Path("x/small er"), "1MB", "v1.0")
    assert shlex.split(command) == [
        "depthprune", "cut", "my model", "--remove", "0,1", "--max_shard_size", "1MB",
        "--revision", "v1.0", "--output", "small er",
    ]  # fmt: skip


def test_what_is_deleted_is_never_called_what_may_come_back(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    cut(source, (1,), output)
    deleted = []
    monkeypatch.setattr(shutil, "rmtree", lambda path, **_: deleted.append(Path(path).name))
    execute_cut(plan_cut(source, (1,)), output, overwrite=True)
    assert deleted
    assert not [name for name in deleted if "replaced-" in name]
