"""The attention of one layer, counted.

Norms of queries and keys, sinks, relative biases, indexers and gates belong to the total, not to q,
k, v or o. Cross-attention counts together with self-attention. Of multi-head latent attention, what
makes the latent (`kv_a`) counts as k, and what unfolds it (`kv_b`) is split between k and v. The
heads are told by shapes: a pruned layer has fewer than the configuration says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from depthprune.structure.anatomy import Attention
from depthprune.structure.count_pieces import (
    HEAD_SIZES,
    HEADS,
    HIDDEN_SIZES,
    KEY_VALUE_HEADS,
    Piece,
    Surroundings,
    matrix_sizes,
)
from depthprune.structure.count_stacks import Path, number_in
from depthprune.structure.names import is_attention

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
