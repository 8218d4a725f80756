"""Task definitions as data: one YAML entry per task, checked field by field."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from depthprune.base.errors import TaskError
from depthprune.tasks.python_file import object_of_python_file
from depthprune.tasks.sources.demo import DemoSource
from depthprune.tasks.sources.fields import Fields
from depthprune.tasks.sources.hub import HubSource
from depthprune.tasks.sources.images import inside
from depthprune.tasks.sources.local import LocalSource
from depthprune.tasks.task import AnswerMode, Source, Task, TaskType


class FieldNames(BaseModel):
    """Which columns of the data hold what; see `Fields`."""

    model_config = ConfigDict(extra="forbid")

    question: str | list[str] = Field(default_factory=list)
    answers: str = ""
    choices: str = ""
    image: str | list[str] = Field(default_factory=list)
    records: str = ""

    def to_fields(self) -> Fields:
        """Return these names in the form that the sources use."""
        return Fields(
            question=_names(self.question),
            answers=self.answers,
            choices=self.choices,
            images=_names(self.image),
            records=self.records,
        )


class Definition(BaseModel):
    """One entry of a task file; exactly one of `hub`, `path`, `module` and `demo` is given."""

    model_config = ConfigDict(extra="forbid")

    task_type: TaskType
    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    path: str | dict[str, str] | None = None
    module: str | None = None
    demo: str | None = None
    fields: FieldNames | None = None
    prompt: str = "{question}"
    metric: str = "exact_match"
    metric_options: dict[str, Any] = Field(default_factory=dict)
    answer: AnswerMode = "generate"
    max_new_tokens: int = Field(default=16, ge=1)
    choice_format: str = "{letter}. {text}"
    choice_separator: str = "\n"
    train_split: str = "train"
    validation_split: str = "validation"
    enabled: bool = True
    note: str = ""

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        given = [key for key in ("hub", "path", "module", "demo") if getattr(self, key)]
        if len(given) != 1:
            raise ValueError("give exactly one of hub, path and module: where the data come from")
        return self

    def to_task(self, name: str, folder: Path) -> Task:
        """Return the task; paths are relative to `folder`, where the task file lies.

        Raises:
            TaskError: a path leaves the folder, or the Python object is missing.
        """
        settings = self.model_dump(include=TASK_SETTINGS)
        return Task(name=name, source=self._source(folder), **settings)

    def _source(self, folder: Path) -> Source:
        fields = self.fields.to_fields() if self.fields else None
        if self.demo:
            return DemoSource(self.demo)
        if self.hub:
            local = folder / self.hub
            name = str(local) if local.is_dir() else self.hub
            return HubSource(name, self.config, self.revision, fields)
        if self.module:
            file, _, attribute = self.module.partition(":")
            return object_of_python_file(inside(folder, file), attribute)
        if isinstance(self.path, dict):
            return LocalSource({split: folder / path for split, path in self.path.items()}, fields)
        return LocalSource(folder / str(self.path), fields)


RESERVED = ("all", "demo")
"""What `--task` understands as several tasks."""

TASK_SETTINGS = {
    "task_type", "prompt", "metric", "metric_options", "answer", "max_new_tokens",
    "choice_format", "choice_separator", "train_split", "validation_split", "enabled", "note",
}  # fmt: skip


DEPTH = 3
"""Keys are checked this deep: tasks, their fields, and the mappings within those."""
_TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def read_definitions(path: Path) -> list[Task]:
    """Read the tasks of a YAML file: a mapping from task name to definition.

    Raises:
        TaskError: the file is not such a mapping, or a name stands in it twice; names the line, and
            for a field that does not exist the fields that do.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"cannot read the task file: {error}", where=str(path)) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise TaskError(f"not a YAML file: {problem}", where=f"{path}{line}") from error
    except Exception as error:
        # What PyYAML's constructors meet, such as the date 2024-13-45, comes as Python's own error.
        raise TaskError(f"not a YAML file: {error}", where=str(path)) from error
    _check_keys(path, node, DEPTH)
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise TaskError(
            "a task file maps names of tasks to their definitions",
            where=str(path),
            mend="write `my_task:` and below it, indented, `task_type:`, `path:`, ...",
        )
    return [_to_task(path, node, str(name), entry) for name, entry in entries.items()]


def check_task_name(name: object, where: str) -> None:
    """Raise TaskError when a task cannot be asked for by this name."""
    if not isinstance(name, str) or not name.isidentifier():
        raise TaskError(
            f"{name!r} cannot be the name of a task",
            where=where,
            mend="use letters, digits and underscores",
        )
    if name in RESERVED:
        raise TaskError(
            f"a task cannot be named {name!r}: that stands for several tasks",
            where=where,
            mend="choose another name",
        )


def _check_keys(path: Path, node: yaml.Node | None, depth: int) -> None:
    """Refuse keys that are no text or stand twice, of which YAML keeps the last in silence."""
    if depth == 0 or not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.tag not in _TEXT_TAGS:
            raise TaskError(
                f"the key {getattr(key, 'value', key.tag)} is no text",
                where=f"{path}, line {line}",
                mend="write it in quotes",
            )
        # Names of tasks are the same with hyphens and underscores.
        name = key.value.replace("-", "_") if depth == DEPTH else key.value
        if name in seen:
            raise TaskError(
                f"{key.value!r} is defined twice",
                where=f"{path}, lines {seen[name]} and {line}",
                mend="rename or delete one of them",
            )
        seen[name] = line
        _check_keys(path, value, depth - 1)


def _to_task(path: Path, node: yaml.Node | None, name: str, entry: dict[str, Any]) -> Task:
    task_name = name.replace("-", "_")
    check_task_name(task_name, f"{path}, line {_line_of(node, (name,))}")
    try:
        definition = Definition.model_validate(entry)
    except ValidationError as error:
        raise _explain(path, node, name, error) from error
    return definition.to_task(task_name, path.parent)


def _explain(path: Path, node: yaml.Node | None, name: str, error: ValidationError) -> TaskError:
    first = error.errors()[0]
    location = (name, *(str(part) for part in first["loc"]))
    field = ".".join(str(part) for part in first["loc"])
    where = f"{path}, line {_line_of(node, location)}, task {name}"
    if first["type"] == "extra_forbidden":
        known = list(FieldNames.model_fields if len(location) > 2 else Definition.model_fields)
        close = difflib.get_close_matches(location[-1], known, n=2)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        return TaskError(
            f"a task has no field {field!r}", where=where, mend=f"{hint}fields: {', '.join(known)}"
        )
    reason = first["msg"].removeprefix("Value error, ")
    what = f"the field {field!r}: {reason}" if field else reason
    return TaskError(what, where=where)


def _line_of(node: yaml.Node | None, location: Sequence[str]) -> int:
    """Return the line of the key that `location` leads to, as far as it exists."""
    line = 1
    for part in location:
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if str(key.value) == part:
                line, node = key.start_mark.line + 1, value
                break
        else:
            break
    return line


def _names(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
