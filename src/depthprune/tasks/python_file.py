"""Tasks and sources written in Python: files that the user names, which are executed."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import cast

from depthprune.base.errors import TaskError
from depthprune.base.registry import execute
from depthprune.tasks.task import Source, Task


def tasks_of_python_file(path: Path) -> list[Task]:
    """Execute a Python file and return the `Task` objects at its top level, in order.

    Raises:
        TaskError: the file fails or leaves the program when it is executed.
    """
    return [value for value in vars(execute(path, TaskError)).values() if isinstance(value, Task)]


def object_of_python_file(path: Path, name: str) -> Source:
    """Execute a Python file and return its source `name`; a class is instantiated.

    Raises:
        TaskError: the file fails, has no such object, or the object is no source (it lacks
            `splits`, `samples` or `describe`).
    """
    module = execute(path, TaskError)
    if not name or not hasattr(module, name):
        raise TaskError(
            f"the file has no object {name!r}" if name else "the object in the file is not named",
            where=str(path),
            mend="write `module: my_data.py:MyData`",
        )
    found = getattr(module, name)
    if isinstance(found, type):
        try:
            with redirect_stdout(sys.stderr):
                found = found()
        except (Exception, SystemExit) as error:
            raise TaskError(f"{name}() failed: {error}", where=str(path)) from error
    lacking = [
        m for m in ("splits", "samples", "describe") if not callable(getattr(found, m, None))
    ]
    if lacking:
        raise TaskError(
            f"{name} is not a source of samples: it lacks {', '.join(lacking)}", where=str(path)
        )
    return cast(Source, found)
