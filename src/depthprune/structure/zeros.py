"""Zeros among the weights: how many, and whether they follow an n:m pattern.

All weights are read, in pieces; memory stays small whatever the model's size. A number is zero when
all its bits but the sign are. For patterns, groups of neighbours are counted by how many of their
numbers are not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from depthprune.base.language import Note
from depthprune.checkpoint.stored import Tensor
from depthprune.structure.anatomy import Anatomy, Sparsity
from depthprune.structure.count import ParameterPlaces, places_of
from depthprune.structure.count_layer import Piece, Surroundings, count_mlp, piece_of
from depthprune.structure.count_stored import MASK, Stored
from depthprune.structure.names import text_config
from depthprune.structure.notes import Sentence
from depthprune.structure.tensors import Checkpoint, has_numbers

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


HARDLY_ANY = 0.01
"""Below this share of zeros no pattern is named."""


@dataclass(frozen=True)
class Zeros:
    """Zeros among the weights of a model.

    Attributes:
        total: of all numbers that were counted; its pattern is that of all layers.
        layers: by index.
        tensors: by the name of the parameter.
        skipped: tensors whose numbers are packed, so that zeros cannot be told by bits.
    """

    total: Sparsity
    layers: Mapping[int, Sparsity] = field(default_factory=dict)
    tensors: Mapping[str, Sparsity] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


def count_zeros(checkpoint: Checkpoint, on_bytes: Callable[[int], None] | None = None) -> Zeros:
    """Read all weights of a model and count the zeros; tied weights count once, buffers do not.

    A pattern `n:m` is found where every m neighbours along the input axis of every projection of a
    layer hold at most n other numbers than zero, and most groups that are not empty hold just n:
    chance makes no pattern. Embeddings, routers and norms are not asked.

    Args:
        checkpoint: the model.
        on_bytes: called with the bytes of weights that are done, all of which add up to the
            `bytes` of its anatomy.

    Raises:
        FileError: a weight file ends early or cannot be read.
    """
    places = places_of(checkpoint)
    done = on_bytes or (lambda _: None)
    tensors: dict[str, Groups] = {}
    skipped: list[str] = []

    def count(stored: Stored, axis: int | None) -> Groups:
        tensor = checkpoint.tensors.get(stored.source)
        if tensor is not None and stored.source != stored.name:
            # Of a masked weight, what was pruned are the zeros of the mask.
            tensor = checkpoint.tensors.get(stored.name + MASK, tensor)
        is_plain = tensor is not None and has_numbers(tensor) and tensor.dtype in COUNTED
        if tensor is None or not is_plain or stored.shape != tensor.shape:
            skipped.append(stored.source)
            done(stored.bytes)
            return Groups()
        tensors[stored.name] = count_tensor(tensor, axis, done)
        return tensors[stored.name]

    layers: dict[int, Groups] = {}
    config = text_config(checkpoint.config)
    for index, layer in sorted(places.layers.items()):
        pieces = [(piece_of(path, stored, config), stored) for path, stored in layer]
        transposed = _is_transposed(piece for piece, _ in pieces)
        mlp = count_mlp([piece for piece, _ in pieces if piece.part == "mlp"], "", Surroundings())
        found = [
            count(stored, _input_axis(piece, transposed, mlp.intermediate_size))
            for piece, stored in pieces
            if stored.parameters != 0
        ]
        layers[index] = Groups.of_all(found)
    around = [each for part in (places.outside, places.towers) for many in part.values()
              for each in many]  # fmt: skip
    for stored in around:
        count(stored, None)
    done(_uncounted_bytes(places, around))
    total = Groups.of_all(tensors.values())
    pattern = _sparsity(Groups.of_all(layers.values())).pattern if layers else None
    return Zeros(
        total=Sparsity(total.zeros, total.numbers, pattern),
        layers={index: _sparsity(groups) for index, groups in layers.items()},
        tensors={name: _sparsity(groups) for name, groups in tensors.items()},
        skipped=tuple(skipped),
    )


def add_zeros(anatomy: Anatomy, zeros: Zeros) -> Anatomy:
    """Return the anatomy with the zeros of the model and of each layer."""
    layers = (
        replace(layer, sparsity=zeros.layers.get(layer.index, Sparsity(0, 0)))
        for layer in anatomy.layers
    )
    notes = anatomy.notes
    if zeros.skipped:
        skipped = zeros.skipped
        notes += (Note(Sentence.ZEROS_NOT_COUNTED, n=len(skipped), name=skipped[0]),)
    return replace(anatomy, sparsity=zeros.total, layers=tuple(layers), notes=notes)


def _sparsity(groups: Groups) -> Sparsity:
    few = groups.zeros < HARDLY_ANY * groups.numbers
    return Sparsity(groups.zeros, groups.numbers, None if few else groups.pattern())


def _input_axis(piece: Piece, transposed: bool, inner: int | None) -> int | None:
    """Return along which axis the inputs of a projection lie; None for what is no projection.

    Args:
        piece: the tensor.
        transposed: whether the layer's matrices are stored as inputs x outputs.
        inner: intermediate size of the MLP; tells how experts are stacked.
    """
    if not piece.role or len(piece.shape) < 2:
        return None
    if len(piece.shape) == 3 and piece.part == "mlp" and inner:
        wide = {inner} if piece.role == "down" else {inner, 2 * inner}
        first, second = (size in wide for size in piece.shape[1:])
        inputs_first = first and not second if piece.role == "down" else second and not first
        return 1 if inputs_first else 2
    return 0 if transposed and piece.leaf.startswith("c_") else -1


def _is_transposed(pieces: Iterable[Piece]) -> bool:
    """Return whether linear layers are stored as inputs x outputs, as those of GPT-2 are."""
    shapes: dict[tuple[str, ...], dict[int, tuple[int, ...]]] = {}
    for piece in pieces:
        if piece.leaf in ("c_attn", "c_fc"):
            shapes.setdefault(piece.path[:-1], {})[len(piece.shape)] = piece.shape
    return any(
        both[1][0] == both[2][1] != both[2][0] for both in shapes.values() if both.keys() == {1, 2}
    )


def _uncounted_bytes(places: ParameterPlaces, around: Iterable[Stored]) -> int:
    """Return the bytes of what was passed over: buffers, scales, copies of tied weights."""
    every = {each.storage: each.bytes for each in places.stored}
    seen = {stored.storage for layer in places.layers.values() for _, stored in layer
            if stored.parameters != 0}  # fmt: skip
    seen |= {stored.storage for stored in around}
    return sum(length for storage, length in every.items() if storage not in seen)
