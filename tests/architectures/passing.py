"""What a removal must come to: the whole model in which some blocks pass their input through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from depthprune.base.removal import Removal
from depthprune.blocks.removal_plan import plan_removal
from depthprune.blocks.stack import Stack


@contextmanager
def passed_through(model: nn.Module, stack: Stack, removal: Removal) -> Iterator[None]:
    """Let the blocks `removal` return the hidden states that they are given.

    Nothing else is touched: no configuration, no index, no other block. What a block gives beside
    its hidden states (biases, attention) it still gives.
    """
    blocks = [model.get_submodule(f"{stack.path}.{block}") for block in removal]
    for block in blocks:
        block.forward = _passing(block.forward)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


@contextmanager
def placed(model: nn.Module, stack: Stack, removal: Removal) -> Iterator[None]:
    """Give the blocks that stay the constants of their new places, and nothing else."""
    plan = plan_removal(stack, removal)
    undo = []
    for change in plan.changes:
        if change.name in plan.constants and not change.configs:
            module = model.get_submodule(change.module)
            undo.append((module, change.name, getattr(module, change.name)))
            setattr(module, change.name, change.after)
    try:
        yield
    finally:
        for module, name, value in undo:
            setattr(module, name, value)


def _passing(forward: Any) -> Any:
    def passed(*args: Any, **options: Any) -> Any:
        output = forward(*args, **options)
        given = args[0] if args else options.get("hidden_states")
        first = output[0] if isinstance(output, tuple | list) else output
        if not isinstance(given, torch.Tensor) or given.shape != first.shape:
            raise ValueError("the block does not return hidden states like those it is given")
        return (given, *output[1:]) if isinstance(output, tuple | list) else given

    return passed
