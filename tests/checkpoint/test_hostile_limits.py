"""What a hostile file repeats, claims or nests takes neither time nor memory, and is refused."""

from __future__ import annotations

import json
import pickle
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.checkpoint.folder import checkpoint_folder, source_folder, weight_files
from depthprune.checkpoint.safetensors_files import read_header, read_safetensors
from depthprune.checkpoint.torch_files import OLD_MAGIC, read_pickled, read_pickled_tree
from tests.checkpoint.test_pickled_hostile import archive

SECONDS = 20
"""Of the processor; without a limit each of these takes hours."""


@contextmanager
def cheaply() -> Iterator[None]:
    """Hold that what is done takes little time and memory."""
    tracemalloc.start()
    start = time.process_time()
    yield
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < SECONDS
    assert peak < 200e6


def refused(read: Callable[[Path], Any], path: Path, what: str) -> None:
    with cheaply(), pytest.raises(DepthpruneError, match=what) as caught:
        read(path)
    assert str(path) in str(caught.value.where)


def write_header(path: Path, header: str, data: bytes = b"") -> Path:
    content = header.encode()
    path.write_bytes(struct.pack("<Q", len(content)) + content + data)
    return path


ONE = '"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}'


@pytest.mark.parametrize("read", [read_safetensors, read_header])
@pytest.mark.parametrize(
    ("header", "what"),
    [
        (f'{{"__metadata__": 5, {ONE}}}', "its metadata is no object"),
        (f'{{"__metadata__": [1], {ONE}}}', "its metadata is no object"),
        (f"{{{ONE}, {ONE}}}", "it has a key twice"),
        (f"{{{ONE.replace('[4]', '[' + '1,' * 64 + '4]')}}}", "no proper shape"),
        (f"{{{ONE.replace('[4]', f'[{2**62}, 0]')}}}", "no proper shape"),
        (f"{{{ONE.replace('[4]', '[' + ','.join(['9' * 4000] * 5000) + ']')}}}", "no proper shape"),
        (f"{{{ONE.replace('[4]', '[-4]')}}}", "no proper shape"),
        (f"{{{ONE.replace('[4]', '[4294967296, 4294967296]')}}}", "takes 4 bytes, its shape"),
        (f"{{{ONE.replace('[0, 4]', '[0, 1000000000000000000]')}}}", "takes 1(,000)+ bytes"),
        (
            '{"a": {"dtype": "U8", "shape": [1000000000000000000], '
            '"data_offsets": [0, 1000000000000000000]}}',
            "it is truncated",
        ),
        (f"{{{ONE.replace('[0, 4]', '[4, 0]')}}}", "takes -4 bytes"),
        ("[" * 10_000 + "]" * 10_000, "bad header"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "bad header"),
    ],
)
def test_headers(tmp_path: Path, read: Any, header: str, what: str) -> None:
    refused(read, write_header(tmp_path / "a.safetensors", header, bytes(4)), what)


def test_a_header_that_claims_more_than_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", 10**18) + b"{}")
    refused(read_header, path, "no safetensors header")
    with path.open("r+b") as file:  # a hole, so that the claim is true
        file.truncate(2**40)
    refused(read_header, path, "no safetensors header")


MODULE = b"ctorch.nn.modules.linear\nLinear\n)\x81"
"""Makes a record of a module."""


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def module(buffers: bytes, hidden: bytes) -> bytes:
    entries = text("_buffers") + buffers + text("_non_persistent_buffers_set") + hidden
    return MODULE + b"}(" + text("_modules") + b"}" + entries + b"ub"


@pytest.mark.parametrize("hidden", [b"K\x05", b"N", b"}", text("abc"), b"]N" + b"a"])
def test_hidden_buffers_that_are_no_list_of_names(tmp_path: Path, hidden: bytes) -> None:
    pickled = module(b"}(" + text("a") + b"Nu", hidden) + b"."
    refused(read_pickled, archive(tmp_path / "a.bin", pickled), "no weights")


def test_many_hidden_buffers_of_many_modules(tmp_path: Path) -> None:
    count = 60_000
    names = b"".join(text(f"{number:05d}") for number in range(count))
    hidden = b"](" + names + b"e"
    buffers = b"}(" + b"".join(text(f"b{number}") + b"N" for number in range(count)) + b"u"
    refused(read_pickled, archive(tmp_path / "a.bin", module(buffers, hidden) + b"."), "no weights")


def test_what_has_no_name_is_counted_too(tmp_path: Path) -> None:
    count = 50_000
    numbers = b"".join(b"J" + struct.pack("<i", number) + b"N" for number in range(count))
    shared = b"}q\x00(" + numbers + b"u0"
    holders = b"".join(text(f"{number}") + b"h\x00" for number in range(count))
    pickled = shared + b"}(" + holders + b"u."
    refused(read_pickled, archive(tmp_path / "a.bin", pickled), "more than any model")


def test_the_names_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthprune.checkpoint.torch_files.MOST_CHARACTERS", 10_000)
    pickled = b"}(" + b"".join(text(f"{number:0900d}") + b"N" for number in range(20)) + b"u."
    refused(read_pickled, archive(tmp_path / "a.bin", pickled), "names that are longer")


def test_a_long_text_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depthprune.checkpoint.inert_pickle.MAX_VALUE", 1000)
    refused(read_pickled_tree, archive(tmp_path / "a.bin", text("x" * 2000) + b"."), "is longer")


@pytest.mark.parametrize(
    "key",
    [
        b"]" * 100_000 + b"a" * 99_999,
        b"]q\x00"
        + b"".join(b"(h" + bytes([n, 104, n]) + b"lq" + bytes([n + 1]) for n in range(60)),
        b"K\x01",
    ],
    ids=["deep", "doubling", "number"],
)
def test_storages_of_old_files_have_texts_for_keys(tmp_path: Path, key: bytes) -> None:
    path = tmp_path / "a.bin"
    begin = [pickle.dumps(part, 2) for part in (OLD_MAGIC, 1001, {"little_endian": True}, {})]
    path.write_bytes(b"".join(begin) + b"](" + key + b"e." + bytes(8))
    refused(read_pickled_tree, path, "does not list its storages")


def test_an_archive_whose_list_of_entries_is_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    size = 2**32 - 2
    with path.open("wb") as file:
        file.write(b"PK\x03\x04")
        file.seek(100 + size)
        file.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 100, 0))
    refused(read_pickled_tree, path, "more entries than any model needs")


def test_offsets_beyond_every_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    huge = 2**64 - 1
    end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 0, huge)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 8, 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 2**32 - 1, 2**32 - 1, 0)
    path.write_bytes(b"PK\x03\x04" + bytes(4) + end + locator + last)
    refused(read_pickled_tree, path, "cannot be read as a file of torch.save|damaged")


INDEXES = (
    "{}",
    "[" * 10_000,
    *(
        json.dumps({"weight_map": value})
        for value in ({}, [], {"a": 1}, {"a": ["x"]}, {"a": "x" * 5000}, {"a": "../x"})
    ),
)


@pytest.mark.parametrize("content", INDEXES)
def test_indexes_that_name_no_files(tmp_path: Path, content: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(content)
    with cheaply(), pytest.raises(DepthpruneError, match=r"broken|not in the folder") as caught:
        weight_files(tmp_path)
    assert caught.value.where == str(index)


def test_an_index_that_is_a_hole(tmp_path: Path) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text("{}")
    with index.open("r+b") as file:
        file.truncate(2**40)
    with cheaply(), pytest.raises(DepthpruneError, match="broken"):
        weight_files(tmp_path)


@pytest.mark.parametrize("source", ["~nobody-of-this-name/x", "a" * 5000])
def test_names_that_no_file_has(source: str) -> None:
    with pytest.raises(DepthpruneError, match="cannot read"):
        checkpoint_folder(source)
    with pytest.raises(DepthpruneError, match="cannot read"):
        source_folder(source, revision=None, download=False)
