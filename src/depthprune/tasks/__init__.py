"""Datasets, prompts and metrics, and the embedded demo."""

from depthprune.tasks.load import load_split
from depthprune.tasks.prompt import messages, render_prompt
from depthprune.tasks.registry import (
    find_task,
    find_tasks,
    get_task,
    list_tasks,
    load_task_file,
    place_task,
)
from depthprune.tasks.task import Sample, Task, TaskSplit

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
