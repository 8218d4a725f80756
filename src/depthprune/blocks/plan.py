"""What a removal changes in a model: the difference between its skeleton and the shorter one.

The shorter model is what `cut` would write. Skipping gives the blocks that stay every value that
this model has and the whole one has not: indices, counts, lists of layer types, scales by depth.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from depthprune.base.removal import Removal, active_blocks
from depthprune.blocks.comparing import ABSENT, Change
from depthprune.blocks.inferring import shorten

if TYPE_CHECKING:
    from depthprune.blocks.stack import Stack

__all__ = ["ABSENT", "Change", "Plan", "plan_removal"]


@dataclass(frozen=True)
class Plan:
    """How to run a model without some blocks.

    Attributes:
        kept: the blocks that stay, ascending.
        changes: what the modules that stay must be told.
        problem: why the shorter model cannot be made of the blocks that stay, or None.
        data: the configuration of the shorter model; empty where the model has none.
        constants: names of attributes that follow the place of a block, see `PlaceConstant`.
        fields: fields of the configuration that were shortened without a row in the table.
    """

    kept: tuple[int, ...]
    changes: tuple[Change, ...]
    problem: str | None
    data: dict[str, Any] = field(default_factory=dict, repr=False)
    constants: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


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
    found = shorten(stack, removal)
    problems = found.comparison.problems
    return Plan(
        kept,
        found.comparison.changes,
        problems[0] if problems else None,
        found.data,
        found.comparison.constants,
        found.fields,
    )
