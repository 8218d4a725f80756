"""From tensors as a format stores them to tensors as the model has them.

Parts that torchao made of a weight become one again (`q_proj._weight_qdata`, `_weight_scale`, ...;
the metadata of the file say their class and shape, see torchao.prototype.safetensors). Sparse
weights of compressed-tensors (a bitmask and the numbers that are kept) become one dense weight, and
layers that are stacked along the first axis (JAX, Megatron, NeMo) numbered layers.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from depthprune.base.language import Note
from depthprune.checkpoint.safetensors_files import Header
from depthprune.checkpoint.stored import Shape, Tensor
from depthprune.structure.names import COUNTS, list_of, number_in, split_path, text_config
from depthprune.structure.notes import Sentence
from depthprune.structure.tensors import (
    MadeTensor,
    entry_of,
    integers,
    masked_tensor,
    stored_bytes,
)

_PART = re.compile(r"(?P<module>.+)\._(?P<weight>\w+?)_qdata")

_ONE_A_BYTE = frozenset({"Float8Tensor", "Int8Tensor", "IntxUnpackedToInt8Tensor"})
"""Classes that keep every number in a byte of its own, whatever the type of the bytes."""


def with_shapes(header: Header) -> tuple[dict[str, Tensor], dict[str, Note]]:
    """Return the tensors of a file, with one weight for the parts that torchao made of it.

    Returns:
        The tensors, and the names of those whose shape nothing tells, each with the reason.
    """
    made = {match[0]: match for name in header.tensors if (match := _PART.fullmatch(name))}
    prefixes = {f"{match['module']}._{match['weight']}_" for match in made.values()}
    tensors: dict[str, Tensor] = {}
    unknown: dict[str, Note] = {}
    for name, tensor in header.tensors.items():
        if name not in made:
            if not _is_part(name, prefixes):
                tensors[name] = tensor
            continue
        weight = f"{made[name]['module']}.{made[name]['weight']}"
        shape = _shape_of_torchao(tensor, _described(header.metadata.get(weight)))
        if shape is None:
            unknown[weight] = Note(Sentence.TORCHAO)
            continue
        prefix = name.removesuffix("qdata")
        own = (part for other, part in header.tensors.items() if other.startswith(prefix))
        length = sum(map(stored_bytes, own))
        tensors[weight] = MadeTensor(weight, tensor.dtype, shape, tensor.storage, length)
    return tensors, unknown


def _is_part(name: str, prefixes: set[str]) -> bool:
    """Return whether a tensor is the scale or the like of a weight with one of these prefixes."""
    module, _, last = name.rpartition(".")
    places = [place for place, sign in enumerate(last) if sign == "_"]
    return any(f"{module}.{last[: place + 1]}" in prefixes for place in places)


def _shape_of_torchao(packed: Tensor, said: dict[str, Any]) -> Shape | None:
    data = said.get("_data")
    shape = data.get("shape") if isinstance(data, dict) else None
    if isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape):
        return tuple(shape)
    if packed.dtype not in ("U8", "I32") or said.get("_type") in _ONE_A_BYTE:
        return packed.shape
    half = said.get("_type") == "NVFP4Tensor" or "float4" in str(data)
    return (*packed.shape[:-1], 2 * packed.shape[-1]) if half and packed.shape else None


def _described(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


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
            shape = _shape_of_masked(kept, bits, integers(tensors.get(f"{base}.shape")))
            if shape is None:
                unknown[weight] = Note(Sentence.BITMASK)
            else:
                found[weight] = masked_tensor(weight, shape, kept, bits)
    return found


_OF_MASKED = ("compressed", "bitmask", "shape", "row_offsets")


def _shape_of_masked(kept: Tensor, bits: Tensor, said: tuple[int, ...]) -> tuple[int, int] | None:
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
