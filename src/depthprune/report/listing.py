"""Tables of what there is: tasks, and the anatomy of a model."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from depthprune.tasks.task import Task


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
