"""The runner: measures what a strategy asks for and the study does not hold, and stores it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from depthprune.base.removal import Removal
from depthprune.evaluate.evaluator import Evaluator
from depthprune.search.strategy import Strategy
from depthprune.study import SplitRecord, Study
from depthprune.tasks.task import TaskSplit


@dataclass(frozen=True)
class RunReport:
    """What one run did.

    Attributes:
        measured: removals that were measured now, the baseline included.
        reused: measurements of this split that the study held when the run began.
        seconds: wall-clock time of the whole run.
    """

    measured: int
    reused: int
    seconds: float

    def __add__(self, other: RunReport) -> RunReport:
        return RunReport(
            self.measured + other.measured,
            self.reused + other.reused,
            self.seconds + other.seconds,
        )


def split_record(split: TaskSplit) -> SplitRecord:
    """Return what the study keeps about a split."""
    return SplitRecord(
        task=split.task.name,
        task_type=split.task.task_type,
        split=split.split,
        fingerprint=split.fingerprint,
        sample_ids=tuple(sample.id for sample in split.samples),
        metric=split.scorer.name,
    )


def run(strategy: Strategy, study: Study, split: TaskSplit, evaluator: Evaluator) -> RunReport:
    """Follow `strategy` to its end; run again after an interruption to go on where it stopped.

    The baseline is measured first. Each measurement is stored in a transaction of its own, as soon
    as the evaluator returns it.
    """
    started = perf_counter()
    key = study.add_split(split_record(split))
    settings = evaluator.settings
    reused = len(study.drops(key, settings))
    measured = 0
    batch: Sequence[Removal] = study.missing(key, [()], settings)
    while True:
        for start in range(0, len(batch), evaluator.removals_per_call):
            part = batch[start : start + evaluator.removals_per_call]
            _measure(study, key, split, evaluator, part)
            measured += len(part)
        batch = strategy.ask(study.drops(key, settings))
        if not batch:
            return RunReport(measured, reused, perf_counter() - started)


def _measure(
    study: Study, key: int, split: TaskSplit, evaluator: Evaluator, removals: Sequence[Removal]
) -> None:
    started = perf_counter()
    evaluation = evaluator.evaluate(split, removals)
    seconds = (perf_counter() - started) / len(removals)
    for row, removal in enumerate(removals):
        scores = evaluation.scores[row].astype(np.float32, copy=False)
        study.add(key, evaluator.settings, removal, scores, evaluation.answers[row], seconds)
