"""Model and samples of a study, found again from what the study says of how it was measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from depthprune.base.errors import DepthpruneError, ModelError, StudyError, TaskError
from depthprune.base.naming import option
from depthprune.strategies.how import task_record, task_texts
from depthprune.strategies.model import ModelSource, prompted_tasks
from depthprune.study import StoredSplit, Study
from depthprune.study.identity import differences, listed
from depthprune.tasks.demo.place import DEMO, model_place
from depthprune.tasks.load import load_split
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import Task


@dataclass(frozen=True)
class Places:
    """Where model and data of a study lie now, and what may be done to have them again.

    Attributes:
        model: the folder, where it has moved.
        data_dir: of the data, where they have moved.
        run_code: execute what the study names: code of its checkpoint, task files in Python,
            definitions of the lm-evaluation-harness. A study of others may name anything.
    """

    model: str | None = None
    data_dir: Path | None = None
    run_code: bool = False


@dataclass(frozen=True)
class SearchedSplit:
    """A split that was searched, and how its samples were drawn.

    Attributes:
        task: as it is asked now.
        split: its name.
        num_samples: that were searched.
        seed: that chose them.
        holdout: share of the split that was reserved then.
    """

    task: Task
    split: str
    num_samples: int
    seed: int = 0
    holdout: float = 0.0


@dataclass(frozen=True)
class FoundAgain:
    """What could be had again of a study.

    Attributes:
        splits: those whose samples are the same as then.
        reasons: why the others cannot be had, by task.
    """

    splits: tuple[SearchedSplit, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)


def model_again(how: Mapping[str, Any], places: Places = Places()) -> ModelSource:
    """Return the model of a run of a study as it was asked for; nothing is fetched.

    Raises:
        StudyError: the study does not say how it was measured.
        ModelError: it runs code of its own, and that is not allowed.
    """
    known = {one.name for one in fields(ModelSource)} - {"download", "source", "name"}
    asked = {name: value for name, value in _asked(how, "model").items() if name in known}
    name = how["asked"]["model"].get("name")
    if asked.get("trust_remote_code") and not places.run_code:
        raise ModelError(
            "this model was run with the code that comes with it",
            where=str(how["model"]["source"]),
            mend=f"where you trust it, {option('trust_remote_code')}",
            option="trust_remote_code",
        )
    source = places.model or (model_place(DEMO) if name == DEMO else how["model"]["source"])
    return ModelSource(**asked, source=source, name=name)


def splits_again(
    study: Study, stored: Sequence[StoredSplit], places: Places, model: ModelSource
) -> FoundAgain:
    """Return splits of a study as they were searched, where their samples are the same still.

    Every sample is read again: an edited file would make others of those that are named here.
    """
    found: list[SearchedSplit] = []
    reasons: dict[str, str] = {}
    for one in stored:
        try:
            how = measured_how(study, one)
            task = _task_again(how, one.record.task, places, model)
            seed, holdout = int(how["seed"]), float(how["holdout"])
            number = len(one.record.sample_ids)
            # As many as there are: each task of a study may have a number of its own.
            now = load_split(task, one.record.split, number, seed)
            if now.fingerprint != one.record.fingerprint:
                raise TaskError(_what_changed(how, task))
        except DepthpruneError as error:
            reasons[one.record.task] = error.what
        else:
            found.append(SearchedSplit(task, one.record.split, number, seed, holdout))
    return FoundAgain(tuple(found), reasons)


def measured_how(study: Study, stored: StoredSplit) -> Mapping[str, Any]:
    """Return how the baseline of a split was measured.

    Raises:
        StudyError: the study does not say it.
    """
    baselines = (study.measurement(stored.key, one, ()) for one in stored.settings)
    keys = {one.run for one in baselines if one is not None}
    for run in study.runs() if study.lacks is None else []:
        if run.key in keys:
            return run.how
    raise StudyError(
        "the study does not say how it was measured",
        where=str(study.folder),
        mend="measure in a study of your own, or give model and tasks in Python",
    )


def _asked(how: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    asked = how.get("asked")
    if not isinstance(asked, dict):
        raise StudyError(
            "an older depthprune wrote the study: it does not say by which options it was measured",
            mend="give model and tasks in Python: depthprune.verify",
        )
    said = asked[what]
    assert isinstance(said, dict)
    return said


def _task_again(how: Mapping[str, Any], name: str, places: Places, model: ModelSource) -> Task:
    """Return the task of this name as it was defined for a run.

    Raises:
        DepthpruneError: it cannot be had, or must not.
    """
    # Reading task files needs pydantic.
    from depthprune.tasks.prompts import asked_as
    from depthprune.tasks.registry import named_tasks, place_task

    known = {one.name for one in fields(DataOptions)}
    said = {name: value for name, value in _asked(how, "data").items() if name in known}
    files = [Path(one) for one in said.get("task_files", ())]
    for file in files:
        if not file.is_file():
            raise TaskError(f"the task file {file} is gone", where=str(file))
        if hashlib.sha256(file.read_bytes()).hexdigest() != how["task_files"][str(file)]:
            raise TaskError(f"the task file {file} has changed", where=str(file))
    paths = [Path(one) for one in said.get("lm_eval_paths", ())]
    executed = [str(file) for file in files if file.suffix == ".py"] + list(map(str, paths))
    if executed and not places.run_code:
        raise TaskError(
            f"the task is defined by code that would be executed ({', '.join(executed)}), and that "
            f"was not allowed by {option('trust_remote_code')}"
        )
    asked = [str(one) for one in said.get("tasks", ())]
    defined = asked_as(named_tasks(asked or [name], files, paths), said.get("prompts", "own"))
    found = {task.name: task for task in defined}
    if name not in found:
        raise TaskError("there is no task of this name any more")
    data_dir = places.data_dir or said.get("data_dir")
    task = place_task(found[name], data_dir, follow_links=bool(said.get("follow_links")))
    (task,) = prompted_tasks(replace(model, download=False), [task])
    return task


def _what_changed(how: Mapping[str, Any], task: Task) -> str:
    before = next(one for one in how["tasks"] if one["name"] == task.name)
    changes = differences({"task": task_texts(before)}, {"task": task_texts(task_record(task))})
    what = listed(changes) if changes else "its samples are others"
    return f"the task has changed since it was measured: {what}"
