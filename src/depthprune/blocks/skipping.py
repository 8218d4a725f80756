"""Run a model as if some of its blocks had never been there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from depthprune.base.errors import StackError
from depthprune.base.language import counted
from depthprune.base.removal import check_removal, make_removal
from depthprune.blocks.admissible import check_admissible
from depthprune.blocks.comparing import ABSENT, AttributeChange
from depthprune.blocks.layer_fields import shorten_generation
from depthprune.blocks.layer_rules import Shortening
from depthprune.blocks.removal_plan import RemovalPlan, plan_removal
from depthprune.blocks.stack import SKIP_MARK, LayerTensor, Stack, find_stack, refuse_while_skipping

if TYPE_CHECKING:
    import torch
    from torch import nn


_FLAG = "_output_capturing_hooks_installed"
_SOURCE = "transformers.utils.output_capturing"


@contextmanager
def restored_capture_hooks(model: nn.Module) -> Iterator[None]:
    """Remove the capturing hooks that the body leaves, so that they are installed anew later.

    When hidden states are asked for the first time, transformers installs hooks on every block that
    it finds, and remembers that it has. Done while some blocks are skipped, those would never be
    recorded again: the hidden states of the whole model would silently be too few.
    """
    modules = list(model.modules())
    flagged = [module for module in modules if _FLAG in vars(module)]
    known = _capture_hooks(modules) if flagged else set()
    try:
        yield
    finally:
        fresh = [
            module
            for module in modules
            if _FLAG in vars(module) and not any(module is other for other in flagged)
        ]
        for module in fresh:
            delattr(module, _FLAG)
        if fresh:
            unknown = _capture_hooks(modules) - known
            for module in modules:
                for key in unknown & module._forward_hooks.keys():
                    del module._forward_hooks[key]


def _capture_hooks(modules: list[nn.Module]) -> set[int]:
    """Return the keys of the hooks, which are unique in a process, that record outputs."""
    return {
        key
        for module in modules
        for key, hook in module._forward_hooks.items()
        if getattr(hook, "__module__", "") == _SOURCE
    }


Model = TypeVar("Model", bound="nn.Module")


@contextmanager
def skip(model: Model, removal: Iterable[int], stack: Stack | None = None) -> Iterator[Model]:
    """Run the body with `model` lacking the blocks `removal`: logits, cache, masks, generation.

    Inside, the model behaves as the one that `cut` writes for this removal, without its weights
    being copied. On leaving, also after an exception, it is as before. Not for several threads.

    Args:
        model: is changed in place while the body runs, and yielded.
        removal: blocks of `stack`, counted from 0 in the whole model.
        stack: as `find_stack(model)` returns it, which is called when it is not given. Entering
            again with the same stack and removal is cheap: what changes is worked out once.

    Raises:
        RemovalError: a block does not exist, none would be left, or blocks are skipped already.
        InadmissibleRemovalError: the architecture cannot express the removal.
        StackError: no stack was given and none is found, it does not belong to this model, or a
            tensor that must be sliced is offloaded.
    """
    if stack is None:
        stack = find_stack(model)
    removal = check_removal(make_removal(removal), stack.num_blocks)
    _check_model(model, stack)
    check_admissible(stack, removal)
    if not removal:
        yield model
        return
    undo: list[tuple[dict[str, Any], str, Any]] = []
    with restored_capture_hooks(model):
        try:
            _remove(model, stack, plan_removal(stack, removal), undo)
            yield model
        finally:
            for attributes, name, value in reversed(undo):
                _assign(attributes, name, value)


def _check_model(model: nn.Module, stack: Stack) -> None:
    for path in stack.containers:
        try:
            container = model.get_submodule(path)
        except AttributeError as error:
            raise StackError(
                "the stack does not belong to this model", where=path, mend="call find_stack on it"
            ) from error
        if SKIP_MARK in vars(container):
            refuse_while_skipping(model)
        if len(container._modules) != stack.num_blocks:
            raise StackError(
                f"the stack has {counted(stack.num_blocks, 'block')}, but the model has "
                f"{len(container._modules)}",
                where=path,
                mend="call find_stack on this model",
            )


def _remove(
    model: nn.Module, stack: Stack, plan: RemovalPlan, undo: list[tuple[dict[str, Any], str, Any]]
) -> None:
    """Change the model after `plan`; every step is noted in `undo` before it is done."""

    def put(attributes: dict[str, Any], name: str, value: Any) -> None:
        undo.append((attributes, name, attributes.get(name, ABSENT)))
        _assign(attributes, name, value)

    # Paths name blocks of the whole model: values are set before the lists are shortened.
    done: set[tuple[int, str]] = set()
    for change in plan.changes:
        attributes = _attributes(model, change)
        if (id(attributes), change.name) not in done:
            done.add((id(attributes), change.name))
            put(attributes, change.name, change.after)
    for name, value in _generation_changes(model, stack, plan):
        put(vars(model.generation_config), name, value)
    if stack.origin is None:
        for attributes, index in _indices(model, stack, plan.kept):
            put(attributes, "layer_idx", index)
    for tensor in stack.tensors:
        path, _, name = tensor.name.rpartition(".")
        parameters: dict[str, Any] = model.get_submodule(path)._parameters
        put(parameters, name, _slices(parameters[name], tensor, stack, plan.kept))
    for path in stack.containers:
        container = model.get_submodule(path)
        blocks = list(container._modules.values())
        put(vars(container), SKIP_MARK, True)
        put(
            vars(container),
            "_modules",
            {str(index): blocks[block] for index, block in enumerate(plan.kept)},
        )


def _generation_changes(
    model: nn.Module, stack: Stack, plan: RemovalPlan
) -> Iterator[tuple[str, Any]]:
    """Yield what generation settings must say of the blocks that stay."""
    generation = getattr(model, "generation_config", None)
    if stack.origin is None or generation is None:
        return
    whole, short = vars(generation), Shortening(plan.kept, stack.num_blocks)
    for name, value in shorten_generation(whole, stack.config_path, short).items():
        if value is not whole[name]:
            yield name, value


def _attributes(model: nn.Module, change: AttributeChange) -> dict[str, Any]:
    """Return the dictionary in which the changed attribute lives."""
    holder: Any = model.get_submodule(change.module)
    for name in change.configs:
        holder = getattr(holder, name)
    attributes: dict[str, Any] = vars(holder)
    return attributes


def _indices(
    model: nn.Module, stack: Stack, kept: tuple[int, ...]
) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield who holds the index of a block in a model without a configuration, and its new one."""
    blocks = model.get_submodule(stack.path)._modules
    for index, block in enumerate(kept):
        for module in blocks[str(block)].modules():  # type: ignore[union-attr]
            if vars(module).get("layer_idx") == block:
                yield vars(module), index


def _slices(
    parameter: torch.Tensor, tensor: LayerTensor, stack: Stack, kept: tuple[int, ...]
) -> torch.nn.Parameter:
    """Return the slices of the blocks that stay of a tensor with a slice per block."""
    import torch

    if parameter.is_meta:
        raise StackError(
            f"{tensor.name} has a slice per block and is not in memory",
            mend="load the model without offloading this tensor to CPU or disk",
        )
    axis, shape = tensor.axis, parameter.shape
    index = torch.tensor(kept, device=parameter.device)
    width = shape[axis] // stack.num_blocks
    parts = parameter.detach().reshape(*shape[:axis], stack.num_blocks, width, *shape[axis + 1 :])
    short = parts.index_select(axis, index).flatten(axis, axis + 1)
    return torch.nn.Parameter(short, requires_grad=parameter.requires_grad)


def _assign(attributes: dict[str, Any], name: str, value: Any) -> None:
    if value is ABSENT:
        attributes.pop(name, None)
    else:
        attributes[name] = value
