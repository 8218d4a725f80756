"""What was measured on one dataset: the baseline, and one measurement for each removal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from depthprune.base.removal import Removal
from depthprune.study.records import Measurement
from depthprune.tasks.weak import Weakness


@dataclass(frozen=True)
class DatasetMeasurements:
    """All measurements of one dataset split, taken on the same samples with the same settings.

    Attributes:
        dataset: the task's name.
        task_type: e.g. `VQA`; empty when unknown.
        baseline: of removal `()`; its accuracy is NaN where files state drops alone.
        measurements: by removal, the baseline not included; their accuracies likewise.
        metric: what the scores are, with what it depends on.
        weakness: why the baseline is no basis for drops; None where it is one, or was not judged.
    """

    dataset: str
    task_type: str
    baseline: Measurement
    measurements: Mapping[Removal, Measurement]
    metric: str = ""
    weakness: Weakness | None = None

    @property
    def may_exceed_one(self) -> bool:
        """Whether its scores may exceed 1."""
        return may_exceed_one(self.metric, self.task_type)

    def drop(self, removal: Removal) -> float:
        """Return the drop under `removal`, a fraction: as it is stated, if its file states it.

        Otherwise it is baseline accuracy minus accuracy; a stated drop may be rounded less.
        """
        measurement = self.measurements[removal]
        if measurement.stated_drop is not None:
            return measurement.stated_drop
        return self.baseline.accuracy - measurement.accuracy

    def paired_scores(self, removal: Removal) -> NDArray[np.float32] | None:
        """Return the scores of each sample, as many as the unpruned model has; None if unknown."""
        baseline = self.baseline.scores
        measured = self.measurements.get(removal) if removal else self.baseline
        scores = None if measured is None else measured.scores
        if baseline is None or scores is None or not 0 < len(scores) == len(baseline):
            return None
        return scores


def may_exceed_one(metric: str, task_type: str) -> bool:
    """Return whether scores of a metric may exceed 1: CIDEr-D's, captions' when it is unknown."""
    return "cider" in metric.lower() or (not metric and task_type == "Captioning")
