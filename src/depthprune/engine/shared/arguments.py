"""The arguments of block calls as templates: tensors become numbered slots, filled in later.

What a model passes to its blocks (masks, rotary angles, positions) is recorded for whole batches
and later needed for some rows at some positions. `Dims` says which dimension of a tensor counts
what; it is found by comparing two recordings of different sizes, never by a name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthprune.engine.shared.unshareable import Unshareable

if TYPE_CHECKING:
    import torch

Place = tuple[int, str, tuple[int, ...]]
"""Where a tensor stands: block, parameter name, indices inside tuples."""


@dataclass(frozen=True)
class Slot:
    """A place in a template that a tensor is put into."""

    index: int


class _Cache:
    """The place of the cache in a template."""


CACHE = _Cache()


@dataclass(frozen=True)
class Dims:
    """What the dimensions of a tensor count.

    Attributes:
        rows: the dimension of the batch; None when the tensor is the same for all rows.
        lengths: the dimensions of positions: one, or those of queries and keys of a mask.
        alike: whether the dimension of the batch has size 1, whatever the batch.
        causal_if_none: of a mask: whether the model passes None where it is plainly causal.
    """

    rows: int | None
    lengths: tuple[int, ...]
    alike: bool = False
    causal_if_none: bool = False

    @property
    def is_mask(self) -> bool:
        return len(self.lengths) == 2


def find_dims(
    small: tuple[int, ...], large: tuple[int, ...], sizes: Sequence[tuple[int, int]]
) -> Dims:
    """Return what dimensions count, from a tensor's shapes in two recordings.

    Args:
        small, large: the shapes.
        sizes: (rows, length) of either recording.

    Raises:
        Unshareable: a dimension is neither fixed, nor the rows, nor the length.
    """
    if len(small) != len(large):
        raise Unshareable("blocks are given tensors of changing dimensions")
    rows, lengths = [], []
    for dim, (before, after) in enumerate(zip(small, large, strict=True)):
        if (before, after) == (sizes[0][0], sizes[1][0]):
            rows.append(dim)
        elif (before, after) == (sizes[0][1], sizes[1][1]):
            lengths.append(dim)
        elif before != after:
            raise Unshareable("blocks are given a tensor whose dimensions have no known meaning")
    alike = not rows and bool(lengths) and small[0] == 1
    if alike:
        rows = [0]
    if len(rows) > 1 or len(lengths) > 2 or (lengths and not rows):
        raise Unshareable("blocks are given a tensor whose dimensions have no known meaning")
    if len(lengths) == 2 and (len(small) != 4 or rows != [0] or lengths != [2, 3]):
        raise Unshareable("attention masks are not of shape (rows, heads, queries, keys)")
    return Dims(rows[0] if rows else None, tuple(lengths), alike)


def tensors_in(block: int, arguments: Mapping[str, Any]) -> dict[Place, torch.Tensor | None]:
    """Return every tensor (or None in place of one) among the arguments of a block."""
    found: dict[Place, torch.Tensor | None] = {}

    def note(value: Any, place: Place) -> Any:
        found[place] = value
        return value

    for name, value in arguments.items():
        _walk(value, (block, name, ()), note)
    return found


def template_of(
    block: int, arguments: Mapping[str, Any], slots: Mapping[Place, Slot]
) -> dict[str, Any]:
    """Return the arguments of a block with slots in place of tensors."""

    def replace(value: Any, place: Place) -> Any:
        return slots.get(place, value)

    return {name: _walk(value, (block, name, ()), replace) for name, value in arguments.items()}


def fill(template: Mapping[str, Any], tensors: Sequence[Any], cache: Any) -> dict[str, Any]:
    """Return the arguments of a call: the template with `tensors` in its slots."""
    return {name: _fill(value, tensors, cache) for name, value in template.items()}


def _fill(value: Any, tensors: Sequence[Any], cache: Any) -> Any:
    if type(value) is Slot:
        return tensors[value.index]
    if value is CACHE:
        return cache
    if type(value) is tuple:
        return tuple(_fill(part, tensors, cache) for part in value)
    return value


def _walk(value: Any, place: Place, change: Callable[[Any, Place], Any]) -> Any:
    """Rebuild `value` with `change` applied to its tensors and Nones."""
    import torch

    if value is None or isinstance(value, torch.Tensor):
        return change(value, place)
    if isinstance(value, tuple | list):
        block, name, indices = place
        return tuple(
            _walk(part, (block, name, (*indices, index)), change)
            for index, part in enumerate(value)
        )
    if value is CACHE or isinstance(value, bool | int | float | str):
        return value
    raise Unshareable(f"blocks are given a {type(value).__name__}")
