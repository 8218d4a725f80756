"""Accuracy on tasks of the lm-evaluation-harness, by its own rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from depthprune.base.documents import Json
from depthprune.base.errors import TaskError
from depthprune.base.removal import Removal
from depthprune.blocks.models import LoadedModel
from depthprune.engine.chat import prompted
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.tasks.lm_eval import harness_tasks, lm_eval_metrics
from depthprune.tasks.lm_eval.source import LmEvalSource, guarded
from depthprune.tasks.load import load_split
from depthprune.tasks.task import Task, TaskSplit

ZERO_SHOT_TASKS = (
    "boolq",
    "piqa",
    "hellaswag",
    "winogrande",
    "arc_easy",
    "arc_challenge",
    "openbookqa",
)

ACCURACIES = ("acc_norm", "acc", "exact_match")
"""Which metric is the accuracy of a task: the first that it has."""


@dataclass(frozen=True)
class TaskAccuracy:
    """What the harness tells of one task.

    Attributes:
        metrics: all of them, by `metric,filter`; None where there is no number.
        num_samples: documents that were answered.
    """

    metrics: Mapping[str, float | None]
    num_samples: int

    @property
    def metric(self) -> str | None:
        """Which metric enters the average, see `ACCURACIES`; None where there is none of them."""
        return next((name for name in ACCURACIES if self.value(name) is not None), None)

    @property
    def accuracy(self) -> float | None:
        """The value of that metric."""
        return None if self.metric is None else self.value(self.metric)

    def value(self, metric: str) -> float | None:
        """Return a metric after the task's first filter, None where the task has no such metric."""
        return next(
            (value for name, value in self.metrics.items() if name.partition(",")[0] == metric),
            None,
        )

    def entry(self) -> Json:
        """Return what the file of an evaluation says."""
        return {
            "acc": self.value("acc"),
            "acc_stderr": self.value("acc_stderr"),
            "acc_norm": self.value("acc_norm"),
            "acc_norm_stderr": self.value("acc_norm_stderr"),
            "metric": self.metric,
            "accuracy": self.accuracy,
            "stderr": None if self.metric is None else self.value(f"{self.metric}_stderr"),
            "n": self.num_samples,
            "metrics": dict(self.metrics),
        }


@dataclass(frozen=True)
class ZeroShotTask:
    """A task, and what the harness calls it."""

    name: str
    task: Task = field(repr=False)

    def load(
        self,
        loaded: LoadedModel,
        num_samples: int | None,
        *,
        seed: int = 0,
        download: bool = False,
    ) -> TaskSplit:
        """Return the documents that the harness evaluates, or a seeded sample of them.

        They are asked as the model's prompt settings say; by default as the harness does.

        Raises:
            TaskError: the data are not on this machine, or cannot be used.
        """
        source = self.task.source
        assert isinstance(source, LmEvalSource)
        task = replace(self.task, source=replace(source, download=download))
        task = prompted(task, loaded.processor, loaded.prompt)
        return load_split(task, "validation", num_samples, seed)


def zero_shot_tasks(names: Sequence[str], paths: Sequence[Path] = ()) -> tuple[ZeroShotTask, ...]:
    """Return the tasks of these names, groups as their members; no data are loaded.

    Args:
        names: as the harness calls them, with or without `lm_eval:`, or a definition's YAML file.
        paths: folders with more definitions.

    Raises:
        TaskError: there is no such task or file, or no task is named.
        ModuleNotFoundError: the harness is not installed.
    """
    found: dict[str, ZeroShotTask] = {}
    for name in names:
        inner = name.strip()
        for prefix in ("lm_eval:", "lm-eval:"):
            inner = inner.removeprefix(prefix)
        where = list(paths)
        if inner.endswith((".yaml", ".yml")):
            file = Path(inner).expanduser()
            inner, where = _name_in(file), [*where, file.parent]
        for task in harness_tasks(inner, where):
            source = task.source
            assert isinstance(source, LmEvalSource)
            found[source.name] = ZeroShotTask(source.name, task)
    if not found:
        raise TaskError(
            "no task was named", option="zeroshot_tasks", mend="name one, e.g. arc_easy"
        )
    return tuple(found.values())


def task_accuracy(
    loaded: LoadedModel,
    split: TaskSplit,
    removal: Removal = (),
    *,
    part: str = "text",
    batch_size: int | Literal["auto"] = "auto",
    on_batch: Callable[[int], None] | None = None,
) -> TaskAccuracy:
    """Return the harness's metrics of a task, of the model without the blocks of `removal`.

    Raises:
        RemovalError: a block does not exist.
        InadmissibleRemovalError: the architecture cannot express the removal.
        TaskError: a document cannot be used.
    """
    evaluator = ReferenceEvaluator(loaded, part=part, batch_size=batch_size, on_batch=on_batch)
    answers = evaluator.evaluate(split, [removal]).answers[0]
    metrics = lm_eval_metrics(split, answers)
    finite = {
        name: value if value is not None and math.isfinite(value) else None
        for name, value in metrics.items()
    }
    return TaskAccuracy(finite, len(split.samples))


def mean_accuracy(accuracies: Sequence[float]) -> float | None:
    """Return the mean over tasks, each weighing the same; None of none."""
    return math.fsum(accuracies) / len(accuracies) if accuracies else None


def _name_in(file: Path) -> str:
    """Return the name of the task or group that a definition's file holds."""
    if not file.is_file():
        raise TaskError("there is no such definition", where=str(file))
    with guarded(download=False):
        from lm_eval.tasks._yaml_loader import load_yaml

        try:
            content: Any = load_yaml(file, resolve_func=False)
        except Exception as error:  # PyYAML's constructors may raise anything.
            reason = " ".join(str(error).split())[:200]
            raise TaskError(f"the definition cannot be read: {reason}", where=str(file)) from error
    named = content.get("group") or content.get("task") if isinstance(content, dict) else None
    if not isinstance(named, str):
        raise TaskError(
            "the definition has no name",
            where=str(file),
            mend="write `task: NAME` (or `group: NAME`)",
        )
    return named
