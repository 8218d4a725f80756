"""Takes results that lie in files into a study, marked as imported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from depthprune.base.errors import LayoutError
from depthprune.base.language import counted
from depthprune.study.reading import read_results
from depthprune.study.records import (
    DatasetResults,
    ModelRecord,
    Problem,
    RemovalResult,
    SplitRecord,
)
from depthprune.study.store import StudyStore

IMPORTED = "imported"
"""The settings under which imported results are stored, and the start of their fingerprints:
they never pass for results that were measured here."""


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        imported: results that are new in the study, baselines included.
        known: results that the study held already.
        problems: what was left out, or kept in doubt, and why.
    """

    imported: int
    known: int
    problems: tuple[Problem, ...]


def import_results(
    folder: Path,
    study_folder: Path,
    *,
    model: ModelRecord | None = None,
    task_types: Mapping[str, str] | None = None,
) -> ImportReport:
    """Read the result files in `folder` into the study in `study_folder`.

    All that is good is stored, in one transaction; importing the same files again changes nothing.

    Args:
        folder: see `read_results`.
        study_folder: made if missing.
        model: what the results are about. None: what depthprune's own files say, else a model
            named after the folder; results in files do not go into the study of a real model
            unless it is given here.
        task_types: the task type of each dataset, by name with underscores.

    Raises:
        FileError, LayoutError: see `read_results`; or the files are about more than one model, or
            do not tell how many blocks it has.
        StudyError: see `Study.open`; or the study holds other numbers for one of the results.
    """
    reading = read_results(folder)
    problems = list(reading.problems)
    complete = [one for one in reading.datasets if _has_accuracies(one, problems)]
    if not complete:
        raise LayoutError(
            "no dataset here has a baseline accuracy: drops alone cannot be imported",
            where=str(folder),
            mend="add the file with baseline_accuracy, or analyze the files without a study",
        )
    model = _model(complete, Path(folder), model)
    imported = known = 0
    with StudyStore.open(study_folder, model=model) as study, study.transaction():
        for dataset in complete:
            record = _split_record(dataset, task_types or {})
            key = study.add_split(record)
            for result in dataset.results:
                if result.accuracy is None:
                    continue
                new = bool(study.missing(key, [result.removal], IMPORTED))
                _add(study, key, record, result, dataset.folder)
                imported, known = imported + new, known + (not new)
    return ImportReport(imported, known, tuple(problems))


def _has_accuracies(dataset: DatasetResults, problems: list[Problem]) -> bool:
    if dataset.baseline_accuracy is None:
        problems.append(
            Problem("no baseline accuracy: drops alone cannot be imported", str(dataset.folder))
        )
        return False
    lacking = sum(result.accuracy is None for result in dataset.results)
    if lacking:
        number = counted(lacking, "result has", "results have")
        problems.append(Problem(f"{number} a drop, but no accuracy", str(dataset.folder)))
    return True


def _model(datasets: list[DatasetResults], folder: Path, given: ModelRecord | None) -> ModelRecord:
    """Return the one model that the files are about: the given one, or one that says `imported`."""
    models = {
        one.provenance.model.fingerprint: one.provenance.model
        for one in datasets
        if one.provenance is not None
    }
    sizes = {one.num_blocks for one in datasets if one.num_blocks is not None}
    if given is not None:
        sizes.add(given.num_blocks)
    if len(models) > 1 or len(sizes) > 1:
        names = sorted(model.name for model in models.values())
        raise LayoutError(
            f"the results are of more than one model: {names or f'{sorted(sizes)} blocks'}",
            where=str(folder),
            mend="import the results of each model into a study of its own",
        )
    if given is not None:
        return given
    if models:
        model = next(iter(models.values()))
        return replace(model, fingerprint=f"{IMPORTED}:{model.fingerprint}")
    if not sizes:
        raise LayoutError(
            "no file tells how many blocks the model has (num_total_blocks)", where=str(folder)
        )
    name = folder.resolve().name
    return ModelRecord(
        name=name,
        fingerprint=f"{IMPORTED}:{name}",
        architecture="unknown",
        num_blocks=sizes.pop(),
        stack="unknown",
    )


def _split_record(dataset: DatasetResults, task_types: Mapping[str, str]) -> SplitRecord:
    sample_ids = _sample_ids(dataset)
    source = dataset.provenance
    task_fingerprint = source.task_fingerprint if source else ""
    identity = repr((dataset.dataset, dataset.split, task_fingerprint, sample_ids))
    digest = sha256(identity.encode()).hexdigest()
    return SplitRecord(
        task=dataset.dataset,
        task_type=(source.task_type if source else "") or task_types.get(dataset.dataset, ""),
        split=dataset.split,
        fingerprint=f"{IMPORTED}:{digest}",
        sample_ids=sample_ids,
        metric=source.metric if source else "unknown",
    )


def _sample_ids(dataset: DatasetResults) -> tuple[str, ...]:
    """Return the ids of the samples, where all results that list samples list the same."""
    lists = {
        tuple(sample.sample_id for sample in result.samples)
        for result in dataset.results
        if result.samples
    }
    return lists.pop() if len(lists) == 1 else ()


def _add(
    study: StudyStore, key: int, record: SplitRecord, result: RemovalResult, folder: Path
) -> None:
    samples = None
    if result.samples and record.sample_ids:
        samples = (
            [sample.score for sample in result.samples],
            [sample.answer for sample in result.samples],
        )
    assert result.accuracy is not None
    study.add_imported(
        key,
        IMPORTED,
        result.removal,
        accuracy=result.accuracy,
        origin=str(folder),
        std=math.nan if result.std is None else result.std,
        num_samples=result.num_samples or 0,
        stated_drop=result.drop,
        samples=samples,
    )
