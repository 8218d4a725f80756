"""The tasks that come with depthprune: their files, and the prompts of other programs for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files as package_files

import yaml

from depthprune.base.log import logger
from depthprune.tasks.fields import Fields
from depthprune.tasks.options import Prompts
from depthprune.tasks.sources import HubSource
from depthprune.tasks.task import Task

SHIPPED = ("builtin.yaml", "demo.yaml")


def shipped_task_types() -> dict[str, str]:
    """Return the task type of every shipped task by its name; nothing is checked."""
    folder = package_files("depthprune.tasks")
    types: dict[str, str] = {}
    for shipped in SHIPPED:
        entries = yaml.safe_load(folder.joinpath(shipped).read_text(encoding="utf-8"))
        types |= {name: str(entry["task_type"]) for name, entry in entries.items()}
    return types


def asked_as(tasks: Iterable[Task], prompts: Prompts) -> list[Task]:
    """Return tasks with the prompts of another program; a warning names those that it lacks."""
    tasks = list(tasks)
    if prompts == "own":
        return tasks
    text = package_files("depthprune.tasks").joinpath("lmms_eval.yaml").read_text("utf-8")
    known = yaml.safe_load(text)
    # A task of the user that bears the name of a built-in one has a source of its own.
    lacking = [one.name for one in tasks if one.name not in known or not _is_of_the_hub(one)]
    if lacking:
        logger.warning(
            "no prompts of %s are known for %s: asked as defined", prompts, ", ".join(lacking)
        )
    return [one if one.name in lacking else _changed(one, **known[one.name]) for one in tasks]


def _is_of_the_hub(task: Task) -> bool:
    return isinstance(task.source, HubSource)


def _changed(task: Task, question: Iterable[str] = (), **settings: str | int) -> Task:
    source = task.source
    if question and isinstance(source, HubSource):
        fields = replace(source.fields or Fields(), question=tuple(question))
        settings |= {"source": replace(source, fields=fields)}  # type: ignore[dict-item]
    return replace(task, **settings)  # type: ignore[arg-type]  # the file's keys are fields
