"""How measurements are made, as a study keeps it, and model and samples found again by that."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import depthprune
from depthprune.base.errors import DepthpruneError, ModelError, StudyError, TaskError, option
from depthprune.base.log import logger
from depthprune.base.options import Options
from depthprune.engine.options import Workers
from depthprune.engine.session import Session, split_record
from depthprune.strategies.model import ModelSource, OpenModel, prompted_tasks
from depthprune.study import SplitRecord, StoredSplit, StudyStore
from depthprune.study.records import differences, listed, new_study
from depthprune.tasks.demo import DEMO, model_place
from depthprune.tasks.load import load_split
from depthprune.tasks.options import DataOptions
from depthprune.tasks.task import Task, TaskSplit

_PACKAGES = ("torch", "transformers", "tokenizers", "pillow", "lm_eval")
"""Packages whose version may decide an answer or a score."""


def how_measured(
    model: OpenModel,
    tasks: Sequence[Task],
    splits: Sequence[str],
    num_samples: int | None,
    seed: int,
    data: DataOptions,
) -> dict[str, Any]:
    """Return how measurements are made: plain JSON data, with absolute paths."""
    return {
        "versions": {"depthprune": depthprune.__version__, "python": platform.python_version()}
        | {name: _version(name) for name in _PACKAGES},
        "model": _model(model),
        "tasks": [task_record(task) for task in tasks],
        "data_dir": None if data.data_dir is None else str(data.data_dir.resolve()),
        "task_files": {str(path.resolve()): _sha256(path) for path in data.task_files},
        "lm_eval_path": [str(path.resolve()) for path in data.lm_eval_paths],
        "splits": list(splits),
        "num_samples": num_samples,
        "seed": seed,
        "holdout": data.holdout,
        "asked": {"model": _said(model.options), "data": _said(data)},
    }


def begin_run(study: StudyStore, how: Mapping[str, Any]) -> None:
    """Let a study know how it is measured from now on; warn where that may change answers."""
    earlier = study.runs()
    if earlier:
        changes = _changes(earlier[-1].how, how)
        if changes:
            logger.warning(
                "%s: this study was measured with %s; answers may differ a little, and a new study "
                "compares exactly (%s)",
                study.folder,
                ", ".join(changes),
                option("output", "NEW"),
            )
    study.begin_run(how)


def begin_split(session: Session, model: OpenModel, split: TaskSplit) -> int:
    """Return the key of a split in a study that holds, or gets, what the model is sent.

    Raises:
        StudyError: the same samples were measured with other prompts, pictures or answers, by
            another metric, or by another version of its rule.
        TaskError: the model's template refuses a sample, or the model reads no pictures.
    """
    from depthprune.engine.sent import prompts_of

    loaded = model.loaded
    sent = prompts_of(loaded.processor, split.task, split.samples, loaded.prompt)
    _check_unchanged(session.study, split, sent, session.settings)
    key = session.key(split)
    session.study.keep_prompts(key, session.settings, sent)
    session.study.keep_references(key, [sample.references for sample in split.samples])
    return key


def _check_unchanged(
    study: StudyStore, split: TaskSplit, sent: Sequence[tuple[str, ...]], settings: str
) -> None:
    """Refuse samples whose data or task have changed since the same ones were measured."""
    record = split_record(split)
    alike = [
        stored
        for stored in study.splits()
        if (stored.record.task, stored.record.split) == (record.task, record.split)
        and stored.record.sample_ids == record.sample_ids
        # Another version of the same rule is refused by `add_split`.
        and (
            stored.record.metric != record.metric
            or stored.record.metric_version == record.metric_version
        )
        and settings in stored.settings
    ]
    if not alike or any(stored.record.fingerprint == record.fingerprint for stored in alike):
        return
    known = alike[-1]
    prompts = study.prompts(known.key, settings) or sent
    now = task_record(split.task)
    before = {
        f"task {record.task}": task_texts(_measured_as(study, known, settings) or now),
        "metric": {"": known.record.metric},
        "pictures": _by_sample(record, known.record.pictures or record.pictures),
        "prompts": _by_sample(record, prompts),
    }
    after = {
        f"task {record.task}": task_texts(now),
        "metric": {"": record.metric},
        "pictures": _by_sample(record, record.pictures),
        "prompts": _by_sample(record, sent),
    }
    changes = differences(before, after) or ["the reference answers"]
    raise StudyError(
        f"{record.task} {record.split} has changed since it was measured: {listed(changes)}",
        where=str(study.folder),
        mend=f"{new_study()}, or undo the change",
    )


def _measured_as(study: StudyStore, known: StoredSplit, settings: str) -> Mapping[str, Any] | None:
    """Return the definition of a task as it was when its baseline was measured."""
    baseline = study.measurement(known.key, settings, ())
    for run in study.runs():
        tasks = run.how.get("tasks")
        if baseline is not None and run.key == baseline.run and isinstance(tasks, list):
            return next((task for task in tasks if task["name"] == known.record.task), None)
    return None


def task_texts(task: Mapping[str, Any]) -> dict[str, str]:
    """Return what of a task decides scores; where its data lie does not."""
    unused = ("name", "task_type", "data", "train_split", "validation_split")
    return {name: str(value) for name, value in task.items() if name not in unused}


def _by_sample(record: SplitRecord, entries: Sequence[Sequence[str]]) -> dict[str, str]:
    return {
        f"sample {name}": " ".join(entry)
        for name, entry in zip(record.sample_ids, entries, strict=False)
    }


def _model(model: OpenModel) -> dict[str, Any]:
    options, state = model.options, model.state
    place = Path(options.source).expanduser()
    return {
        "source": str(place.resolve()) if place.is_dir() else options.source,
        "revision": options.revision,
        "commit": state["commit"],
        "part": options.stack,
        "dtype": state["dtype"],
        "device": state["device"],
        "device_map": options.device_map,
        "attention": state["attention"],
        "batch_size": options.batch_size or "auto",
        "trust_remote_code": options.trust_remote_code,
        "prompt": asdict(options.prompt()),
    }


def _said(options: Options) -> dict[str, Any]:
    """Return the options that are not as usual, as plain JSON data with absolute paths."""
    return {
        one.name: _plain(one.name, value)
        for one in fields(options)  # type: ignore[arg-type]
        # Workers change no answer, and are those of a run, not of what it measured.
        if (value := getattr(options, one.name)) != one.default and one.name != "workers"
    }


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(name, one) for one in value]
    named_file = isinstance(value, Path) or (name == "chat_template" and Path(value).is_file())
    return str(Path(value).resolve()) if named_file else value


def task_record(task: Task) -> dict[str, Any]:
    """Return the definition of a task as a study keeps it."""
    fields = (
        "name", "task_type", "prompt", "metric", "answer", "max_new_tokens", "choice_format",
        "choice_separator", "train_split", "validation_split",
    )  # fmt: skip
    # Options of a user's own task may be anything; as text they can be stored.
    options = {name: repr(value) for name, value in task.metric_options.items()}
    return {name: getattr(task, name) for name in fields} | {
        "metric_options": options,
        "data": task.source.describe(),
    }


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = {"versions": _PACKAGES, "model": ("device", "attention")}
    pairs = [
        (name, before[group].get(name), now[group].get(name))
        for group, members in names.items()
        for name in members
    ]
    return [f"{name} {was} (now {is_})" for name, was, is_ in pairs if was and is_ and was != is_]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class StudyPlaces:
    """Where model and data of a study lie now, and what may be done to have them again.

    Attributes:
        model: the folder, where it has moved.
        data_dir: of the data, where they have moved.
        run_code: execute what the study names: code of its checkpoint, task files in Python,
            definitions of the lm-evaluation-harness. A study of others may name anything.
        workers: that share the work now.
    """

    model: str | None = None
    data_dir: Path | None = None
    run_code: bool = False
    workers: Workers = Workers()


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


def model_again(how: Mapping[str, Any], places: StudyPlaces = StudyPlaces()) -> ModelSource:
    """Return the model of a run of a study as it was asked for; nothing is fetched.

    Raises:
        StudyError: the study does not say how it was measured.
        ModelError: it runs code of its own, and that is not allowed.
    """
    known = {one.name for one in fields(ModelSource)} - {"download", "source", "name", "workers"}
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
    return ModelSource(**asked, source=source, name=name, workers=places.workers)


def splits_again(
    study: StudyStore, stored: Sequence[StoredSplit], places: StudyPlaces, model: ModelSource
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
                raise TaskError(_what_has_changed(how, task))
        except DepthpruneError as error:
            reasons[one.record.task] = error.what
        else:
            found.append(SearchedSplit(task, one.record.split, number, seed, holdout))
    return FoundAgain(tuple(found), reasons)


def measured_how(study: StudyStore, stored: StoredSplit) -> Mapping[str, Any]:
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


def _task_again(how: Mapping[str, Any], name: str, places: StudyPlaces, model: ModelSource) -> Task:
    """Return the task of this name as it was defined for a run.

    Raises:
        DepthpruneError: it cannot be had, or must not.
    """
    # Reading task files needs pydantic.
    from depthprune.tasks.builtin import asked_as
    from depthprune.tasks.registry import named_tasks, place_task

    known = {one.name for one in fields(DataOptions)}
    said = {name: value for name, value in _asked(how, "data").items() if name in known}
    files = [Path(one) for one in said.get("task_files", ())]
    for file in files:
        if not file.is_file():
            raise TaskError(f"the task file {file} is gone", where=str(file))
        if _sha256(file) != how["task_files"][str(file)]:
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


def _what_has_changed(how: Mapping[str, Any], task: Task) -> str:
    before = next(one for one in how["tasks"] if one["name"] == task.name)
    changes = differences({"task": task_texts(before)}, {"task": task_texts(task_record(task))})
    what = listed(changes) if changes else "its samples are others"
    return f"the task has changed since it was measured: {what}"
