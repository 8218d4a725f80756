"""How the tensors of the smaller checkpoint are spread over files, and their index."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from depthprune.base.errors import DepthpruneError, FileError, ModelError
from depthprune.base.language import counted
from depthprune.checkpoint.safetensors_files import FileTensor, make_header
from depthprune.checkpoint.stored import DTYPE_BITS, PIECE, StoredTensor, num_bytes

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"


@dataclass(frozen=True, slots=True)
class BlockSlices:
    """Which slices of a tensor with one slice per block stay.

    Attributes:
        axis: along which the slices lie.
        num_blocks: how many there are.
        kept: the blocks whose slices stay, ascending.
    """

    axis: int
    num_blocks: int
    kept: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TargetTensor:
    """A tensor of the smaller checkpoint.

    Attributes:
        name: its key there.
        source: where its bytes come from.
        slices: which of them, when it has a slice per block.
    """

    name: str
    source: StoredTensor
    slices: BlockSlices | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in the smaller checkpoint."""
        shape = self.source.shape
        if self.slices is None:
            return shape
        axis = self.slices.axis
        width = shape[axis] // self.slices.num_blocks
        return (*shape[:axis], width * len(self.slices.kept), *shape[axis + 1 :])

    @property
    def num_bytes(self) -> int:
        """How many bytes it takes."""
        return num_bytes(self.source.dtype, self.shape)


@dataclass(frozen=True)
class Shard:
    """A file of the smaller checkpoint: its name, and its tensors in the order of their bytes."""

    name: str
    tensors: tuple[TargetTensor, ...]

    @property
    def header(self) -> bytes:
        """The bytes before the tensors."""
        return make_header((one.name, one.source.dtype, one.shape) for one in self.tensors)

    @property
    def num_bytes(self) -> int:
        """The size of the file."""
        return len(self.header) + sum(tensor.num_bytes for tensor in self.tensors)


def parse_size(text: str | int) -> int:
    """Return a size as bytes: `5GB`, `500MB`, `2GiB`, or a number of bytes.

    Raises:
        DepthpruneError: it is no size, or nothing.
    """
    units = {"": 1, "B": 1}
    for power, letter in enumerate("KMGT", start=1):
        units |= {letter: 1000**power, f"{letter}B": 1000**power, f"{letter}IB": 1024**power}
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Z]*)", str(text).strip().upper())
    size = int(float(match[1]) * units[match[2]]) if match and match[2] in units else 0
    if size < 1:
        raise DepthpruneError(
            f"{text!r} is not a size of files", mend="write for example 5GB, 500MB or 2GiB"
        )
    return size


def make_shards(tensors: Iterable[TargetTensor], max_shard_size: int) -> tuple[Shard, ...]:
    """Spread tensors over files in their order; a tensor above the limit gets a file of its own.

    Args:
        tensors: in the order of the source, so that neighbours stay neighbours.
        max_shard_size: bytes of tensors in one file.
    """
    groups: list[list[TargetTensor]] = [[]]
    used = 0
    for tensor in tensors:
        if groups[-1] and used + tensor.num_bytes > max_shard_size:
            groups.append([])
            used = 0
        groups[-1].append(tensor)
        used += tensor.num_bytes
    if len(groups) == 1:
        return (Shard(SINGLE_NAME, _aligned(groups[0])),)
    return tuple(
        Shard(f"model-{number:05d}-of-{len(groups):05d}.safetensors", _aligned(group))
        for number, group in enumerate(groups, start=1)
    )


def make_index(shards: Sequence[Shard]) -> dict[str, Any]:
    """Return the content of `model.safetensors.index.json`, which says what lies in which file."""
    total = sum(tensor.num_bytes for shard in shards for tensor in shard.tensors)
    names = {tensor.name: shard.name for shard in shards for tensor in shard.tensors}
    return {"metadata": {"total_size": total}, "weight_map": dict(sorted(names.items()))}


def _aligned(tensors: list[TargetTensor]) -> tuple[TargetTensor, ...]:
    """Put wide number types first: every tensor must begin at a multiple of its number's width."""
    return tuple(sorted(tensors, key=lambda tensor: -DTYPE_BITS[tensor.source.dtype]))


OnBytes = Callable[[int], None]
"""Called with the number of bytes that were written since the last call."""

_AT_ONCE = 64 * 2**20
"""Bytes that the system copies before progress is reported."""


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
    if width < _SHORT:
        yield from _taken(tensor, slices, width)
        return
    runs = [range(run.start * width, run.stop * width) for run in runs_of(slices.kept)]
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


_SHORT = 4096
"""Bytes of a slice below which numpy copies slices faster than one by one."""


def _taken(tensor: StoredTensor, slices: BlockSlices, width: int) -> Iterator[bytes]:
    """Yield what `_sliced` yields, for slices of a few bytes: columns of a matrix."""
    import numpy as np

    stays = np.zeros(slices.num_blocks, dtype=bool)
    stays[list(slices.kept)] = True
    kind = f"u{width}" if width in (1, 2, 4, 8) else f"V{width}"
    place, rest = 0, b""
    for piece in tensor.pieces():
        held = rest + piece if rest else piece
        count = len(held) // width
        rest = held[count * width :]
        start = place % slices.num_blocks
        turns = -(-(start + count) // slices.num_blocks)
        mask = np.tile(stays, turns)[start : start + count]
        yield np.frombuffer(held, dtype=kind, count=count)[mask].tobytes()
        place += count


def runs_of(blocks: Iterable[int]) -> list[range]:
    """Return ascending blocks as runs of neighbours."""
    runs: list[range] = []
    for block in blocks:
        if runs and runs[-1].stop == block:
            runs[-1] = range(runs[-1].start, block + 1)
        else:
            runs.append(range(block, block + 1))
    return runs
