"""Zeros of one tensor, and how many numbers of each group of neighbours are not zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from depthprune.structure.checkpoint import Tensor

GROUPS = (4, 8, 16)
"""Sizes of groups that patterns are looked for in, each a multiple of the one before."""

COUNTED: Mapping[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FFF_FFFF_FFFF_FFFF),
    "F32": ("<u4", 0x7FFF_FFFF),
    "F16": ("<u2", 0x7FFF),
    "BF16": ("<u2", 0x7FFF),
    "F8_E4M3": ("<u1", 0x7F),
    "F8_E5M2": ("<u1", 0x7F),
    "I8": ("<u1", 0xFF),
}
"""Number types that are counted: as which whole numbers, and which bits of a zero are not set."""

_LARGEST_BLOCK = 32 * 1024**2
"""Bytes of a group with everything between its members; with more, patterns are not looked for."""

Histogram = tuple[int, ...]


@dataclass(frozen=True)
class Groups:
    """Zeros among numbers, and groups of neighbours by how many of them are not zero.

    Attributes:
        zeros: numbers that are zero, of either sign.
        numbers: that were counted.
        histograms: by size of group m: how many groups have 0, 1, ... m numbers other than zero;
            None when a group is full, or cannot be made. Empty where nobody asked for groups.
    """

    zeros: int = 0
    numbers: int = 0
    histograms: Mapping[int, Histogram | None] = field(default_factory=dict)

    @classmethod
    def of_all(cls, parts: Iterable[Groups]) -> Groups:
        """Return the sums; a size of group that is ruled out in one part is so in all."""
        every = list(parts)
        asked = [part.histograms for part in every if part.histograms]
        return cls(
            sum(part.zeros for part in every),
            sum(part.numbers for part in every),
            {size: _sums([part.get(size) for part in asked]) for size in GROUPS} if asked else {},
        )

    def pattern(self) -> str | None:
        """Return `n:m` for the sparsest pattern that no group breaks and that most groups fill."""
        found = []
        for size, histogram in self.histograms.items():
            if histogram is None:
                continue
            most = max((count for count, groups in enumerate(histogram) if groups), default=0)
            # Among many zeros small groups are never full by chance: those that hold something
            # would hold less than the most.
            if most and 2 * histogram[most] >= sum(histogram[1:]):
                found.append((most / size, size, f"{most}:{size}"))
        return min(found)[2] if found else None


def _sums(histograms: list[Histogram | None]) -> Histogram | None:
    known = [histogram for histogram in histograms if histogram is not None]
    if len(known) < len(histograms):
        return None
    return tuple(map(sum, zip(*known, strict=True)))


def count_tensor(tensor: Tensor, axis: int | None, on_bytes: Callable[[int], None]) -> Groups:
    """Count the zeros of a tensor, piece by piece.

    Args:
        tensor: of a number type in `COUNTED`.
        axis: along which neighbours make groups; None to make none.
        on_bytes: called with the bytes that are done.

    Raises:
        FileError: the file ends early or cannot be read.
    """
    number, mask = COUNTED[tensor.dtype]
    dtype: np.dtype[Any] = np.dtype(number)
    between, sizes = _layout(tensor.shape, axis, dtype.itemsize)
    histograms: dict[int, Any] = {size: np.zeros(size + 1, dtype=np.int64) for size in sizes}
    zeros = numbers = 0
    block = max(sizes, default=1) * between * dtype.itemsize
    for piece in _in_blocks(tensor.pieces(), block):
        filled = (np.frombuffer(piece, dtype) & dtype.type(mask)) != 0
        zeros += filled.size - int(np.count_nonzero(filled))
        numbers += filled.size
        for size, counts in _group_counts(filled, between, list(histograms)):
            found = np.bincount(counts, minlength=size + 1)
            if found[size]:
                del histograms[size]
            else:
                histograms[size] += found
        on_bytes(len(piece))
    known = {size: tuple(map(int, histogram)) for size, histogram in histograms.items()}
    return Groups(
        zeros, numbers, {} if axis is None else {size: known.get(size) for size in GROUPS}
    )


def _layout(shape: tuple[int, ...], axis: int | None, width: int) -> tuple[int, list[int]]:
    """Return the distance of neighbours in numbers, and the sizes of groups that fit."""
    if axis is None or not prod(shape):
        return 1, []
    place = axis % len(shape)
    between = prod(shape[place + 1 :])
    sizes = [
        size
        for size in GROUPS
        if shape[place] % size == 0 and size * between * width <= _LARGEST_BLOCK
    ]
    return between, sizes


def _in_blocks(pieces: Iterable[bytes], block: int) -> Iterator[bytes]:
    """Yield the bytes in whole blocks, many at once; what is left at the end comes last."""
    rest = b""
    for piece in pieces:
        joined = rest + piece if rest else piece
        end = len(joined) - len(joined) % block
        if end:
            yield joined[:end] if end < len(joined) else joined
        rest = joined[end:]
    if rest:
        yield rest


def _group_counts(filled: Any, between: int, sizes: list[int]) -> Iterator[tuple[int, Any]]:
    """Yield for each size of group how many of each group are not zero, the smallest first."""
    counts = filled.view(np.uint8)
    made = 1
    for size in sizes:
        members = counts.reshape(-1, size // made, between)
        counts = members[:, 0] + members[:, 1]
        for member in range(2, size // made):
            counts += members[:, member]
        made = size
        yield size, counts.reshape(-1)
