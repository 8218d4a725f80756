"""The calls of blocks: recorded, taken apart into tensors and templates, and made again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


class NotShareable(Exception):
    """This model, or this batch, must be evaluated one removal after the other; says why."""


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
        NotShareable: a dimension is neither fixed, nor the rows, nor the length.
    """
    if len(small) != len(large):
        raise NotShareable("blocks are given tensors of changing dimensions")
    rows, lengths = [], []
    for dim, (before, after) in enumerate(zip(small, large, strict=True)):
        if (before, after) == (sizes[0][0], sizes[1][0]):
            rows.append(dim)
        elif (before, after) == (sizes[0][1], sizes[1][1]):
            lengths.append(dim)
        elif before != after:
            raise NotShareable("blocks are given a tensor whose dimensions have no known meaning")
    alike = not rows and bool(lengths) and small[0] == 1
    if alike:
        rows = [0]
    if len(rows) > 1 or len(lengths) > 2 or (lengths and not rows):
        raise NotShareable("blocks are given a tensor whose dimensions have no known meaning")
    if len(lengths) == 2 and (len(small) != 4 or rows != [0] or lengths != [2, 3]):
        raise NotShareable("attention masks are not of shape (rows, heads, queries, keys)")
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
    raise NotShareable(f"blocks are given a {type(value).__name__}")


_ABSENT = object()


@dataclass(frozen=True)
class Output:
    """What a block returns: a hidden state, alone or in front of other things.

    Attributes:
        rest: what follows in the tuple; None when the hidden state is not in a tuple.
    """

    rest: tuple[Any, ...] | None

    def wrap(self, hidden: torch.Tensor) -> Any:
        return hidden if self.rest is None else (hidden, *self.rest)

    def unwrap(self, output: Any) -> Any:
        return output if self.rest is None else output[0]


@dataclass(frozen=True)
class BlockCall:
    """One call of a block: the hidden state it was given, and its other arguments by name."""

    hidden: torch.Tensor
    arguments: dict[str, Any]


@contextmanager
def overridden(
    blocks: Sequence[nn.Module], make: Callable[[int, Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Give every block the `forward` that `make(index, its own)` returns, while the body runs."""
    before = [vars(block).get("forward", _ABSENT) for block in blocks]
    try:
        for index, block in enumerate(blocks):
            vars(block)["forward"] = make(index, block.forward)
        yield
    finally:
        for block, forward in zip(blocks, before, strict=True):
            if forward is _ABSENT:
                vars(block).pop("forward", None)
            else:
                vars(block)["forward"] = forward


def observe_outputs(blocks: Sequence[nn.Module], run: Callable[[], Any]) -> list[Output]:
    """Run the model as it is and return what kind of value each block returns.

    Raises:
        NotShareable: a block does not turn one hidden state into one of the same shape.
    """
    import torch

    outputs: dict[int, Output] = {}

    def make(index: int, forward: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            result = forward(*arguments, **options)
            hidden = result[0] if isinstance(result, tuple) and result else result
            given = arguments[0] if arguments else next(iter(options.values()), None)
            if (
                not isinstance(hidden, torch.Tensor)
                or not isinstance(given, torch.Tensor)
                or hidden.shape != given.shape
                or hidden.dim() != 3
            ):
                raise NotShareable("its blocks do not turn one hidden state into another")
            outputs[index] = Output(tuple(result[1:]) if isinstance(result, tuple) else None)
            return result

        return watched

    with overridden(blocks, make):
        run()
    if len(outputs) != len(blocks):
        raise NotShareable("not every block is run")
    return [outputs[index] for index in range(len(blocks))]


def observe_calls(
    blocks: Sequence[nn.Module], outputs: Sequence[Output], run: Callable[[], Any]
) -> list[BlockCall]:
    """Run the model with blocks that do nothing and return what each was given.

    Raises:
        NotShareable: blocks are not simply run one after the other.
    """
    calls: list[BlockCall] = []
    names = [_parameters(block) for block in blocks]

    def make(index: int, _: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> Any:
            hidden, named = _bind(names[index], arguments, options)
            if index != len(calls) or (calls and hidden is not calls[0].hidden):
                raise NotShareable("something happens between its blocks")
            calls.append(BlockCall(hidden, named))
            return outputs[index].wrap(hidden)

        return recorded

    with overridden(blocks, make):
        run()
    if len(calls) != len(blocks):
        raise NotShareable("not every block is run")
    return calls


def run_with_hidden(
    blocks: Sequence[nn.Module],
    outputs: Sequence[Output],
    hidden: torch.Tensor,
    run: Callable[[], Any],
) -> Any:
    """Run the model as if its last block returned `hidden`, and no other did anything."""

    def make(index: int, _: Callable[..., Any]) -> Callable[..., Any]:
        result = outputs[index].wrap(hidden)
        return lambda *arguments, **options: result

    with overridden(blocks, make):
        return run()


def _parameters(block: nn.Module) -> list[str]:
    """Return the names of the parameters that can be given by position."""
    kinds = inspect.Parameter
    return [
        name
        for name, parameter in inspect.signature(type(block).forward).parameters.items()
        if name != "self" and parameter.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    ]


def _bind(
    names: Sequence[str], arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return the hidden state and all other arguments by name."""
    from transformers import Cache

    if len(arguments) > len(names):
        raise NotShareable("its blocks take arguments without names")
    named = dict(zip(names, arguments, strict=False)) | options
    hidden = named.pop(names[0])
    return hidden, {
        name: CACHE if isinstance(value, Cache) else value for name, value in named.items()
    }
