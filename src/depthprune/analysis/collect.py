"""From a study or a folder of result files to what the analysis works on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import numpy as np

from depthprune.analysis.from_study import study_result_set
from depthprune.analysis.result_set import (
    DatasetMeasurements,
    ResultSet,
    SplitAgreement,
    check_numbers,
    choose_splits,
    compare_splits,
    judged,
    split_agreement,
)
from depthprune.base.errors import AnalysisError, DepthpruneError, LayoutError
from depthprune.base.language import counted
from depthprune.base.removal import Objective, single_blocks
from depthprune.study import (
    DatasetResults,
    FoundResults,
    ImportanceComparison,
    Measurement,
    Problem,
    RemovalResult,
    read_results,
)
from depthprune.study.importing import IMPORTED
from depthprune.study.store import DATABASE_NAME
from depthprune.tasks.builtin import shipped_task_types

NAMED = 5
"""Problems that an error names before it only counts."""


def file_result_set(path: Path, split: str | None) -> ResultSet:
    """Return what the files in a folder tree hold, or one such file.

    Datasets of another model size than most are left out. Where there are only comparisons of
    training against validation, their validation scores are analysed.

    Raises:
        FileError, LayoutError: see `read_results`; or nothing in the files can be used, they are
            about several models, or do not tell how many blocks it has.
        AnalysisError: no dataset has the split that was asked for.
    """
    reading = read_results(path)
    problems = _by_file(reading.problems)
    try:
        return _result_set(reading, path, split, problems)
    except DepthpruneError as error:
        broken = [problem for problem in problems if problem not in error.what]
        if not reading.datasets or not broken:
            raise
        what = f"{error.what}\nwhat else is wrong in the files:\n{_named(broken)}"
        raise type(error)(what, where=error.where, mend=error.mend) from error


def _by_file(problems: Iterable[Problem]) -> list[str]:
    """Return a line for each file with what was left out of it, then what was kept in doubt.

    Each broken file is named, however much is wrong in another.
    """
    lines = []
    for left_out in (True, False):
        files: dict[str, list[Problem]] = {}
        for one in problems:
            if one.left_out is left_out:
                files.setdefault(one.where.partition(",")[0], []).append(one)
        for first, *more in files.values():
            lines.append(f"{first}{f', and {len(more)} more in this file' if more else ''}")
    return lines


def _result_set(
    reading: FoundResults, path: Path, split: str | None, problems: list[str]
) -> ResultSet:
    found = list(reading.datasets)
    if not found:
        found = [one for comparison in reading.comparisons for one in _as_results(comparison)]
        if found:
            problems.append("there are only comparisons of splits; their scores are analysed")
    if not found:
        raise LayoutError(
            "nothing in the result files can be used:\n" + _named(problems), where=str(path)
        )
    _check_one_model(found, path)
    found, num_blocks = _of_one_size(found, path, problems)
    by_name: dict[str, dict[str, DatasetResults]] = {}
    for one in found:
        by_name.setdefault(one.dataset, {})[one.split] = one
    chosen, messages = choose_splits(by_name, split, str(path))
    names = sorted(chosen)
    return ResultSet(
        model=_model_name(found, path),
        num_blocks=num_blocks,
        datasets=tuple(_measurements(by_name[name][chosen[name]], problems) for name in names),
        splits={name: chosen[name] for name in names},
        comparisons=_comparisons(reading, found, num_blocks, problems),
        problems=(*problems, *messages),
    )


def _as_results(comparison: ImportanceComparison) -> Iterable[DatasetResults]:
    sides = {"train": comparison.train_scores, "validation": comparison.validation_scores}
    for split, scores in sides.items():
        if scores:
            yield DatasetResults(
                dataset=comparison.dataset,
                split=split,
                num_blocks=len(scores) if list(scores) == list(range(len(scores))) else None,
                baseline_accuracy=None,
                results=tuple(RemovalResult((block,), drop) for block, drop in scores.items()),
                folder=comparison.path,
            )


def _check_one_model(found: Sequence[DatasetResults], path: Path) -> None:
    models = {
        one.provenance.model.fingerprint: one.provenance.model.name
        for one in found
        if one.provenance is not None
    }
    if len(models) > 1:
        raise LayoutError(
            f"the results are of more than one model: {', '.join(sorted(models.values()))}",
            where=str(path),
            mend="analyse the results of each model by themselves",
        )


def _of_one_size(
    found: Sequence[DatasetResults], path: Path, problems: list[str]
) -> tuple[list[DatasetResults], int]:
    """Return the datasets about the model size that most have, and that size."""
    sizes = Counter(one.num_blocks for one in found if one.num_blocks is not None)
    if not sizes:
        raise LayoutError(
            "no file tells how many blocks the model has",
            where=str(path),
            mend='add "num_total_blocks" to one of the files',
        )
    (num_blocks, most), *others = sizes.most_common()
    if others and others[0][1] == most:
        raise LayoutError(
            f"the results are of models of {' and '.join(map(str, sorted(sizes)))} blocks, "
            "no size more common than the other",
            where=str(path),
            mend="analyse the results of each model by themselves",
        )
    kept = []
    for one in found:
        blocks = max((max(result.removal, default=0) for result in one.results), default=0)
        if one.num_blocks not in (None, num_blocks):
            problems.append(
                f"{one.folder}: a model of {counted(one.num_blocks, 'block')}, the others have "
                f"{num_blocks}: "
                "left out"
            )
        elif blocks >= num_blocks:
            problems.append(
                f"{one.folder}: block {blocks} does not exist in a model of "
                f"{counted(num_blocks, 'block')}: "
                "left out"
            )
        else:
            kept.append(one)
    return kept, num_blocks


def _model_name(found: Sequence[DatasetResults], path: Path) -> str:
    names = [one.provenance.model.name for one in found if one.provenance is not None]
    return names[0] if names else path.resolve().name


def _measurements(results: DatasetResults, problems: list[str]) -> DatasetMeasurements:
    baseline = nan if results.baseline_accuracy is None else results.baseline_accuracy
    stated = {result.removal: result for result in results.results}
    unpruned = stated.pop((), RemovalResult((), 0.0))
    sample_ids = _sample_ids(unpruned)
    source = results.provenance
    if isnan(baseline):
        problems.append(f"{results.folder}: no baseline accuracy, the drops are taken as stated")
    measurements = {
        removal: _measurement(results, result, baseline, sample_ids)
        for removal, result in stated.items()
    }
    unpaired = sum(
        result.samples is not None and measurements[removal].scores is None
        for removal, result in stated.items()
    )
    if sample_ids is not None and unpaired:
        problems.append(
            f"{results.folder}: {counted(unpaired, 'result lists', 'results list')} other "
            "samples than the unpruned model: without a confidence interval"
        )
    metric = source.metric if source else ""
    whole = _measurement(results, unpruned, baseline, sample_ids)
    answers = tuple(sample.answer for sample in unpruned.samples or ()) or None
    return DatasetMeasurements(
        results.dataset,
        (source.task_type if source else ""),
        whole,
        measurements,
        metric,
        judged(replace(whole, answers=answers), metric),
    )


def _sample_ids(result: RemovalResult) -> list[str] | None:
    return None if not result.samples else [sample.sample_id for sample in result.samples]


def _measurement(
    results: DatasetResults,
    result: RemovalResult,
    baseline: float,
    sample_ids: list[str] | None,
) -> Measurement:
    """Return a result as a measurement; its scores in the order of the baseline's samples."""
    accuracy = baseline - result.drop if result.accuracy is None else result.accuracy
    scores = None
    if sample_ids is not None and result.samples is not None:
        by_id = {sample.sample_id: sample.score for sample in result.samples}
        if by_id.keys() == set(sample_ids):
            scores = np.array([by_id[sample_id] for sample_id in sample_ids], dtype=np.float32)
    return Measurement(
        task=results.dataset,
        split=results.split,
        removal=result.removal,
        accuracy=accuracy,
        std=nan if result.std is None else result.std,
        num_samples=result.num_samples or len(result.samples or ()),
        scores=scores,
        answers=None,
        seconds=0.0,
        settings=results.provenance.settings if results.provenance else IMPORTED,
        created="",
        origin=str(results.folder),
        stated_drop=result.drop if result.removal else None,
    )


def _comparisons(
    reading: FoundResults, found: Sequence[DatasetResults], num_blocks: int, problems: list[str]
) -> tuple[SplitAgreement, ...]:
    """Return the comparisons that files state, and those that two folders of a dataset allow."""
    datasets: dict[str, dict[str, dict[int, float]]] = {}
    for one in found:
        singles = single_blocks(one.drops)
        datasets.setdefault(one.dataset, {})[one.split] = singles
    comparisons = compare_splits(datasets)
    for stated in reading.comparisons:
        if max((*stated.train_scores, *stated.validation_scores), default=0) >= num_blocks:
            problems.append(
                f"{stated.path}: compares a model of more than {counted(num_blocks, 'block')}: "
                "left out"
            )
        else:
            comparisons[stated.dataset] = split_agreement(
                stated.dataset, stated.train_scores, stated.validation_scores
            )
    return tuple(comparisons[dataset] for dataset in sorted(comparisons))


def _named(problems: Sequence[str]) -> str:
    more = len(problems) - NAMED
    return "\n".join((*problems[:NAMED], *((f"and {more} more",) if more > 0 else ())))


def read_result_set(
    path: Path,
    split: str | None = None,
    *,
    selection: Collection[tuple[int, str]] | None = None,
    objective: Objective | None = None,
) -> ResultSet:
    """Read everything measured of one model: a study, or a tree of documented result files.

    Nothing is changed. The drops that files state are what counts. Whatever is wrong in them is
    left out or kept as `ResultSet.problems` says; the rest is returned.

    Args:
        path: the folder of a study, its database, a folder of result files, or one such file.
        split: which split is analysed; None is the one that most datasets have, see
            `choose_splits`.
        selection: of a study, only what was measured of these splits under these settings, as
            (key, settings); None takes all.
        objective: what removals of a study are ranked by, where it holds losses; None: as they were
            when it was searched.

    Raises:
        FileError: there is no such folder or file.
        LayoutError: no result file lies there, none can be used, or they are about several models.
        StudyError: the study cannot be read.
        AnalysisError: nothing was measured, or not on `split`.
    """
    path = Path(path)
    if path.name == DATABASE_NAME and path.is_file():
        path = path.parent
    is_study = (path / DATABASE_NAME).is_file()
    results = (
        study_result_set(path, split, selection, objective)
        if is_study
        else file_result_set(path, split)
    )
    datasets, problems = check_numbers(_with_task_types(results.datasets), results.num_blocks)
    problems = [*results.problems, *problems]
    if not datasets:
        raise AnalysisError(
            "no dataset holds a drop that can be used:\n" + "\n".join(problems), where=str(path)
        )
    if len(datasets) == 1:
        problems.append(
            f"only one dataset, {datasets[0].dataset}: nothing is known about any other"
        )
    return replace(
        results,
        datasets=tuple(datasets),
        splits={one.dataset: results.splits[one.dataset] for one in datasets},
        problems=tuple(problems),
        source=path,
        selection=selection,
    )


def _with_task_types(datasets: Iterable[DatasetMeasurements]) -> list[DatasetMeasurements]:
    """Return the datasets with the type of the known task of their name, where results say none."""
    known = shipped_task_types()
    return [
        one if one.task_type else replace(one, task_type=known.get(one.dataset, ""))
        for one in datasets
    ]
