"""Find a task by name: built in, of the embedded demo, or in a user's file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace
from importlib.resources import files as package_files
from pathlib import Path

from depthprune.base.errors import Problems, TaskError, option
from depthprune.base.log import logger
from depthprune.tasks.builtin import SHIPPED
from depthprune.tasks.definition import check_task_name, read_definitions, tasks_of_python_file
from depthprune.tasks.demo import DEMO
from depthprune.tasks.lm_eval.catalogue import OURS, PREFIX, harness_task, harness_tasks
from depthprune.tasks.lm_eval.source import LmEvalSource
from depthprune.tasks.sources import HubSource, LocalSource
from depthprune.tasks.task import Task


def get_task(
    name: str,
    data_dir: Path | str | None = None,
    files: Iterable[Path | str] = (),
    *,
    download: bool = False,
    lm_eval_path: Iterable[Path | str] = (),
    follow_links: bool = False,
) -> Task:
    """Return the task of this name; hyphens and underscores are the same.

    Args:
        name: e.g. `demo_okvqa`, `coco-2014-vqa` or `lm_eval:arc_easy`.
        data_dir: a folder with local copies of the data of hub tasks: `DIR/{task}/{split}.jsonl`,
            `.json`, `.parquet` or a folder; see docs/tasks.md.
        files: task files of the user (YAML, or Python, which is executed).
        download: whether data may be fetched from the Hugging Face hub; otherwise only what is
            in its cache is used.
        lm_eval_path: folders with definitions of the lm-evaluation-harness; Python functions that
            they name are executed.
        follow_links: whether pictures may lie behind symbolic links that leave the data folder.

    Raises:
        TaskError: there is no such task, its file is malformed, or `data_dir` lacks its data.
    """
    task = find_task(name, list_tasks(files), lm_eval_path)
    return place_task(task, data_dir, download=download, follow_links=follow_links)


def named_tasks(
    names: Iterable[str],
    files: Iterable[Path | str] = (),
    lm_eval_path: Iterable[Path | str] = (),
) -> list[Task]:
    """Return the tasks of these names, each once; `demo` and `all` are groups.

    Args:
        names: e.g. `okvqa`; `demo` is the eight embedded tasks, `all` every built-in one.
        files: task files of the user.
        lm_eval_path: folders with definitions of the lm-evaluation-harness.

    Raises:
        DepthpruneError: there is no such task, or a package is missing; all of it is told at once.
    """
    known, paths = list_tasks(files), list(lm_eval_path)
    groups = {
        DEMO: [task.name for task in known if task.name.startswith("demo_")],
        "all": [t.name for t in known if t.enabled and not t.name.startswith("demo_")],
    }
    found: dict[str, Task] = {}
    problems = Problems()
    for name in (name for given in names for name in groups.get(given, [given])):
        with problems.noted():
            found |= {task.name: task for task in find_tasks(name, known, paths)}
    problems.check()
    return list(found.values())


def find_tasks(
    name: str, known: Iterable[Task], lm_eval_path: Iterable[Path | str] = ()
) -> list[Task]:
    """Return the tasks of this name: one, or all of a group of the lm-evaluation-harness.

    Raises:
        TaskError: there is none; names those that are called alike.
        ModuleNotFoundError: the harness is asked for and not installed.
    """
    inner = _harness_name(name)
    if inner is not None:
        return harness_tasks(inner, [Path(path) for path in lm_eval_path])
    return [find_task(name, known)]


def find_task(name: str, known: Iterable[Task], lm_eval_path: Iterable[Path | str] = ()) -> Task:
    """Return the task of this name; case does not matter, hyphens and underscores are the same.

    Raises:
        TaskError: there is none (names those that are called alike), or it is a group of the
            lm-evaluation-harness with several tasks: see `find_tasks`.
        ModuleNotFoundError: the harness is asked for and not installed.
    """
    inner = _harness_name(name)
    if inner is not None:
        return harness_task(inner, paths=[Path(path) for path in lm_eval_path])
    wanted = name.strip().replace("-", "_")
    tasks = {task.name: task for task in known}
    folded = {known_name.casefold(): known_name for known_name in tasks}
    found = wanted if wanted in tasks else folded.get(wanted.casefold())
    if found is None:
        matches = difflib.get_close_matches(wanted.casefold(), folded, n=3)
        close = " or ".join(folded[match] for match in matches)
        if wanted.startswith(OURS):
            close = PREFIX + wanted.removeprefix(OURS)
        hint = f"did you mean {close}? " if close else ""
        raise TaskError(
            f"there is no task {name!r}",
            mend=f"{hint}known tasks: {', '.join(tasks)}; "
            f"your own come with {option('task_files')}, "
            "those of the lm-evaluation-harness as lm_eval:NAME",
        )
    return tasks[found]


def place_task(
    task: Task,
    data_dir: Path | str | None = None,
    *,
    download: bool = False,
    follow_links: bool = False,
) -> Task:
    """Return a task whose data are looked for in `data_dir`, or on the hub.

    Args:
        task: as it was read; one whose data are neither of the hub nor of the
            lm-evaluation-harness is returned as it is.
        data_dir: see `get_task`.
        download: see `get_task`.
        follow_links: see `get_task`.

    Raises:
        TaskError: there is no such folder.
    """
    if data_dir is not None and not Path(data_dir).is_dir():
        raise TaskError("there is no such data folder", where=str(data_dir))
    if not isinstance(task.source, HubSource):
        if data_dir is not None:
            logger.warning("%s has data of its own and does not use %s", task.name, data_dir)
        if isinstance(task.source, LmEvalSource):
            return replace(task, source=replace(task.source, download=download))
        if isinstance(task.source, LocalSource) and follow_links:
            return replace(task, source=replace(task.source, follow_links=True))
        return task
    if data_dir is not None:
        copy = replace(_local_copy(task, task.source, Path(data_dir)), follow_links=follow_links)
        return replace(task, source=copy)
    return replace(task, source=replace(task.source, download=download))


def list_tasks(files: Iterable[Path | str] = ()) -> list[Task]:
    """Return every task that is known: built in, of the demo, and in the user's files.

    Every file is read, or executed, once.

    Raises:
        TaskError: a file is malformed.
    """
    tasks: dict[str, Task] = {}
    for shipped in SHIPPED:
        text = package_files("depthprune.tasks").joinpath(shipped)
        tasks |= {task.name: task for task in read_definitions(Path(str(text)))}
    for path in files:
        for task in load_task_file(path):
            if task.name in tasks:
                logger.warning("%s replaces the task %s that was known before", path, task.name)
            tasks[task.name] = task
    return list(tasks.values())


def load_task_file(path: Path | str) -> list[Task]:
    """Read the tasks of a user's file.

    A YAML file holds one entry per task. A Python file is **executed**, and the `Task` objects at
    its top level are taken; so is a Python file that a YAML entry names as its `module`, which must
    lie in the folder of the YAML file. Only name files that you trust.

    Raises:
        TaskError: the file is missing, malformed (names line and field), or holds no task.
    """
    path = Path(path)
    if not path.is_file():
        raise TaskError("there is no such task file", where=str(path))
    tasks = tasks_of_python_file(path) if path.suffix == ".py" else read_definitions(path)
    if not tasks:
        raise TaskError("the file holds no task", where=str(path))
    for task in tasks:
        check_task_name(task.name, str(path))
    return tasks


def _harness_name(name: str) -> str | None:
    """Return what follows `lm_eval:` in a name, None where that is not its beginning."""
    prefix, colon, inner = name.strip().partition(":")
    is_harness = prefix.casefold().replace("-", "_") + colon == PREFIX
    return inner if is_harness else None


def _local_copy(task: Task, source: HubSource, data_dir: Path) -> LocalSource:
    """Return the folder of a task's data; where there is none, reading it says so."""
    folders = [data_dir / name for name in (task.folder, task.name)]
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    return LocalSource(folder, source.fields, or_plain=True)
