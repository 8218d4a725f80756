"""A checkpoint is untrusted: no code of it runs, and what it claims costs nothing."""

from __future__ import annotations

import os
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from depthprune.base.errors import DepthpruneError
from depthprune.structure.finding import find_models
from depthprune.structure.reading import read_checkpoint
from tests.structure.shapes import SMALL_LLAMA, write_llama, write_sparse

SECONDS = 20
"""Of the processor; without a limit each of these takes hours."""


@contextmanager
def soon() -> Iterator[None]:
    """Hold that what is done takes little time."""
    start = time.process_time()
    yield
    assert time.process_time() - start < SECONDS


@contextmanager
def cheaply() -> Iterator[None]:
    """Hold that what is done takes little time and memory."""
    tracemalloc.start()
    with soon():
        yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def refused(path: Path, what: str) -> None:
    with cheaply(), pytest.raises(DepthpruneError, match=what) as caught:
        read_checkpoint(path)
    assert str(path.parent) in str(caught.value.where)


def archive(path: Path, pickled: bytes, **options: Any) -> Path:
    """Write an archive as torch does, with this pickle and a storage of four numbers."""
    with zipfile.ZipFile(path, "w", **options) as file:
        file.writestr("archive/data.pkl", pickled)
        file.writestr("archive/data/0", bytes(16))
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n"
    + text("0") + text("cpu") + b"K\x04tQK\x00K\x04\x85K\x01\x85\x89NtR"
)  # fmt: skip
"""Makes a tensor of four numbers."""


# Code


class Calls:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class InState:
    """An object that calls a function when it is given its attributes."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __reduce__(self) -> Any:
        return (InState, (None,), {"inner": self.inner})


def whole(inner: Any) -> nn.Module:
    """Return a module with something among its attributes, parameters, buffers and modules."""
    model = nn.Sequential(nn.Linear(2, 2))
    model.helper = inner
    model._buffers["b"] = inner
    model._parameters["p"] = inner
    model._modules["m"] = inner
    model.config = {"inner": inner}  # type: ignore[assignment]
    model._non_persistent_buffers_set = inner
    return model


def by_hand(marker: Path) -> dict[str, bytes]:
    """Return pickles that make a file when pickle loads them, in ways that it does not write."""
    command = f"touch {marker}"
    short = bytes([len(command)]) + command.encode()
    return {
        "a name on the stack": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + short + b"\x85R.",
        "a name of pieces": b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94h\x00h\x01\x93\x8c"
        + short
        + b"\x85R.",
        "an instance": f"(S'{command}'\nios\nsystem\n.".encode(),
        "an object": b"(cos\nsystem\nU" + short + b"o.",
        "a new object": b"cos\nsystem\nU" + short + b"\x85\x81.",
        "a new object with keywords": b"\x80\x04cos\nsystem\nU" + short + b"\x85}\x92.",
        "a constructor of copyreg": b"\x80\x02ccopy_reg\n_reconstructor\ncos\nsystem\nU"
        + short
        + b"N\x87R.",
        "a call by a call": b"\x80\x02c__builtin__\ngetattr\nc__builtin__\n__import__\nU\x02os"
        b"\x85RU\x06system\x86RU" + short + b"\x85R.",
        "an extension": b"\x80\x02\x82\x01U" + short + b"\x85R.",
        "a large extension": b"\x80\x02\x84\xff\xff\xff\x7fU" + short + b"\x85R.",
        "beside weights": b"}(" + text("x") + b"cos\nsystem\nU" + short + b"\x85R"
        + text("a.weight") + TENSOR + b"u.",
        "in a state": b"\x80\x02ctorch.nn\nX\n)\x81}U\x08_modulescos\nsystem\nU" + short
        + b"\x85Rsb.",
        "as a persistent id": b"\x80\x02cos\nsystem\nU" + short + b"\x85RQ.",
        "as a key": b"}cos\nsystem\nU" + short + b"\x85RNs.",
    }  # fmt: skip


def written(marker: Path) -> dict[str, Any]:
    """Return what `torch.save` writes and what makes a file when it is loaded."""
    command = f"touch {marker}"
    system, evaluate = Calls(os.system, command), Calls(eval, f"open({str(marker)!r}, 'w')")
    return {
        "alone": system,
        "exec": {"state_dict": Calls(exec, f"open({str(marker)!r}, 'w')")},
        "beside a state dictionary": {"a.weight": torch.ones(2), "hook": evaluate},
        "within a module": {"model": whole(system), "tokenizer": system},
        "within a module's state": whole(InState(evaluate)),
        "for a list of layers": {"model": nn.Linear(2, 2), "layers_removed": system},
        "in a tensor": {"a.weight": Calls(torch._utils._rebuild_tensor, evaluate, 0, (1,), (1,))},
    }


@pytest.mark.parametrize("name", by_hand(Path("x")))
def test_pickles_that_call_functions_do_not(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"
    path = archive(tmp_path / "pruned_model.bin", by_hand(marker)[name])
    with suppress(DepthpruneError):
        read_checkpoint(path)
    find_models(tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
@pytest.mark.parametrize("name", written(Path("x")))
def test_files_of_torch_that_call_functions_do_not(tmp_path: Path, name: str, old: bool) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "pruned_model.bin"
    torch.save(written(marker)[name], path, _use_new_zipfile_serialization=not old)
    marker.unlink(missing_ok=True)
    with suppress(DepthpruneError):
        read_checkpoint(path)
    find_models(tmp_path)
    assert not marker.exists()
    with suppress(Exception):
        torch.load(path, weights_only=False)
    assert marker.exists(), "this is no attack"


@pytest.mark.parametrize("name", by_hand(Path("x")))
def test_the_attacks_are_attacks(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, identity: Any) -> Any:
            return identity

        def find_class(self, module: str, name: str) -> Any:
            return str if module.startswith("torch") else super().find_class(module, name)

    with suppress(Exception), (tmp_path / "p").open("wb") as file:
        file.write(by_hand(marker)[name])
    with suppress(Exception), (tmp_path / "p").open("rb") as file:
        Unpickler(file).load()
    # Some only worked in Python 2, or with what a program registers.
    assert marker.exists() or "extension" in name or "new object" in name or "copyreg" in name


def test_weights_beside_an_attack_are_read(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "pruned_model.bin"
    torch.save({"model": whole(Calls(os.system, f"touch {marker}")), "x": 1}, path)
    found = read_checkpoint(path)
    assert list(found.tensors) == ["0.weight", "0.bias"]
    assert found.types == {"": "Sequential", "0": "Linear"}
    assert not marker.exists()


# Claims


def test_a_header_that_claims_a_thousand_petabytes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 10**18) + b"{}")
    refused(path, "no safetensors header")
    header = b'{"a":{"dtype":"U8","shape":[1%s],"data_offsets":[0,1%s]}}' % (b"0" * 18, b"0" * 18)
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    refused(path, "it is truncated")


def test_truncated_files(tmp_path: Path) -> None:
    path = write_sparse(tmp_path / "model.safetensors", {"a": (40,), "b": (30, 2)})
    contents = {path: path.read_bytes()}
    for old in (False, True):
        path = tmp_path / f"a{old}.bin"
        torch.save(nn.Linear(4, 3), path, _use_new_zipfile_serialization=not old)
        contents[path] = path.read_bytes()
    for path, content in contents.items():
        for length in range(0, len(content), max(1, len(content) // 60)):
            path.write_bytes(content[:length])
            with pytest.raises(DepthpruneError) as caught:
                read_checkpoint(path)
            assert caught.value.where == str(path)
        path.write_bytes(content)
        assert read_checkpoint(path).tensors


def test_archives_that_unpack_to_more_than_memory_holds(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    archive(path, b"}" * 10 + bytes(20 * 1024**2), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    refused(path, "is compressed")


# What is shared, nested or repeated


def module(name: str, *parts: bytes) -> bytes:
    """Return what makes a module of these entries."""
    return f"ctorch.nn\n{name}\n)\x81}}(".encode("latin1") + b"".join(parts) + b"ub"


def test_modules_that_double_at_every_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthprune.checkpoint.torch_files.MOST_PLACES", 50_000)
    pickled = module(
        "X", text("_modules"), b"}", text("_parameters"), b"}(", text("w"), TENSOR, b"u"
    )
    for level in range(60):
        pickled += b"q" + bytes([level])
        twice = b"}(" + text("a") + b"h" + bytes([level]) + text("b") + b"h" + bytes([level]) + b"u"
        pickled += b"0" + module("X", text("_modules"), twice)
    refused(
        archive(tmp_path / "a.bin", pickled + b"."), "more than any model|names that are longer"
    )


def test_modules_in_deep_nests(tmp_path: Path) -> None:
    pickled = module("X", text("_modules"), b"}")
    for _ in range(300):
        pickled += b"q\x00" + module("X", text("_modules"), b"}(" + text("a") + b"h\x00u")
    refused(archive(tmp_path / "a.bin", pickled + b"."), "nested more deeply")


COUNT = 20_000


def numbers() -> bytes:
    return b"".join(b"J" + struct.pack("<i", number) + b"N" for number in range(COUNT))


@pytest.mark.parametrize("where", ["attributes", "configuration", "configuration in it"])
def test_large_dictionaries_that_many_modules_share(tmp_path: Path, where: str) -> None:
    shared = b"}(" + numbers() + text("_modules") + b"}uq\x000"
    if where == "attributes":
        one = b"ctorch.nn\nX\n)\x81h\x00b"
    elif where == "configuration":
        one = module("X", text("_modules"), b"}", text("config"), b"h\x00")
    else:
        names = b"".join(text(f"k{number}") + b"h\x00" for number in range(COUNT))
        shared += b"}(" + names + b"uq\x010"
        one = module("X", text("_modules"), b"}", text("config"), b"h\x01")
    parts = b"".join(text(str(number)) + one for number in range(COUNT))
    top = module("X", text("_modules"), b"}(" + parts + b"u", text("_parameters"), b"}(", text("w"),
                 TENSOR, b"u")  # fmt: skip
    with soon():
        found = read_checkpoint(archive(tmp_path / "a.bin", shared + top + b"."))
    assert list(found.tensors) == ["w"]
    assert len(found.types) == COUNT + 1


def test_a_configuration_in_a_circle(tmp_path: Path) -> None:
    config = b"}q\x00(" + text("hidden_size") + b"K\x05" + text("self") + b"h\x00u"
    model = module("X", text("_modules"), b"}", text("config"), config, text("_parameters"), b"}(",
                   text("w"), TENSOR, b"u")  # fmt: skip
    found = read_checkpoint(archive(tmp_path / "a.bin", model + b"."))
    assert found.config["self"]["self"]["hidden_size"] == 5


@pytest.mark.parametrize(
    "value", [b"L" + b"9" * 4000 + b"L\n", b"\x8a\xff" + b"\x7f" * 255, text("x" * 10_000)]
)
def test_long_numbers_and_texts_are_left_out(tmp_path: Path, value: bytes) -> None:
    config = b"}(" + text("a") + value + text("b") + b"](" + value + b"e" + text("c") + b"K\x05u"
    model = module("X", text("_modules"), b"}", text("config"), config, text("_parameters"), b"}(",
                   text("w"), TENSOR, b"u", text("num_heads"), value)  # fmt: skip
    found = read_checkpoint(archive(tmp_path / "a.bin", model + b"."))
    assert (found.config, found.attributes) == ({"c": 5}, {})


def test_nothing_is_read_beside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "layers_to_remove.json").write_text("[1]")
    (tmp_path / "config.json").write_text('{"secret": 1}')
    found = read_checkpoint(write_llama(tmp_path / "model", SMALL_LLAMA))
    assert found.provenance is None
    assert "secret" not in found.config
