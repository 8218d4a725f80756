"""The two kinds of files that `torch.save` writes, read without torch and without running code.

Since torch 1.6 a file is a zip archive of `data.pkl` and one entry per storage; before, it was five
pickles and the storages one after the other.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from depthprune.base.errors import FileError
from depthprune.checkpoint.inert_pickle import Builder, PickleStream, Record, Reference, read_inert
from depthprune.checkpoint.pickled_tensor import (
    BUILDERS,
    STORAGE_DTYPES,
    UNREADABLE,
    Extent,
    PickledTensor,
    Storage,
    StorageFile,
)
from depthprune.checkpoint.stored import DTYPE_BITS, StoredTensor

LARGEST_PICKLE = 256 * 1024**2
"""Bytes that describe a model at most; a state dictionary takes some 200 per tensor."""

LARGEST_DIRECTORY = 32 * 1024**2
"""Bytes of an archive's list of entries; it has some 100 for each."""

OLD_MAGIC = 0x1950A86A20F9469CFC6C


def read_pickled_tree(path: Path) -> Any:
    """Return what a file of `torch.save` holds: plain values, `PickledTensor`s, and `Record`s.

    Whole modules and other objects come out as records of their attributes, so that a model which
    was pickled whole can be looked at; none is built, and no code of the file or for it runs. Of
    the tensors, none is read. What is shared in the file is shared in the value, even in circles.

    Raises:
        FileError: the file cannot be read, is damaged, or is none of `torch.save`'s; names it.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) == b"PK\x03\x04":
                return _read_zip(path, file)
            file.seek(0)
            return _read_old(path, file, path.stat().st_size)
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    except (ValueError, OverflowError, RecursionError) as error:
        _refuse(path, f"it cannot be read as a file of torch.save: {error}")


class _Directory:
    """A file as `zipfile` sees it: it reads what an archive claims its list of entries to take."""

    def __init__(self, file: IO[bytes]) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def read(self, count: int = -1) -> bytes:
        if count > LARGEST_DIRECTORY:
            raise ValueError("its archive has more entries than any model needs")
        return self._file.read(count)  # without a count, zipfile only reads the last bytes


def _read_zip(path: Path, file: IO[bytes]) -> Any:
    try:
        with zipfile.ZipFile(cast(IO[bytes], _Directory(file))) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if len(entries) < len(archive.infolist()):
                raise ValueError("two entries of the archive have the same name")
    except (zipfile.BadZipFile, NotImplementedError, struct.error, EOFError) as error:
        raise ValueError(f"its archive is truncated or damaged: {error}") from error
    described = [name for name in entries if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(described) != 1:
        raise ValueError("its archive holds no model")
    folder = described[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        raise ValueError("it is a TorchScript program, not a checkpoint")
    size = path.stat().st_size
    extents = {
        name.removeprefix(f"{folder}data/"): _extent(file, entry, size)
        for name, entry in entries.items()
        if name.startswith(f"{folder}data/")
    }
    big_endian = False
    if f"{folder}byteorder" in entries:
        order = _extent(file, entries[f"{folder}byteorder"], size)
        file.seek(order.start)
        big_endian = file.read(min(order.length, 6)) == b"big"
    place = _extent(file, entries[described[0]], size)
    if place.length > LARGEST_PICKLE:
        raise ValueError("its pickle is larger than any that describes a model")
    file.seek(place.start)
    storages = StorageFile(path, extents, big_endian)
    return read_inert(PickleStream(file, place.length), BUILDERS, _storages_of(storages))


def _extent(file: IO[bytes], entry: zipfile.ZipInfo, size: int) -> Extent:
    """Return where the bytes of an entry lie; they are neither unpacked nor written anywhere."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise ValueError(f"the entry {entry.filename!r} is compressed, which torch never does")
    file.seek(entry.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise ValueError(f"the entry {entry.filename!r} is damaged")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    start = entry.header_offset + 30 + name_length + extra_length
    if start + entry.file_size > size or entry.file_size != entry.compress_size:
        raise ValueError(f"the entry {entry.filename!r} ends beyond the file: it is truncated")
    return Extent(start, entry.file_size)


def _read_old(path: Path, file: IO[bytes], size: int) -> Any:
    stream = PickleStream(file, min(size, LARGEST_PICKLE))
    try:
        magic = read_inert(stream, {})
    except ValueError:
        magic = None
    if magic != OLD_MAGIC:
        raise ValueError("it is neither of its archives nor of its files before torch 1.6")
    read_inert(stream, {})
    system = read_inert(stream, {})
    big_endian = isinstance(system, dict) and system.get("little_endian") is False
    storages = StorageFile(path, {}, big_endian)
    widths: dict[str, int] = {}
    tree = read_inert(stream, BUILDERS, _storages_of(storages, widths))
    keys = read_inert(stream, {})
    if not isinstance(keys, list):
        raise ValueError("it does not list its storages")
    start = stream.tell()
    order = ">" if big_endian else "<"
    for key in keys:
        if not isinstance(key, str):  # a nest of lists may have an endless text
            raise ValueError("it does not list its storages")
        file.seek(start)
        (count,) = struct.unpack(f"{order}q", _exactly(file, 8))
        length = count * widths.get(key, 1)
        if count < 0 or start + 8 + length > size:
            raise ValueError("it is truncated: storages are missing at its end")
        storages.extents[key] = Extent(start + 8, length)
        start += 8 + length
    return tree


def _exactly(file: IO[bytes], count: int) -> bytes:
    found = file.read(count)
    if len(found) < count:
        raise ValueError("it is truncated: storages are missing at its end")
    return found


def _storages_of(file: StorageFile, widths: dict[str, int] | None = None) -> Builder:
    """Return what makes storages of the persistent ids of a file; notes the widths of numbers."""

    def stored(identity: Any) -> Any:
        if not isinstance(identity, tuple) or len(identity) < 2:
            raise ValueError("it refers to data that torch does not know")
        if identity[0] == "module":  # old files name the source code of a class beside it
            return identity[1]
        if identity[0] != "storage" or len(identity) < 5:
            raise ValueError("it refers to data that torch does not know")
        kind, key, count, view = *identity[1:3], identity[4], (*identity[5:], None)[0]
        if not isinstance(kind, Reference) or not isinstance(key, str):
            raise ValueError("a storage is not described as torch does")
        dtype = STORAGE_DTYPES.get(kind.name.rpartition(".")[2])
        width = DTYPE_BITS[dtype] // 8 if dtype else _OTHER_WIDTHS.get(kind.name, 1)
        if widths is not None:
            widths[key] = width
        start = 0
        if view is not None:
            _, start, count = view
        if not all(type(number) is int and number >= 0 for number in (start, count)):
            raise ValueError("a storage is not described as torch does")
        return Storage(file, key, dtype, start * width, count * width)

    return stored


_OTHER_WIDTHS: Mapping[str, int] = {
    "torch.ComplexDoubleStorage": 16,
    "torch.QInt32Storage": 4,
}


def _refuse(path: Path, what: str) -> NoReturn:
    raise FileError(
        what,
        where=str(path),
        mend="download it again; a file in another format must be saved anew, as safetensors, "
        "where it can be loaded",
    )


WRAPPERS = ("state_dict", "model_state_dict", "full_state_dict", "model", "module", "net", "state")
"""Keys under which training programs put a model or its state dictionary, the best first."""

DEEPEST = 100
LONGEST_NAME = 1000
MOST_PLACES = 500_000
MOST_CHARACTERS = 50_000_000
"""Limits of what is looked at: a few bytes of pickle can describe endless nests of dictionaries."""


def read_pickled(path: Path) -> dict[str, StoredTensor]:
    """Return the tensors of a state dictionary, or of a whole pickled module, by name.

    They may lie in a container, e.g. `{"state_dict": ..., "epoch": 3}`. Nothing is unpickled, no
    code of the file runs, and of the tensors only names, types and shapes are read.

    Raises:
        FileError: the file cannot be read, is damaged, truncated or none of `torch.save`'s, holds
            no weights, or a weight that a safetensors file cannot hold; names the file.
    """
    tensors: dict[str, StoredTensor] = {}
    for name, found in walk(weights_of(read_pickled_tree(path)), path):
        if not is_tensor(found):
            continue
        if not isinstance(found, PickledTensor):
            raise FileError(
                f"{name} is a tensor of a kind that safetensors files cannot hold",
                where=str(path),
                mend="save the model in a plain number type, e.g. bfloat16",
            )
        tensor = replace(found, name=name)
        tensor.check()
        tensors[name] = tensor
    if not tensors:
        raise FileError(
            "it holds no weights", where=str(path), mend="name the file of a state dictionary"
        )
    return tensors


def weights_of(tree: Any) -> Any:
    """Return the state dictionary or module in what `read_pickled_tree` returned, or all of it."""
    for _ in range(len(WRAPPERS)):
        if not isinstance(tree, dict) or any(is_tensor(value) for value in tree.values()):
            break
        inner = [tree[name] for name in WRAPPERS if isinstance(tree.get(name), dict | Record)]
        if not inner:
            break
        tree = inner[0]
    return tree


def walk(tree: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield everything in a state dictionary or module with its name, as torch names it.

    What has no name comes as nothing, and so do buffers that no state dictionary has. A module that
    lies in itself is not entered again.

    Args:
        tree: as `read_pickled_tree` returns it, or a part of it.
        path: of its file, for messages.

    Raises:
        FileError: it is nested more deeply, or holds more, than any model.
    """
    # The stack holds iterators, so that a value of many shared parts takes no more memory than it.
    levels = [(id(tree), _children("", tree))]
    inside = {id(tree)}
    characters = 0
    for _ in range(MOST_PLACES):
        holder, entries = levels[-1]
        found = next(entries, None)
        if found is None:
            inside.discard(holder)
            levels.pop()
            if not levels:
                return
            continue
        name, value = found
        characters += len(name)
        if len(name) > LONGEST_NAME or characters > MOST_CHARACTERS:
            raise FileError("it has names that are longer than any", where=str(path))
        yield name, value
        if isinstance(value, dict | Record) and not is_tensor(value) and id(value) not in inside:
            levels.append((id(value), _children(f"{name}.", value)))
            inside.add(id(value))
            if len(levels) > DEEPEST:
                raise FileError("it is nested more deeply than any model", where=str(path))
    raise FileError("it holds more than any model", where=str(path))


def _children(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a dictionary, or the tensors and modules of a module.

    What has no name is yielded as nothing, so that whoever counts the entries counts it too.
    """
    if isinstance(value, Record):
        attributes = module_attributes(value)
        listed = attributes.get("_non_persistent_buffers_set")
        hidden = listed[:_MOST_BUFFERS] if isinstance(listed, list) else []
        for group in ("_parameters", "_buffers", "_modules"):
            for name, entry in _entries(attributes.get(group)):
                yield prefix + name, None if group == "_buffers" and name in hidden else entry
    else:
        for name, entry in _entries(value):
            yield prefix + name, entry


_MOST_BUFFERS = 100
"""Buffers of one module that no state dictionary has."""


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, entry in value.items():
            yield (name, entry) if isinstance(name, str) else ("", None)


def module_attributes(record: Record) -> dict[Any, Any]:
    """Return the attributes of a module, or nothing of what is none.

    Some classes give them to the call that builds them.
    """
    for state in (record.state, *record.arguments[:1]):
        if isinstance(state, dict) and "_modules" in state:
            return state
    return {}


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor, be it one that cannot be read."""
    return isinstance(value, PickledTensor) or (
        isinstance(value, Record)
        and (value.kind == UNREADABLE or value.kind.startswith("torch._utils._rebuild_"))
    )
