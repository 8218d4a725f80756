"""The numbers of a strided tensor in row-major order, read from a file with little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import TYPE_CHECKING

from depthprune.checkpoint.stored import PIECE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.void]

Reader = Callable[[int, int], bytearray]
"""Returns bytes of the file, given their start from the tensor's first byte and their number."""


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Return whether the numbers lie in row-major order without gaps."""
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def span(shape: tuple[int, ...], strides: tuple[int, ...], width: int) -> int:
    """Return the bytes from the first number to the last, of `width` bytes each."""
    steps = zip(shape, strides, strict=True)
    return (sum((size - 1) * stride for size, stride in steps) + 1) * width


def row_major(
    read: Reader, shape: tuple[int, ...], strides: tuple[int, ...], width: int, size: int
) -> Iterator[bytes]:
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


def _fill(target: Array, read: Reader, start: int, strides: tuple[int, ...]) -> None:
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


def _view(raw: bytearray, shape: tuple[int, ...], strides: tuple[int, ...], width: int) -> Array:
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
