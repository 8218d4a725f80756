"""Tables of what there is: tasks, and the anatomy of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from depthprune.base.language import filled, t
from depthprune.report.table import Column, Section, Table, table_of
from depthprune.tasks.task import Task

if TYPE_CHECKING:
    from depthprune.blocks.inspect import Inspection


def task_table(tasks: Sequence[Task]) -> Table:
    """Return the tasks with type, metric and place of the data."""
    off = t("{task} (off)")
    return table_of(
        tasks,
        [
            (Column(t("task")), lambda one: one.name if one.enabled else off.format(task=one.name)),
            (Column(t("task type")), lambda one: one.task_type),
            (Column(t("metric")), lambda one: one.metric),
            (
                Column(t("data")),
                lambda one: one.source.describe().replace("Hugging Face hub, ", "hub: "),
            ),
        ],
    )


def inspection_section(found: Inspection) -> Section:
    """Return what `inspect` shows of a model: facts, per-layer fields, blocks that can go."""
    stack, per_block = found.stack, found.parameters_per_block
    blocks = t("{path}: {number} {number:block|blocks}")
    size = filled(blocks, path=stack.path, number=stack.num_blocks)
    facts = [
        [t("model"), f"{found.name} ({found.architecture}, {found.kind})"],
        [t("stack"), f"{size}, {stack.part}"],
        [t("counted by"), stack.config_path or t("nothing in the configuration")],
        [t("parameters"), f"{found.parameters:,}"],
        [t("  blocks"), f"{sum(per_block):,} ({_each(per_block)})"],
        [t("  embeddings"), f"{found.embedding_parameters:,}"],
    ]
    if found.vision_parameters:
        facts.append([t("  vision"), f"{found.vision_parameters:,}"])
    for other in found.other_stacks:
        size = filled(blocks, path=other.path, number=other.num_blocks)
        facts.append([t("other stack"), f"{size} (--stack {other.part})"])
    for field in found.layer_fields:
        counts = ", ".join(f"{number} x {kind}" for kind, number in field.counts.items())
        facts.append([t("per block"), f"{field.name}: {counts or field.value}"])
    facts.append([t("can be skipped"), _blocks_that_can_go(found, allowed=found.can_skip)])
    facts.append([t("can be cut"), _blocks_that_can_go(found, allowed=found.can_cut)])
    tables = [Table([Column(""), Column("")], facts, is_spaced=True)]
    refused = Table(
        [Column(t("block"), "count"), Column(t("cannot go alone, because"))],
        [[block, reason] for block, reason in enumerate(found.reasons) if reason is not None],
        is_spaced=True,
    )
    return Section("model", "", tables=[*tables, *([refused] if refused.rows else [])])


def _each(parameters: Sequence[int]) -> str:
    smallest, largest = min(parameters), max(parameters)
    if smallest == largest:
        return t("{smallest:,} each").format(smallest=smallest)
    return t("{smallest:,} to {largest:,} each").format(smallest=smallest, largest=largest)


def _blocks_that_can_go(found: Inspection, *, allowed: bool) -> str:
    if not allowed:
        return t("none")
    if len(found.admissible_blocks) == found.num_blocks:
        return t("every block, 0 to {last}").format(last=found.num_blocks - 1)
    return ", ".join(map(str, found.admissible_blocks))
