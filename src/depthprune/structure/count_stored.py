"""From stored tensors to parameters: without buffers and scales, packed weights unpacked.

Formats of quantised weights: GPTQ and AWQ (https://github.com/AutoGPTQ/AutoGPTQ,
https://github.com/mit-han-lab/llm-awq), bitsandbytes, FP8 with scales, MXFP4 of gpt-oss,
compressed-tensors and NVFP4. Only shapes are read: what they do not tell stays as it is stored.

A weight that `torch.nn.utils.prune` masks is stored as `weight_orig` and `weight_mask`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from depthprune.base.language import Note
from depthprune.checkpoint.stored import Shape, Tensor
from depthprune.structure.names import BUFFERS, CONSTANT, LEARNT, MASKS, text_config
from depthprune.structure.notes import Sentence
from depthprune.structure.tensors import Checkpoint, has_numbers, integers, stored_bytes

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
        parameters: how many numbers it has unpacked; 0 for buffers, scales and the like; None where
            nothing tells.
        bytes: that it takes in the file.
        storage: what identifies its bytes.
        source: its name in the file.
    """

    name: str
    shape: Shape
    parameters: int | None
    bytes: int
    storage: str
    source: str


@dataclass(frozen=True)
class StoredParameters:
    """What the tensors of a checkpoint count for.

    Attributes:
        stored: in the order of the tensors.
        notes: what a reader should know.
        unknown: why the parameters of some tensors are not known, a sentence for each reason.
    """

    stored: tuple[Stored, ...]
    notes: tuple[Note, ...]
    unknown: tuple[Note, ...]


def stored_parameters(checkpoint: Checkpoint) -> StoredParameters:
    """Return what every tensor of a checkpoint counts for; a count is exact, or not known.

    Raises:
        FileError: a file that holds the shape of a packed weight ends early.
    """
    tensors, settings = checkpoint.tensors, quantisation(checkpoint.config)
    model_type = str(checkpoint.config.get("model_type"))
    found = []
    unclear: dict[Note, list[str]] = defaultdict(list)
    for name, tensor in tensors.items():
        logical: str | None = None
        shape: Shape | None = tensor.shape
        if not is_buffer(name, tensor, model_type):
            logical, shape = _unpacked(name, tensor, tensors, settings)
        reason = checkpoint.unknown.get(name) if logical else None
        if logical and reason is None:
            reason = Note(Sentence.PACKED) if shape is None else _emptied(name, tensor, tensors)
        if reason is not None:
            unclear[reason].append(logical or name)
        parameters = prod(shape or ()) if logical else 0
        found.append(
            Stored(
                logical or name,
                tensor.shape if shape is None else shape,
                None if reason else parameters,
                stored_bytes(tensor),
                tensor.storage,
                name,
            )
        )
    for name, reason in checkpoint.unknown.items():
        if name not in tensors:
            unclear[reason].append(name)
            found.append(Stored(name, (), None, 0, f"unknown:{name}", name))
    notes: tuple[Note, ...] = ()
    if settings:
        method = settings.get("quant_method") or settings.get("quant_type") or "an unnamed method"
        notes = (Note(Sentence.QUANTISED, method=method),)
    unknown = tuple(
        Note(Sentence.OF_TENSORS, n=len(names), name=names[0], why=reason)
        for reason, names in unclear.items()
    )
    return StoredParameters(tuple(found), notes, unknown)


_HOLDS_WEIGHTS = re.compile(r"weight|W_q|B|codes|.*(qweight|packed|qdata|quantized)\w*")
"""Names of whole numbers that are packed weights, also where no settings say so."""


def quantisation(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a configuration, or the section of its text model, says of quantisation."""
    for key in ("quantization_config", "quantization", "compression_config"):
        found = config.get(key)
        if isinstance(found, Mapping) and found:
            return found
    inner = text_config(config)
    return {} if inner is config else quantisation(inner)


def _emptied(name: str, tensor: Tensor, tensors: Mapping[str, Tensor]) -> Note | None:
    """Return why a tensor without numbers is no empty one: pruning leaves at least its axes."""
    if tensor.shape != (0,):
        return None
    weight = tensors.get(f"{name.rpartition('.')[0]}.weight")
    beside = weight is not None and len(weight.shape) > 1 and 0 in weight.shape
    return None if beside else Note(Sentence.EMPTIED)


def _unpacked(
    name: str, tensor: Tensor, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> tuple[str | None, Shape | None]:
    """Return a parameter's name, None for what is none, and its shape, None if unclear."""
    stem, _, last = name.rpartition(".")
    if not has_numbers(tensor):
        return name, tensor.shape  # its shape was told: it is unpacked
    for ending, unpacked, companions, shape_of in _PACKED:
        if last.endswith(ending):
            base = name[: -len(ending)]
            if all(base + other in tensors for other in companions):
                packed = Packed(base, tensor, tensors, settings)
                return base + unpacked, shape_of(packed)
    is_mask = last.endswith(MASK) and f"{name.removesuffix(MASK)}_orig" in tensors
    if is_mask or _is_scale(name, last, stem, tensors):
        return None, ()
    if last == "weight" and settings.get("quant_method") == "bitnet" and tensor.dtype == "U8":
        return name, (4 * tensor.shape[0], *tensor.shape[1:]) if tensor.shape else None
    if tensor.dtype in INTEGERS:
        # Whole numbers are packed weights where they are a matrix, else a table of indices.
        packed_matrix = len(tensor.shape) > 1 and (bool(settings) or _HOLDS_WEIGHTS.fullmatch(last))
        return (name, None) if packed_matrix else (None, ())
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


@dataclass(frozen=True)
class Packed:
    """A packed weight and what lies beside it.

    Attributes:
        base: its name without the ending, e.g. `model.layers.0.mlp.up_proj.`.
        tensor: of the packed numbers.
        tensors: all of the checkpoint.
        settings: of the quantisation.
    """

    base: str
    tensor: Tensor
    tensors: Mapping[str, Tensor]
    settings: Mapping[str, Any]

    @property
    def shape(self) -> Shape:
        return self.tensor.shape

    def beside(self, ending: str) -> Tensor | None:
        return self.tensors.get(self.base + ending)

    def size(self, ending: str, axis: int) -> int | None:
        """Return the size of a matrix beside it along an axis; None where there is no such."""
        other = self.beside(ending)
        return other.shape[axis] if other is not None and len(other.shape) == 2 else None

    def setting(self, *names: str) -> int | None:
        """Return a setting: that of this module, where it has one of its own, else the common."""
        module = self.base.rstrip(".")
        inner = self.settings.get("extra_config")
        places = [self.settings.get(module), self.settings]
        if isinstance(inner, Mapping):
            places.insert(0, inner.get(module))
        for place in places:
            for name in names:
                value = place.get(name) if isinstance(place, Mapping) else None
                if type(value) is int and 1 <= value <= 1024:
                    return value
        return None


ShapeOf = Callable[[Packed], Shape | None]


def _gptq_or_awq(packed: Packed) -> Shape | None:
    """GPTQ packs along the input (rows), AWQ along the output (columns): the scales tell which.

    The tensors tell the bits, which may differ from module to module.
    """
    outputs = packed.size("scales", 1)
    if len(packed.shape) != 2 or not outputs:
        return None
    rows, columns = packed.shape
    if columns != outputs:
        return (outputs, rows) if columns and outputs % columns == 0 else None
    order = packed.beside("g_idx")
    if order is not None and len(order.shape) == 1 and order.shape[0] >= rows:
        return outputs, order.shape[0]
    zeros = packed.size("qzeros", 1)  # the zero points are packed along the output
    bits = 32 * zeros // outputs if zeros else packed.setting("bits", "w_bit")
    return (outputs, rows * 32 // bits) if bits and 1 <= bits <= 8 else None


def _four_bits(packed: Packed) -> Shape | None:
    """bitsandbytes keeps two numbers a byte in a row; its shape stands in its bytes alone."""
    return (2 * prod(packed.shape),) if packed.tensor.dtype == "U8" else packed.shape


def _blocks(packed: Packed) -> Shape | None:
    """MXFP4: experts x outputs x groups x 16 bytes, two numbers a byte."""
    if len(packed.shape) < 2:
        return None
    *shape, groups, length = packed.shape
    return (*shape, 2 * groups * length)


def _marlin_24(packed: Packed) -> Shape | None:
    """marlin-24 keeps half of the inputs, in tiles of 16 x 16: the scales tell the outputs."""
    outputs = packed.size("scale_packed", 1)
    return (outputs, 32 * packed.shape[0]) if outputs and len(packed.shape) == 2 else None


def _compressed(packed: Packed) -> Shape | None:
    """compressed-tensors packs along the input, and stores the shape of what it packed."""
    if len(packed.shape) < 2:
        return None
    *rows, columns = packed.shape
    said = integers(packed.beside("weight_shape"))
    if said[:-1] == tuple(rows) and said[-1] >= columns:
        return said
    if packed.tensor.dtype == "U8":
        groups = packed.size("weight_scale", 1)
        six = groups is not None and 3 * groups * 32 == 4 * columns
        return (*rows, 32 * groups if six and groups else 2 * columns)
    groups = packed.settings.get("config_groups")
    weights = [
        group.get("weights")
        for group in (groups.values() if isinstance(groups, Mapping) else ())
        if isinstance(group, Mapping)
    ]
    bits = {weight.get("num_bits") for weight in weights if isinstance(weight, Mapping)}
    if len(bits) != 1 or not isinstance(each := bits.pop(), int) or not 1 <= each <= 32:
        return None
    return (*rows, columns * (32 // each))


def _mlx(packed: Packed) -> Shape | None:
    """MLX packs along the input, whole numbers of 32 bits, with a scale for every group.

    Bits x size of a group follow from the tensors, and which of both from the settings.
    """
    scales = packed.beside("scales")
    if scales is None or not scales.shape or not packed.shape or not scales.shape[-1]:
        return None
    *rows, columns = packed.shape
    both, rest = divmod(32 * columns, scales.shape[-1])
    if packed.beside("biases") is None:  # mxfp4, mxfp8 (groups of 32) and nvfp4 (of 16)
        group = {128: 32, 256: 32, 64: 16}.get(both)
        return None if rest or group is None else (*rows, scales.shape[-1] * group)
    bits, group = packed.setting("bits"), packed.setting("group_size")
    if rest or not (bits or group):
        return None
    if not bits or (group and bits * group != both):
        bits = both // group if group and both % group == 0 else None
        if bits not in _MLX_BITS:
            return None
    return *rows, 32 * columns // bits


_MLX_BITS = (2, 3, 4, 5, 6, 8)


def _half_quadratic(packed: Packed) -> Shape | None:
    """HQQ stores the shape of what it packed."""
    return integers(packed.beside("shape")) or None


def _half_bytes(packed: Packed) -> Shape | None:
    """NVFP4 as ModelOpt writes it: two numbers a byte beside a scale for every 16."""
    if packed.tensor.dtype != "U8" or len(packed.shape) < 2:
        return packed.shape
    return *packed.shape[:-1], 2 * packed.shape[-1]


def _as_stored(packed: Packed) -> Shape | None:
    return packed.shape


_PACKED: tuple[tuple[str, str, tuple[str, ...], ShapeOf], ...] = (
    ("qweight", "weight", ("scales",), _gptq_or_awq),
    ("weight_packed", "weight", ("scale_packed", "meta"), _marlin_24),
    ("weight_packed", "weight", ("weight_scale",), _compressed),
    ("W_q", "weight", ("shape",), _half_quadratic),
    ("_blocks", "", ("_scales",), _blocks),
    ("weight", "weight", ("weight.absmax",), _four_bits),
    ("weight", "weight", ("SCB",), _as_stored),
    ("weight", "weight", ("scales",), _mlx),
    ("weight", "weight", ("weight_scale_2",), _half_bytes),
    ("_orig", "", (MASK,), _as_stored),
)
"""Ending of a packed weight, its ending unpacked, endings of what must stand beside it, and its
shape unpacked."""

_OF_HQQ = """scale zero shape nbits group_size axis channel_wise compute_dtype optimize packing
    encoded_state_dict offload_meta quant_scale quant_zero round_zero stores_quant_config
    unpack_view_dtype view_as_float"""

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
    "scale_packed": ("weight_packed",),
    "meta": ("weight_packed",),
    **dict.fromkeys(_OF_HQQ.split(), ("W_q",)),
}
"""What belongs to a quantised weight, and the weights beside which it does."""

_QUANT_STATE = frozenset({"absmax", "quant_map", "nested_absmax", "nested_quant_map"})


def _is_scale(name: str, last: str, stem: str, tensors: Mapping[str, Tensor]) -> bool:
    if last in _QUANT_STATE or last.startswith("bitsandbytes__"):
        return True
    if last in ("scale", "zero_point") and tensors[name].shape == ():
        return f"{stem}.weight" in tensors  # of a linear layer that torch quantised
    if last in _SCALES:
        return any(f"{stem}.{weight}" in tensors for weight in _SCALES[last])
    for ending, weight in (("_scales", "_blocks"), ("_scale_inv", ""), ("_scale", "")):
        # Of stacked experts: `down_proj` and `down_proj_scale`.
        if last.endswith(ending) and (beside := tensors.get(name[: -len(ending)] + weight)):
            return beside.dtype in INTEGERS or beside.dtype.startswith("F8")
    return False
