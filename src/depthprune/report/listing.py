"""Tables of what there is: tasks, and the anatomy of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import RenderableType
from rich.table import Table

from depthprune.tasks.task import Task

if TYPE_CHECKING:
    from depthprune.blocks.inspect import Inspection


def task_table(tasks: Sequence[Task]) -> Table:
    """Return the tasks with type, metric and place of the data."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("task", no_wrap=True)
    table.add_column("task type")
    table.add_column("metric")
    table.add_column("data", overflow="fold")
    for task in tasks:
        name = task.name if task.enabled else f"{task.name} (off)"
        place = task.source.describe().replace("Hugging Face hub, ", "hub: ")
        table.add_row(name, task.task_type, task.metric, place)
    return table


def inspection_parts(found: Inspection) -> list[RenderableType]:
    """Return what `inspect` shows of a model: facts, per-layer fields, blocks that can go."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column()
    facts.add_column(overflow="fold")
    stack = found.stack
    per_block = found.parameters_per_block
    facts.add_row("model", f"{found.name} ({found.architecture}, {found.kind})")
    facts.add_row("stack", f"{stack.path}: {stack.num_blocks} blocks, {stack.part}")
    facts.add_row("counted by", stack.config_path or "nothing in the configuration")
    facts.add_row("parameters", f"{found.parameters:,}")
    facts.add_row("  blocks", f"{sum(per_block):,} ({_each(per_block)})")
    facts.add_row("  embeddings", f"{found.embedding_parameters:,}")
    if found.vision_parameters:
        facts.add_row("  vision", f"{found.vision_parameters:,}")
    for other in found.other_stacks:
        facts.add_row(
            "other stack", f"{other.path}: {other.num_blocks} blocks (--stack {other.part})"
        )
    for field in found.layer_fields:
        counts = ", ".join(f"{number} x {kind}" for kind, number in field.counts.items())
        facts.add_row("per block", f"{field.name}: {counts or field.value}")
    facts.add_row("can be skipped", _blocks_that_can_go(found, allowed=found.can_skip))
    facts.add_row("can be cut", _blocks_that_can_go(found, allowed=found.can_cut))
    refused = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    refused.add_column("block", justify="right")
    refused.add_column("cannot go alone, because", overflow="fold")
    for block, reason in enumerate(found.reasons):
        if reason is not None:
            refused.add_row(str(block), reason)
    return [facts, refused] if refused.row_count else [facts]


def _each(parameters: Sequence[int]) -> str:
    smallest, largest = min(parameters), max(parameters)
    return f"{smallest:,} each" if smallest == largest else f"{smallest:,} to {largest:,} each"


def _blocks_that_can_go(found: Inspection, *, allowed: bool) -> str:
    if not allowed:
        return "none"
    if len(found.admissible_blocks) == found.num_blocks:
        return f"every block, 0 to {found.num_blocks - 1}"
    return ", ".join(map(str, found.admissible_blocks))
