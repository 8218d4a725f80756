"""What a model's files say about it is read from headers, whatever program wrote them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from depthprune.base.errors import DepthpruneError, FileError, ModelError
from depthprune.structure.reading import read_checkpoint
from depthprune.structure.tensors import Checkpoint
from tests.structure.shapes import (
    LLAMA_3_8B,
    LLAMA_3_8B_PARAMETERS,
    SMALL_LLAMA,
    llama_shapes,
    write_llama,
    write_pickled_llama,
    write_sparse,
)

EXPECTED = llama_shapes(SMALL_LLAMA)


def shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in checkpoint.tensors.items()}


def state(prefix: str = "") -> dict[str, torch.Tensor]:
    """Return a small Llama's state dictionary."""
    return {f"{prefix}{name}": torch.zeros(shape) for name, shape in EXPECTED.items()}


def save(path: Path, value: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(value, path, **options)
    return path


def refused(source: str | Path, what: str) -> DepthpruneError:
    with pytest.raises(DepthpruneError, match=what) as caught:
        read_checkpoint(source)
    assert caught.value.where
    return caught.value


# Folders in Hugging Face format


@pytest.mark.parametrize("shards", [1, 3])
def test_a_folder_in_hugging_face_format(tmp_path: Path, shards: int) -> None:
    folder = write_llama(tmp_path / "m", SMALL_LLAMA, shards=shards)
    found = read_checkpoint(folder)
    assert shapes(found) == EXPECTED
    assert {tensor.dtype for tensor in found.tensors.values()} == {"BF16"}
    assert (found.path, found.config) == (folder, dict(SMALL_LLAMA))
    assert len(found.files) == shards
    assert (found.provenance, found.notes, found.types, found.attributes) == (None, (), {}, {})
    assert read_checkpoint(str(folder)) == found


@pytest.mark.parametrize("shards", [1, 4])
def test_a_model_of_eight_billion_parameters(tmp_path: Path, shards: int) -> None:
    found = read_checkpoint(write_llama(tmp_path, LLAMA_3_8B, shards=shards))
    assert sum(prod(shape) for shape in shapes(found).values()) == LLAMA_3_8B_PARAMETERS


@pytest.mark.parametrize("whole", [False, True])
def test_a_pickled_model_of_eight_billion_parameters(tmp_path: Path, whole: bool) -> None:
    found = read_checkpoint(write_pickled_llama(tmp_path / "pruned_model.bin", whole=whole))
    assert sum(prod(shape) for shape in shapes(found).values()) == LLAMA_3_8B_PARAMETERS
    assert {tensor.dtype for tensor in found.tensors.values()} == {"BF16"}


@pytest.mark.parametrize("shards", [1, 2])
def test_pickled_weights_in_hugging_face_format(tmp_path: Path, shards: int) -> None:
    names = list(EXPECTED)
    parts = [names[: len(names) // 2], names[len(names) // 2 :]] if shards == 2 else [names]
    files = ["pytorch_model.bin"]
    if shards == 2:
        files = [f"pytorch_model-{number:05d}-of-00002.bin" for number in (1, 2)]
        places = {name: file for file, part in zip(files, parts, strict=True) for name in part}
        index = {"weight_map": places}
        (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    everything = state()
    for file, part in zip(files, parts, strict=True):
        save(tmp_path / file, {name: everything[name] for name in part})
    (tmp_path / "config.json").write_text(json.dumps(dict(SMALL_LLAMA)))
    found = read_checkpoint(tmp_path)
    assert shapes(found) == EXPECTED
    assert found.path == tmp_path
    assert found.config["num_hidden_layers"] == 4


def test_parts_without_an_index(tmp_path: Path) -> None:
    write_llama(tmp_path, SMALL_LLAMA, shards=3)
    (tmp_path / "model.safetensors.index.json").unlink()
    found = read_checkpoint(tmp_path)
    assert shapes(found) == EXPECTED
    assert found.notes == ("its parts have no index",)
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    refused(tmp_path, "2 of 3 parts")


def test_what_an_index_promises_must_be_there(tmp_path: Path) -> None:
    folder = write_llama(tmp_path, SMALL_LLAMA, shards=2)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["more.weight"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(content))
    error = refused(folder, "names more.weight, which model-00001-of-00002.safetensors does not")
    assert error.where == str(index)
    (folder / "model-00001-of-00002.safetensors").unlink()
    refused(folder, "is not in the folder")


def test_other_weights_beside_are_left_out_with_a_note(tmp_path: Path) -> None:
    write_llama(tmp_path, SMALL_LLAMA)
    save(tmp_path / "gradients.pt", {"a": torch.ones(1)})
    save(tmp_path / "optimizer.pt", {"a": torch.ones(1)})
    assert read_checkpoint(tmp_path).notes == ("other weight files are left out: gradients.pt",)


def test_quantised_tensors_are_listed(tmp_path: Path) -> None:
    weights = {"a.weight": torch.zeros(4, 4, dtype=torch.float8_e4m3fn)}
    metadata = {"tensor_names": '["a.weight"]', "a.weight": "{}"}
    save_file(weights, tmp_path / "model.safetensors", metadata=metadata)
    assert read_checkpoint(tmp_path).tensors["a.weight"].dtype == "F8_E4M3"


def test_gaps_between_tensors_pass(tmp_path: Path) -> None:
    path = write_sparse(tmp_path / "model.safetensors", {"a": (4,), "b": (2,)})
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"data_offsets":[8,12]', b'"data_offsets":[9,13]') + b"....")
    assert shapes(read_checkpoint(tmp_path)) == {"a": (4,), "b": (2,)}


# Single files, and folders with one


@pytest.mark.parametrize(
    "name", ["pruned_model.bin", "Llama-3-8B-Instruct_0.2.pt", "a.pth", "b.safetensors"]
)
@pytest.mark.parametrize("named", ["folder", "file"])
def test_a_folder_with_one_weight_file(tmp_path: Path, name: str, named: str) -> None:
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(state(), path)
    else:
        save(path, state())
    found = read_checkpoint(tmp_path if named == "folder" else path)
    assert shapes(found) == EXPECTED
    assert (found.path, found.files) == (path, (path,))


def test_several_models_in_a_folder_are_named(tmp_path: Path) -> None:
    save(tmp_path / "a.pt", state())
    save(tmp_path / "b.pt", state())
    error = refused(tmp_path, "several models in the folder: a.pt, b.pt")
    assert error.mend == "name the file of one"
    assert shapes(read_checkpoint(tmp_path / "b.pt")) == EXPECTED


def test_the_pruned_model_is_meant_where_there_are_others(tmp_path: Path) -> None:
    write_llama(tmp_path, {**SMALL_LLAMA, "num_hidden_layers": 1})
    save(tmp_path / "pruned_model.bin", state())
    found = read_checkpoint(tmp_path)
    assert (found.path.name, shapes(found)) == ("pruned_model.bin", EXPECTED)
    assert found.notes == ("other weight files are left out: model.safetensors",)


def test_a_folder_with_a_folder_pruned_model(tmp_path: Path) -> None:
    inner = write_llama(tmp_path / "pruned_model", SMALL_LLAMA)
    found = read_checkpoint(tmp_path)
    assert (found.path, shapes(found)) == (inner, EXPECTED)
    # Weights of the folder itself come first: it is what was named.
    write_llama(tmp_path, {**SMALL_LLAMA, "num_hidden_layers": 1})
    assert read_checkpoint(tmp_path).path == tmp_path


@pytest.mark.parametrize("folder", [".", "pruned_model"])
def test_other_tensors_are_not_taken_for_the_model(tmp_path: Path, folder: str) -> None:
    path = save(tmp_path / folder / "mine.pt", state())
    save(path.with_name("gradients.pt"), {"a": torch.ones(1)})
    found = read_checkpoint(tmp_path)
    assert (found.path, found.notes) == (path, ("other weight files are left out: gradients.pt",))
    path.unlink()  # a lone file is the model, whatever it holds
    assert list(read_checkpoint(tmp_path).tensors) == ["a"]


def test_one_part_that_is_named_itself_is_no_whole_model(tmp_path: Path) -> None:
    write_llama(tmp_path, SMALL_LLAMA, shards=3)
    found = read_checkpoint(tmp_path / "model-00002-of-00003.safetensors")
    assert 0 < len(found.tensors) < len(EXPECTED)
    assert found.partial == "model-00002-of-00003.safetensors is one part of 3"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_torch_quantised_is_told(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))
    packed = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    found = shapes(read_checkpoint(save(tmp_path / "pruned_model.bin", packed)))
    assert (found["0.weight"], found["0.bias"], found["1.weight"]) == ((4, 4), (4,), (4,))


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "module"])
def test_a_state_dictionary_in_a_dictionary(tmp_path: Path, key: str) -> None:
    path = save(tmp_path / "a.pt", {"epoch": 3, key: state(), "optimizer": {"x": torch.ones(3)}})
    assert shapes(read_checkpoint(path)) == EXPECTED


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "base_model.model.", "module._orig_mod.", "_orig_mod.module."],
)
def test_prefixes_of_wrappers_are_taken_off(tmp_path: Path, prefix: str) -> None:
    path = save(tmp_path / "a.pt", state(prefix))
    found = read_checkpoint(path)
    assert shapes(found) == EXPECTED
    assert all(name == tensor.name for name, tensor in found.tensors.items())


def test_names_of_wrappers_within_names_are_taken_off(tmp_path: Path) -> None:
    names = {
        "model.layers.0._orig_mod.mlp.up_proj.weight": "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.q_proj.base_layer.weight": "model.layers.0.q_proj.weight",
        "module.weight": "module.weight",
    }
    path = save(tmp_path / "a.pt", {name: torch.ones(1) for name in names})
    assert list(read_checkpoint(path).tensors) == list(names.values())


def test_names_that_would_become_one_stay(tmp_path: Path) -> None:
    names = ["a._orig_mod.weight", "a.weight"]
    path = save(tmp_path / "a.pt", {name: torch.ones(1) for name in names})
    assert list(read_checkpoint(path).tensors) == names


def test_tied_parameters_share_their_storage(tmp_path: Path) -> None:
    tensors = state()
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    found = read_checkpoint(save(tmp_path / "a.pt", tensors)).tensors
    assert found["lm_head.weight"].storage == found["model.embed_tokens.weight"].storage
    assert len({tensor.storage for tensor in found.values()}) == len(found) - 1


def test_a_tensor_whose_form_tells_no_shape_is_not_known(tmp_path: Path) -> None:
    odd = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
    found = read_checkpoint(save(tmp_path / "a.pt", {**state(), "odd": odd}))
    assert shapes(found) == EXPECTED
    assert found.unknown == {
        "odd": "a tensor of a form whose shape is not told (_rebuild_nested_tensor)"
    }


# Modules that were pickled whole


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 4
        self.is_causal = True
        self.scale = 0.5
        self._private = 3
        self.q_proj = nn.Linear(3, 3, bias=False)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("lost", torch.ones(2), persistent=False)


class ZeroAttention(nn.Module):
    """What is left of an attention that was pruned away."""


class Config:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.config = Config(
            hidden_size=3,
            dtype=torch.bfloat16,
            nested=Config(values=[1, 2.5, None]),
            weights=torch.ones(2),
            long="x" * 5000,
        )
        self.layers = nn.ModuleList([Inner(), ZeroAttention()])
        self.shared = self.layers[0].q_proj
        self.head = nn.Linear(3, 3, bias=False)
        self.head.weight = self.shared.weight


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
@pytest.mark.parametrize("wrapped", ["", "model", "module", "parallel"])
def test_a_module_that_was_pickled_whole(tmp_path: Path, wrapped: str, old: bool) -> None:
    model = Outer()
    value: Any = model
    if wrapped == "parallel":
        value = nn.Sequential()
        value.module = model
    elif wrapped:
        value = {wrapped: model, "tokenizer": Config(vocab={"a": 1}), "ratio": 0.2}
    path = save(tmp_path / "pruned_model.bin", value, _use_new_zipfile_serialization=not old)
    found = read_checkpoint(path)
    assert shapes(found) == {name: tuple(one.shape) for name, one in model.state_dict().items()}
    assert "layers.0.lost" not in found.tensors
    assert len({found.tensors[name].storage for name in _TIED}) == 1
    assert found.types == {
        "": "Outer",
        "layers": "ModuleList",
        "layers.0": "Inner",
        "layers.0.q_proj": "Linear",
        "layers.1": "ZeroAttention",
        "shared": "Linear",
        "head": "Linear",
    }
    assert found.attributes["layers.0"] == {"num_heads": 4}
    assert found.attributes["shared"] == {"in_features": 3, "out_features": 3}
    assert "layers.1" not in found.attributes
    assert found.config == {
        "hidden_size": 3,
        "dtype": "bfloat16",
        "nested": {"values": [1, 2.5, None]},
    }


_TIED = ("layers.0.q_proj.weight", "shared.weight", "head.weight")


def test_a_module_within_itself_is_read_once(tmp_path: Path) -> None:
    model = Inner()
    model._modules["q_proj"]._modules["parent"] = model
    found = read_checkpoint(save(tmp_path / "a.pt", model))
    assert set(found.tensors) == {"q_proj.weight", "kept"}


def test_modules_of_transformers_tell_their_configuration(tmp_path: Path) -> None:
    path = write_pickled_llama(tmp_path / "pruned_model.bin", SMALL_LLAMA, whole=True)
    found = read_checkpoint(path)
    assert shapes(found) == EXPECTED
    assert (found.config["model_type"], found.config["num_key_value_heads"]) == ("llama", 2)
    assert found.types["model.layers.3.self_attn"] == "LlamaAttention"
    assert found.attributes["model.layers.3.self_attn"]["layer_idx"] == 3
    assert found.attributes["model.layers.3.self_attn"]["head_dim"] == 8


def test_the_modules_own_configuration_is_meant_not_the_one_beside(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 99}')
    path = save(tmp_path / "pruned_model.bin", Outer())
    assert read_checkpoint(path).config["hidden_size"] == 3
    path.unlink()
    save(path, state())
    assert read_checkpoint(path).config == {"hidden_size": 99}


def test_no_library_is_imported_for_it(tmp_path: Path) -> None:
    save(tmp_path / "pruned_model.bin", {"model": Outer()})
    write_llama(tmp_path / "hf", SMALL_LLAMA)
    program = (
        "import sys; from depthprune.structure.reading import read_checkpoint\n"
        "print([len(read_checkpoint(path).tensors) for path in sys.argv[1:]])\n"
        "assert not {'torch', 'transformers', 'numpy', 'huggingface_hub'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(tmp_path / "hf")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("[4, 39]\n", 0), done.stderr


# What SliceGPT writes


def sliced() -> dict[str, tuple[int, ...]]:
    """Return the shapes of a Llama after slicing: no norms, shortcuts of dimensions."""
    cut: dict[str, tuple[int, ...]] = {
        name: tuple(24 if size == 32 else size for size in shape)
        for name, shape in EXPECTED.items()
        if "norm" not in name
    }
    for index in range(4):
        cut |= {f"model.layers.{index}.{part}_shortcut_Q": (24, 24) for part in ("attn", "mlp")}
    return cut


def test_what_slicegpt_writes(tmp_path: Path) -> None:
    save(tmp_path / "Llama_0.2.pt", {key: torch.zeros(shape) for key, shape in sliced().items()})
    (tmp_path / "tokenizer.json").write_text("{broken")
    (tmp_path / "config.json").write_text('{"hidden_size": 32}')
    found = read_checkpoint(tmp_path)
    assert (found.config, shapes(found)) == ({"hidden_size": 32}, sliced())


# Where a model comes from


def write_provenance(folder: Path, content: Any, name: str = "depthprune.json") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "model", SMALL_LLAMA)


def test_the_record_of_a_cut_is_taken_as_it_is(model: Path) -> None:
    record = {"removed": [2], "original_indices": [0, 1, 3, 4], "source": {"num_blocks": 5}}
    write_provenance(model, record)
    write_provenance(model, [3], "layers_to_remove.json")
    assert read_checkpoint(model).provenance == record


LISTS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "a list": ([25, 3], {}),
    "a list in an object": ({"layers_to_remove": [25, 3], "n_remove": 2}, {}),
    "another key": ({"removed_layers": [25, 3]}, {}),
    "with the layers before": (
        {"layers_to_remove": [25, 3], "original_num_layers": 32},
        {"source": {"num_blocks": 32}},
    ),
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("place", ["layers_to_remove.json", "analysis/layers_to_remove.json"])
def test_lists_of_removed_layers(model: Path, name: str, place: str) -> None:
    content, more = LISTS[name]
    write_provenance(model, content, place)
    found = read_checkpoint(model).provenance
    assert found == {"removed": [3, 25], "read_from": "layers_to_remove.json", **more}


def test_a_list_beside_the_folder_pruned_model(tmp_path: Path) -> None:
    write_llama(tmp_path / "pruned_model", SMALL_LLAMA)
    write_provenance(tmp_path, [3], "analysis/layers_to_remove.json")
    found = read_checkpoint(tmp_path).provenance
    assert found is not None and found["removed"] == [3]


def test_a_list_beside_the_model_in_its_file(tmp_path: Path) -> None:
    beside = {"layers_removed": [3, 1], "n_remove": 2, "original_num_layers": 6, "method": "x"}
    save(tmp_path / "pruned_model.bin", {"model": Outer(), **beside})
    assert read_checkpoint(tmp_path).provenance == {
        "removed": [1, 3],
        "read_from": "pruned_model.bin",
        "source": {"num_blocks": 6},
    }


def test_a_list_in_the_configuration(tmp_path: Path) -> None:
    write_llama(tmp_path, {**SMALL_LLAMA, "removed_layers": [7]})
    found = read_checkpoint(tmp_path).provenance
    assert found == {"removed": [7], "read_from": "config"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{broken", "not valid JSON"),
        ("[" * 20_000, "nested too deeply"),
        ("[1, 1]", "does not say"),
        ('{"layers_to_remove": ["a"]}', "does not say"),
        ('{"layers_to_remove": {}}', "does not say"),
        ("[-1]", "does not say"),
        ("[true]", "does not say"),
        ("[99999]", "does not say"),
        ("5", "does not say"),
    ],
)
def test_broken_lists_are_left_out_with_a_note(model: Path, content: str, why: str) -> None:
    write_provenance(model, content, "layers_to_remove.json")
    found = read_checkpoint(model)
    assert found.provenance is None
    (note,) = found.notes
    assert note.startswith("layers_to_remove.json is left out") and why in note


def test_a_broken_record_gives_way_to_a_list(model: Path) -> None:
    write_provenance(model, {"removed": "all"})
    write_provenance(model, [3], "layers_to_remove.json")
    found = read_checkpoint(model)
    assert found.provenance == {"removed": [3], "read_from": "layers_to_remove.json"}
    assert found.notes[0].startswith("depthprune.json is left out")


# Models of the hub


def in_cache(source: Path, cache: Path, name: str = "owner/model") -> Path:
    """Lay a folder out as the hub's cache does: links to blobs."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    for path in source.iterdir():
        blob = repository / "blobs" / f"blob-{path.name}"
        path.rename(blob)
        (snapshot / path.name).symlink_to(Path("..") / ".." / "blobs" / blob.name)
    return snapshot


def test_a_model_of_the_hub_is_read_from_the_cache(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = in_cache(model, tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    found = read_checkpoint("owner/model")
    assert (found.path, shapes(found)) == (snapshot, EXPECTED)
    assert read_checkpoint("owner/model", revision="main").path == snapshot
    assert shapes(read_checkpoint(snapshot / "model.safetensors")) == EXPECTED


def test_a_model_that_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="no model 'owner/other'") as error:
        read_checkpoint("owner/other")
    assert error.value.mend is not None
    assert "allow" not in error.value.mend  # there is no such option here


# What is no model


@pytest.mark.parametrize(
    "source", ["./nowhere", "/nowhere", "~nobody-of-this-name/x", "a" * 5000, "a\0b", "/dev/null"]
)
def test_what_is_not_there(source: str) -> None:
    with pytest.raises(ModelError):
        read_checkpoint(source)


def test_folders_without_a_model(tmp_path: Path) -> None:
    assert "it needs weights" in str(refused(tmp_path, "holds no model"))
    (tmp_path / "optimizer.pt").write_bytes(b"")
    (tmp_path / "config.json").write_text("{}")
    refused(tmp_path, "holds no model")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    refused(tmp_path, "an adapter, not a model")
    (tmp_path / "pruned_model").mkdir()
    refused(tmp_path, "an adapter, not a model")


def test_files_without_tensors(tmp_path: Path) -> None:
    refused(save(tmp_path / "a.pt", {"step": 3}), "no tensors")
    refused(save(tmp_path / "b.pt", [1, 2]), "no tensors")
    write_sparse(tmp_path / "c.safetensors", {})
    refused(tmp_path / "c.safetensors", "no tensors")


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pruned_model.bin")
    refused(tmp_path, "it must be a file")
    refused(tmp_path / "pruned_model.bin", "neither a folder nor a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_folders_that_may_not_be_read(model: Path) -> None:
    model.chmod(0)
    try:
        refused(model, "cannot read")
    finally:
        model.chmod(0o700)


def test_a_folder_that_cannot_be_listed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(FileError, match="Permission denied"):
        read_checkpoint(model)


BROKEN: Mapping[str, str] = {
    "deep": "[" * 10_000 + "]" * 10_000,
    "deep objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "no object": "[1]",
    "no JSON": "{",
    "a long number": f'{{"a": {"9" * 5000}}}',
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors.index.json"])
def test_broken_json_beside_the_weights(tmp_path: Path, name: str, file: str) -> None:
    folder = write_llama(tmp_path, SMALL_LLAMA, shards=2)
    (folder / file).write_text(BROKEN[name])
    assert str(folder / file) in str(refused(folder, ".").where)


def test_an_enormous_configuration_is_not_read(model: Path) -> None:
    with (model / "config.json").open("r+b") as file:
        file.truncate(2**40)
    refused(model, "more than any model needs")


def test_nan_in_a_configuration_passes(model: Path) -> None:
    (model / "config.json").write_text('{"attention_dropout": NaN}')
    assert list(read_checkpoint(model).config) == ["attention_dropout"]


# Links


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_links_out_of_the_folder_are_refused(model: Path, tmp_path: Path, name: str) -> None:
    (model / name).rename(tmp_path / "elsewhere")
    (model / name).symlink_to(tmp_path / "elsewhere")
    error = refused(model, "leads out of the model's folder")
    assert error.mend == "name the file or folder itself that it leads to"
    assert str(tmp_path / "elsewhere") in str(error.where)


def test_links_within_the_folder_and_to_the_folder_are_followed(
    model: Path, tmp_path: Path
) -> None:
    (model / "config.json").rename(model / "other.json")
    (model / "config.json").symlink_to("other.json")
    (tmp_path / "link").symlink_to(model)
    assert shapes(read_checkpoint(tmp_path / "link")) == EXPECTED
    (tmp_path / "file.safetensors").symlink_to(model / "model.safetensors")
    assert shapes(read_checkpoint(tmp_path / "file.safetensors")) == EXPECTED


def test_links_of_the_hubs_cache_stay_in_their_model(model: Path, tmp_path: Path) -> None:
    snapshot = in_cache(model, tmp_path / "cache")
    other = tmp_path / "cache" / "models--owner--other" / "blobs" / "config"
    other.parent.mkdir(parents=True)
    other.write_text("{}")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(other)
    refused(snapshot, "leads out of the model's folder")


def test_an_index_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m", SMALL_LLAMA, shards=2)
    index = folder / "model.safetensors.index.json"
    for name in ("../secret.safetensors", "/etc/passwd", "..", "", "x" * 5000, "a\0b"):
        index.write_text(json.dumps({"weight_map": {"a": name}}))
        (tmp_path / "secret.safetensors").write_bytes(b"")
        refused(folder, "which is not in the folder")


@pytest.mark.parametrize(
    "name", ["model.safetensors.index.json", "layers_to_remove.json", "pruned_model"]
)
def test_other_links_out_of_the_folder(tmp_path: Path, name: str) -> None:
    if name == "pruned_model":
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / name).symlink_to(write_llama(tmp_path / "other", SMALL_LLAMA))
    else:
        folder = write_llama(tmp_path / "m", SMALL_LLAMA, shards=2)
        (folder / name).unlink(missing_ok=True)
        (tmp_path / "secret").write_text("[1]")
        (folder / name).symlink_to(tmp_path / "secret")
    if name == "layers_to_remove.json":
        found = read_checkpoint(tmp_path / "m")
        assert found.provenance is None and "leads out" in found.notes[0]
    else:
        refused(tmp_path / "m", "leads out of the model's folder")


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "pruned_model.bin").symlink_to("pruned_model.bin")
    refused(tmp_path, "leads nowhere|no file")
    with pytest.raises(DepthpruneError):
        read_checkpoint(tmp_path / "pruned_model.bin")
