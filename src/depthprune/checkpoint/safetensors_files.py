"""Safetensors files as bytes: where each tensor lies, and the header of a new file.

The format: 8 bytes with the length of the header (little-endian), the header (JSON), the tensors
without gaps. https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError, ModelError
from depthprune.base.language import counted
from depthprune.checkpoint.stored import DTYPE_BITS, PIECE, Shape, num_bytes, read_range

LONGEST_HEADER = 100 * 10**6
"""Bytes of a header that the safetensors library reads at most."""

MOST_AXES = 64
LARGEST = 2**62
"""Axes of a tensor, and bytes of a file, beyond which a header is none."""


@dataclass(frozen=True, slots=True)
class FileTensor:
    """A tensor that lies in a file as one range of bytes.

    Attributes:
        name: its key in the checkpoint.
        dtype: a key of `DTYPE_BITS`.
        shape: of the tensor.
        file: where it lies.
        start: of the range, in bytes from the start of the file.
        length: of the range.
    """

    name: str
    dtype: str
    shape: Shape
    file: Path
    start: int
    length: int

    @property
    def storage(self) -> str:
        """What identifies its bytes."""
        return f"{self.file}:{self.start}:{self.length}"

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield the bytes, at most `size` at once; raises FileError when the file ends early."""
        return read_range(self.file, self.start, self.length, size, self.name)


@dataclass(frozen=True)
class Header:
    """What a safetensors file says about itself.

    Attributes:
        tensors: by name, in the order of their bytes; each lies within the file.
        metadata: texts by name, as programs note them.
        data: where the tensors begin, in bytes from the start of the file.
        size: of the file, in bytes.
    """

    tensors: dict[str, FileTensor]
    metadata: dict[str, Any]
    data: int
    size: int


def read_safetensors(path: Path) -> dict[str, FileTensor]:
    """Return the tensors of a safetensors file by name, in the order of their bytes.

    Only the header is read.

    Raises:
        ModelError: the file is truncated or damaged; names it.
        FileError: it cannot be read.
    """
    header = read_header(path)
    if "tensor_names" in header.metadata:
        raise ModelError(
            f"{path.name} describes its tensors in its metadata, as torchao does: their new names "
            "would not be found there",
            where=str(path),
            mend="cut the model before it is quantised",
        )
    end = header.data
    for tensor in header.tensors.values():
        if tensor.start != end:
            raise _damaged(path, f"{tensor.name} does not begin where the tensor before it ends")
        end = tensor.start + tensor.length
    if end < header.size:
        raise _damaged(
            path, f"it has {counted(header.size, 'byte')}, where its header promises {end}"
        )
    return header.tensors


def read_header(path: Path) -> Header:
    """Return the header of a safetensors file; there may be gaps between its tensors.

    Raises:
        ModelError: the file is truncated or damaged; names it.
        FileError: it cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if len(start) < 8:
                raise _damaged(path, f"it has {counted(size, 'byte')}, too few for a header")
            (length,) = struct.unpack("<Q", start)
            if length > LONGEST_HEADER:
                raise _damaged(path, "its header is no safetensors header")
            if 8 + length > size:
                raise _damaged(
                    path,
                    f"it is truncated: {counted(size, 'byte ends', 'bytes end')} within its header",
                )
            header = file.read(length)
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(path)) from error
    try:
        # Given bytes, json would take other encodings too, and halves of characters.
        entries = json.loads(header.decode("utf-8"), object_pairs_hook=_unique)
        metadata = entries.pop("__metadata__", None) or {}
        if not isinstance(metadata, dict):
            raise ValueError("its metadata is no object")
        tensors = [_tensor(path, name, entry, 8 + length) for name, entry in entries.items()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, f"bad header ({error})") from error
    tensors.sort(key=lambda tensor: (tensor.start, tensor.length))
    end = max((tensor.start + tensor.length for tensor in tensors), default=0)
    if end > size:
        raise _damaged(
            path, f"it is truncated: {counted(size, 'byte')}, where its header promises {end}"
        )
    return Header({tensor.name: tensor for tensor in tensors}, metadata, 8 + length, size)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("it has a key twice")
    return value


def make_header(tensors: Iterable[tuple[str, str, Shape]]) -> bytes:
    """Return the first bytes of a file that holds tensors (name, dtype, shape) in this order.

    As the safetensors library writes it: metadata first, padded with spaces to 8 bytes.
    """
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, dtype, shape in tensors:
        end = offset + num_bytes(dtype, shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header


def _tensor(path: Path, name: str, entry: dict[str, Any], data: int) -> FileTensor:
    name.encode()  # half a character has no bytes, and could not be written
    dtype, shape = entry["dtype"], tuple(entry["shape"])
    first, end = entry["data_offsets"]
    if dtype not in DTYPE_BITS:
        raise ModelError(
            f"{name} is of the number type {dtype!r}, which is not known",
            where=str(path),
            mend="a newer depthprune may know it",
        )
    # A product of many long numbers would take forever.
    if len(shape) > MOST_AXES or not all(
        type(size) is int and 0 <= size < LARGEST for size in (*shape, first, end)
    ):
        raise ValueError(f"{name} has no proper shape or place")
    if end - first != num_bytes(dtype, shape):
        raise ValueError(
            f"{name} takes {counted(end - first, 'byte')}, its shape {num_bytes(dtype, shape)}"
        )
    return FileTensor(name, dtype, shape, path, data + first, end - first)


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(
        f"{path.name} is damaged: {why}", where=str(path), mend="download the checkpoint again"
    )
