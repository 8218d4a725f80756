"""Run a model with something else in place of its blocks: to see what they are given, or its tail.

`forward` of each block is overridden on the instance and taken back afterwards, so that lists of
blocks, indices and types stay as the model knows them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthprune.engine.shared.arguments import CACHE
from depthprune.engine.shared.unshareable import Unshareable

if TYPE_CHECKING:
    import torch
    from torch import nn

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
class Call:
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
        Unshareable: a block does not turn one hidden state into one of the same shape.
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
                raise Unshareable("its blocks do not turn one hidden state into another")
            outputs[index] = Output(tuple(result[1:]) if isinstance(result, tuple) else None)
            return result

        return watched

    with overridden(blocks, make):
        run()
    if len(outputs) != len(blocks):
        raise Unshareable("not every block is run")
    return [outputs[index] for index in range(len(blocks))]


def observe_calls(
    blocks: Sequence[nn.Module], outputs: Sequence[Output], run: Callable[[], Any]
) -> list[Call]:
    """Run the model with blocks that do nothing and return what each was given.

    Raises:
        Unshareable: blocks are not simply run one after the other.
    """
    calls: list[Call] = []
    names = [_parameters(block) for block in blocks]

    def make(index: int, _: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> Any:
            hidden, named = _bind(names[index], arguments, options)
            if index != len(calls) or (calls and hidden is not calls[0].hidden):
                raise Unshareable("something happens between its blocks")
            calls.append(Call(hidden, named))
            return outputs[index].wrap(hidden)

        return recorded

    with overridden(blocks, make):
        run()
    if len(calls) != len(blocks):
        raise Unshareable("not every block is run")
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
        raise Unshareable("its blocks take arguments without names")
    named = dict(zip(names, arguments, strict=False)) | options
    hidden = named.pop(names[0])
    return hidden, {
        name: CACHE if isinstance(value, Cache) else value for name, value in named.items()
    }
