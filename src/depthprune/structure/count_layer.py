"""One transformer block, counted: attention, MLP, norms and the rest.

What counts where:
- norms of queries and keys, sinks, relative biases, indexers and gates of an attention belong to
  its total, not to q, k, v or o; so do routers and shared experts to that of the MLP. Cross-
  attention counts together with self-attention;
- of multi-head latent attention, what makes the latent (`kv_a`) counts as k, and what unfolds it
  (`kv_b`) is split between k and v;
- linear attention is attention; state-space and convolution mixers are `other`, as are adapters
  and the shortcuts of SliceGPT.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from depthprune.structure.anatomy import Attention, Layer, Mlp
from depthprune.structure.count_stacks import Path, number_in
from depthprune.structure.count_stored import Stored
from depthprune.structure.names import (
    NUMBERED_ROLES,
    Role,
    is_attention,
    is_mlp,
    part_and_role,
)

Shape = tuple[int, ...]

HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads")
KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
HEAD_SIZES = ("head_dim", "attention_head_dim", "d_kv", "kv_channels")
HIDDEN_SIZES = ("hidden_size", "n_embd", "d_model", "dim", "model_dim")

ZERO_TYPES = ("Zero", "Identity", "Empty", "NoOp", "Skip", "Removed", "Dummy")
"""Beginnings of class names that stand in for a part that was taken out."""


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


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor of a layer: its name below the layer with numbers and without, and its shape."""

    path: Path
    plain: Path
    shape: Shape
    parameters: int


def count_layer(
    index: int, prefix: str, tensors: Sequence[tuple[Path, Stored]], around: Surroundings
) -> Layer:
    """Return what a layer consists of.

    Args:
        index: of the layer.
        prefix: its path in the model, e.g. `model.layers.3`.
        tensors: everything that it holds, by the names below the layer.
        around: what else the model says.
    """
    parts: dict[str, list[tuple[Role, str, Piece]]] = defaultdict(list)
    for path, stored in tensors:
        if not stored.parameters:
            continue
        plain = tuple(each for each in path if not each.isdecimal()) or path
        kind, role, leaf = part_and_role(plain)
        piece = Piece(path, plain, stored.shape, stored.parameters)
        parts[kind].append((role, leaf, piece))
    sums = {part: sum(piece.parameters for _, _, piece in pieces) for part, pieces in parts.items()}
    total = sum(sums.values())
    return Layer(
        index=index,
        total=total,
        attention=_attention(parts["attention"], prefix, around),
        mlp=_mlp(parts["mlp"], prefix, around),
        norm=sums.get("norm", 0),
        other=sums.get("other", 0),
        bytes=sum(stored.bytes for _, stored in tensors),
        is_zero=total == 0 or _is_zero_type(around.types.get(prefix)),
    )


def _is_zero_type(name: str | None) -> bool:
    return name is not None and name.startswith(ZERO_TYPES)


def _type_of(prefix: str, around: Surroundings, attention: bool) -> str | None:
    """Return the class name of the layer's attention or MLP, where the model tells it."""
    fits = is_attention if attention else is_mlp
    start = f"{prefix}."
    for path, name in around.types.items():
        rest = path[len(start) :]
        if path.startswith(start) and "." not in rest and fits(rest):
            return name
    return None


def _attention(
    pieces: Iterable[tuple[Role, str, Piece]], prefix: str, around: Surroundings
) -> Attention:
    found = [(role, piece) for role, _, piece in pieces]
    type_name = _type_of(prefix, around, attention=True)
    if not found:
        return Attention(0, 0, 0, 0, 0, 0, 0, type_name)
    sums: Counter[str] = Counter()
    for role, piece in found:
        sums[role] += piece.parameters
    widths = _Widths.of(found)
    head, value_head = _head_sizes(found, widths, prefix, around)
    if sums["qkv"]:
        rows = widths.fused
        q, k, v = _split_fused(sums["qkv"], rows, widths, head, around.config)
        sums.update({"q": q, "k": k, "v": v})
        if rows:
            widths = _Widths(widths.q or q * rows // sums["qkv"], k * rows // sums["qkv"], widths.o)
    if sums["kv"]:
        sums.update({"k": sums["kv"] - sums["kv"] // 2, "v": sums["kv"] // 2})
    if sums["kv_b"]:
        k = _share_of_keys(sums["kv_b"], around.config)
        sums.update({"k": k, "v": sums["kv_b"] - k})
    known = any(sums[projection] for projection in "qkvo")
    total = sum(piece.parameters for _, piece in found)
    heads = _times(widths.o, value_head) or _times(widths.q, head)
    kv_heads = heads if sums["kv_b"] else _times(widths.k, head)
    if heads is None:
        attributes = _attributes(prefix, around)
        heads, kv_heads = attributes.get("num_heads"), attributes.get("num_key_value_heads")
    if not known:
        return Attention(total, type=type_name)
    return Attention(total, sums["q"], sums["k"], sums["v"], sums["o"], heads, kv_heads, type_name)


@dataclass(frozen=True, slots=True)
class _Widths:
    """Outputs of q and k and inputs of o; None where there is no such projection, or several."""

    q: int | None
    k: int | None
    o: int | None
    fused: int | None = None

    @classmethod
    def of(cls, found: Iterable[tuple[Role, Piece]]) -> _Widths:
        first: dict[str, int] = {}
        groups: dict[tuple[str, Path], list[Piece]] = defaultdict(list)
        for role, piece in found:
            if role in ("q", "k", "o", "qkv", "kv"):
                groups[role, piece.path[:-1]].append(piece)
        for (kind, path), pieces in groups.items():
            if sizes := _sizes(pieces):
                width = sizes[1] if kind == "o" else sizes[0]
                # Low-rank pairs (`q_a_proj`, `q_b_proj`): the second makes the heads.
                second = bool(path) and path[-1].endswith(("_b_proj", "_b", "_ud"))
                if kind not in first or second:
                    first[kind] = width
        k = first.get("k", first["kv"] // 2 if "kv" in first else None)
        return cls(first.get("q"), k, first.get("o"), first.get("qkv"))


def _sizes(pieces: Iterable[Piece]) -> tuple[int, int] | None:
    """Return outputs and inputs of a linear layer; its bias tells which axis is which."""
    weight = next((piece.shape for piece in pieces if len(piece.shape) == 2), None)
    if weight is None:
        return None
    bias = next((piece.shape[0] for piece in pieces if len(piece.shape) == 1), None)
    rows, columns = weight
    return (columns, rows) if bias == columns != rows else (rows, columns)


def _head_sizes(
    found: Iterable[tuple[Role, Piece]], widths: _Widths, prefix: str, around: Surroundings
) -> tuple[int | None, int | None]:
    """Return the size of a head of queries and of values: from the norm of a head, else as said."""
    config, attributes = around.config, _attributes(prefix, around)
    nope, rope = (config.get(f"qk_{part}_head_dim") for part in ("nope", "rope"))
    if type(nope) is int and type(rope) is int and "kv_lora_rank" in config:
        return nope + rope, number_in(config, ("v_head_dim",))
    for role, piece in found:
        names = " ".join(piece.plain)
        if not role and len(piece.shape) == 1 and "q" in names and "norm" in names and widths.q:
            size = piece.shape[0]
            if size < widths.q and widths.q % size == 0:
                return size, size
    head = attributes.get("head_dim") or number_in(config, HEAD_SIZES)
    if head is None:
        hidden, heads = number_in(config, HIDDEN_SIZES), number_in(config, HEADS)
        head = hidden // heads if hidden and heads and hidden % heads == 0 else None
    return head, number_in(config, ("v_head_dim",)) or head


def _attributes(prefix: str, around: Surroundings) -> Mapping[str, int]:
    start = f"{prefix}."
    for path, numbers in around.attributes.items():
        rest = path[len(start) :]
        if path.startswith(start) and "." not in rest and is_attention(rest):
            return numbers
    return {}


def _split_fused(
    parameters: int,
    rows: int | None,
    widths: _Widths,
    head: int | None,
    config: Mapping[str, Any],
) -> tuple[int, int, int]:
    """Split a fused projection: o takes as many inputs as there are queries, k and v are equal."""
    if rows and widths.q is None:
        queries = widths.o if widths.o and widths.o <= rows else None
        if queries is None:
            heads = number_in(config, HEADS) or 1
            groups = number_in(config, KEY_VALUE_HEADS) or heads
            queries = rows * heads // (heads + 2 * groups)
        q = parameters * queries // rows
    else:
        q = 0 if widths.q else parameters // 3
    rest = parameters - q
    return q, rest - rest // 2, rest // 2


def _share_of_keys(parameters: int, config: Mapping[str, Any]) -> int:
    keys, values = (number_in(config, (name,)) for name in ("qk_nope_head_dim", "v_head_dim"))
    if keys is None or values is None:
        return parameters - parameters // 2
    return parameters * keys // (keys + values)


def _times(width: int | None, head: int | None) -> int | None:
    return width // head if width and head and width % head == 0 else None


def _mlp(pieces: Iterable[tuple[Role, str, Piece]], prefix: str, around: Surroundings) -> Mlp:
    found = list(pieces)
    type_name = _type_of(prefix, around, attention=False)
    if not found:
        return Mlp(0, 0, 0, 0, 0, 0, type_name)
    leaves = {leaf for _, leaf, _ in found}
    numbered = next((roles for roles in NUMBERED_ROLES if roles.keys() <= leaves), {})
    named = [(numbered.get(leaf, role), piece) for role, leaf, piece in found]
    sums: Counter[str] = Counter()
    for role, piece in named:
        sums[role] += piece.parameters
    experts = [piece for role, piece in named if role and _expert(piece) is not None]
    down = [piece for role, piece in named if role == "down"]
    inner = _inner_size(down, experts)
    if sums["up"] and not sums["gate"] and inner and _is_fused(named, inner):
        sums["gate_up"] += sums.pop("up")
    sums["gate"] += sums["gate_up"] // 2
    sums["up"] += sums["gate_up"] - sums["gate_up"] // 2
    total = sum(piece.parameters for _, piece in named)
    if not any(sums[role] for role in ("gate", "up", "down")):
        return Mlp(total, type=type_name)
    return Mlp(
        total,
        sums["gate"] or None,
        sums["up"],
        sums["down"],
        inner,
        _num_experts(experts),
        type_name,
    )


def _expert(piece: Piece) -> int | None:
    """Return the number of the expert that a tensor belongs to; -1 where all are stacked."""
    for place, part in enumerate(piece.path[:-1]):
        if part.endswith("experts") and "shared" not in part:
            after = piece.path[place + 1]
            return int(after) if after.isdecimal() else -1
    return -1 if len(piece.shape) == 3 else None


def _num_experts(experts: Sequence[Piece]) -> int:
    numbers = {_expert(piece) for piece in experts}
    if numbers - {-1}:
        return len(numbers - {-1})
    return max((piece.shape[0] for piece in experts if len(piece.shape) == 3), default=0)


def _inner_size(down: Sequence[Piece], experts: Sequence[Piece]) -> int | None:
    """Return the inputs of the projection down, of an expert where there are any."""
    chosen = [piece for piece in down if piece in experts] or down
    for piece in chosen:
        if len(piece.shape) == 2:
            same = [each for each in down if each.path[:-1] == piece.path[:-1]]
            sizes = _sizes(same)
            return sizes[1] if sizes else None
        if len(piece.shape) == 3:
            return piece.shape[2]
    return None


def _is_fused(named: Iterable[tuple[Role, Piece]], inner: int) -> bool:
    """Return whether `up` makes twice what `down` takes: the gate lies in it (ChatGLM)."""
    return any(
        role == "up" and len(piece.shape) == 2 and 2 * inner in piece.shape for role, piece in named
    )
