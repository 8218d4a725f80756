"""Measure what removals cost: block by block, and by a search."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthprune.base.errors import ModelError, TaskError
from depthprune.base.progress import shown
from depthprune.engine.options import ModelOptions, Workers
from depthprune.strategies import Ablation, Beam, Strategy
from depthprune.strategies.model import model_source
from depthprune.strategies.options import SearchOptions
from depthprune.strategies.pipeline import SearchRequest, make_ready, run_search
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import TaskSplit
from depthprune.workflow.models import Model, as_model
from depthprune.workflow.studies import Study

if TYPE_CHECKING:
    from torch import nn


def study_folder(output: Path | None, model: str) -> Path:
    """Return where results go: as asked, or a folder named after the model."""
    if output is not None:
        return output
    place = Path(model).expanduser()
    return Path(f"depthprune-{(place.resolve() if place.exists() else place).name}")


def search_request(
    model: str,
    output: Path | None,
    run: ModelOptions,
    data: DataOptions,
    search: SearchOptions | None = None,
    workers: Workers = Workers(),
) -> SearchRequest:
    """Return what a search measures by these options.

    Raises:
        DepthpruneError: no task is named, or there is no such task.
    """
    return SearchRequest(
        model=model_source(model, run, download=data.download, workers=workers),
        tasks=data.find_tasks(model),
        splits=data.splits,
        folder=study_folder(output, model),
        search=SearchOptions() if search is None else search,
        num_samples=data.samples,
        seed=data.seed,
        data=data,
    )


def profile(
    model: Model | str | Path | nn.Module,
    tasks: Sequence[TaskSplit],
    *,
    folder: str | Path,
    seed: int = 0,
    workers: Workers | int | str | None = None,
    allow_weak_baseline: bool = False,
    progress: bool = True,
) -> Study:
    """Measure the importance of every block: remove each block alone and evaluate every task.

    Everything is kept in the study as soon as it is measured; the same call goes on after an
    interruption, and nothing is measured twice. Result files are written beside it.

    Args:
        model: from `load_model`, or what that takes.
        tasks: samples, from `load_tasks`.
        folder: of the study; made if missing. It belongs to one model.
        seed: with which the samples were chosen; only kept.
        workers: that share the samples: a number of processes, `all` for every GPU, or `Workers`.
        allow_weak_baseline: go on where the whole model's answers are no basis for drops.
        progress: show a bar with the time left.

    Returns:
        The study, closed: of exactly these samples.

    Raises:
        WeakBaselineError: the whole model's answers are no basis for drops.
        StudyError: the study is in use, or of another model or other samples.
        DepthpruneError: model or tasks cannot be used.
    """
    return _measure(
        *(as_model(model, workers), tasks, folder, SearchOptions(Ablation()), progress),
        seed=seed,
        allow_weak_baseline=allow_weak_baseline,
    )


def search(
    model: Model | str | Path | nn.Module,
    tasks: Sequence[TaskSplit],
    *,
    folder: str | Path,
    strategy: Strategy = Beam(),  # noqa: B008 - frozen
    joint: bool = False,
    task_weights: Mapping[str, float] | None = None,
    complete: int = 0,
    warm_start: str | None = None,
    protect: Collection[int] = (),
    seed: int = 0,
    workers: Workers | int | str | None = None,
    allow_weak_baseline: bool = False,
    progress: bool = True,
) -> Study:
    """Search for the blocks that can go together; what `profile` measured is used, not repeated.

    Everything is kept in the study as soon as it is measured; the same call goes on after an
    interruption, and nothing is measured twice. Result files are written beside it.

    Args:
        model: from `load_model`, or what that takes.
        tasks: samples, from `load_tasks`.
        folder: of the study; made if missing. It belongs to one model.
        strategy: which removals are tried: `Beam`, `Greedy`, `Exhaustive`, `Evolutionary` or your
            own, see docs/search.md.
        joint: search once, on the mean drop over all tasks; else each task has a search of its own.
        task_weights: of every task in that mean, by name; None weighs them equally.
        complete: measure the best so many combinations of each number on every task in the end.
        warm_start: a proxy that proposes removals to measure first, e.g. block_influence.
        protect: blocks that always stay.
        seed: of random choices, and with which the samples were chosen.
        workers: that share the samples: a number of processes, `all` for every GPU, or `Workers`.
        allow_weak_baseline: go on where the whole model's answers are no basis for drops.
        progress: show a bar with the time left.

    Returns:
        The study, closed: of exactly these samples.

    Raises:
        WeakBaselineError: the whole model's answers are no basis for drops.
        StudyError: the study is in use, or of another model or other samples.
        RemovalError: a protected block does not exist, or nothing can be removed.
        DepthpruneError: an option does not fit, or model or tasks cannot be used.
    """
    return _measure(
        *(as_model(model, workers), tasks, folder),
        SearchOptions(
            strategy=strategy,
            protect=frozenset(protect),
            joint=joint,
            task_weights=dict(task_weights or {}),
            complete=complete,
            warm_start=warm_start,
        ),
        progress,
        seed=seed,
        allow_weak_baseline=allow_weak_baseline,
    )


def _measure(
    model: Model,
    tasks: Sequence[TaskSplit],
    folder: str | Path,
    search: SearchOptions,
    progress: bool,
    **options: Any,
) -> Study:
    check_measurable(model, tasks)
    request = SearchRequest(
        model=model.options,
        tasks=tuple({one.task.name: one.task for one in tasks}.values()),
        splits=tuple(dict.fromkeys(one.split for one in tasks)),
        folder=Path(folder),
        search=search,
        num_samples=max(len(one.samples) for one in tasks),
        **options,
    )
    with shown(progress):
        outcome = run_search(make_ready(request, tasks, model))
    selection = frozenset((key, outcome.settings) for key in outcome.splits)
    return Study(outcome.folder, selection, tuple(tasks))


def check_measurable(model: Model, tasks: Sequence[TaskSplit]) -> None:
    """Refuse a model without processor, and nothing to be measured on.

    Raises:
        ModelError, TaskError: with what is missing.
    """
    check_processor(model)
    if not tasks:
        raise TaskError(
            "there is nothing to measure on", option="tasks", mend='load_tasks("demo") and the like'
        )
    for one in tasks:
        if not isinstance(one, TaskSplit):
            raise TaskError(
                f"{one!r:.60} is not a loaded task",
                option="tasks",
                mend="load_tasks returns what is measured on",
            )


def check_processor(model: Model) -> None:
    """Refuse a model without processor.

    Raises:
        ModelError: with how to give it.
    """
    if model.processor is None:
        raise ModelError(
            "a model is asked through its processor, and none was given",
            option="processor",
            mend="load_model(module, processor=...)",
        )
