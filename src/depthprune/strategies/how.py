"""How measurements are made, as a study keeps it: so that they can be made again."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import depthprune
from depthprune.base.errors import StudyError
from depthprune.base.log import logger
from depthprune.base.naming import option
from depthprune.base.options import Options
from depthprune.engine.session import Session, split_record
from depthprune.strategies.model import OpenModel
from depthprune.study import SplitRecord, StoredSplit, Study
from depthprune.study.identity import differences, listed, new_study
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


def begin_run(study: Study, how: Mapping[str, Any]) -> None:
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
    study: Study, split: TaskSplit, sent: Sequence[tuple[str, ...]], settings: str
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


def _measured_as(study: Study, known: StoredSplit, settings: str) -> Mapping[str, Any] | None:
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
    options, loaded = model.options, model.loaded.model
    place = Path(options.source).expanduser()
    return {
        "source": str(place.resolve()) if place.is_dir() else options.source,
        "revision": options.revision,
        "commit": getattr(loaded.config, "_commit_hash", None),
        "part": options.stack,
        "dtype": str(loaded.dtype).removeprefix("torch."),
        "device": str(loaded.device),
        "device_map": options.device_map,
        "attention": getattr(loaded.config, "_attn_implementation", None),
        "batch_size": options.batch_size or "auto",
        "trust_remote_code": options.trust_remote_code,
        "prompt": asdict(options.prompt()),
    }


def _said(options: Options) -> dict[str, Any]:
    """Return the options that are not as usual, as plain JSON data with absolute paths."""
    return {
        one.name: _plain(one.name, value)
        for one in fields(options)  # type: ignore[arg-type]
        if (value := getattr(options, one.name)) != one.default
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
