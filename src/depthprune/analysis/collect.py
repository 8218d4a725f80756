"""From a study to the tables that the analysis works on."""

from __future__ import annotations

from collections.abc import Sequence

from depthprune.analysis.combinations import DatasetMeasurements
from depthprune.study import Study


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
        by_removal = {one.removal: one for one in study.measurements(key, settings)}
        baseline = by_removal.pop((), None)
        if baseline is None:
            continue
        collected.append(
            DatasetMeasurements(record.task, record.task_type, baseline, by_removal, record.metric)
        )
    return collected
