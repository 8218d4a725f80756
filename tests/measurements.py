"""Measurements made by hand, for tests of what is computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.base.removal import Removal
from depthprune.study import Measurement


def measurement(
    removal: Removal,
    scores: Sequence[float] | float,
    task: str = "okvqa",
    split: str = "validation",
) -> Measurement:
    """Return a measurement with these per-sample scores, or with an accuracy alone."""
    alone = isinstance(scores, int | float)
    values = np.asarray([scores] if alone else scores, dtype=np.float32)
    return Measurement(
        task=task,
        split=split,
        removal=removal,
        accuracy=float(values.astype(np.float64).mean()),
        std=float("nan") if alone else float(values.std()),
        num_samples=0 if alone else len(values),
        scores=None if alone else values,
        answers=None if alone else tuple(f"answer {place}" for place in range(len(values))),
        seconds=0.0,
        settings="greedy dtype=float32",
        created="2026-11-21T00:00:00+00:00",
    )


def dataset(
    name: str,
    baseline: Sequence[float] | float,
    scores: Mapping[Removal, Sequence[float] | float],
    task_type: str = "VQA",
) -> DatasetMeasurements:
    """Return a dataset with these measurements."""
    return DatasetMeasurements(
        name,
        task_type,
        measurement((), baseline, name),
        {removal: measurement(removal, values, name) for removal, values in scores.items()},
    )
