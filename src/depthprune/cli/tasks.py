"""`depthprune tasks`: what can be measured."""

from __future__ import annotations

from pathlib import Path

from depthprune.base.language import set_language
from depthprune.base.terminal import terminal
from depthprune.cli.options import Language
from depthprune.report.listing import task_table
from depthprune.tasks.registry import list_tasks


def tasks(*, task_file: tuple[Path, ...] = (), lang: Language = "en") -> None:
    """List the tasks: built in, of the demo, and your own.

    For example:

        depthprune tasks --task-file my_tasks.yaml

    Parameters
    ----------
    task_file
        Your own tasks: YAML, or a Python file, which is executed.

    """
    set_language(lang)
    terminal(markup=False).print(task_table(list_tasks(task_file)))
