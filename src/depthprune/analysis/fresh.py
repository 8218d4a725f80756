"""What a study holds on fresh samples: those behind no removal that is ranked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depthprune.analysis.dataset import DatasetMeasurements
from depthprune.analysis.recommendations import FEWEST_FRESH
from depthprune.analysis.result_set import FreshResults
from depthprune.study import Measurement, SplitRecord, StoredSplit, Study

UNVERIFIED = "unverified"
"""In what a study says of a run: why datasets could not be verified, by dataset."""


@dataclass(frozen=True)
class SeenSamples:
    """The samples by which removals were found.

    Attributes:
        ids: by task.
        pictures: digests of their pictures, of all tasks: a picture may belong to several.
    """

    ids: Mapping[str, Collection[str]]
    pictures: Collection[str]

    def fresh(self, record: SplitRecord) -> NDArray[np.bool_]:
        """Return for each sample of a split whether neither it nor a picture of it was seen."""
        ids = self.ids.get(record.task, ())
        pictures = record.pictures or ((),) * len(record.sample_ids)
        return np.array(
            [
                name not in ids and self.pictures_are_new(shown)
                for name, shown in zip(record.sample_ids, pictures, strict=True)
            ],
            dtype=bool,
        )

    def pictures_are_new(self, pictures: Sequence[str]) -> bool:
        """Return whether no such picture was seen."""
        return not any(one in self.pictures for one in pictures)


def seen_samples(study: Study) -> SeenSamples:
    """Return the samples behind everything that was searched."""
    ids: dict[str, set[str]] = {}
    pictures: set[str] = set()
    for stored in study.splits():
        ids.setdefault(stored.record.task, set()).update(stored.record.sample_ids)
        pictures.update(one for shown in stored.record.pictures for one in shown)
    return SeenSamples(ids, pictures)


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
    known = [one for one in told if isinstance(one, dict)]
    if not verified and not known:
        return None
    seen = seen_samples(study)
    datasets: list[DatasetMeasurements] = []
    splits: dict[str, str] = {}
    counts: dict[str, int] = {}
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
    reasons = {name: str(reason) for name, reason in (known[-1] if known else {}).items()}
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
