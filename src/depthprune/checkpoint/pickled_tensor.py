"""A tensor of a file that `torch.save` wrote: a view of raw numbers somewhere in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import FileError
from depthprune.checkpoint.inert_pickle import Builder, Record, Reference
from depthprune.checkpoint.stored import DTYPE_BITS, PIECE, Shape, read_range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.void]


Reader = Callable[[int, int], bytearray]
"""Returns bytes of the file, given their start from the tensor's first byte and their number."""


def is_contiguous(shape: Shape, strides: Shape) -> bool:
    """Return whether the numbers lie in row-major order without gaps."""
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def span(shape: Shape, strides: Shape, width: int) -> int:
    """Return the bytes from the first number to the last, of `width` bytes each."""
    steps = zip(shape, strides, strict=True)
    return (sum((size - 1) * stride for size, stride in steps) + 1) * width


def row_major(read: Reader, shape: Shape, strides: Shape, width: int, size: int) -> Iterator[bytes]:
    """Yield the numbers in row-major order, at most `size` bytes at once.

    Holds at most the bytes of the tensor and two pieces.

    Args:
        read: reads from the file.
        shape: of the tensor; it is not empty.
        strides: of its axes, in numbers.
        width: bytes of a number.
        size: a multiple of `width`.
    """
    import numpy as np

    length = span(shape, strides, width)
    if length <= max(prod(shape) * width, PIECE):
        array = _view(read(0, length), shape, strides, width)
    else:
        # The numbers lie far apart, and what lies between may be more than memory holds.
        array = np.empty(shape, dtype=f"V{width}")
        _fill(array, read, 0, strides)
    yield from _blocks(array, size)


def _fill(target: Array, read: Reader, start: int, strides: Shape) -> None:
    """Read a part of a tensor in reads that are no larger than a piece."""
    width = target.itemsize
    length = span(target.shape, strides, width)
    if length <= PIECE:
        target[...] = _view(read(start, length), target.shape, strides, width)
        return
    axis = max(
        (axis for axis in range(target.ndim) if target.shape[axis] > 1),
        key=lambda axis: strides[axis],
    )
    step = strides[axis] * width
    of_one = length - (target.shape[axis] - 1) * step
    count = max(1, (PIECE - of_one) // step + 1)
    for first in range(0, target.shape[axis], count):
        part = (slice(None),) * axis + (slice(first, first + count),)
        _fill(target[part], read, start + first * step, strides)


def _view(raw: bytearray, shape: Shape, strides: Shape, width: int) -> Array:
    import numpy as np

    steps = tuple(stride * width for stride in strides)
    return np.ndarray(shape, dtype=f"V{width}", buffer=raw, strides=steps)


def _blocks(array: Array, size: int) -> Iterator[bytes]:
    if array.nbytes <= size:
        yield array.tobytes()
        return
    row = array.nbytes // len(array)
    if row > size:
        for entry in array:
            yield from _blocks(entry, size)
        return
    count = size // row
    for first in range(0, len(array), count):
        yield array[first : first + count].tobytes()


STORAGE_DTYPES = {
    "BFloat16Storage": "BF16",
    "BoolStorage": "BOOL",
    "ByteStorage": "U8",
    "CharStorage": "I8",
    "ComplexFloatStorage": "C64",
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "IntStorage": "I32",
    "LongStorage": "I64",
    "ShortStorage": "I16",
    "UntypedStorage": "U8",
}
"""Number types by the class of their storage, as safetensors names them."""

DTYPES = {
    "torch.bfloat16": "BF16",
    "torch.bool": "BOOL",
    "torch.complex64": "C64",
    "torch.float16": "F16",
    "torch.float32": "F32",
    "torch.float64": "F64",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.float8_e8m0fnu": "F8_E8M0",
    "torch.int16": "I16",
    "torch.int32": "I32",
    "torch.int64": "I64",
    "torch.int8": "I8",
    "torch.uint16": "U16",
    "torch.uint32": "U32",
    "torch.uint64": "U64",
    "torch.uint8": "U8",
}
"""Number types by torch's names."""

MOST_AXES = 32
"""Axes that a tensor may have, as many as every NumPy allows."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where the bytes of a storage lie in a file."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class StorageFile:
    """A file with storages.

    Attributes:
        path: of the file.
        extents: where each storage lies, by its key; complete when the file has been read.
        big_endian: whether its numbers begin with their highest byte.
    """

    path: Path
    extents: dict[str, Extent] = field(default_factory=dict)
    big_endian: bool = False


@dataclass(frozen=True, slots=True)
class Storage:
    """A row of numbers in a file, which tensors are views of.

    Attributes:
        file: that holds it.
        key: of its bytes.
        dtype: of its numbers; None when safetensors cannot name it.
        start: of the row, in bytes from that of the bytes.
        length: in bytes.
    """

    file: StorageFile
    key: str
    dtype: str | None
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class PickledTensor:
    """A tensor as `torch.save` wrote it; see `StoredTensor`.

    Attributes:
        name: its key, once it has been found in a state dictionary; else empty.
        dtype: a key of `DTYPE_BITS`.
        shape: of the tensor.
        strides: in numbers, one per axis.
        start: of its first number, in bytes from the start of its storage.
        data: the storage.
    """

    name: str
    dtype: str
    shape: Shape
    strides: Shape
    start: int
    data: Storage

    @property
    def file(self) -> Path:
        """Where it lies."""
        return self.data.file.path

    @property
    def storage(self) -> str:
        """What identifies its bytes."""
        start = self.data.start + self.start
        strides = "" if is_contiguous(self.shape, self.strides) else f":{self.strides}"
        return f"{self.file}:{self.data.key}:{start}:{self.dtype}:{self.shape}{strides}"

    def check(self) -> None:
        """Raise FileError when the file does not hold all of the tensor's storage."""
        extent = self.data.file.extents.get(self.data.key)
        if extent is None or self.data.start + self.data.length > extent.length:
            raise FileError(
                f"it lacks bytes of {self.name or 'a tensor'} {list(self.shape)}",
                where=str(self.file),
                mend="the file is truncated or damaged: download it again",
            )

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield the bytes in row-major order, little-endian, at most `size` at once.

        A tensor that is no plain range of bytes is gathered in memory: at most all of it at once.

        Raises:
            FileError: the file ends early or cannot be read; names it.
        """
        if 0 in self.shape:
            return
        self.check()
        width = DTYPE_BITS[self.dtype] // 8
        size = max(size // width, 1) * width
        if is_contiguous(self.shape, self.strides):
            pieces = self._ranges(0, prod(self.shape) * width, size)
        else:
            pieces = row_major(self._read, self.shape, self.strides, width, size)
        # A complex number is two numbers.
        swapped = width // 2 if self.dtype.startswith("C") else width
        if self.data.file.big_endian and swapped > 1:
            pieces = (_swap(piece, swapped) for piece in pieces)
        yield from pieces

    def _read(self, start: int, length: int) -> bytearray:
        buffer = bytearray(length)
        position = 0
        for piece in self._ranges(start, length, PIECE):
            buffer[position : position + len(piece)] = piece
            position += len(piece)
        return buffer

    def _ranges(self, start: int, length: int, size: int) -> Iterator[bytes]:
        """Yield bytes of the file, counted from the tensor's first, all but the last of `size`."""
        start += self.data.file.extents[self.data.key].start + self.data.start + self.start
        return read_range(self.file, start, length, size, self.name)


UNREADABLE = "torch.Tensor"
"""The kind of the record that stands for a tensor which no safetensors file could hold."""

LARGEST = 2**60
"""Bytes beyond which a shape is no shape."""


def _rebuild_typed(storage: Any, start: Any, shape: Any, strides: Any, *_: Any) -> Any:
    return _rebuild(storage, start, shape, strides, getattr(storage, "dtype", None))


def _rebuild_untyped(
    storage: Any, start: Any, shape: Any, strides: Any, gradient: Any, hooks: Any, dtype: Any,
    *_: Any,
) -> Any:  # fmt: skip
    known = DTYPES.get(dtype.name) if isinstance(dtype, Reference) else None
    return _rebuild(storage, start, shape, strides, known)


def _rebuild(
    storage: Any, start: Any, shape: Any, strides: Any, dtype: str | None
) -> PickledTensor | Record:
    """Return the view of a storage that a pickle describes; raises ValueError when it is none."""
    if not (isinstance(storage, Storage) and isinstance(shape, tuple) and type(strides) is tuple):
        raise ValueError("a tensor is not made of what tensors are made of")
    if dtype is None:
        return Record(UNREADABLE, (shape,))
    width = DTYPE_BITS[dtype] // 8
    numbers = (start, *shape, *strides) if len(shape) == len(strides) <= MOST_AXES else (-1,)
    if not all(type(number) is int and 0 <= number < LARGEST for number in numbers):
        raise ValueError("a tensor has no proper shape")
    # The stride of an axis of one entry means nothing, and may be any number.
    strides = tuple(stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
    ends_at = start * width + span(shape, strides, width)
    if prod(shape) * width >= LARGEST or (0 not in shape and ends_at > storage.length):
        raise ValueError(f"a tensor of shape {list(shape)} is larger than its storage")
    return PickledTensor("", dtype, shape, strides, start * width, storage)


def _rebuild_subclass(function: Any, kind: Any, arguments: Any, state: Any = None, *_: Any) -> Any:
    """Take a tensor with attributes, or of a class of its own, for what it is underneath."""
    if isinstance(function, Reference) and function.name in _PLAIN:
        return _PLAIN[function.name](*arguments)
    if isinstance(function, Reference) and function.name.startswith(_REBUILDS):
        return Record(function.name, arguments if isinstance(arguments, tuple) else (), state)
    return Record(UNREADABLE, (function, kind, arguments))


_REBUILDS = "torch._utils._rebuild_"

_PLAIN: dict[str, Builder] = {
    "torch._utils._rebuild_tensor": _rebuild_typed,
    "torch._utils._rebuild_tensor_v2": _rebuild_typed,
    "torch._utils._rebuild_tensor_v3": _rebuild_untyped,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
}

BUILDERS: Mapping[str, Builder] = {
    **_PLAIN,
    "torch._tensor._rebuild_from_type_v2": _rebuild_subclass,
}
"""What becomes of the calls by which torch rebuilds tensors."""


def _swap(piece: bytes, width: int) -> bytes:
    import numpy as np

    return np.frombuffer(piece, dtype=f"u{width}").byteswap().tobytes()
