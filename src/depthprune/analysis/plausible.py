"""Leaves out numbers that cannot be drops or accuracies, and says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import isfinite, isnan

from depthprune.analysis.dataset import DatasetMeasurements
from depthprune.base.removal import Removal, format_removal

LARGEST_CAPTION_SCORE = 10.0
"""CIDEr ends here; every other metric ends at 1."""

NAMED = 3
"""Removals that a message names before it only counts."""


def check_numbers(
    datasets: Iterable[DatasetMeasurements], num_blocks: int
) -> tuple[list[DatasetMeasurements], list[str]]:
    """Return the datasets without impossible numbers, and what was left out.

    A drop is impossible if it is not finite, or beyond -1..1; on captions, whose scores may exceed
    1, beyond the accuracy of the unpruned model where that is more than 1. A dataset whose
    accuracies are more than its metric can give (per cent, most likely) is left out whole; so is
    one without any removal. Removals of blocks that the model does not have (a damaged study) are
    left out too.
    """
    kept, problems = [], []
    for dataset in datasets:
        baseline = dataset.baseline.accuracy
        captions = dataset.task_type in ("Captioning", "")
        if not isnan(baseline) and baseline > (LARGEST_CAPTION_SCORE if captions else 1.0):
            problems.append(
                f"{dataset.dataset}: an accuracy of {baseline:g} is no fraction (per cent?): "
                "the dataset is left out; divide its numbers by 100"
            )
            continue
        outside = [removal for removal in dataset.measurements if removal[-1] >= num_blocks]
        if outside:
            dataset = _without(dataset, outside)
            problems.append(
                f"{dataset.dataset}: {_told(outside)} of blocks that do not exist: left out"
            )
        limit = max(1.0, baseline) if captions and not isnan(baseline) else 1.0
        wrong = [
            removal
            for removal in dataset.measurements
            if not (isfinite(drop := dataset.drop(removal)) and abs(drop) <= limit)
        ]
        if wrong:
            dataset = _without(dataset, wrong)
            problems.append(
                f"{dataset.dataset}: {_told(wrong)} with drops that are no fraction from -1 to 1: "
                "left out"
            )
        if dataset.measurements:
            kept.append(dataset)
        else:
            problems.append(f"{dataset.dataset}: no removal was measured: left out")
    return kept, problems


def _without(dataset: DatasetMeasurements, wrong: list[Removal]) -> DatasetMeasurements:
    gone = set(wrong)
    good = {
        removal: measurement
        for removal, measurement in dataset.measurements.items()
        if removal not in gone
    }
    return replace(dataset, measurements=good)


def _told(wrong: list[Removal]) -> str:
    named = ", ".join(map(format_removal, wrong[:NAMED])) + (", ..." if wrong[NAMED:] else "")
    return f"{len(wrong)} removal{'s' if wrong[1:] else ''} ({named})"
