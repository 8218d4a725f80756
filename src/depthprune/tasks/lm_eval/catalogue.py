"""Find tasks of the lm-evaluation-harness by name; a group or tag stands for its members."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from depthprune.base.errors import TaskError, option
from depthprune.tasks.lm_eval.source import LmEvalSource, guarded
from depthprune.tasks.task import Task, TaskType

PREFIX = "lm_eval:"
"""What a name begins with that is one of the harness's."""

OURS = "lm_eval_"
"""What our name of such a task begins with, in studies, files and tables."""

AUTO = "auto"
"""The metric's name when the task's own first one is meant."""

TYPES: Mapping[str, TaskType] = {
    "multiple_choice": "Multiple Choice",
    "loglikelihood": "Language Modeling",
    "loglikelihood_rolling": "Language Modeling",
    "generate_until": "Exact Match",
}
"""Task types by the harness's output types."""


@dataclass(frozen=True)
class Member:
    """A task of the harness, with what the group that names it changes about its definition."""

    name: str
    entry: Any
    overrides: Mapping[str, Any] = field(default_factory=dict)


def harness_tasks(name: str, paths: Sequence[Path] = ()) -> list[Task]:
    """Return the tasks that a name of the harness stands for: one, or the members of a group.

    Their data are loaded when they are asked for.

    Args:
        name: e.g. `arc_easy` or `mmlu`, without the prefix; case, and hyphens for underscores, do
            not matter where only one name can be meant.
        paths: folders with more definitions (the harness's `--include_path`), which win over its
            own. Python functions that they name are executed: only name folders that you trust.

    Raises:
        TaskError: there is no such name (close ones are told), or no such folder.
        ModuleNotFoundError: the harness is not installed.
    """
    index = _shipped_index() | _own_index([_folder(path) for path in paths])
    with guarded(download=False):
        members = list(_members(index, _known_name(index, name, paths), {}, ()))
    if not members:
        raise TaskError(f"the lm-eval group {name!r} has no tasks")
    return [_to_task(member) for member in members]


def harness_task(
    name: str,
    *,
    task_name: str | None = None,
    paths: Sequence[Path] = (),
    num_fewshot: int | None = None,
    metric: str = AUTO,
    max_new_tokens: int | None = None,
) -> Task:
    """Return one task of the harness, with options of its own.

    Args:
        name: see `harness_tasks`.
        task_name: what it is called here; `lm_eval_{name}` when not given.
        paths: see `harness_tasks`.
        num_fewshot: examples in front of every document; as the definition says when None. As in
            the harness, a definition that fixes none keeps none.
        metric: which one scores a document, e.g. `acc_norm` or `exact_match,flexible-extract` (with
            the harness's filter); `auto` takes the first one that is a mean.
        max_new_tokens: the longest text that is generated, in place of the definition's.

    Raises:
        TaskError: see `harness_tasks`, or the name stands for several tasks.
        ModuleNotFoundError: the harness is not installed.
    """
    tasks = harness_tasks(name, paths)
    if len(tasks) != 1:
        names = ", ".join(task.name.removeprefix(OURS) for task in tasks[:5])
        raise TaskError(
            f"{name} stands for {len(tasks)} lm-eval tasks, not for one",
            mend=f"name one of them: {names}{', ...' if len(tasks) > 5 else ''}",
        )
    (task,) = tasks
    source = task.source
    assert isinstance(source, LmEvalSource)
    source = replace(source, num_fewshot=num_fewshot, metric=metric, max_new_tokens=max_new_tokens)
    return replace(task, name=task_name or task.name, metric=metric, source=source)


def task_name_of(name: str) -> str:
    """Return our name of a task of the harness."""
    return OURS + re.sub(r"\W", "_", name, flags=re.ASCII)


@functools.cache
def _shipped_index() -> dict[str, Any]:
    """Return every name of the harness: some seconds for 15,000 definitions, so once only."""
    with guarded(download=False):
        from lm_eval.tasks import TaskManager

        return dict(TaskManager().task_index)


def _own_index(paths: Sequence[Path]) -> dict[str, Any]:
    from lm_eval.tasks._index import TaskIndex

    with guarded(download=False):
        return dict(TaskIndex.build(paths))


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise TaskError(
            "there is no such folder with lm-eval tasks",
            where=str(path),
            mend="give the folder that holds their .yaml files",
        )
    return path.resolve()


def _known_name(index: Mapping[str, Any], name: str, paths: Sequence[Path]) -> str:
    wanted = name.strip()
    if wanted in index:
        return wanted
    alike = [known for known in index if _folded(known) == _folded(wanted)]
    if len(alike) == 1:
        return alike[0]
    close = alike or difflib.get_close_matches(wanted, list(index), n=3)
    hint = f"did you mean {' or '.join(PREFIX + match for match in close)}? " if close else ""
    broken = _broken_file(paths)
    note = f"; {broken} cannot be read" if broken else ""
    raise TaskError(
        f"the lm-evaluation-harness has no task {name!r}{note}",
        mend=f"{hint}`lm-eval ls tasks` lists them; your own come with {option('lm_eval_paths')}",
    )


def _folded(name: str) -> str:
    return name.casefold().replace("-", "_")


def _broken_file(paths: Sequence[Path]) -> str:
    """Return the first definition that cannot be read: the harness leaves it out in silence."""
    from lm_eval.tasks._yaml_loader import load_yaml

    for file in (file for path in paths for file in sorted(path.rglob("*.yaml"))):
        try:
            load_yaml(file, resolve_func=False)
        except Exception as error:  # PyYAML's constructors may raise anything.
            return f"{file} ({' '.join(str(error).split())[:200]})"
    return ""


def _members(
    index: Mapping[str, Any], name: str, overrides: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[Member]:
    """Yield the tasks below a name, as the harness's `TaskFactory` would build them."""
    entry = index[name]
    if name in above:
        raise TaskError(f"the lm-eval group {name!r} holds itself", where=str(entry.yaml_path))
    above = (*above, name)
    if entry.kind.name == "TAG":
        for member in sorted(entry.tags):
            if member in index:
                yield from _members(index, member, overrides, above)
    elif entry.kind.name == "GROUP":
        yield from _group_members(index, name, _resolved(entry), overrides, above)
    else:
        yield Member(name, entry, overrides)


def _group_members(
    index: Mapping[str, Any],
    group: str,
    config: Mapping[str, Any],
    overrides: Mapping[str, Any],
    above: tuple[str, ...],
) -> Iterator[Member]:
    from lm_eval.tasks._factory import GROUP_FIELD_NAMES
    from lm_eval.tasks._index import Entry, Kind

    # What a group's file says beside the group itself holds for all its members.
    shared = {key: value for key, value in config.items() if key not in GROUP_FIELD_NAMES}
    shared |= overrides
    listed = config.get("task")
    for item in listed if isinstance(listed, list) else []:
        own = {"task": item} if isinstance(item, str) else item
        if not isinstance(own, dict) or not own.keys() & {"task", "group"}:
            raise TaskError(
                f"the lm-eval group {group!r} has a member without a name: {item!r:.80}",
                mend="choose its tasks by name",
            )
        inner = own.get("group")
        if inner is not None and inner in index:
            changes = {key: value for key, value in own.items() if key != "group"}
            yield from _members(index, inner, shared | changes, above)
        elif inner is not None:
            yield from _group_members(index, f"{group}::{inner}", own, shared, above)
        elif own["task"] in index:
            changes = {key: value for key, value in own.items() if key != "task"}
            yield from _members(index, own["task"], shared | changes, above)
        else:
            name = f"{group}::{own['task']}"
            entry = Entry(name, Kind.TASK, None, {**shared, **own, "task": name})
            yield Member(name, entry)


def _resolved(entry: Any) -> Mapping[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    return load_yaml(entry.yaml_path) if entry.yaml_path else dict(entry.cfg)


def _to_task(member: Member) -> Task:
    config = {**(member.entry.cfg or {}), **member.overrides}
    return Task(
        name=task_name_of(member.name),
        task_type=TYPES.get(str(config.get("output_type")), "Exact Match"),
        source=LmEvalSource(member.name, member.entry, member.overrides),
        metric=AUTO,
        answer="respond",
        enabled=False,
    )
