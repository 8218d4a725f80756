"""Whatever bytes a model's files have, it is read or refused, and nothing of it is executed."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from depthprune.base.errors import DepthpruneError
from depthprune.checkpoint.torch_files import OLD_MAGIC
from depthprune.cutting.source_files import read_tensors
from depthprune.structure.finding import find_models
from depthprune.structure.reading import read_checkpoint
from tests.structure.shapes import SMALL_LLAMA, write_llama

EXAMPLES = 150
SECONDS = 10
"""Of the processor, for one file of some kilobytes; most take milliseconds."""

FORBIDDEN = (
    "ctypes.dlopen", "exec", "os.exec", "os.mkdir", "os.posix_spawn", "os.remove", "os.rename",
    "os.system", "pickle.find_class", "socket.connect", "subprocess.Popen",
)  # fmt: skip

few = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

_watched: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is None:
        return
    writes = event == "open" and any(mode in str(arguments[1]) for mode in "wax+")
    imports = event == "import" and not str(arguments[0]).startswith("encodings")
    if event in FORBIDDEN and "encodings" not in str(arguments):
        _watched.append(f"{event} {arguments}")
    elif writes or imports:
        _watched.append(f"{event} {arguments[0]}")


sys.addaudithook(_note)  # it cannot be taken away, but does nothing while nothing is watched


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect what is executed, imported, or opened to write."""
    global _watched
    events: list[str] = []
    _watched = events
    try:
        yield events
    finally:
        _watched = None


def read_or_refused(folder: Path) -> None:
    """Hold that a folder is read or refused, quickly, and nothing of it executed."""
    start = time.process_time()
    for read in (_read, read_tensors, find_models):
        with watched() as events, suppress(DepthpruneError):
            read(folder)
        assert events == []
    assert time.process_time() - start < SECONDS


def _read(folder: Path) -> None:
    for tensor in read_checkpoint(folder).tensors.values():
        next(iter(tensor.pieces(1000)), None)


def warm_up(folder: Path) -> None:
    """Let everything be imported that reading imports when it is first needed."""
    for read in (_read, find_models):
        read(folder)


@pytest.fixture(scope="module")
def safetensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = {**SMALL_LLAMA, "num_hidden_layers": 1}
    folder = write_llama(tmp_path_factory.mktemp("safetensors"), config, shards=2)
    warm_up(folder)
    return folder


def _network() -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    model.config = {"hidden_size": 3}  # type: ignore[assignment]
    return model


@pytest.fixture(scope="module", params=["state", "module", "old state", "old module"])
def pickled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of torch, whose folder holds nothing else."""
    path = tmp_path_factory.mktemp("pickled") / "pytorch_model.bin"
    model = _network()
    state = model.state_dict()
    value: Any = {"model": model, "layers_removed": [1]} if "module" in request.param else state
    torch.save(value, path, _use_new_zipfile_serialization="old" not in request.param)
    warm_up(path.parent)
    return path


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Return what changes bytes: some are flipped, lost, repeated, or become large numbers."""
    places = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6))
    kind = draw(st.sampled_from(["set", "set", "number", "cut", "lose", "repeat"]))
    values = draw(st.binary(min_size=6, max_size=6))
    length = draw(st.integers(1, 60))
    number = draw(st.sampled_from([2**63 - 1, 2**64 - 1, 10**18, 2**32 - 1, 0]))

    def mutate(content: bytes) -> bytes:
        changed = bytearray(content)
        first = int(places[0] * len(changed))
        if kind == "cut":
            return content[:first]
        if kind == "lose":
            del changed[first : first + length]
        elif kind == "repeat":
            changed[first:first] = changed[first : first + length]
        elif kind == "number":
            changed[first : first + 8] = struct.pack("<Q", number)
        else:
            for place, value in zip(places, values, strict=False):
                changed[int(place * len(changed))] = value
        return bytes(changed)

    return mutate


@contextmanager
def holding(path: Path, content: bytes) -> Iterator[None]:
    """Let a file have this content for a while."""
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


@few
@given(mutate=mutations(), number=st.integers(0, 3))
def test_changed_bytes_of_safetensors_and_json(
    safetensors: Path, mutate: Callable[[bytes], bytes], number: int
) -> None:
    path = sorted(safetensors.iterdir())[number]
    content = path.read_bytes()
    # Most of a file is weights, which nothing reads.
    header = content[:4000] if path.suffix == ".safetensors" else content
    with holding(path, mutate(header) + content[len(header) :]):
        read_or_refused(safetensors)


@few
@given(mutate=mutations(), tail=st.booleans())
def test_changed_bytes_of_pickles(
    pickled: Path, mutate: Callable[[bytes], bytes], tail: bool
) -> None:
    content = pickled.read_bytes()
    middle = len(content) * 2 // 3 if tail else 0
    with holding(pickled, content[:middle] + mutate(content[middle:])):
        read_or_refused(pickled.parent)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 10**18, 2**63, 2**200, 0])
    | st.floats()
    | st.sampled_from(["F32", "BF16", "", "../x", "model-00001-of-00002.safetensors", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@few
@given(value=values, place=st.lists(st.integers(0, 60), max_size=3), lose=st.booleans())
@pytest.mark.parametrize("file", ["header", "model.safetensors.index.json", "config.json"])
def test_other_values_in_headers_and_json(
    safetensors: Path, file: str, value: Any, place: list[int], lose: bool
) -> None:
    header = file == "header"
    path = safetensors / ("model-00001-of-00002.safetensors" if header else file)
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0] if header else len(content)
    tree = json.loads(content[8:end] if header else content)
    changed = json.dumps(_replaced(tree, place, value, lose)).encode()
    if header:
        changed = struct.pack("<Q", len(changed)) + changed + content[end:]
    with holding(path, changed):
        read_or_refused(safetensors)


def _replaced(tree: Any, place: list[int], value: Any, lose: bool) -> Any:
    """Return a tree with a value at a place of it, or without what is there."""
    if not place or not isinstance(tree, dict | list) or not tree:
        return value
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    key = keys[place[0] % len(keys)]
    if lose and len(place) == 1:
        del tree[key]
    else:
        tree[key] = _replaced(tree[key], place[1:], value, lose)
    return tree


# Pickles


def _argument(opcode: pickletools.OpcodeInfo) -> st.SearchStrategy[bytes]:
    if opcode.arg is None:
        return st.just(b"")
    size = opcode.arg.n
    if size >= 0:
        return st.binary(min_size=size, max_size=size)
    text = st.sampled_from([b"a", b"", b"0", b"_modules", b"os", b"9" * 40, b"\xff"])
    if size == pickletools.UP_TO_NEWLINE:
        lines = 2 if "pair" in opcode.arg.name else 1
        return st.lists(text, min_size=lines, max_size=lines).map(
            lambda found: b"".join(line + b"\n" for line in found)
        )
    form = {-2: "<B", -3: "<i", -4: "<I", -5: "<Q"}[size]
    return text.map(lambda found: struct.pack(form, len(found)) + found)


opcodes = st.sampled_from(pickletools.opcodes).flatmap(
    lambda opcode: _argument(opcode).map(lambda found: opcode.code.encode("latin1") + found)
)
FLOAT = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
)
common = st.sampled_from(
    [b"}", b"]", b"(", b"h\x00", b"h\x01", b"q\x00", b"q\x01", b"K\x03", b"N", b"s", b"u", b"a",
     b"e", b"t", b"\x85", b"R", b"\x81", b"b", FLOAT, b"cos\nsystem\n", b"c__builtin__\nset\n",
     b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"]
)  # fmt: skip


def archive(pickled: bytes) -> bytes:
    """Return an archive as torch writes it, with this pickle and one storage."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("a/data.pkl", pickled)
        file.writestr("a/data/0", bytes(24))
    return stream.getvalue()


def old(pickled: bytes) -> bytes:
    """Return a file as torch wrote it before 1.6, with this pickle and one storage."""
    begin = (OLD_MAGIC, 1001, {"little_endian": True})
    first = b"".join(pickle.dumps(part, 2) for part in begin)
    return first + pickled + pickle.dumps(["0"], 2) + struct.pack("<q", 6) + bytes(24)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.save({"a": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    warm_up(tmp_path)
    return tmp_path


@few
@given(parts=st.lists(common | opcodes, max_size=60), form=st.sampled_from([archive, old]))
def test_random_instructions(
    folder: Path, parts: list[bytes], form: Callable[[bytes], bytes]
) -> None:
    (folder / "pytorch_model.bin").write_bytes(form(b"\x80\x02" + b"".join(parts) + b"."))
    read_or_refused(folder)


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n("
    + FLOAT
    + b"K\x00(K\x02K\x03t(K\x03K\x01t\x89ccollections\nOrderedDict\n)RtR"
)
names = st.sampled_from(
    ["weight", "model", "layers_removed", "_modules", "_parameters", "_buffers", "config", "a.b",
     "_non_persistent_buffers_set", "num_heads", "", "module", "_orig_mod", "x" * 300]
).map(_text)  # fmt: skip
leaves = names | st.sampled_from(
    [b"N", b"\x88", b"K\x05", b"J\xff\xff\xff\xff", b"\x8a\x09" + b"\xff" * 8 + b"\x7f", TENSOR,
     b"G\x7f\xf8\x00\x00\x00\x00\x00\x00", b"h\x00", b"h\x01", b"h\x02", b"ctorch\nbfloat16\n"]
)  # fmt: skip


def _nested(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return values that hold others: lists, dictionaries, modules, tensors and calls."""
    pairs = st.lists(st.tuples(names | inner, inner).map(b"".join), max_size=5).map(b"".join)
    items = st.lists(inner, max_size=4).map(b"".join)
    kept = st.sampled_from([b"", b"q\x01", b"q\x02"])
    dictionary = st.tuples(kept, pairs).map(lambda found: b"}" + found[0] + b"(" + found[1] + b"u")
    module = dictionary.map(
        lambda found: b"ctorch.nn.X\nX\n)\x81" + b"}(" + _text("_modules") + found + b"ub"
    )
    return st.one_of(
        st.tuples(kept, items).map(lambda found: b"]" + found[0] + b"(" + found[1] + b"e"),
        items.map(lambda found: b"(" + found + b"t"),
        dictionary,
        module,
        dictionary.map(lambda found: b"ctorch.nn.X\nX\n)\x81" + found + b"b"),
        st.tuples(inner, inner).map(lambda found: b"cos\nsystem\n(" + b"".join(found) + b"tR"),
    )


@few
@given(value=st.recursive(leaves, _nested, max_leaves=25), form=st.sampled_from([archive, old]))
def test_random_values(folder: Path, value: bytes, form: Callable[[bytes], bytes]) -> None:
    begin = b"\x80\x02}q\x000}q\x010]q\x020"  # so that what is kept can be asked for
    (folder / "pytorch_model.bin").write_bytes(form(begin + value + b"."))
    read_or_refused(folder)


def test_what_is_executed_would_be_seen(tmp_path: Path) -> None:
    with watched() as events:
        pickle.loads(b"cbuiltins\nexec\n(X\x06\x00\x00\x00x = 12tR.")
        (tmp_path / "x").write_text("")
    assert any(event.startswith("pickle.find_class") for event in events)
    assert any(event.startswith("exec") for event in events)
    assert any(event.startswith("open") for event in events)


def test_random_values_are_often_models(folder: Path) -> None:
    value = b"}(" + _text("model") + b"}(" + _text("a.weight") + TENSOR + b"uu"
    for form in (archive, old):
        (folder / "pytorch_model.bin").write_bytes(form(b"\x80\x02" + value + b"."))
        assert read_checkpoint(folder).tensors["a.weight"].shape == (2, 3)
