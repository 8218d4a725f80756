"""From stored tensors to parameters: without buffers and scales, packed weights unpacked.

Formats of quantised weights: GPTQ and AWQ (https://github.com/AutoGPTQ/AutoGPTQ,
https://github.com/mit-han-lab/llm-awq), bitsandbytes, FP8 with scales, MXFP4 of gpt-oss,
compressed-tensors and NVFP4. Only shapes are read: what they do not tell stays as it is stored.

A weight that `torch.nn.utils.prune` masks is stored as `weight_orig` and `weight_mask`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from depthprune.blocks.cut.stored import num_bytes
from depthprune.structure.checkpoint import Tensor
from depthprune.structure.names import BUFFERS, CONSTANT, LEARNT, MASKS

Shape = tuple[int, ...]

MASK = "_mask"
"""Ending of what `torch.nn.utils.prune` stores beside a weight `_orig`: 0 where it is pruned."""

INTEGERS = frozenset({"BOOL", "U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64"})
"""Number types that parameters have only where they are packed."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Parameters of a model under the name that they have unpacked.

    Attributes:
        name: of the parameter, e.g. `model.layers.0.mlp.up_proj.weight` for a `.qweight`.
        shape: unpacked, as far as it is known.
        parameters: how many numbers it has unpacked; 0 for buffers, scales and the like.
        bytes: that it takes in the file.
        storage: what identifies its bytes.
        source: its name in the file.
    """

    name: str
    shape: Shape
    parameters: int
    bytes: int
    storage: str
    source: str


def stored_parameters(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> tuple[list[Stored], tuple[str, ...]]:
    """Return what every tensor counts for, in their order, and notes on what could not be unpacked.

    Args:
        tensors: by name.
        config: of the checkpoint; of a quantised one, `quantization_config` tells the bits.
    """
    quantised = config.get("quantization_config") or config.get("quantization")
    settings = quantised if isinstance(quantised, Mapping) else {}
    model_type = str(config.get("model_type"))
    found = []
    unclear: list[str] = []
    for name, tensor in tensors.items():
        logical: str | None = None
        shape: Shape | None = tensor.shape
        if not is_buffer(name, tensor, model_type):
            logical, shape = _unpacked(name, tensor, tensors, settings)
        if shape is None:
            unclear.append(name)
            shape = tensor.shape
        length = num_bytes(tensor.dtype, tensor.shape)
        parameters = prod(shape) if logical else 0
        found.append(Stored(logical or name, shape, parameters, length, tensor.storage, name))
    notes = []
    if settings:
        method = settings.get("quant_method") or settings.get("quant_type") or "an unnamed method"
        notes.append(f"quantised by {method}: parameters are those of the unpacked weights")
    if unclear:
        notes.append(
            f"{len(unclear)} packed tensors, e.g. {unclear[0]}, count as they are stored: nothing "
            "says how many parameters they hold"
        )
    return found, tuple(notes)


def _unpacked(
    name: str, tensor: Tensor, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> tuple[str | None, Shape | None]:
    """Return a parameter's name, None for what is none, and its shape, None if unclear."""
    stem, _, last = name.rpartition(".")
    for ending, companions, shape_of in _PACKED:
        if last.endswith(ending):
            base = name[: -len(ending)]
            if all(base + other in tensors for other in companions):
                beside = {other: tensors[base + other] for other in companions}
                unpacked = base + _UNPACKED_ENDING.get(ending, ending)
                return unpacked, shape_of(tensor, beside, settings)
    is_mask = last.endswith(MASK) and f"{name.removesuffix(MASK)}_orig" in tensors
    if is_mask or _is_scale(name, last, stem, tensors):
        return None, ()
    if last == "weight" and settings.get("quant_method") == "bitnet" and tensor.dtype == "U8":
        return name, (4 * tensor.shape[0], *tensor.shape[1:]) if tensor.shape else None
    if tensor.dtype in INTEGERS:
        # Whole numbers are packed weights where they are a matrix, else a table of indices.
        packed = len(tensor.shape) > 1 and (bool(settings) or last == "weight")
        return (name, None) if packed else (None, ())
    return name, tensor.shape


def is_buffer(name: str, tensor: Tensor, model_type: str) -> bool:
    """Return whether a tensor is stored though it is no parameter: a mask, a table of angles."""
    if _is_among(CONSTANT, model_type, name):
        return True
    if BUFFERS.search(name):
        return not _is_among(LEARNT, model_type, name)
    return len(tensor.shape) > 1 and bool(MASKS.search(name))


def _is_among(table: Iterable[tuple[str, re.Pattern[str]]], model_type: str, name: str) -> bool:
    return any(model_type.startswith(start) and names.search(name) for start, names in table)


Companions = Mapping[str, Tensor]
ShapeOf = Callable[[Tensor, Companions, Mapping[str, Any]], Shape | None]


def _gptq_or_awq(packed: Tensor, others: Companions, settings: Mapping[str, Any]) -> Shape | None:
    """GPTQ packs along the input (rows), AWQ along the output (columns): the scales tell which."""
    if len(packed.shape) != 2 or len(others["scales"].shape) != 2:
        return None
    rows, columns = packed.shape
    outputs = others["scales"].shape[1]
    if columns != outputs:
        return (outputs, rows) if columns and outputs % columns == 0 else None
    bits = settings.get("bits", settings.get("w_bit"))
    if type(bits) is not int or not 1 <= bits <= 8:
        zeros = others["qzeros"].shape
        if len(zeros) != 2 or not outputs:
            return None
        bits = 32 * zeros[1] // outputs  # the zero points are packed along the output
        if bits < 1:
            return None
    return outputs, rows * 32 // bits


def _four_bits(packed: Tensor, others: Companions, settings: Mapping[str, Any]) -> Shape | None:
    """bitsandbytes keeps two numbers a byte in a row; its shape stands in its bytes alone."""
    return (2 * prod(packed.shape),) if packed.dtype == "U8" else packed.shape


def _blocks(packed: Tensor, others: Companions, settings: Mapping[str, Any]) -> Shape | None:
    """MXFP4: experts x outputs x groups x 16 bytes, two numbers a byte."""
    if len(packed.shape) < 2:
        return None
    *shape, groups, length = packed.shape
    return (*shape, 2 * groups * length)


def _compressed(packed: Tensor, others: Companions, settings: Mapping[str, Any]) -> Shape | None:
    """compressed-tensors packs along the input: whole numbers of 32 bits, or two FP4 a byte."""
    if len(packed.shape) != 2:
        return None
    rows, columns = packed.shape
    if packed.dtype == "U8":
        return rows, 2 * columns
    groups = settings.get("config_groups")
    weights = [
        group.get("weights")
        for group in (groups.values() if isinstance(groups, Mapping) else ())
        if isinstance(group, Mapping)
    ]
    bits = {weight.get("num_bits") for weight in weights if isinstance(weight, Mapping)}
    if len(bits) != 1 or not isinstance(each := bits.pop(), int) or not 1 <= each <= 32:
        return None
    return rows, columns * (32 // each)


def _mlx(packed: Tensor, others: Companions, settings: Mapping[str, Any]) -> Shape | None:
    """MLX packs along the input, whole numbers of 32 bits."""
    bits = settings.get("bits")
    if type(bits) is not int or not 1 <= bits <= 32 or not packed.shape:
        return None
    return *packed.shape[:-1], packed.shape[-1] * 32 // bits


def _half_bytes(packed: Tensor, others: Companions, settings: Mapping[str, Any]) -> Shape | None:
    """NVFP4 as ModelOpt writes it: two numbers a byte beside a scale for every 16."""
    if packed.dtype != "U8" or len(packed.shape) != 2:
        return packed.shape
    return packed.shape[0], 2 * packed.shape[1]


def _as_stored(packed: Tensor, others: Companions, settings: Mapping[str, Any]) -> Shape | None:
    return packed.shape


_PACKED: tuple[tuple[str, tuple[str, ...], ShapeOf], ...] = (
    ("qweight", ("scales", "qzeros"), _gptq_or_awq),
    ("weight_packed", ("weight_scale",), _compressed),
    ("_blocks", ("_scales",), _blocks),
    ("weight", ("weight.absmax",), _four_bits),
    ("weight", ("SCB",), _as_stored),
    ("weight", ("scales", "biases"), _mlx),
    ("weight", ("weight_scale_2",), _half_bytes),
    ("_orig", (MASK,), _as_stored),
)
"""Ending of a packed weight, endings of what must stand beside it, and its shape unpacked."""

_UNPACKED_ENDING = {"qweight": "weight", "weight_packed": "weight", "_blocks": "", "_orig": ""}

_SCALES: dict[str, tuple[str, ...]] = {
    "scales": ("qweight", "weight"),
    "biases": ("weight",),
    "qzeros": ("qweight",),
    "g_idx": ("qweight",),
    "SCB": ("weight",),
    "weight_format": ("weight",),
    "weight_scale": ("weight", "weight_packed"),
    "weight_scale_inv": ("weight",),
    "weight_scale_2": ("weight",),
    "weight_scales": ("weight",),
    "weight_zero_point": ("weight", "weight_packed"),
    "weight_shape": ("weight_packed",),
    "weight_g_idx": ("weight_packed",),
    "weight_global_scale": ("weight_packed", "weight"),
    "input_global_scale": ("weight_packed", "weight"),
    "input_scale": ("weight", "weight_packed"),
    "input_zero_point": ("weight", "weight_packed"),
    "output_scale": ("weight", "weight_packed"),
    "activation_scale": ("weight",),
    "k_scale": ("weight",),
    "v_scale": ("weight",),
}
"""What belongs to a quantised weight, and the weights beside which it does."""

_QUANT_STATE = frozenset({"absmax", "quant_map", "nested_absmax", "nested_quant_map"})


def _is_scale(name: str, last: str, stem: str, tensors: Mapping[str, Tensor]) -> bool:
    if last in _QUANT_STATE or last.startswith("bitsandbytes__"):
        return True
    if last in _SCALES:
        return any(f"{stem}.{weight}" in tensors for weight in _SCALES[last])
    for ending, weight in (("_scales", "_blocks"), ("_scale_inv", ""), ("_scale", "")):
        # Of stacked experts: `down_proj` and `down_proj_scale`.
        if last.endswith(ending) and (beside := tensors.get(name[: -len(ending)] + weight)):
            return beside.dtype in INTEGERS or beside.dtype.startswith("F8")
    return False
