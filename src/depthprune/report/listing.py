"""Tables of what there is: tasks, and the anatomy of a model."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from depthprune.tasks.task import Task


def task_table(tasks: Sequence[Task]) -> Table:
    """Return the tasks with type, metric and place of the data."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("task", "task type", "metric", "default", "data"):
        table.add_column(heading)
    for task in tasks:
        default = "yes" if task.enabled else "no"
        table.add_row(task.name, task.task_type, task.metric, default, task.source.describe())
    return table
