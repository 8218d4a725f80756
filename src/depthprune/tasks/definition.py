"""Task definitions as data (one YAML entry per task, checked field by field) or as Python files."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from depthprune.base.errors import TaskError
from depthprune.base.registry import execute, is_own, own_object
from depthprune.base.yaml_file import YamlFile, read_yaml
from depthprune.tasks.demo import DemoSource
from depthprune.tasks.fields import Fields
from depthprune.tasks.images import inside
from depthprune.tasks.lm_eval.catalogue import AUTO, PREFIX, harness_task
from depthprune.tasks.sources import HubSource, LocalSource
from depthprune.tasks.task import Source, Task, TaskType


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
    found = own_object(f"{path}:{name}", TaskError)
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


def _default(one: dataclasses.Field[Any]) -> Any:
    if one.default_factory is not dataclasses.MISSING:
        return Field(default_factory=one.default_factory)
    return ... if one.default is dataclasses.MISSING else one.default


class FieldNames(BaseModel):
    """Which columns of the data hold what; see `Fields`."""

    model_config = ConfigDict(extra="forbid")

    question: str | list[str] = Field(default_factory=list)
    answers: str = ""
    choices: str | list[str] = ""
    image: str | list[str] | None = None
    records: str = ""

    def to_fields(self) -> Fields:
        """Return these names in the form that the sources use."""
        return Fields(
            question=_names(self.question),
            answers=self.answers,
            choices=self.choices if isinstance(self.choices, str) else tuple(self.choices),
            images=_names(self.image or []),
            records=self.records,
            has_images=self.image is None or bool(self.image),
        )


class TaskEntry(BaseModel):
    """One entry of a task file; exactly one of `hub`, `path`, `module` and `demo` is given.

    The other fields are those of `Task`, see `Definition`.
    """

    model_config = ConfigDict(extra="forbid")

    hub: str | None = None
    config: str | None = None
    revision: str | None = None
    path: str | dict[str, str] | None = None
    module: str | None = None
    demo: str | None = None
    fields: FieldNames | None = None

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
        settings = self.model_dump(include=set(SETTINGS))
        if is_own(settings["metric"]):
            file, _, attribute = settings["metric"].rpartition(":")
            settings["metric"] = f"{inside(folder, file)}:{attribute}"
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


SETTINGS = {one.name: one for one in dataclasses.fields(Task) if one.name not in ("name", "source")}
"""The fields of a task that an entry may state."""

_TYPES = get_type_hints(Task, include_extras=True)
_DEFINED: dict[str, Any] = {name: (_TYPES[name], _default(one)) for name, one in SETTINGS.items()}

Definition: type[TaskEntry] = create_model(
    "Definition",
    __base__=TaskEntry,
    **_DEFINED,
)
"""An entry of a task file with all its fields."""


class LmEvalDefinition(BaseModel):
    """One entry of a task file that is a task of the lm-evaluation-harness, with options."""

    model_config = ConfigDict(extra="forbid")

    lm_eval: str
    lm_eval_path: str | None = None
    num_fewshot: int | None = Field(default=None, ge=0)
    metric: str = AUTO
    max_new_tokens: int | None = Field(default=None, ge=1)
    task_type: TaskType | None = None
    enabled: bool = True
    note: str = ""

    def to_task(self, name: str, folder: Path) -> Task:
        """Return the task; `lm_eval_path` is relative to `folder`, where the task file lies.

        Raises:
            TaskError: the harness has no such task, or several; or the path leaves the folder.
            ModuleNotFoundError: the harness is not installed.
        """
        task = harness_task(
            self.lm_eval.removeprefix(PREFIX),
            task_name=name,
            paths=[inside(folder, self.lm_eval_path)] if self.lm_eval_path else [],
            num_fewshot=self.num_fewshot,
            metric=self.metric,
            max_new_tokens=self.max_new_tokens,
        )
        task_type = self.task_type or task.task_type
        return replace(task, task_type=task_type, enabled=self.enabled, note=self.note)


RESERVED = ("all", "demo")
"""What `--task` understands as several tasks."""

DEPTH = 3
"""Keys are checked this deep: tasks, their fields, and the mappings within those."""


def read_definitions(path: Path) -> list[Task]:
    """Read the tasks of a YAML file: a mapping from task name to definition.

    Raises:
        TaskError: the file is not such a mapping, or a name stands in it twice; names the line, and
            for a field that does not exist the fields that do.
    """
    file = read_yaml(path, thing="the task file", error=TaskError)
    file.check_keys(DEPTH, top_name=_task_name)
    entries = file.content
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise TaskError(
            "a task file maps names of tasks to their definitions",
            where=str(path),
            mend="write `my_task:` and below it, indented, `task_type:`, `path:`, ...",
        )
    return [_to_task(file, str(name)) for name in entries]


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


def _task_name(written: str) -> str:
    """Return the name of a task; hyphens and underscores are the same."""
    return written.replace("-", "_")


def _to_task(file: YamlFile, written: str) -> Task:
    name = _task_name(written)
    check_task_name(name, file.place((written,)))
    is_harness = "lm_eval" in file.content[written]
    model: type[TaskEntry] | type[LmEvalDefinition] = LmEvalDefinition if is_harness else Definition
    definition = file.validate(model, (written,), thing="a task", note=f", task {written}")
    return definition.to_task(name, file.path.parent)


def _names(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
