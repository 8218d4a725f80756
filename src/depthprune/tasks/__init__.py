"""Datasets, prompts and metrics, and the embedded demo."""

from typing import TYPE_CHECKING

from depthprune.base.lazy import lazily

if TYPE_CHECKING:
    from depthprune.tasks.load import load_split
    from depthprune.tasks.registry import (
        find_task,
        find_tasks,
        get_task,
        list_tasks,
        load_task_file,
        place_task,
    )
    from depthprune.tasks.task import Sample, Task, TaskSplit, messages, render_prompt

__all__ = [
    "Sample",
    "Task",
    "TaskSplit",
    "find_task",
    "find_tasks",
    "get_task",
    "list_tasks",
    "load_split",
    "load_task_file",
    "messages",
    "place_task",
    "render_prompt",
]

__getattr__ = lazily(
    __name__,
    {
        "Sample": "depthprune.tasks.task",
        "Task": "depthprune.tasks.task",
        "TaskSplit": "depthprune.tasks.task",
        "find_task": "depthprune.tasks.registry",
        "find_tasks": "depthprune.tasks.registry",
        "get_task": "depthprune.tasks.registry",
        "list_tasks": "depthprune.tasks.registry",
        "load_split": "depthprune.tasks.load",
        "load_task_file": "depthprune.tasks.registry",
        "messages": "depthprune.tasks.task",
        "place_task": "depthprune.tasks.registry",
        "render_prompt": "depthprune.tasks.task",
    },
)
