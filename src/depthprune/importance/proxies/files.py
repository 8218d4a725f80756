"""Proxies in a study's folder: `proxies/{task}/{split}/{proxy}.json`, computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depthprune.base.errors import DepthpruneError, FileError, StudyError
from depthprune.base.files import is_number, read_json, write_json
from depthprune.base.naming import option
from depthprune.base.removal import format_removal, parse_removal
from depthprune.importance.proxies.description import PROXIES, ProxyScores
from depthprune.study import ModelRecord
from depthprune.tasks.task import TaskSplit

PROXIES_FOLDER = "proxies"


def proxy_file(folder: Path, name: str, split: TaskSplit) -> Path:
    """Return where the scores of a proxy lie in the study's `folder`."""
    return folder / PROXIES_FOLDER / split.task.folder / split.split / f"{name}.json"


def write_proxy(
    folder: Path, found: ProxyScores, split: TaskSplit, model: ModelRecord, settings: str
) -> Path:
    """Write what a proxy found, in a layout that `select` reads (`importance_scores`).

    Args:
        folder: of the study.
        found: the scores.
        split: the samples that were read.
        model: the model that was looked at.
        settings: the number type and quantisation, see `Evaluator.settings`.

    Raises:
        FileError: the file cannot be written, or a score is not finite.
        StudyError: the file there is about another model.
    """
    path = proxy_file(folder, found.name, split)
    _check_place(path, model)
    scores = {str(block): found.scores[block] for block in sorted(found.scores)}
    value: dict[str, Any] = {
        "proxy": found.name,
        "formula": PROXIES[found.name].formula,
        "source": PROXIES[found.name].source,
        "dataset_name": split.task.name,
        "split": split.split,
        "num_blocks": model.num_blocks,
        "num_samples": found.num_samples,
        "num_tokens": found.num_tokens,
        **_identity(split, model, settings),
        "importance_scores": scores,
    }
    if found.runs:
        value["runs"] = {format_removal(run): score for run, score in found.runs.items()}
    write_json(path, value)
    return path


def kept_proxy(
    folder: Path, name: str, split: TaskSplit, model: ModelRecord, settings: str
) -> ProxyScores | None:
    """Return what `write_proxy` kept for the same model, samples and settings, or None.

    A file that was spoiled holds nothing.
    """
    try:
        value = read_json(proxy_file(folder, name, split))
        if any(value[key] != wanted for key, wanted in _identity(split, model, settings).items()):
            return None
        scores = {int(block): score for block, score in value["importance_scores"].items()}
        runs = {parse_removal(run): score for run, score in value.get("runs", {}).items()}
        found = ProxyScores(name, scores, runs, int(value["num_samples"]), int(value["num_tokens"]))
    except (DepthpruneError, KeyError, TypeError, ValueError, AttributeError):
        return None
    numbers = [*scores.values(), *runs.values()]
    return found if scores and all(map(is_number, numbers)) else None


def _identity(split: TaskSplit, model: ModelRecord, settings: str) -> dict[str, Any]:
    return {
        "model": {
            "name": model.name,
            "fingerprint": model.fingerprint,
            "architecture": model.architecture,
            "stack": model.stack,
        },
        "task_fingerprint": split.fingerprint,
        "settings": settings,
    }


def _check_place(path: Path, model: ModelRecord) -> None:
    """Refuse to write over the scores of another model."""
    if not path.exists():
        return
    try:
        held = read_json(path)["model"]
        other = (held["fingerprint"], held["stack"]) != (model.fingerprint, model.stack)
    except (FileError, KeyError, TypeError):
        return
    if other:
        raise StudyError(
            f"the folder holds proxies of another model, {held.get('name')}, not of {model.name}",
            where=str(path),
            mend=f"use another folder for this model ({option('output')})",
        )
