"""From a study or a folder of result files to what the analysis works on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from depthprune.analysis.dataset import DatasetMeasurements
from depthprune.analysis.from_files import file_result_set
from depthprune.analysis.from_study import study_result_set
from depthprune.analysis.plausible import check_numbers
from depthprune.analysis.result_set import ResultSet
from depthprune.base.errors import AnalysisError
from depthprune.study import Study
from depthprune.study.store import DATABASE_NAME
from depthprune.tasks.shipped import shipped_task_types


def read_result_set(
    path: Path, split: str | None = None, *, selection: Collection[tuple[int, str]] | None = None
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
    results = study_result_set(path, split, selection) if is_study else file_result_set(path, split)
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


def dataset_measurements(
    study: Study, splits: Sequence[int], settings: str
) -> list[DatasetMeasurements]:
    """Return what a study holds of some splits, as far as their baseline is measured.

    Args:
        study: to be read.
        splits: keys of one split of several tasks, in the order wanted.
        settings: the decoding settings that the measurements were taken under.
    """
    collected = []
    for key in splits:
        record = study.split(key)
        by_removal = {
            one.removal: one for one in study.measurements(key, settings, with_answers=False)
        }
        baseline = by_removal.pop((), None)
        if baseline is None:
            continue
        collected.append(
            DatasetMeasurements(record.task, record.task_type, baseline, by_removal, record.metric)
        )
    return collected


def _with_task_types(datasets: Iterable[DatasetMeasurements]) -> list[DatasetMeasurements]:
    """Return the datasets with the type of the known task of their name, where results say none."""
    known = shipped_task_types()
    return [
        one if one.task_type else replace(one, task_type=known.get(one.dataset, ""))
        for one in datasets
    ]
