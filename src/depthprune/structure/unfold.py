"""From tensors as a format stores them to tensors as the model has them.

Sparse weights of compressed-tensors (a bitmask and the numbers that are kept) become one dense
weight, and layers that are stacked along the first axis (JAX, Megatron, NeMo) numbered layers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from depthprune.base.language import Note
from depthprune.structure.checkpoint import Tensor
from depthprune.structure.count_stacks import COUNTS, list_of, number_in, split_path, text_config
from depthprune.structure.made_tensors import Masked, entry_of, integers
from depthprune.structure.notes import Sentence

Tensors = Mapping[str, Tensor]


def unfold(
    tensors: Tensors, config: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Note]]:
    """Return the tensors as the model has them, in their order.

    Returns:
        The tensors, and the names of those whose shape nothing tells, each with the reason.
    """
    unknown: dict[str, Note] = {}
    return _unstacked(_unmasked(tensors, unknown), config), unknown


def _unmasked(tensors: Tensors, unknown: dict[str, Note]) -> dict[str, Tensor]:
    """Return dense weights for those that are stored as `compressed`, `bitmask` and `shape`."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        base, _, last = name.rpartition(".")
        kept, bits = tensors.get(f"{base}.compressed"), tensors.get(f"{base}.bitmask")
        if kept is None or bits is None or last not in _OF_MASKED:
            found[name] = tensor
        elif last == "compressed":
            weight = f"{base}.weight"
            shape = _shape(kept, bits, integers(tensors.get(f"{base}.shape")))
            if shape is None:
                unknown[weight] = Note(Sentence.BITMASK)
            else:
                found[weight] = Masked(weight, shape, kept, bits)
    return found


_OF_MASKED = ("compressed", "bitmask", "shape", "row_offsets")


def _shape(kept: Tensor, bits: Tensor, said: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the shape of a masked weight: as stored; else by 2:4 sparsity, which keeps half."""
    if len(bits.shape) != 2:
        return None
    rows, bytes_a_row = bits.shape
    halves = (kept.shape[0], 2 * kept.shape[1]) if len(kept.shape) == 2 else ()
    for shape in (said, halves):
        if len(shape) == 2 and shape[0] == rows and (shape[1] + 7) // 8 == bytes_a_row:
            return shape[0], shape[1]
    return None


_STACKS = re.compile(r"layers|blocks|h|layer|block|scan_layers|transformer_layers")
"""Names of what holds layers; stacked ones have no number behind it."""


def _unstacked(tensors: Tensors, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return numbered layers for those that are stacked along the first axis of every tensor."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in tensors:
        path = split_path(name)
        if list_of(path):
            return dict(tensors)
        place = next((at for at, part in enumerate(path[:-1]) if _STACKS.fullmatch(part)), None)
        if place is not None:
            groups[path[: place + 1]].append(name)
    counted = number_in(text_config(config), COUNTS)
    stacked: dict[str, tuple[str, int]] = {}
    for prefix, names in groups.items():
        lengths = {tensors[name].shape[0] if tensors[name].shape else 0 for name in names}
        matrices = sum(len(tensors[name].shape) >= 3 for name in names)
        (length, *others) = lengths
        if others or length < 2 or matrices < 2 or (counted is not None and counted != length):
            continue
        stacked |= dict.fromkeys(names, (".".join(prefix), length))
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name not in stacked:
            found[name] = tensor
            continue
        before, length = stacked[name]
        below = name.removeprefix(before)
        for index in range(length):
            entry = f"{before}.{index}{below}"
            found[entry] = entry_of(tensor, index, entry)
    return found
