"""The documented result files, written from a study: `{results}/{dataset}/{split}/`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthprune.base.errors import FileError, StudyError
from depthprune.base.files import read_json, write_json
from depthprune.base.log import logger
from depthprune.base.removal import Removal, active_blocks
from depthprune.study import filenames
from depthprune.study.records import Measurement, ModelRecord, SplitRecord
from depthprune.study.store import Study

Json = dict[str, Any]


@dataclass(frozen=True)
class _View:
    """One folder of files: what was measured on one split under one setting."""

    folder: Path
    key: int
    split: SplitRecord
    settings: str


def write_views(
    study: Study,
    results_dir: Path,
    *,
    beam_width: int | None = None,
    max_blocks_to_remove: int | None = None,
    selection: Iterable[tuple[int, str]] | None = None,
) -> list[Path]:
    """Write the result files of a study and return their paths, changed or not.

    Files that hold what they should are left alone. Files that an earlier call wrote and that are
    no longer true of the study's selection (another prompt, say) are removed. A split without a
    measured baseline has no drops yet: it is left out, with a warning.

    Args:
        study: what was measured.
        results_dir: gets one folder for each task, with one for each split.
        beam_width: of the search, for the summary; None leaves it out.
        max_blocks_to_remove: of the search, for the summary; None leaves it out.
        selection: pairs of split key and settings; None means all that the study holds.

    Raises:
        StudyError: a folder holds results of another model, or the selection holds one split of a
            task more than once (measured with two prompts or two settings).
        FileError: a file cannot be written, or one is in the way that depthprune did not write.
    """
    written: list[Path] = []
    for view in _views(study, Path(results_dir), selection):
        if study.measurement(view.key, view.settings, ()) is None:
            logger.warning(
                "%s %s has no baseline yet: no files written", view.split.task, view.split.split
            )
            continue
        written += _write_view(study, view, beam_width, max_blocks_to_remove)
    return written


def write_importance_comparison(
    folder: Path,
    task: str,
    train_scores: Mapping[int, float],
    validation_scores: Mapping[int, float],
    *,
    spearman_correlation: float | None = None,
    p_value: float | None = None,
) -> Path:
    """Write `{folder}/{task}/importance_comparison_{task}.json` and return its path.

    Args:
        folder: of all comparisons.
        task: with underscores.
        train_scores: the drop of each single block (a fraction) on the training split.
        validation_scores: the same on the validation split.
        spearman_correlation: of the two; None leaves both statistics out of the file.
        p_value: of that correlation.

    Raises:
        FileError: the file cannot be written, or a number is not finite.
    """
    value: Json = {
        "dataset_name": task,
        "train_scores": _importance(train_scores),
        "validation_scores": _importance(validation_scores),
    }
    if spearman_correlation is not None and p_value is not None:
        value |= {"spearman_correlation": spearman_correlation, "p_value": p_value}
    path = Path(folder) / task / filenames.comparison_file(task)
    write_json(path, value)
    return path


def _views(
    study: Study, results_dir: Path, selection: Iterable[tuple[int, str]] | None
) -> list[_View]:
    chosen = None if selection is None else set(selection)
    views: dict[Path, _View] = {}
    for stored in study.splits():
        folder = results_dir / stored.record.task.replace("_", "-") / stored.record.split
        for settings in stored.settings:
            if chosen is not None and (stored.key, settings) not in chosen:
                continue
            if folder in views:
                raise StudyError(
                    f"{stored.record.task} {stored.record.split} was measured more than once: "
                    f"with {_variant(views[folder].split, views[folder].settings)} and with "
                    f"{_variant(stored.record, settings)}",
                    where=str(study.folder),
                    mend="choose which of them to write, or use one study for each",
                )
            views[folder] = _View(folder, stored.key, stored.record, settings)
    return list(views.values())


def _variant(split: SplitRecord, settings: str) -> str:
    return f"'{settings}' (task fingerprint {split.fingerprint[:12]})"


def _write_view(
    study: Study, view: _View, beam_width: int | None, max_blocks_to_remove: int | None
) -> list[Path]:
    measured = study.measurements(view.key, view.settings, with_samples=False)
    names = [filenames.removal_file(one.removal, study.model.num_blocks) for one in measured]
    names.append(filenames.SUMMARY)
    if any(len(one.removal) == 1 for one in measured):
        names.append(filenames.IMPORTANCE)
    earlier = _earlier_files(view, study.model)
    _refuse_strangers(view.folder, names, earlier)
    provenance = _provenance(study.model, view)
    # Before anything else, so that a run that is cut short leaves no file without a name to it.
    path = view.folder / filenames.PROVENANCE
    write_json(path, provenance | {"files": sorted({*names, *earlier})})
    for name in earlier - set(names):
        (view.folder / name).unlink(missing_ok=True)
    for name, value in _contents(study, view, measured, beam_width, max_blocks_to_remove):
        write_json(view.folder / name, value)
    write_json(path, provenance | {"files": sorted(names)})
    return [*(view.folder / name for name in names), path]


def _contents(
    study: Study,
    view: _View,
    measured: list[Measurement],
    beam_width: int | None,
    max_blocks_to_remove: int | None,
) -> Iterator[tuple[str, Json]]:
    num_blocks = study.model.num_blocks
    drops = study.drops(view.key, view.settings)
    baseline = next(one.accuracy for one in measured if not one.removal)
    heading = {"dataset_name": view.split.task, "split": view.split.split}
    entries = {
        one.removal: _entry(one, drops[one.removal], baseline, num_blocks) for one in measured
    }
    for removal, entry in entries.items():
        samples = _samples(study, view, removal)
        yield filenames.removal_file(removal, num_blocks), heading | entry | samples
    search = {"beam_width": beam_width, "max_blocks_to_remove": max_blocks_to_remove}
    yield (
        filenames.SUMMARY,
        heading
        | {"baseline_accuracy": baseline}
        | {name: value for name, value in search.items() if value is not None}
        | {"num_total_blocks": num_blocks}
        | {"summary": [entry for removal, entry in entries.items() if removal]},
    )
    single = {removal[0]: drop for removal, drop in drops.items() if len(removal) == 1}
    if single:
        yield filenames.IMPORTANCE, _importance(single)


def _entry(one: Measurement, drop: float, baseline: float, num_blocks: int) -> Json:
    entry: Json = {
        "step": len(one.removal),
        "num_active_blocks": num_blocks - len(one.removal),
        "num_total_blocks": num_blocks,
        "active_block_indices": list(active_blocks(one.removal, num_blocks)),
        "removed_block_indices": list(one.removal),
        "accuracy": one.accuracy,
        "accuracy_drop": drop,
    }
    # Imported results may lack either; a missing number is left out rather than made up.
    if one.num_samples:
        entry["num_samples"] = one.num_samples
    if not math.isnan(one.std):
        entry["std"] = one.std
    return entry | {"baseline_accuracy": baseline}


def _samples(study: Study, view: _View, removal: Removal) -> Json:
    one = study.measurement(view.key, view.settings, removal)
    if one is None or one.scores is None or one.answers is None:
        return {}
    rows = zip(view.split.sample_ids, one.scores.tolist(), one.answers, strict=True)
    return {
        "samples": [
            {"sample_id": sample_id, "score": score, "answer": answer}
            for sample_id, score, answer in rows
        ]
    }


def _importance(scores: Mapping[int, float]) -> dict[str, float]:
    return {str(block): scores[block] for block in sorted(scores)}


def _provenance(model: ModelRecord, view: _View) -> Json:
    return {
        "model": {
            "name": model.name,
            "fingerprint": model.fingerprint,
            "architecture": model.architecture,
            "num_blocks": model.num_blocks,
            "stack": model.stack,
        },
        "task_fingerprint": view.split.fingerprint,
        "task_type": view.split.task_type,
        "metric": view.split.metric,
        "settings": view.settings,
    }


def _earlier_files(view: _View, model: ModelRecord) -> set[str]:
    """Return the names that an earlier call wrote into this folder for the same model."""
    path = view.folder / filenames.PROVENANCE
    if not path.exists():
        return set()
    value = read_json(path)
    try:
        fingerprint, name = value["model"]["fingerprint"], value["model"]["name"]
        files = {str(file) for file in value["files"]}
    except (TypeError, KeyError) as error:
        raise FileError(
            "not a file that depthprune wrote", where=str(path), mend="use another results folder"
        ) from error
    if fingerprint != model.fingerprint:
        raise StudyError(
            f"the folder holds results of another model, {name}, not of {model.name}",
            where=str(view.folder),
            mend="use another results folder for this model",
        )
    # The list is a file anyone can edit: only names of result files are ever removed.
    return {file for file in files if filenames.is_result_file(file)}


def _refuse_strangers(folder: Path, names: list[str], earlier: set[str]) -> None:
    for name in names:
        if name not in earlier and (folder / name).exists():
            raise FileError(
                f"{name} is in the way: it was not written from this study",
                where=str(folder / name),
                mend="use another results folder, or move that file away",
            )
