"""The feed-forward part of one layer, counted: dense, or experts one by one or stacked.

Routers and gates of shared experts belong to the total; gate, up and down of shared experts count
with those of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from depthprune.structure.anatomy import Mlp
from depthprune.structure.count_pieces import HIDDEN_SIZES, Piece, Surroundings, matrix_sizes
from depthprune.structure.count_stacks import number_in
from depthprune.structure.names import NUMBERED_ROLES, Role, is_mlp, is_number


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
