"""What torch.save wrote is read as torch.load reads it, without torch."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from depthprune.base.errors import FileError
from depthprune.checkpoint import pickled_tensor as strided
from depthprune.checkpoint.inert_pickle import Record
from depthprune.checkpoint.stored import num_bytes
from depthprune.checkpoint.torch_files import (
    is_tensor,
    read_pickled,
    read_pickled_tree,
    walk,
    weights_of,
)

DTYPES = {
    "bfloat16": "BF16",
    "bool": "BOOL",
    "complex64": "C64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "int8": "I8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "uint8": "U8",
}


def raw(tensor: torch.Tensor) -> bytes:
    """Return the bytes of a tensor in row-major order."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def numbers(dtype: str, *shape: int) -> torch.Tensor:
    """Return a tensor of random bytes."""
    kind = getattr(torch, dtype)
    count = int(torch.tensor(shape).prod()) if shape else 1
    if kind is torch.bool:
        return torch.randint(0, 2, shape).bool()
    width = torch.empty(0, dtype=kind).element_size()
    return torch.randint(0, 256, (count * width,), dtype=torch.uint8).view(kind).reshape(shape)


def save(path: Path, value: Any, *, old: bool = False) -> Path:
    """Write a file with torch."""
    torch.save(value, path, _use_new_zipfile_serialization=not old)
    return path


def assert_same(path: Path, **options: Any) -> None:
    """Compare every tensor of a state dictionary with what torch loads."""
    expected = torch.load(path, weights_only=False)
    found = read_pickled(path)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        ours = found[name]
        assert (ours.name, ours.dtype) == (name, DTYPES[str(tensor.dtype).removeprefix("torch.")])
        assert (ours.shape, ours.file) == (tuple(tensor.shape), path)
        assert b"".join(ours.pieces(**options)) == raw(tensor), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_number_type(tmp_path: Path, dtype: str) -> None:
    assert_same(save(tmp_path / "a.bin", {"a.weight": numbers(dtype, 3, 5)}))


@pytest.mark.parametrize("dtype", ["bfloat16", "bool", "float32", "int64", "complex64"])
def test_every_number_type_of_old_files(tmp_path: Path, dtype: str) -> None:
    tensors = {"a": numbers(dtype, 3, 5), "b": numbers("uint8", 7), "c": numbers(dtype, 2)}
    assert_same(save(tmp_path / "a.bin", tensors, old=True))


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
def test_every_shape(tmp_path: Path, old: bool) -> None:
    base = numbers("int32", 6, 4, 5)
    tensors = {
        "scalar": numbers("float32"),
        "empty": torch.empty(0, 3),
        "transposed": base.transpose(0, 2),
        "rows": base[1:3],
        "every other": base[::2, :, ::3],
        "expanded": base[:1].expand(7, 4, 5),
        "last number": base.reshape(-1)[-1],
        "single": base[:1, :1, :1].transpose(0, 1),
        "parameter": nn.Parameter(numbers("float16", 3)),
    }
    assert_same(save(tmp_path / "a.bin", tensors, old=old))


@pytest.mark.parametrize("size", [1, 8, 24, 1000])
def test_pieces_are_as_small_as_asked(tmp_path: Path, size: int) -> None:
    base = numbers("float64", 6, 5)
    path = save(tmp_path / "a.bin", {"a": base, "b": base.T, "c": base[:, 2], "d": base[0, 0]})
    assert_same(path, size=size)
    longest = max(len(piece) for one in read_pickled(path).values() for piece in one.pieces(size))
    assert longest <= max(size, 8)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_gathers_what_lies_far_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(strided, "PIECE", 64)  # bytes; the whole has 2400
    base = numbers("int64", 10, 6, 5)
    views = {"a": base[:, :, :columns], "b": base.permute(2, 0, 1)[:columns], "c": base[::7, 1]}
    assert_same(save(tmp_path / "a.bin", views))


def test_gathering_takes_no_more_than_the_tensor(tmp_path: Path) -> None:
    base = torch.zeros(8 * 1024**2)
    path = save(tmp_path / "a.bin", {"a": base.view(16, -1)[:, :1000], "all": base.view(2, -1).T})
    tensors = read_pickled(path)
    for name, most in (("a", 9e6), ("all", 44e6)):
        tracemalloc.start()
        assert sum(map(len, tensors[name].pieces())) == num_bytes("F32", tensors[name].shape)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < most


def test_plain_tensors_are_never_held_as_a_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "a.bin", {"a": torch.zeros(8 * 1024**2)})
    tracemalloc.start()
    assert sum(map(len, read_pickled(path)["a"].pieces())) == 32 * 1024**2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 9e6


def test_tied_weights_agree_in_their_storage_and_views_do_not(tmp_path: Path) -> None:
    base = numbers("float32", 4, 4)
    views = {"a": base, "b": base, "c": base[:2], "d": base.T, "e": base.clone(), "f": base[2:]}
    found = read_pickled(save(tmp_path / "a.bin", views))
    assert found["a"].storage == found["b"].storage
    assert len({found[name].storage for name in "acdef"}) == 5


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "complex64", "uint8"])
def test_files_of_big_endian_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    tensor = numbers(dtype, 4, 3)
    width = tensor.element_size() // (2 if dtype == "complex64" else 1)
    turned = tensor.view(torch.uint8).reshape(-1, width).flip(1).reshape(4, -1).view(tensor.dtype)
    path = tmp_path / "a.bin"
    monkeypatch.setattr(sys, "byteorder", "big")
    save(path, {"plain": turned, "turned": turned.T})
    monkeypatch.undo()
    found = read_pickled(path)
    assert b"".join(found["plain"].pieces()) == raw(tensor)
    assert b"".join(found["turned"].pieces(5)) == raw(tensor.T)


def test_files_that_say_nothing_of_their_byte_order(tmp_path: Path) -> None:
    tensor = numbers("float32", 3)
    path = tmp_path / "a.bin"
    torch.serialization._save({"a": tensor}, _writer(path), torch.serialization.pickle, 2, True)
    assert b"".join(read_pickled(path)["a"].pieces()) == raw(tensor)


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model", "module"])
def test_state_dictionaries_in_containers(tmp_path: Path, wrapper: str) -> None:
    content = {"epoch": 3, wrapper: {"a.b": torch.ones(2)}, "optimizer": {"x": torch.ones(2)}}
    assert list(read_pickled(save(tmp_path / "a.pt", content))) == ["a.b"]


def test_containers_in_containers_and_dictionaries_of_modules(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"model": {"state_dict": {"encoder": {"w": torch.ones(1)}}}})
    assert list(read_pickled(path)) == ["encoder.w"]


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_state_dictionaries_of_modules(tmp_path: Path, protocol: int) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    path = tmp_path / "a.pt"
    torch.save(model.state_dict(), path, pickle_protocol=protocol)
    assert_same(path)


class Tied(nn.Module):
    """A module with all that modules have."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.blocks = nn.ModuleList(nn.Linear(3, 3) for _ in range(2))
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("lost", torch.ones(2), persistent=False)
        self.register_parameter("absent", None)
        self.config = {"anything": object}


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
@pytest.mark.parametrize("container", [False, True])
def test_modules_that_were_pickled_whole(tmp_path: Path, container: bool, old: bool) -> None:
    model = Tied()
    path = save(tmp_path / "a.pt", {"model": model, "step": 1} if container else model, old=old)
    found = read_pickled(path)
    assert {name: (one.shape, one.dtype) for name, one in found.items()} == {
        name: (tuple(one.shape), "F32") for name, one in model.state_dict().items()
    }
    assert found["head.weight"].storage == found["embedding.weight"].storage
    assert b"".join(found["blocks.1.weight"].pieces()) == raw(model.blocks[1].weight)


def test_the_tree_tells_classes_and_attributes(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"model": Tied(), "sizes": torch.Size([2, 3]), "on": {1, 2}})
    tree = read_pickled_tree(path)
    assert (tree["sizes"], sorted(tree["on"])) == ((2, 3), [1, 2])
    model = tree["model"]
    assert isinstance(model, Record)
    assert model.kind.endswith("test_pickled.Tied")
    assert model.state["_modules"]["embedding"].kind == "torch.nn.modules.sparse.Embedding"
    assert model.state["_modules"]["embedding"].state["num_embeddings"] == 5
    assert model.state["training"] is True


def test_modules_of_transformers(tmp_path: Path) -> None:
    from tests.models import llama

    model = llama(2)
    path = save(tmp_path / "a.pt", model)
    tree = read_pickled_tree(path)
    assert {name for name, found in walk(weights_of(tree), path) if is_tensor(found)} == set(
        model.state_dict()
    )
    assert tree.state["config"].state["num_hidden_layers"] == 2


def test_tensors_with_attributes_of_their_own(tmp_path: Path) -> None:
    tensor = nn.Parameter(torch.arange(4.0))
    tensor.note = "mine"
    found = read_pickled(save(tmp_path / "a.pt", {"a": tensor}))
    assert b"".join(found["a"].pieces()) == raw(tensor)


def test_other_things_in_a_state_dictionary_are_left_out(tmp_path: Path) -> None:
    content = {"a": torch.ones(1), "step": 3, "names": ["x"], "kind": torch.float16, 5: None}
    assert list(read_pickled(save(tmp_path / "a.pt", content))) == ["a"]


@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor")
@pytest.mark.parametrize("kind", ["complex128", "sparse", "quantised", "meta"])
def test_tensors_that_safetensors_cannot_hold_are_refused(tmp_path: Path, kind: str) -> None:
    odd = {
        "complex128": lambda: torch.ones(2, dtype=torch.complex128),
        "sparse": lambda: torch.ones(2).to_sparse(),
        "quantised": lambda: torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8),
        "meta": lambda: torch.ones(2, device="meta"),
    }[kind]()
    path = save(tmp_path / "a.pt", {"fine": torch.ones(1), "odd": odd})
    with pytest.raises(FileError, match="odd") as caught:
        read_pickled(path)
    assert caught.value.where == str(path)
    assert isinstance(read_pickled_tree(path)["odd"], Record)


def test_no_torch_is_imported(tmp_path: Path) -> None:
    path = save(tmp_path / "a.bin", OrderedDict(a=torch.ones(3, 2).T))
    program = (
        "import sys; from pathlib import Path\n"
        "from depthprune.checkpoint.torch_files import read_pickled\n"
        f"print(sum(map(len, read_pickled(Path({str(path)!r}))['a'].pieces())))\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("24\n", 0), done.stderr


def _writer(path: Path) -> Any:
    """Return torch's writer of archives."""
    return torch._C.PyTorchFileWriter(str(path))


def test_archives_with_folders_of_any_name(tmp_path: Path) -> None:
    path = save(tmp_path / "a.bin", {"a": torch.ones(2)})
    renamed = tmp_path / "b.bin"
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(renamed, "w") as after:
        for entry in before.infolist():
            after.writestr(entry.filename.replace("a/", "other name/", 1), before.read(entry))
    assert b"".join(read_pickled(renamed)["a"].pieces()) == raw(torch.ones(2))


def test_files_in_memory_are_files(tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"a": torch.ones(2)}, stream)
    (tmp_path / "a.bin").write_bytes(stream.getvalue())
    assert list(read_pickled(tmp_path / "a.bin")) == ["a"]
