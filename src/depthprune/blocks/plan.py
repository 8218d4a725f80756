"""What a removal changes in a model: the difference between its skeleton and the shorter one.

The shorter model is what `cut` would write. Skipping gives the blocks that stay every value that
this model has and the whole one has not: indices, counts, lists of layer types, scales by depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.layer_fields import shorten_dict
from depthprune.blocks.skeleton import (
    ModuleFacts,
    Skeleton,
    build_skeleton,
    describe,
    rebuild_config,
)

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from depthprune.blocks.stack import Origin, Stack

ABSENT: Final = object()
"""The value of an attribute that is not there."""


@dataclass(frozen=True)
class Change:
    """An attribute that has another value in the shorter model.

    Attributes:
        module: path of the module in the whole model.
        configs: attributes that lead from the module to a configuration in it; empty when the
            attribute is the module's own.
        name: the attribute.
        after: its value in the shorter model, or ABSENT.
    """

    module: str
    configs: tuple[str, ...]
    name: str
    after: Any


@dataclass(frozen=True)
class Plan:
    """How to run a model without some blocks.

    Attributes:
        kept: the blocks that stay, ascending.
        changes: what the modules that stay must be told.
        problem: why the shorter model cannot be made of the blocks that stay, or None.
    """

    kept: tuple[int, ...]
    changes: tuple[Change, ...]
    problem: str | None


def plan_removal(stack: Stack, removal: Removal) -> Plan:
    """Return the plan for a removal; it is made once per stack and removal.

    Raises:
        RemovalError: a block does not exist, or no block would be left.
    """
    plan = stack.plans.get(removal)
    if plan is None:
        plan = stack.plans[removal] = _make_plan(stack, removal)
    return plan


def _make_plan(stack: Stack, removal: Removal) -> Plan:
    kept = active_blocks(removal, stack.num_blocks)
    if stack.origin is None:
        return Plan(kept, (), None)
    whole = _skeleton(stack, ())
    try:
        shorter = _skeleton(stack, removal)
    except Exception as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        return Plan(kept, (), f"the model without these blocks cannot be built: {first[0]}")
    places = {
        path: new_path for path in whole if (new_path := _new_path(path, stack, kept)) is not None
    }
    problem = _misfit(whole, shorter, places, stack)
    if problem:
        return Plan(kept, (), problem)
    return Plan(kept, tuple(_changes(whole, shorter, places)), None)


def _misfit(whole: Skeleton, shorter: Skeleton, places: dict[str, str], stack: Stack) -> str | None:
    """Say why the modules that stay, at their new places, are not the shorter model."""
    for path, new_path in places.items():
        if new_path not in shorter:
            return f"at its new place, {path} could not be: {_INEXPRESSIBLE}"
        problem = _structural_difference(path, whole[path], shorter[new_path], stack)
        if problem:
            return problem
    missing = shorter.keys() - places.values()
    if missing:
        return (
            f"the model without these blocks needs a {min(missing)}, which no block that stays "
            "can be"
        )
    return None


def _changes(whole: Skeleton, shorter: Skeleton, places: dict[str, str]) -> Iterator[Change]:
    """Yield every attribute that differs, of modules and of the configurations they hold."""
    compared: dict[tuple[int, int], list[Change]] = {}
    for path, new_path in places.items():
        facts, other = whole[path], shorter[new_path]
        yield from _value_changes(path, facts, other)
        for name in facts.configs.keys() & other.configs.keys():
            # Many modules hold the same configuration, which is compared once.
            pair = facts.configs[name], other.configs[name]
            key = id(pair[0]), id(pair[1])
            if key not in compared:
                compared[key] = list(_config_changes(*pair, configs=()))
            for change in compared[key]:
                yield Change(path, (name, *change.configs), change.name, change.after)


def _skeleton(stack: Stack, removal: Removal) -> Skeleton:
    """Describe the model without the blocks `removal`; the whole one is described once."""
    if not removal and "whole" in stack.memory:
        whole: Skeleton = stack.memory["whole"]
        return whole
    origin: Origin = stack.origin  # type: ignore[assignment]
    data = shorten_dict(origin.data, stack.config_path, removal)
    # Where blocks are all of one kind, removals of equal size leave the same configuration.
    last, skeleton = stack.memory.get("shorter", (None, None))
    if last == data:
        known: Skeleton = skeleton
        return known
    skeleton = describe(build_skeleton(origin.model_class, rebuild_config(origin.config, data)))
    if removal:
        stack.memory["shorter"] = data, skeleton
    else:
        stack.memory["whole"] = skeleton
    return skeleton


_INEXPRESSIBLE = "the configuration cannot express this pattern of blocks"


def _new_path(path: str, stack: Stack, kept: tuple[int, ...]) -> str | None:
    """Return where a module lies in the shorter model; None when its block is missing."""
    for container in stack.containers:
        match = re.match(rf"{re.escape(container)}\.(\d+)(?=\.|$)", path)
        if match:
            block = int(match[1])
            if block not in kept:
                return None
            return f"{container}.{kept.index(block)}{path[match.end() :]}"
    return path


def _structural_difference(
    path: str, whole: ModuleFacts, shorter: ModuleFacts, stack: Stack
) -> str | None:
    """Say how a module would be built differently in the shorter model, if it would."""
    place = path or "the model"
    if whole.kind != shorter.kind and not _both_pass_through(whole, shorter):
        return (
            f"at its new place, {place} would be a {shorter.kind} instead of a {whole.kind}: "
            + _INEXPRESSIBLE
        )
    sliced = {tensor.name for tensor in stack.tensors}
    for name in sorted(whole.tensors.keys() | shorter.tensors.keys()):
        before, after = whole.tensors.get(name), shorter.tensors.get(name)
        if before != after and f"{path}.{name}".lstrip(".") not in sliced:
            return (
                f"at its new place, {place}.{name} would have shape "
                f"{after[0] if after else 'none'} instead of {before[0] if before else 'none'}"
            )
    return None


def _both_pass_through(some: ModuleFacts, other: ModuleFacts) -> bool:
    """Return whether two modules do nothing outside training (stochastic depth, and none)."""
    return all(
        facts.kind == "Identity" or "DropPath" in facts.kind or "Dropout" in facts.kind
        for facts in (some, other)
    )


def _value_changes(path: str, whole: ModuleFacts, shorter: ModuleFacts) -> Iterator[Change]:
    for name in whole.values.keys() | shorter.values.keys():
        before = whole.values.get(name, ABSENT)
        after = shorter.values.get(name, ABSENT)
        if _differ(before, after):
            yield Change(path, (), name, after)


def _config_changes(
    whole: PreTrainedConfig, shorter: PreTrainedConfig, configs: tuple[str, ...]
) -> Iterator[Change]:
    from transformers import PreTrainedConfig

    before, after = vars(whole), vars(shorter)
    for name in before.keys() | after.keys():
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        if isinstance(old, PreTrainedConfig) and isinstance(new, PreTrainedConfig):
            yield from _config_changes(old, new, (*configs, name))
        elif _differ(old, new):
            yield Change("", configs, name, new)


def _differ(before: Any, after: Any) -> bool:
    try:
        return before is not after and bool(before != after)
    except Exception:  # values that cannot be compared (configurations in lists, arrays)
        return True
