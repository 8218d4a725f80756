"""One transformer block, counted: attention, MLP, norms and the rest.

Linear attention is attention; state-space and convolution mixers are `other`, as are adapters and
the shortcuts of SliceGPT. Norms within an attention or MLP belong to it, those of the block do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from depthprune.structure.anatomy import Attention, Layer, Mlp, added
from depthprune.structure.count_attention import count_attention
from depthprune.structure.count_mlp import count_mlp
from depthprune.structure.count_pieces import Piece, Surroundings, piece_of
from depthprune.structure.count_stacks import Path
from depthprune.structure.count_stored import Stored
from depthprune.structure.names import Part, part_and_role, without_numbers

_PARTS: tuple[Part, ...] = ("attention", "mlp", "norm", "other")

_ZERO_TYPES = ("Zero", "Identity", "Empty", "NoOp", "Skip", "Removed", "Dummy")
"""Beginnings of class names that stand in for a block that was taken out."""


def count_layer(
    index: int, layer: str, tensors: Sequence[tuple[Path, Stored]], around: Surroundings
) -> Layer:
    """Return what a layer consists of.

    Args:
        index: of the layer.
        layer: its path in the model, e.g. `model.layers.3`.
        tensors: everything that it holds, by the names below the layer.
        around: what else the model says.
    """
    parts: dict[Part, list[Piece]] = defaultdict(list)
    unknown: set[Part] = set()
    for path, stored in tensors:
        if stored.parameters is None:
            unknown.add(part_and_role(without_numbers(path))[0])
        elif stored.parameters:
            piece = piece_of(path, stored, around.config)
            parts[piece.part].append(piece)
    sums = {
        part: None if part in unknown else sum(piece.parameters for piece in parts[part])
        for part in (*_PARTS, *unknown)
    }
    total = added(sums.values())
    attention = count_attention(parts["attention"], layer, around)
    mlp = count_mlp(parts["mlp"], layer, around)
    return Layer(
        index=index,
        total=total,
        attention=Attention(None, type=attention.type) if "attention" in unknown else attention,
        mlp=Mlp(None, type=mlp.type) if "mlp" in unknown else mlp,
        norm=sums["norm"],
        other=sums["other"],
        bytes=sum(stored.bytes for _, stored in tensors),
        is_zero=total == 0 or around.types.get(layer, "").startswith(_ZERO_TYPES),
    )
