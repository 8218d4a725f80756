"""Weights that torchao quantised, in safetensors: the metadata say what the tensors make up.

A weight `q_proj.weight` lies there as `q_proj._weight_qdata`, `q_proj._weight_scale`, ...; an entry
of the metadata has its class and, where it is packed, its shape (torchao.prototype.safetensors).
"""

from __future__ import annotations

import json
import re
from typing import Any

from depthprune.base.language import Note
from depthprune.checkpoint.safetensors_files import Header
from depthprune.structure.checkpoint import Tensor
from depthprune.structure.made_tensors import Described, Shape, stored_bytes
from depthprune.structure.notes import Sentence

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
        shape = _shape(tensor, _described(header.metadata.get(weight)))
        if shape is None:
            unknown[weight] = Note(Sentence.TORCHAO)
            continue
        prefix = name.removesuffix("qdata")
        own = (part for other, part in header.tensors.items() if other.startswith(prefix))
        length = sum(map(stored_bytes, own))
        tensors[weight] = Described(weight, tensor.dtype, shape, tensor.storage, length)
    return tensors, unknown


def _is_part(name: str, prefixes: set[str]) -> bool:
    """Return whether a tensor is the scale or the like of a weight with one of these prefixes."""
    module, _, last = name.rpartition(".")
    places = [place for place, sign in enumerate(last) if sign == "_"]
    return any(f"{module}.{last[: place + 1]}" in prefixes for place in places)


def _shape(packed: Tensor, said: dict[str, Any]) -> Shape | None:
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
