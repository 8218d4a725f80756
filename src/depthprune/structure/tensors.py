"""The tensors of a model's files, however they lie there, and what else its files say.

Sparse tensors, shards of several ranks and tensors masked by bits are read as if the model had been
saved plainly, so that whoever counts, samples or compares needs to know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import FileError
from depthprune.base.language import Note
from depthprune.checkpoint.pickled_tensor import PickledTensor
from depthprune.checkpoint.safetensors_files import FileTensor
from depthprune.checkpoint.stored import DTYPE_BITS, PIECE, Shape, Tensor, num_bytes

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


@dataclass(frozen=True)
class Checkpoint:
    """What the files of a model say about it, without a weight read and without code run.

    Attributes:
        path: the folder or file that was named or found.
        tensors: by name, in the order of the file; names as in the model itself (`model.layers.0.
            self_attn.q_proj.weight`), a wrapper's prefix (`module.`, `_orig_mod.`) taken off.
        files: that were read.
        config: of `config.json` beside it, or of the pickled module; empty when there is none.
        types: class names of the modules of a pickled model by their paths (`model.layers.11.
            self_attn`: `ZeroAttention`); empty for formats that do not say.
        partial: why the files are not the whole model, e.g. those of one rank; None when they are.
        unknown: tensors of which nothing tells how many parameters they hold, each with the reason.
        attributes: numbers that modules of a pickled model hold, by their paths (`num_heads`, ...).
        provenance: `depthprune.json`, or `{"removed": [...]}` from `layers_to_remove.json` and the
            like; None when nothing says where the model comes from.
        notes: what a reader should know, e.g. a file that was left out.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    partial: Note | None = None
    unknown: Mapping[str, Note] = field(default_factory=dict)
    provenance: Mapping[str, Any] | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class MadeTensor:
    """A tensor that does not lie in one piece in its files, read as if it did.

    Attributes:
        name, dtype, shape, storage: as of every tensor; the shape is that of the unpacked tensor.
        length: bytes that it takes in its files.
        read: yields its bytes, at most so many at once, and raises FileError where a file ends
            early; None where its files tell its shape only.
    """

    name: str
    dtype: str
    shape: Shape
    storage: str
    length: int = 0
    read: Callable[[int], Iterator[bytes]] | None = None

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield the bytes, at most `size` at once; nothing where only the shape is told."""
        if self.read is not None:
            yield from self.read(size)


def sparse_tensor(
    name: str,
    shape: Shape,
    layout: str,
    indices: Sequence[PickledTensor],
    values: PickledTensor,
) -> MadeTensor:
    """Return a sparse tensor of torch as a dense one, which is made in memory.

    Args:
        name, shape: as of every tensor.
        layout: `torch.sparse_coo`, `torch.sparse_csr` or `torch.sparse_csc`.
        indices: the coordinates (axes x values), or the compressed and the plain indices.
        values: of the numbers that are stored.
    """

    def dense() -> Array:
        import numpy as np

        numbers, listed = _array(values), [_array(each) for each in indices]
        try:
            made = np.zeros(shape, numbers.dtype)
            if layout == "torch.sparse_coo":
                places = tuple(listed[0])
            else:
                lines = np.repeat(np.arange(len(listed[0]) - 1), np.diff(listed[0]))
                is_by_row = layout == "torch.sparse_csr"
                places = (lines, listed[1]) if is_by_row else (listed[1], lines)
            made[places] = numbers  # a place that is named twice counts once
        except (IndexError, ValueError) as error:
            raise FileError(
                "a sparse tensor names places that it does not have",
                where=f"{values.file}, {name}",
                mend="the file is damaged: download it again",
            ) from error
        return made

    length = sum(map(stored_bytes, (*indices, values)))
    return MadeTensor(name, values.dtype, shape, values.storage, length, _in_pieces(dense))


def masked_tensor(name: str, shape: Shape, kept: Tensor, bits: Tensor) -> MadeTensor:
    """Return a weight of compressed-tensors in bitmask form as a dense one, made in memory.

    Args:
        name, shape: of the weight.
        kept: the numbers that are not zero, row by row.
        bits: a bit for every number of a row, lowest first: whether it is kept.
    """

    def dense() -> Array:
        import numpy as np

        rows = _array(bits).reshape(shape[0], -1)
        mask = np.unpackbits(rows, axis=1, count=shape[1], bitorder="little").astype(bool)
        numbers = _array(kept).reshape(-1)
        made = np.zeros(shape, numbers.dtype)
        if int(mask.sum()) == len(numbers):  # else the mask is damaged, and nothing can be told
            made[mask] = numbers
        return made

    length = stored_bytes(kept) + stored_bytes(bits)
    return MadeTensor(name, kept.dtype, shape, kept.storage, length, _in_pieces(dense))


def joined_tensor(name: str, parts: Sequence[Tensor], axis: int) -> MadeTensor:
    """Return a tensor whose parts lie in the files of several ranks.

    Beyond the first axis, the whole tensor is made in memory.

    Args:
        name: as of every tensor.
        parts: in the order of the ranks.
        axis: along which they are put together.
    """

    def whole() -> Array:
        import numpy as np

        return np.concatenate([_array(part) for part in parts], axis=axis)

    def one_by_one(size: int) -> Iterator[bytes]:
        return chain.from_iterable(part.pieces(size) for part in parts)

    first = parts[0]
    size = sum(part.shape[axis] for part in parts)
    read = one_by_one if axis == 0 else _in_pieces(whole)
    return MadeTensor(
        name,
        first.dtype,
        (*first.shape[:axis], size, *first.shape[axis + 1 :]),
        "+".join(part.storage for part in parts),
        sum(map(stored_bytes, parts)),
        read if all(map(has_numbers, parts)) else None,
    )


def stored_bytes(tensor: Tensor) -> int:
    """Return how many bytes a tensor takes in its files."""
    if isinstance(tensor, MadeTensor):
        return tensor.length
    return num_bytes(tensor.dtype, tensor.shape)


def has_numbers(tensor: Tensor) -> bool:
    """Return whether the numbers of a tensor can be read."""
    return not isinstance(tensor, MadeTensor) or tensor.read is not None


def first_bytes(tensor: Tensor, size: int) -> bytes:
    """Return the bytes that a tensor begins with, at most `size`.

    Raises:
        FileError: its file ends early or cannot be read.
    """
    return bytes(next(iter(tensor.pieces(size)), b"")[:size])


def renamed(tensor: Any, name: str) -> Any:
    """Return a tensor under another name."""
    return tensor if tensor.name == name else replace(tensor, name=name)


def entry_of(tensor: Tensor, index: int, name: str) -> Tensor:
    """Return one entry along the first axis of a tensor, as a tensor of its own."""
    shape = tensor.shape[1:]
    if isinstance(tensor, FileTensor):
        length = num_bytes(tensor.dtype, shape)
        start = tensor.start + index * length
        return replace(tensor, name=name, shape=shape, start=start, length=length)
    if isinstance(tensor, PickledTensor):
        start = tensor.start + index * tensor.strides[0] * DTYPE_BITS[tensor.dtype] // 8
        return replace(tensor, name=name, shape=shape, strides=tensor.strides[1:], start=start)
    length = stored_bytes(tensor) // tensor.shape[0]
    return MadeTensor(name, tensor.dtype, shape, f"{tensor.storage}[{index}]", length)


def integers(tensor: Tensor | None, most: int = 8) -> tuple[int, ...]:
    """Return the whole numbers of a small tensor, e.g. of a stored shape; none if it is no such.

    Raises:
        FileError: its file ends early or cannot be read.
    """
    if tensor is None or tensor.dtype not in _SIGNED:
        return ()
    if len(tensor.shape) != 1 or tensor.shape[0] > most:
        return ()
    data = b"".join(tensor.pieces())
    if len(data) != num_bytes(tensor.dtype, tensor.shape):
        return ()
    import numpy as np

    return tuple(map(int, np.frombuffer(data, _SIGNED[tensor.dtype])))


_SIGNED = {"I32": "<i4", "I64": "<i8"}


def _array(tensor: Tensor) -> Array:
    """Return the numbers of a tensor as whole numbers of its width: their bits are kept."""
    import numpy as np

    width = max(1, DTYPE_BITS[tensor.dtype] // 8)
    found = np.frombuffer(b"".join(tensor.pieces()), _SIGNED.get(tensor.dtype, f"<u{width}"))
    return found.reshape(tensor.shape) if len(found) == prod(tensor.shape) else found


def _in_pieces(make: Callable[[], Array]) -> Callable[[int], Iterator[bytes]]:
    """Return what yields the bytes of an array, which is made when they are asked for."""

    def read(size: int) -> Iterator[bytes]:
        data = make().tobytes()
        return (data[start : start + size] for start in range(0, len(data), size))

    return read
