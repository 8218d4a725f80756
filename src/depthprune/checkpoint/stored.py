"""Tensors as they lie in files: name, type, shape, and their bytes in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Protocol

from depthprune.base.errors import FileError

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Bits of one element by the names that safetensors uses."""

PIECE = 4 * 1024**2
"""Bytes that are copied at once."""


Shape = tuple[int, ...]


class Tensor(Protocol):
    """A tensor of a checkpoint, whatever the format; only `pieces` reads its numbers."""

    @property
    def name(self) -> str:
        """Its key in the checkpoint."""
        ...

    @property
    def dtype(self) -> str:
        """Its number type as safetensors names it, a key of `DTYPE_BITS`."""
        ...

    @property
    def shape(self) -> Shape:
        """Its shape."""
        ...

    @property
    def storage(self) -> str:
        """What identifies its bytes; tensors that share all of them (tied weights) agree in it."""
        ...

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield the tensor's bytes in row-major order, little-endian, at most `size` at once.

        Raises:
            FileError: the file ends early or cannot be read; names it.
        """
        ...


class StoredTensor(Tensor, Protocol):
    """A tensor that lies in one file."""

    @property
    def file(self) -> Path:
        """Where it lies."""
        ...


def num_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Return how many bytes a tensor takes in a safetensors file."""
    return (prod(shape) * DTYPE_BITS[dtype] + 7) // 8


def read_range(file: Path, start: int, length: int, size: int, name: str) -> Iterator[bytes]:
    """Yield the bytes of a tensor that is one range of a file, all but the last piece of `size`.

    Raises:
        FileError: the file ends early or cannot be read; names it and the tensor.
    """
    place = f"{file}, {name}"
    try:
        with file.open("rb", buffering=0) as opened:
            opened.seek(start)
            while length:
                piece = opened.read(min(size, length))
                if not piece:
                    raise FileError("the file ends in the middle of a tensor", where=place)
                length -= len(piece)
                yield piece
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=place) from error
