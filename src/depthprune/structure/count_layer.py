"""One transformer block, counted: attention, MLP, norms and the rest.

Linear attention is attention; state-space and convolution mixers are `other`, as are adapters and
the shortcuts of SliceGPT. Norms within an attention or MLP belong to it, those of the block do not.

Attention: norms of queries and keys, sinks, relative biases, indexers and gates belong to the
total, not to q, k, v or o. Cross-attention counts together with self-attention. Of multi-head
latent attention, what makes the latent (`kv_a`) counts as k, and what unfolds it (`kv_b`) is split
between k and v. The heads are told by shapes: a pruned layer has fewer than the configuration says.

MLP: dense, or experts one by one or stacked. Routers and gates of shared experts belong to the
total; gate, up and down of shared experts count with those of the others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from depthprune.checkpoint.stored import Shape
from depthprune.structure.anatomy import Attention, Layer, Mlp, added
from depthprune.structure.count_stored import Stored
from depthprune.structure.names import (
    NUMBERED_ROLES,
    Part,
    Path,
    Role,
    is_attention,
    is_mlp,
    is_number,
    number_in,
    part_and_role,
    without_numbers,
)

HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads",
         "num_decoder_attention_heads", "attention_heads")  # fmt: skip
KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
HEAD_SIZES = ("head_dim", "attention_head_dim", "d_kv", "kv_channels", "d_head")
HIDDEN_SIZES = ("hidden_size", "n_embd", "d_model", "dim", "model_dim", "emb_dim")


@dataclass(frozen=True)
class Surroundings:
    """What the model says about its layers beside their tensors.

    Attributes:
        config: of the text decoder.
        types: class names of modules by path; empty for most formats.
        attributes: numbers that modules hold, by path.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def type_of(self, layer: str, fits: Callable[[str], bool]) -> str | None:
        """Return the class name of the module right below a layer whose name fits."""
        return next((self.types[path] for path in self._below(layer, fits, self.types)), None)

    def attributes_of(self, layer: str, fits: Callable[[str], bool]) -> Mapping[str, int]:
        """Return what the module right below a layer whose name fits says of itself."""
        found = self._below(layer, fits, self.attributes)
        return next((self.attributes[path] for path in found), {})

    def _below(
        self, layer: str, fits: Callable[[str], bool], known: Mapping[str, object]
    ) -> Iterator[str]:
        for path in self._children.get(layer, ()):
            if path in known and fits(path.rpartition(".")[2]):
                yield path

    @cached_property
    def _children(self) -> Mapping[str, list[str]]:
        children: dict[str, list[str]] = defaultdict(list)
        for path in dict.fromkeys((*self.types, *self.attributes)):
            children[path.rpartition(".")[0]].append(path)
        return children


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor of a layer and what it is.

    Attributes:
        path: its name below the layer.
        leaf: the name of the projection.
        part, role: what it is, by its name.
        shape: outputs x inputs for most matrices; unpacked for quantised ones.
        parameters: how many numbers it holds.
    """

    path: Path
    leaf: str
    part: Part
    role: Role
    shape: Shape
    parameters: int


def piece_of(path: Path, stored: Stored, config: Mapping[str, Any]) -> Piece:
    """Return what a tensor of a layer is, by its name below the layer."""
    plain = without_numbers(path)
    part, role, leaf = part_and_role(plain)
    shape = stored.shape
    hidden = number_in(config, HIDDEN_SIZES)
    flat = role and len(shape) == 1 and path[-1] == "weight"
    if flat and hidden and shape[0] > hidden and shape[0] % hidden == 0:
        # Packed in a row, as bitsandbytes does it: one of the two sizes is known.
        other = shape[0] // hidden
        shape = (hidden, other) if role in ("o", "down") else (other, hidden)
    return Piece(path, leaf, part, role, shape, stored.parameters or 0)


def matrix_sizes(pieces: Iterable[Piece]) -> tuple[int, int] | None:
    """Return outputs and inputs of a linear layer; its bias tells which axis is which.

    The layers of GPT-2 (`Conv1D`) are stored as inputs x outputs. None without a matrix.
    """
    shapes = [piece.shape for piece in pieces]
    weight = next((shape for shape in shapes if len(shape) == 2), None)
    if weight is None:
        return None
    bias = next((shape[0] for shape in shapes if len(shape) == 1), None)
    rows, columns = weight
    return (columns, rows) if bias == columns != rows else (rows, columns)


_PROJECTIONS = ("q", "k", "v", "o")


def count_attention(pieces: Sequence[Piece], layer: str, around: Surroundings) -> Attention:
    """Return what the attention of a layer consists of; all zeros when nothing is left of it."""
    type_name = around.type_of(layer, is_attention)
    if not pieces:
        return Attention(0, 0, 0, 0, 0, 0, 0, type_name)
    sums: Counter[str] = Counter()
    for piece in pieces:
        sums[piece.role] += piece.parameters
    widths = _widths(pieces)
    attributes = around.attributes_of(layer, is_attention)
    head, value_head = _head_sizes(pieces, widths, attributes, around.config)
    if sums["qkv"]:
        widths = _split_fused(sums, widths, around.config)
    if sums["kv"]:
        sums.update({"k": sums["kv"] - sums["kv"] // 2, "v": sums["kv"] // 2})
    if sums["kv_b"]:
        keys = _share_of_keys(sums["kv_b"], around.config)
        sums.update({"k": keys, "v": sums["kv_b"] - keys})
    heads = _times(widths.o, value_head) or _times(widths.q, head)
    kv_heads = heads if sums["kv_b"] else _times(widths.k, head)
    if heads is None:
        heads, kv_heads = attributes.get("num_heads"), attributes.get("num_key_value_heads")
    # A projection that was not found may be part of a matrix whose name says nothing.
    unclear = any(not piece.role and len(piece.shape) > 1 for piece in pieces)
    q, k, v, o = (sums[name] or (None if unclear else 0) for name in _PROJECTIONS)
    total = sum(piece.parameters for piece in pieces)
    return Attention(total, q, k, v, o, heads, kv_heads, type_name)


@dataclass(frozen=True, slots=True)
class _Widths:
    """Outputs of q, k and a fused projection, inputs of o; None where there is no such one."""

    q: int | None
    k: int | None
    o: int | None
    fused: int | None


def _widths(pieces: Sequence[Piece]) -> _Widths:
    first: dict[str, int] = {}
    groups: dict[tuple[str, Path], list[Piece]] = defaultdict(list)
    for piece in pieces:
        if piece.role in ("q", "k", "o", "qkv", "kv"):
            groups[piece.role, piece.path[:-1]].append(piece)
    for (role, path), group in groups.items():
        if sizes := matrix_sizes(group):
            # Of low-rank pairs (`q_a_proj`, `q_b_proj`) the second makes the heads.
            second = bool(path) and path[-1].endswith(("_b_proj", "_b"))
            if role not in first or second:
                first[role] = sizes[1] if role == "o" else sizes[0]
    keys = first.get("k", first["kv"] // 2 if "kv" in first else None)
    return _Widths(first.get("q"), keys, first.get("o"), first.get("qkv"))


def _split_fused(sums: Counter[str], widths: _Widths, config: Mapping[str, Any]) -> _Widths:
    """Split a fused projection: o takes as many inputs as there are queries, k and v are equal."""
    rows, parameters = widths.fused, sums["qkv"]
    if not rows or widths.q is not None:
        share = 0 if widths.q else parameters // 3
    elif widths.o and widths.o <= rows:
        share = parameters * widths.o // rows
    else:
        heads = number_in(config, HEADS) or 1
        groups = number_in(config, KEY_VALUE_HEADS) or heads
        share = parameters * heads // (heads + 2 * groups)
    keys = parameters - share - (parameters - share) // 2
    sums.update({"q": share, "k": keys, "v": parameters - share - keys})
    if not rows:
        return widths
    return replace(widths, q=widths.q or share * rows // parameters, k=keys * rows // parameters)


def _head_sizes(
    pieces: Sequence[Piece],
    widths: _Widths,
    attributes: Mapping[str, int],
    config: Mapping[str, Any],
) -> tuple[int | None, int | None]:
    """Return the size of a head of queries and of values: from the norm of a head, else as said."""
    of_values = number_in(config, ("v_head_dim",))
    nope, rope = (config.get(f"qk_{part}_head_dim") for part in ("nope", "rope"))
    if type(nope) is int and type(rope) is int and "kv_lora_rank" in config:
        return nope + rope, of_values
    for piece in pieces:
        name = "_".join(piece.path)
        if not piece.role and len(piece.shape) == 1 and "norm" in name and "q" in name:
            size = piece.shape[0]
            if widths.q and size < widths.q and widths.q % size == 0:
                return size, size
    head = attributes.get("head_dim") or number_in(config, HEAD_SIZES)
    if head is None:
        hidden, heads = number_in(config, HIDDEN_SIZES), number_in(config, HEADS)
        head = hidden // heads if hidden and heads and hidden % heads == 0 else None
    return head, of_values or head


def _share_of_keys(parameters: int, config: Mapping[str, Any]) -> int:
    keys, values = (number_in(config, (name,)) for name in ("qk_nope_head_dim", "v_head_dim"))
    if keys is None or values is None:
        return parameters - parameters // 2
    return parameters * keys // (keys + values)


def _times(width: int | None, head: int | None) -> int | None:
    return width // head if width and head and width % head == 0 else None


def count_mlp(pieces: Sequence[Piece], layer: str, around: Surroundings) -> Mlp:
    """Return what the MLP of a layer consists of; all zeros when nothing is left of it."""
    type_name = around.type_of(layer, is_mlp)
    if not pieces:
        return Mlp(0, 0, 0, 0, 0, 0, type_name)
    total = sum(piece.parameters for piece in pieces)
    named = _with_roles(pieces)
    sums: Counter[str] = Counter()
    for piece in named:
        sums[piece.role] += piece.parameters
    num_experts = _num_experts(named)
    inner = _inner_size(named, num_experts, number_in(around.config, HIDDEN_SIZES))
    if sums["up"] and not sums["gate"] and inner and _is_fused(named, inner):
        sums["gate_up"] += sums.pop("up")
    gate = sums["gate"] + sums["gate_up"] // 2
    up = sums["up"] + sums["gate_up"] - sums["gate_up"] // 2
    if not (gate or up or sums["down"]):
        return Mlp(total, type=type_name)
    return Mlp(total, gate or None, up, sums["down"], inner, num_experts, type_name)


def _with_roles(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the tensors with their roles; names like `w1` mean something only together."""
    leaves = {piece.leaf for piece in pieces}
    numbered = next((roles for roles in NUMBERED_ROLES if roles.keys() <= leaves), {})
    if any(piece.role for piece in pieces) or numbered:
        return [replace(piece, role=numbered.get(piece.leaf, piece.role)) for piece in pieces]
    places = {number for piece in pieces if (number := _number(piece)) is not None}
    if len(places) < 2:
        return list(pieces)
    # Modules in a row, with what has no parameters between them: the first goes up, the last down.
    ends: dict[int | None, Role] = {min(places): "up", max(places): "down"}
    return [replace(piece, role=ends.get(_number(piece), "")) for piece in pieces]


def _number(piece: Piece) -> int | None:
    return next((int(part) for part in reversed(piece.path) if is_number(part)), None)


def _expert(piece: Piece) -> int | None:
    """Return the number of the expert that a matrix belongs to; -1 where all are in one tensor."""
    for place, part in enumerate(piece.path[:-1]):
        if part.endswith("experts") and "shared" not in part:
            after = piece.path[place + 1]
            return int(after) if is_number(after) else -1
    return -1 if len(piece.shape) == 3 else None


def _num_experts(pieces: Sequence[Piece]) -> int:
    numbered = {_expert(piece) for piece in pieces if piece.role}
    if single := numbered - {-1, None}:
        return len(single)
    if -1 not in numbered:
        return 0
    stacked = [piece.shape[0] for piece in pieces if piece.role and len(piece.shape) == 3]
    # Of DBRX all experts lie in one matrix; the router has a row for each.
    routers = [piece.shape[0] for piece in pieces if not piece.role and len(piece.shape) == 2]
    return max(stacked or routers, default=0)


def _inner_size(pieces: Sequence[Piece], num_experts: int, hidden: int | None) -> int | None:
    """Return the inputs of the projection down, of an expert where there are any."""
    down = [piece for piece in pieces if piece.role == "down"]
    for piece in [piece for piece in down if _expert(piece) is not None] or down:
        if len(piece.shape) == 3:
            return _inner_of_stacked(piece, pieces, hidden)
        if len(piece.shape) == 2 and _expert(piece) == -1 and num_experts:
            return piece.shape[0] // num_experts
        if len(piece.shape) == 2:
            same = [each for each in down if each.path[:-1] == piece.path[:-1]]
            sizes = matrix_sizes(same)
            return sizes[1] if sizes else None
    return None


def _inner_of_stacked(down: Piece, pieces: Sequence[Piece], hidden: int | None) -> int:
    """Tell which axis of stacked experts is the inner one: models store them either way."""
    first, second = down.shape[1:]
    for piece in pieces:
        if piece.role == "gate_up" and len(piece.shape) == 3:
            if set(piece.shape[1:]) == {second, 2 * first}:
                return first
            if set(piece.shape[1:]) == {first, 2 * second}:
                return second
    return first if second == hidden else second


def _is_fused(pieces: Sequence[Piece], inner: int) -> bool:
    """Return whether `up` makes twice what `down` takes: the gate lies in it (ChatGLM)."""
    return any(
        piece.role == "up" and len(piece.shape) == 2 and 2 * inner in piece.shape
        for piece in pieces
    )


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
