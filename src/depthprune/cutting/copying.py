"""Copy the bytes of tensors from file to file; nothing is decoded, memory stays constant."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import BinaryIO

from depthprune.base.errors import FileError, ModelError
from depthprune.base.language import counted
from depthprune.checkpoint.safetensors_files import FileTensor
from depthprune.checkpoint.stored import DTYPE_BITS, PIECE, StoredTensor
from depthprune.cutting.shards import BlockSlices, Shard, TargetTensor

OnBytes = Callable[[int], None]
"""Is told how many bytes more were written."""

_AT_ONCE = 64 * 2**20
"""Bytes that the system copies before progress is told."""


@dataclass(frozen=True)
class _Range:
    """Bytes of a file."""

    file: Path
    start: int
    length: int


def write_shards(shards: Iterable[Shard], folder: Path, on_bytes: OnBytes) -> None:
    """Write safetensors files; they are on the disk when this returns.

    Raises:
        FileError: the source ends early or cannot be read.
        OSError: a file cannot be written, for example because the disk is full.
    """
    # While one goes to the disk, the next is copied.
    with ThreadPoolExecutor(max_workers=1) as disk:
        synced = []
        for shard in shards:
            _write_shard(shard, folder / shard.name, on_bytes)
            synced.append(disk.submit(_sync, folder / shard.name))
        for one in synced:
            one.result()


def _sync(path: Path) -> None:
    with path.open("r+b", buffering=0) as file:
        os.fsync(file.fileno())


def _write_shard(shard: Shard, path: Path, on_bytes: OnBytes) -> None:
    with path.open("xb", buffering=0) as out:
        _write(out, shard.header)
        for piece in _pieces(shard.tensors):
            if isinstance(piece, _Range):
                _copy_range(piece, out, on_bytes)
            else:
                _write_tensor(piece, out, on_bytes)


def _pieces(tensors: Iterable[TargetTensor]) -> Iterator[_Range | TargetTensor]:
    """Yield ranges of bytes, neighbours as one, and the tensors that are no such range."""
    pending: _Range | None = None
    for tensor in tensors:
        source = tensor.source
        if tensor.slices is None and isinstance(source, FileTensor):
            if pending and (pending.file, pending.start + pending.length) == (
                source.file,
                source.start,
            ):
                pending = _Range(pending.file, pending.start, pending.length + source.length)
                continue
            if pending:
                yield pending
            pending = _Range(source.file, source.start, source.length)
            continue
        if pending:
            yield pending
            pending = None
        yield tensor
    if pending:
        yield pending


def _copy_range(piece: _Range, out: BinaryIO, on_bytes: OnBytes) -> None:
    position, left = piece.start, piece.length
    try:
        file = piece.file.open("rb", buffering=0)
    except OSError as error:
        raise FileError(f"cannot read: {error.strerror or error}", where=str(piece.file)) from error
    with file:
        while left:
            count = _copy(file.fileno(), position, out, min(left, _AT_ONCE))
            if not count:
                raise FileError(
                    "the file has become shorter while it was copied", where=str(piece.file)
                )
            position += count
            left -= count
            on_bytes(count)


def _copy(source: int, position: int, out: BinaryIO, count: int) -> int:
    """Copy at most `count` bytes within the system where it can, and return how many."""
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, out.fileno(), count, offset_src=position)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
    piece = os.pread(source, min(count, PIECE), position)
    _write(out, piece)
    return len(piece)


_CANNOT = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
"""What file systems answer that cannot copy for themselves."""


def _write(out: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[out.write(view) :]


def _write_tensor(tensor: TargetTensor, out: BinaryIO, on_bytes: OnBytes) -> None:
    written = 0
    pieces = tensor.source.pieces()
    if tensor.slices is not None:
        pieces = _sliced(tensor.source, tensor.slices)
    for piece in pieces:
        _write(out, piece)
        written += len(piece)
        on_bytes(len(piece))
    if written != tensor.num_bytes:
        raise FileError(
            f"{tensor.source.name} has {counted(written, 'byte')}, where {tensor.num_bytes} were "
            "expected",
            where=str(tensor.source.file),
        )


def _sliced(tensor: StoredTensor, slices: BlockSlices) -> Iterator[bytes]:
    """Yield the bytes of the slices that stay; a row holds the slices of all blocks once."""
    bits = DTYPE_BITS[tensor.dtype]
    if bits % 8:
        raise ModelError(
            f"{tensor.name} has a slice per block, but its numbers are smaller than a byte",
            mend="cut the model before it is quantised",
        )
    row = prod(tensor.shape[slices.axis :]) * bits // 8
    width = row // slices.num_blocks
    runs = _merged([range(block * width, (block + 1) * width) for block in slices.kept])
    position = 0
    for piece in tensor.pieces():
        view, end = memoryview(piece), position + len(piece)
        yield b"".join(
            view[max(row_start + run.start - position, 0) : row_start + run.stop - position]
            for row_start in range(position // row * row, end, row)
            for run in runs
            if row_start + run.stop > position
        )
        position = end


def _merged(ranges: list[range]) -> list[range]:
    """Return ranges of bytes with neighbours joined."""
    starts = [ranges[0].start]
    stops = []
    for before, after in pairwise(ranges):
        if before.stop != after.start:
            stops.append(before.stop)
            starts.append(after.start)
    stops.append(ranges[-1].stop)
    return [range(start, stop) for start, stop in zip(starts, stops, strict=True)]
