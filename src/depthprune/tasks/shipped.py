"""The tasks that come with depthprune, as their files say; fast to read."""

from __future__ import annotations

from importlib.resources import files as package_files

import yaml

SHIPPED = ("builtin.yaml", "demo.yaml")


def shipped_task_types() -> dict[str, str]:
    """Return the task type of every shipped task by its name; nothing is checked."""
    folder = package_files("depthprune.tasks")
    types: dict[str, str] = {}
    for shipped in SHIPPED:
        entries = yaml.safe_load(folder.joinpath(shipped).read_text(encoding="utf-8"))
        types |= {name: str(entry["task_type"]) for name, entry in entries.items()}
    return types
