"""Look at the hidden states before and after every block, while a model runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

Take = Callable[["torch.Tensor"], "torch.Tensor"]
"""Copies what is wanted of hidden states."""

See = Callable[[int, "torch.Tensor", "torch.Tensor"], None]
"""Is given a block's index and what was taken of its input and of its output."""


@contextmanager
def watched(blocks: Sequence[nn.Module], take: Take, see: See) -> Iterator[None]:
    """Call `see(block, before, after)` for every block that runs in the body, in their order.

    What is taken of the input is copied before the block runs: some add to it in place. The hooks
    are gone afterwards, also after an exception.

    Raises:
        ModelError: a block's hidden states are not found.
    """
    handles = []
    held: dict[int, torch.Tensor] = {}

    def before(index: int) -> Callable[..., None]:
        def hook(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            held[index] = take(_input_of(block, args, kwargs))

        return hook

    def after(index: int) -> Callable[..., None]:
        def hook(block: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            taken = take(_output_of(block, output))
            see(index, held.pop(index).to(taken.device), taken)

        return hook

    try:
        for index, block in enumerate(blocks):
            handles.append(block.register_forward_pre_hook(before(index), with_kwargs=True))
            handles.append(block.register_forward_hook(after(index)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _input_of(block: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """Return the hidden states that a block is called with: its first argument, however passed."""
    import torch

    if args:
        given = args[0]
    else:
        # Of the class: a library that moves blocks between devices wraps the instance's forward.
        first = list(inspect.signature(type(block).forward).parameters)[1:2]
        given = kwargs.get(first[0] if first else "", kwargs.get("hidden_states"))
    if not isinstance(given, torch.Tensor):
        raise _not_found(block, "what it is called with")
    return given


def _output_of(block: nn.Module, output: Any) -> torch.Tensor:
    """Return the hidden states that a block returns: its output, or the first part of it."""
    import torch

    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise _not_found(block, "what it returns")
    return output


def _not_found(block: nn.Module, where: str) -> ModelError:
    return ModelError(
        f"the hidden states of {type(block).__name__} are not found in {where}",
        mend="use the proxies taylor and perplexity, or measure the drops (depthprune profile)",
    )
