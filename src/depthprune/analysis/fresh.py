"""What a study holds on fresh samples: those behind no removal that is ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.dataset import DatasetMeasurements
from depthprune.analysis.result_set import FreshResults
from depthprune.study import Measurement, StoredSplit, Study
from depthprune.study.records import FEWEST_FRESH, UNVERIFIED, SeenSamples, seen_samples


def fresh_results(study: Study, used: Mapping[StoredSplit, str]) -> FreshResults | None:
    """Return what was verified of some splits, as measured under these settings.

    Of several draws for a dataset the one with the most removals counts, of equal ones the largest,
    then the newest. A sample that was searched on later is not fresh any more: it is left out.

    Args:
        study: to be read.
        used: the splits that are analysed, each with the settings it was measured under.
    """
    verified = study.splits(role="verification")
    told = [] if study.lacks is not None else [run.how.get(UNVERIFIED) for run in study.runs()]
    why: dict[str, object] = {}
    for each in told:
        why |= each if isinstance(each, dict) else {}
    if not verified and all(each is None for each in told):
        return None
    seen = seen_samples(study.splits())
    datasets: list[DatasetMeasurements] = []
    splits: dict[str, str] = {}
    counts = {name: one for name, one in why.items() if isinstance(one, int)}
    for searched, settings in used.items():
        record = searched.record
        drawn = [
            one
            for one in verified
            if one.record.task == record.task
            and (one.record.metric, one.record.metric_version)
            == (record.metric, record.metric_version)
            and settings in one.settings
        ]
        found = [
            (len(measured.measurements), measured.baseline.num_samples, one.key, one, measured)
            for one in drawn
            if (measured := _measured(study, one, settings, seen)) is not None
        ]
        if not found:
            continue
        *_, best, measured = max(found, key=lambda one: one[:3])
        count = measured.baseline.num_samples
        if count < FEWEST_FRESH:
            counts[record.task] = count
            continue
        datasets.append(measured)
        splits[record.task] = best.record.split
    reasons = {name: one for name, one in why.items() if isinstance(one, str)}
    return FreshResults(tuple(datasets), splits, counts, reasons)


def _measured(
    study: Study, stored: StoredSplit, settings: str, seen: SeenSamples
) -> DatasetMeasurements | None:
    """Return what was measured on the fresh samples of a split; None without their baseline."""
    record = stored.record
    fresh = seen.fresh(record)
    found = {
        one.removal: _of_samples(one, fresh)
        for one in study.measurements(stored.key, settings, with_answers=False)
    }
    baseline = found.pop((), None)
    if baseline is None or not found:
        return None
    return DatasetMeasurements(record.task, record.task_type, baseline, found, record.metric)


def _of_samples(one: Measurement, chosen: NDArray[np.bool_]) -> Measurement:
    """Return a measurement as it is on some of its samples."""
    if one.scores is None or chosen.all():
        return one
    scores = one.scores[chosen]
    exact = scores.astype(np.float64)
    return replace(
        one,
        scores=scores,
        accuracy=float(exact.mean()) if len(exact) else float("nan"),
        std=float(exact.std()) if len(exact) else float("nan"),
        num_samples=len(exact),
    )
