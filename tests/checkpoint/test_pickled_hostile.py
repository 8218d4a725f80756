"""A pickle may try anything: no code of it runs, little memory is taken, and the file is named."""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import pickle
import pickletools
import random
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from depthprune.base.errors import FileError
from depthprune.checkpoint.inert_pickle import PickleStream, Record, Reference, read_inert
from depthprune.checkpoint.torch_files import OLD_MAGIC, read_pickled, read_pickled_tree

MUCH = 150e6
"""Bytes of memory that no file of some kilobytes may take."""


def archive(path: Path, pickled: bytes, **entries: bytes) -> Path:
    """Write an archive as torch does, with this pickle."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickled)
        for key, content in entries.items():
            file.writestr(f"archive/data/{key.removeprefix('k')}", content)
    return path


def old(path: Path, pickled: bytes) -> Path:
    """Write a file as torch did before 1.6, with this pickle."""
    parts = (OLD_MAGIC, 1001, {"little_endian": True})
    path.write_bytes(
        b"".join(pickle.dumps(part, 2) for part in parts) + pickled + pickle.dumps([], 2)
    )
    return path


def tensor_pickle(count: Any, shape: Any, strides: Any, start: Any = 0, key: Any = "0") -> bytes:
    """Return the pickle of `{"a": tensor}` that says these things about its storage."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, torch.UntypedStorage):
                return ("storage", torch.FloatStorage, key, "cpu", count)
            return None

    class Tensor:
        def __reduce__(self) -> Any:
            storage = torch.UntypedStorage(0)
            arguments = (storage, start, shape, strides, False, {})
            return torch._utils._rebuild_tensor_v2, arguments

    stream = io.BytesIO()
    Pickler(stream, 2).dump({"a": Tensor()})
    return stream.getvalue()


class Calls:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def attacks(marker: Path) -> dict[str, bytes]:
    """Return pickles that make a file when they are loaded by pickle."""
    write = f"open({str(marker)!r}, 'w').close()"
    touch = f"touch {marker}"
    return {
        "os.system": pickle.dumps(Calls(os.system, touch), 2),
        "eval": pickle.dumps(Calls(eval, write), 4),
        "exec": pickle.dumps({"weight": Calls(exec, write)}, 5),
        "getattr": pickle.dumps(Calls(getattr(builtins, "eval"), write), 2),  # noqa: B009
        "inst": f"(S'{touch}'\nios\nsystem\n.".encode(),
        "obj": b"(cos\nsystem\nX" + struct.pack("<I", len(touch)) + touch.encode() + b"o.",
        "newobj": b"cos\nsystem\nX" + struct.pack("<I", len(touch)) + touch.encode() + b"\x85\x81.",
        "hook": b"\x80\x02}U\x05stateq\x00cos\nsystem\nU"
        + bytes([len(touch)])
        + touch.encode()
        + b"\x85Rs.",
        "state": b"\x80\x02}cos\nsystem\nU" + bytes([len(touch)]) + touch.encode() + b"\x85Rb.",
    }


@pytest.mark.parametrize("write", [archive, old])
@pytest.mark.parametrize("name", attacks(Path("x")))
def test_code_in_a_pickle_never_runs(tmp_path: Path, name: str, write: Any) -> None:
    marker = tmp_path / "marker"
    path = write(tmp_path / "a.bin", attacks(marker)[name])
    tree = read_pickled_tree(path)
    with pytest.raises(FileError, match="no weights") as caught:
        read_pickled(path)
    assert not marker.exists()
    assert caught.value.where == str(path)
    assert isinstance(tree, dict | Record)


@pytest.mark.parametrize("name", attacks(Path("x")))
def test_the_attacks_are_attacks(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"
    with contextlib.suppress(Exception):  # some fail after the harm is done
        pickle.loads(attacks(marker)[name])
    assert marker.exists() or name == "newobj"  # which only old Pythons let pass


def test_code_beside_weights_is_a_record(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "a.bin"
    torch.save({"a": torch.ones(2), "b": Calls(os.system, f"touch {marker}")}, path)
    assert list(read_pickled(path)) == ["a"]
    record = read_pickled_tree(path)["b"]
    assert (record.kind, record.arguments) == ("posix.system", (f"touch {marker}",))
    assert not marker.exists()


def refused(path: Path, match: str | None = None) -> None:
    """Hold that a file is refused by name, quickly and with little memory."""
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(FileError, match=match) as caught:
        read_pickled(path)
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(path) in str(caught.value.where)
    assert peak < MUCH
    assert seconds < 60


def nest(pair: bytes, depth: int) -> bytes:
    """Return a pickle in which every level holds the one before it twice."""
    levels = b"".join(
        b"h" + bytes([level]) + b"h" + bytes([level]) + pair + b"q" + bytes([level + 1])
        for level in range(depth)
    )
    return b"}q\x00" + levels


BOMBS = {
    "deep lists": b"]" * 200_000 + b"a" * 199_999 + b".",
    "deep dictionaries": b"}" * 5000 + b"U\x01aN" + b"s" + b"." * 1,
    "deep entries": b"}U\x01a" * 5000 + b"}" + b"s" * 5000 + b".",
    "doubling dictionaries": b"}q\x00"
    + b"".join(
        b"}U\x01ah" + bytes([level]) + b"sU\x01bh" + bytes([level]) + b"sq" + bytes([level + 1])
        for level in range(60)
    )
    + b".",
    "doubling keys": b"}" + nest(b"\x86", 60) + b"Ns.",
    "a claimed text": b"\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "a claimed number": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"1.",
    "a far memo": b"}r\xff\xff\xff\xff.",
    "a long decimal": b"L" + b"9" * 900_000 + b"L\n.",
    "a line without end": b"I" + b"1" * 3_000_000,
    "copies of a list": b"]q\x00(" + b"N" * 20_000 + b"e0"
    + b"c__builtin__\nset\nh\x00\x85R" * 20_000 + b".",
    "long names": b"U\x00X" + struct.pack("<I", 500_000) + b"a" * 500_000 + b"q\x002"
    + b"h\x00h\x00\x93" * 2000 + b".",
    "no value": b".",
    "a mark alone": b"(.",
    "a tuple of nothing": b"\x87.",
    "keys without values": b"}(Nu.",
    "items of a number": b"K\x01NNs.",
    "entries of a number": b"K\x01Na.",
    "arguments that are none": b"cos\nsystem\nNR.",
    "a name of numbers": b"K\x01K\x02\x93.",
    "a call of a number": b"K\x01)R.",
    "an unknown memo": b"h\x05.",
    "outside data": b"\x80\x05\x97.",
    "a python 2 dictionary": b"ccollections\nOrderedDict\n]\x85R.",
    "nothing": b"",
    "cut off": pickle.dumps({"a": list(range(1000))}, 2)[:-100],
    "a strange storage": b"NQ.",
    "a storage of nothing": b"U\x07storageN\x86Q.",
    "a text storage": b"Pabc\n.",
    "no instruction": b"\xff.",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthprune.checkpoint.torch_files.MOST_PLACES", 20_000)
    refused(archive(tmp_path / "a.bin", BOMBS[name]))


def test_more_instructions_than_any_model_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthprune.checkpoint.inert_pickle.MAX_INSTRUCTIONS", 1000)
    refused(archive(tmp_path / "a.bin", b"N0" * 1000 + b"N."), "more instructions")


TENSORS = {
    "larger than its storage": tensor_pickle(4, (5,), (1,)),
    "beyond its storage": tensor_pickle(4, (4,), (1,), start=1),
    "strides beyond its storage": tensor_pickle(4, (2,), (4,)),
    "larger than its entry": tensor_pickle(5, (5,), (1,)),
    "huge": tensor_pickle(2**62, (2**60,), (1,)),
    "huge by many axes": tensor_pickle(4, (2**40, 2**40), (0, 0)),
    "negative": tensor_pickle(4, (-1,), (1,)),
    "negative stride": tensor_pickle(4, (2,), (-1,), start=1),
    "negative storage": tensor_pickle(-4, (1,), (1,)),
    "a text for a size": tensor_pickle(4, ("4",), (1,)),
    "a text for a count": tensor_pickle("4", (4,), (1,)),
    "a text for a shape": tensor_pickle(4, "four", (1,)),
    "too few strides": tensor_pickle(4, (2, 2), (1,)),
    "too many axes": tensor_pickle(4, (1,) * 100, (1,) * 100),
    "another key": tensor_pickle(4, (4,), (1,), key="1"),
    "a path for a key": tensor_pickle(4, (4,), (1,), key="../../../etc/passwd"),
    "a number for a key": tensor_pickle(4, (4,), (1,), key=0),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    refused(archive(tmp_path / "a.bin", TENSORS[name], k0=bytes(16)))


def test_the_tensors_above_are_refused_for_what_they_say(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.bin", tensor_pickle(4, (4,), (1,)), k0=bytes(16))
    assert b"".join(read_pickled(path)["a"].pieces()) == bytes(16)


def test_expanded_tensors_take_no_more_than_their_storage(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.bin", tensor_pickle(4, (2**30, 4), (0, 1)), k0=bytes(16))
    tracemalloc.start()
    pieces = read_pickled(path)["a"].pieces(1000)
    assert len(next(pieces)) == 992
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_storages_that_are_no_storages(tmp_path: Path) -> None:
    for pickled in (
        pickle.dumps({"a": Calls(torch._utils._rebuild_tensor_v2, 1, 2, 3, 4, 5, 6)}, 2),
        pickle.dumps({"a": Calls(torch._utils._rebuild_tensor_v2)}, 2),
        pickle.dumps({"a": Calls(torch._utils._rebuild_tensor_v3, 1, 2, 3, 4, 5, 6, 7)}, 2),
    ):
        refused(archive(tmp_path / "a.bin", pickled), "make no sense|made of")


def whole_file(path: Path) -> bytes:
    """Return what torch writes for a small state dictionary."""
    torch.save({"a.weight": torch.arange(24.0).view(4, 6), "b": torch.ones(3).half()}, path)
    return path.read_bytes()


def test_truncated_archives_are_refused(tmp_path: Path) -> None:
    content = whole_file(tmp_path / "whole.bin")
    path = tmp_path / "a.bin"
    for length in range(0, len(content) - 1, 37):
        path.write_bytes(content[:length])
        refused(path)


def test_truncated_old_files_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(24.0)}, tmp_path / "w", _use_new_zipfile_serialization=False)
    content = (tmp_path / "w").read_bytes()
    path = tmp_path / "a.bin"
    for length in range(0, len(content) - 1, 7):
        path.write_bytes(content[:length])
        refused(path)


def test_files_that_shrink_while_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    torch.save({"a": torch.ones(10_000)}, path)
    tensor = read_pickled(path)["a"]
    os.truncate(path, 20_000)
    with pytest.raises(FileError, match="ends in the middle") as caught:
        list(tensor.pieces())
    assert caught.value.where == f"{path}, a"
    path.unlink()
    with pytest.raises(FileError, match="cannot read"):
        list(tensor.pieces())


@pytest.mark.filterwarnings("ignore:invalid escape")
@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_refused_or_read(tmp_path: Path, seed: int) -> None:
    """Whatever bytes change, nothing but FileError comes, and pieces have the right length."""
    chance = random.Random(seed)
    content = whole_file(tmp_path / "whole.bin")
    where = content.index(b"data.pkl") if seed % 2 else 0
    path = tmp_path / "a.bin"
    outcomes = set()
    for _ in range(150):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            place = (
                chance.randrange(where, where + 400) if seed % 2 else chance.randrange(len(content))
            )
            changed[place] = chance.randrange(256)
        path.write_bytes(changed)
        try:
            for tensor in read_pickled(path).values():
                sum(map(len, tensor.pieces()))
            outcomes.add("read")
        except FileError as error:
            assert str(path) in str(error.where)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_archives_with_paths_in_their_names_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "inside" / "a.bin"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", tensor_pickle(4, (4,), (1,), key="../../../x"))
        file.writestr("archive/data/../../../x", bytes(16))
        file.writestr("../../evil", b"evil")
    assert b"".join(read_pickled(path)["a"].pieces()) == bytes(16)
    assert [entry.name for entry in tmp_path.rglob("*")] == ["inside", "a.bin"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ["twice", "two models", "none", "script", "compressed", "large"])
def test_archives_that_are_no_checkpoints(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    names = {"twice": ["x/data.pkl"] * 2, "two models": ["x/data.pkl", "y/data.pkl"]}
    names |= {"none": ["x/y/data.pkl"], "script": ["x/data.pkl", "x/constants.pkl"]}
    compression = zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", compression) as file:
        for name in names.get(kind, ["x/data.pkl"]):
            file.writestr(name, b"}." + bytes(1000))
    monkeypatch.setattr("depthprune.checkpoint.torch_files.LARGEST_PICKLE", 1001)
    refused(path, "same name|no model|TorchScript|compressed|larger than")


def test_other_files(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for content in (b"", b"text", pickle.dumps({"a": 1}), b"PK\x03\x04", bytes(10_000)):
        path.write_bytes(content)
        refused(path, "torch.save")
    refused(tmp_path / "missing.bin", "cannot read")
    refused(tmp_path, "cannot read")


def test_long_names_are_refused(tmp_path: Path) -> None:
    torch.save({"a" * 2000: torch.ones(1)}, tmp_path / "a.bin")
    refused(tmp_path / "a.bin", "longer than any")


def same(some: Any, other: Any) -> bool:
    """Compare plain values, of which sets became lists."""
    if isinstance(other, set | frozenset):
        return sorted(some) == sorted(other)
    if isinstance(other, dict):
        return list(some) == list(other) and all(same(some[key], other[key]) for key in other)
    if isinstance(other, list | tuple):
        return type(some) is type(other) and all(map(same, some, other))
    return type(some) is type(other) and some == other


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_read_as_pickle_reads_them(protocol: int) -> None:
    value = {
        "numbers": [0, 1, -1, 255, 70_000, 2**40, -(2**70), 1.5, True, False, None],
        "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
        "texts": ["", "a", "ä\n", "x" * 300, "x" * 70_000],
        "sets": [set(), {1, 2}],
        1: {None: {2.5: {}}},
        "shared": [[1], [2]],
    }
    value["again"] = value["shared"]
    if protocol >= 4:
        value |= {"bytes": [b"", b"a", b"x" * 300], "frozen": frozenset({1})}
    pickled = pickle.dumps(value, protocol)
    found = read_inert(PickleStream(io.BytesIO(pickled), len(pickled)), {})
    assert same(found, value)
    assert found["again"] is found["shared"]


def test_objects_become_records() -> None:
    class Local:
        pass

    Local.__qualname__ = "Local"
    globals()["Local"] = Local
    thing = Local()
    thing.size = 3  # type: ignore[attr-defined]
    for protocol in (0, 2, 4):
        pickled = pickle.dumps([thing, Local, slice(1, 2)], protocol)
        record, reference, call = read_inert(PickleStream(io.BytesIO(pickled), len(pickled)), {})
        assert (record.kind, record.state) == (f"{__name__}.Local", {"size": 3})
        assert reference == Reference(f"{__name__}.Local")
        assert (call.kind, call.arguments) == ("builtins.slice", (1, 2, None))


def test_every_instruction_of_pickle_is_known_or_refused() -> None:
    from depthprune.checkpoint import inert_pickle

    known = {*inert_pickle._PUSHING, *inert_pickle._CONSTANTS, *inert_pickle._SILENT}
    known |= {*inert_pickle._INSTRUCTIONS, "STOP", "NEXT_BUFFER", "READONLY_BUFFER"}
    assert known == {opcode.name for opcode in pickletools.opcodes}
