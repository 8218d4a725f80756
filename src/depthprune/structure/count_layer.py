"""One transformer block, counted: attention, MLP, norms and the rest.

Linear attention is attention; state-space and convolution mixers are `other`, as are adapters and
the shortcuts of SliceGPT. Norms within an attention or MLP belong to it, those of the block do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from depthprune.structure.anatomy import Layer
from depthprune.structure.count_attention import count_attention
from depthprune.structure.count_mlp import count_mlp
from depthprune.structure.count_pieces import Piece, Surroundings, piece_of
from depthprune.structure.count_stacks import Path
from depthprune.structure.count_stored import Stored
from depthprune.structure.names import Part

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
    for path, stored in tensors:
        if stored.parameters:
            piece = piece_of(path, stored, around.config)
            parts[piece.part].append(piece)
    sums = {part: sum(piece.parameters for piece in pieces) for part, pieces in parts.items()}
    total = sum(sums.values())
    return Layer(
        index=index,
        total=total,
        attention=count_attention(parts["attention"], layer, around),
        mlp=count_mlp(parts["mlp"], layer, around),
        norm=sums.get("norm", 0),
        other=sums.get("other", 0),
        bytes=sum(stored.bytes for _, stored in tensors),
        is_zero=total == 0 or around.types.get(layer, "").startswith(_ZERO_TYPES),
    )
