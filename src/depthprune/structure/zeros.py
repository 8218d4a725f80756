"""Zeros among the weights: how many, and whether they follow an n:m pattern.

All weights are read, in pieces; memory stays small whatever the model's size. A number is zero when
all its bits but the sign are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from depthprune.base.language import Note
from depthprune.structure.anatomy import Anatomy, Sparsity
from depthprune.structure.checkpoint import Checkpoint
from depthprune.structure.count_mlp import count_mlp
from depthprune.structure.count_pieces import Piece, Surroundings, piece_of
from depthprune.structure.count_places import Places, places_of
from depthprune.structure.count_stacks import text_config
from depthprune.structure.count_stored import MASK, Stored
from depthprune.structure.made_tensors import has_numbers
from depthprune.structure.notes import Sentence
from depthprune.structure.zero_groups import COUNTED, Groups, count_tensor

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
        if tensor is None or not has_numbers(tensor):
            skipped.append(stored.source)
            done(stored.bytes)
            return Groups()
        if stored.source != stored.name:
            # Of a masked weight, what was pruned are the zeros of the mask.
            tensor = checkpoint.tensors.get(stored.name + MASK, tensor)
        if tensor.dtype not in COUNTED or stored.shape != tensor.shape:
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


def _uncounted_bytes(places: Places, around: Iterable[Stored]) -> int:
    """Return the bytes of what was passed over: buffers, scales, copies of tied weights."""
    every = {each.storage: each.bytes for each in places.stored}
    seen = {stored.storage for layer in places.layers.values() for _, stored in layer
            if stored.parameters != 0}  # fmt: skip
    seen |= {stored.storage for stored in around}
    return sum(length for storage, length in every.items() if storage not in seen)
