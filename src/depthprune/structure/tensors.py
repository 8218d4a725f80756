"""The tensors of a model's files, however they lie there, and what else its files say.

Sparse tensors, shards of several ranks and tensors masked by bits are read as if the model had been
saved plainly, so that whoever counts, samples or compares needs to know nothing of it. `Described`
is the exception: its shape is known, its numbers are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from depthprune.base.errors import FileError
from depthprune.base.language import Note
from depthprune.checkpoint.pickled_tensor import PickledTensor
from depthprune.checkpoint.safetensors_files import FileTensor
from depthprune.checkpoint.stored import DTYPE_BITS, PIECE, num_bytes

if TYPE_CHECKING:
    import numpy


Kind = Literal["huggingface", "state_dict", "module", "slicegpt"]
"""A folder in Hugging Face format; a file with a state dictionary; a module that was pickled whole;
what SliceGPT writes (sliced dimensions, `shortcut_Q`, no norms)."""


class Tensor(Protocol):
    """A tensor that lies in a file; only `pieces` reads its numbers."""

    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> str:
        """As safetensors names it, a key of `blocks.cut.stored.DTYPE_BITS`."""
        ...

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def storage(self) -> str:
        """What identifies its bytes: tensors with the same are tied."""
        ...

    def pieces(self, size: int = ...) -> Iterator[bytes]: ...


@dataclass(frozen=True)
class Checkpoint:
    """What the files of a model say about it, without a weight read and without code run.

    Attributes:
        path: the folder or file that was named or found.
        kind: of its format.
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
    kind: Kind
    tensors: Mapping[str, Tensor]
    files: tuple[Path, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    partial: Note | None = None
    unknown: Mapping[str, Note] = field(default_factory=dict)
    provenance: Mapping[str, Any] | None = None
    notes: tuple[Note, ...] = ()


Shape = tuple[int, ...]


@dataclass(frozen=True)
class Described:
    """A tensor of which a file tells the shape, but no numbers that could be read as they lie.

    Attributes:
        name, dtype, shape: as of every tensor; the shape is that of the unpacked tensor.
        storage: what identifies it.
        length: in bytes, in its file.
    """

    name: str
    dtype: str
    shape: Shape
    storage: str
    length: int = 0

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield nothing."""
        yield from ()


@dataclass(frozen=True)
class Sparse:
    """A sparse tensor of torch, read as a dense one.

    Attributes:
        name, shape: as of every tensor.
        layout: `torch.sparse_coo`, `torch.sparse_csr` or `torch.sparse_csc`.
        indices: the coordinates (axes x values), or the compressed and the plain indices.
        values: of the numbers that are stored.
    """

    name: str
    shape: Shape
    layout: str
    indices: tuple[PickledTensor, ...]
    values: PickledTensor

    @property
    def dtype(self) -> str:
        return self.values.dtype

    @property
    def storage(self) -> str:
        return self.values.storage

    @property
    def length(self) -> int:
        return sum(num_bytes(each.dtype, each.shape) for each in (*self.indices, self.values))

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield the bytes of the dense tensor, which is made in memory.

        Raises:
            FileError: a file ends early or cannot be read.
        """
        import numpy as np

        values = _array(self.values)
        try:
            dense = np.zeros(self.shape, values.dtype)
            dense[self._places()] = values  # a place that is named twice counts once
        except (IndexError, ValueError) as error:
            raise FileError(
                "a sparse tensor names places that it does not have",
                where=f"{self.values.file}, {self.name}",
                mend="the file is damaged: download it again",
            ) from error
        yield from _in_pieces(dense.tobytes(), size)

    def _places(self) -> tuple[Any, ...]:
        import numpy as np

        indices = [_array(each) for each in self.indices]
        if self.layout == "torch.sparse_coo":
            return tuple(indices[0])
        lines = np.repeat(np.arange(len(indices[0]) - 1), np.diff(indices[0]))
        return (lines, indices[1]) if self.layout == "torch.sparse_csr" else (indices[1], lines)


@dataclass(frozen=True)
class Masked:
    """A weight of compressed-tensors in bitmask form, read as a dense one.

    Attributes:
        name, shape: of the weight.
        kept: the numbers that are not zero, row by row.
        bits: a bit for every number of a row, lowest first: whether it is kept.
    """

    name: str
    shape: Shape
    kept: Tensor
    bits: Tensor

    @property
    def dtype(self) -> str:
        return self.kept.dtype

    @property
    def storage(self) -> str:
        return self.kept.storage

    @property
    def length(self) -> int:
        return stored_bytes(self.kept) + stored_bytes(self.bits)

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield the bytes of the dense weight, which is made in memory.

        Raises:
            FileError: a file ends early or cannot be read.
        """
        import numpy as np

        bits = _array(self.bits).reshape(self.shape[0], -1)
        mask = np.unpackbits(bits, axis=1, count=self.shape[1], bitorder="little").astype(bool)
        kept = _array(self.kept).reshape(-1)
        dense = np.zeros(self.shape, kept.dtype)
        if int(mask.sum()) == len(kept):  # else the mask is damaged, and nothing can be told
            dense[mask] = kept
        yield from _in_pieces(dense.tobytes(), size)


@dataclass(frozen=True)
class Joined:
    """A tensor whose parts lie in the files of several ranks.

    Attributes:
        name: as of every tensor.
        parts: in the order of the ranks.
        axis: along which they are put together.
    """

    name: str
    parts: tuple[Tensor, ...]
    axis: int

    @property
    def dtype(self) -> str:
        return self.parts[0].dtype

    @property
    def shape(self) -> Shape:
        shape = list(self.parts[0].shape)
        shape[self.axis] = sum(part.shape[self.axis] for part in self.parts)
        return tuple(shape)

    @property
    def storage(self) -> str:
        return "+".join(part.storage for part in self.parts)

    @property
    def length(self) -> int:
        return sum(map(stored_bytes, self.parts))

    def pieces(self, size: int = PIECE) -> Iterator[bytes]:
        """Yield the bytes; beyond the first axis, the whole tensor is made in memory.

        Raises:
            FileError: a file ends early or cannot be read.
        """
        if self.axis == 0:
            for part in self.parts:
                yield from part.pieces(size)
            return
        import numpy as np

        joined = np.concatenate([_array(part) for part in self.parts], axis=self.axis)
        yield from _in_pieces(joined.tobytes(), size)


def stored_bytes(tensor: Tensor) -> int:
    """Return how many bytes a tensor takes in its files."""
    if isinstance(tensor, Described | Sparse | Masked | Joined):
        return tensor.length
    return num_bytes(tensor.dtype, tensor.shape)


def has_numbers(tensor: Tensor) -> bool:
    """Return whether the numbers of a tensor can be read."""
    parts: Sequence[Tensor] = tensor.parts if isinstance(tensor, Joined) else (tensor,)
    return not any(isinstance(part, Described) for part in parts)


def renamed(tensor: Any, name: str) -> Any:
    """Return a tensor under another name."""
    return tensor if tensor.name == name else replace(tensor, name=name)


def entry_of(tensor: Tensor, index: int, name: str) -> Tensor:
    """Return one entry along the first axis of a tensor, as a tensor of its own."""
    shape = tensor.shape[1:]
    if isinstance(tensor, FileTensor):
        length = num_bytes(tensor.dtype, shape)
        return replace(
            tensor, name=name, shape=shape, start=tensor.start + index * length, length=length
        )
    if isinstance(tensor, PickledTensor):
        step = tensor.strides[0] * DTYPE_BITS[tensor.dtype] // 8
        return replace(
            tensor,
            name=name,
            shape=shape,
            strides=tensor.strides[1:],
            start=tensor.start + index * step,
        )
    length = stored_bytes(tensor) // tensor.shape[0]
    return Described(name, tensor.dtype, shape, f"{tensor.storage}[{index}]", length)


def integers(tensor: Tensor | None, most: int = 8) -> tuple[int, ...]:
    """Return the whole numbers of a small tensor, e.g. of a stored shape; none if it is no such.

    Raises:
        FileError: its file ends early or cannot be read.
    """
    if tensor is None or len(tensor.shape) != 1 or tensor.shape[0] > most:
        return ()
    dtype = _SIGNED.get(tensor.dtype)
    data = b"".join(tensor.pieces())
    if dtype is None or len(data) != num_bytes(tensor.dtype, tensor.shape):
        return ()
    import numpy as np

    return tuple(map(int, np.frombuffer(data, dtype)))


_SIGNED = {"I32": "<i4", "I64": "<i8"}
_NUMBERS = {1: "<u1", 2: "<u2", 4: "<u4", 8: "<u8"}


def _array(tensor: Tensor) -> numpy.ndarray[Any, Any]:
    """Return the numbers of a tensor as whole numbers of its width: their bits are kept."""
    import numpy as np

    width = max(1, DTYPE_BITS[tensor.dtype] // 8)
    dtype = _SIGNED.get(tensor.dtype) or _NUMBERS[width]
    found = np.frombuffer(b"".join(tensor.pieces()), dtype)
    return found.reshape(tensor.shape) if len(found) == prod(tensor.shape) else found


def _in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
