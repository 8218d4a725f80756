"""The runner: measures what a strategy asks for and the study does not hold, and stores it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from depthprune.base.removal import Removal
from depthprune.engine.evaluator import Evaluator, in_calls
from depthprune.strategies.joint import mean_drops
from depthprune.strategies.space import SearchSpace
from depthprune.strategies.strategy import Strategy
from depthprune.study import SplitRecord, Study
from depthprune.tasks.task import TaskSplit


@dataclass(frozen=True)
class RunReport:
    """What one run did.

    Attributes:
        measured: removals that were measured now, the baseline included, once for each split.
        reused: measurements of these splits that the study held when the run began.
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
        metric_version=split.metric_version,
        pictures=split.pictures,
    )


def run(
    strategy: Strategy, space: SearchSpace, study: Study, split: TaskSplit, evaluator: Evaluator
) -> RunReport:
    """Follow `strategy` to its end; run again after an interruption to go on where it stopped.

    The baseline is measured first. Each measurement is stored in a transaction of its own, as soon
    as the evaluator returns it.
    """
    return run_jointly(strategy, space, study, [split], evaluator)


def run_jointly(
    strategy: Strategy,
    space: SearchSpace,
    study: Study,
    splits: Sequence[TaskSplit],
    evaluator: Evaluator,
    weights: Sequence[float] | None = None,
) -> RunReport:
    """Follow `strategy` on the mean drop over several splits; every removal is measured on all.

    A removal that only some of the splits hold counts as not measured.

    Args:
        strategy: is told mean drops.
        space: the removals that may be considered.
        study: where measurements are looked up and stored.
        splits: of different tasks.
        evaluator: measures.
        weights: of the splits in the mean, see `mean_drops`.
    """
    started = perf_counter()
    settings = evaluator.settings
    keys = [study.add_split(split_record(split)) for split in splits]
    reused = sum(len(study.drops(key, settings)) for key in keys)
    measured = 0
    batch: Sequence[Removal] = [()]
    while batch:
        measured += measure_missing(study, splits, evaluator, batch)
        drops = mean_drops([study.drops(key, settings) for key in keys], weights)
        batch = strategy.ask(space, drops)
    return RunReport(measured, reused, perf_counter() - started)


def measure_missing(
    study: Study,
    splits: Sequence[TaskSplit],
    evaluator: Evaluator,
    removals: Sequence[Removal],
) -> int:
    """Measure `removals` on every split whose measurement the study lacks; return how many.

    Split by split, so that inputs which do not fit into memory together are prepared once for all
    removals. What a removal changes in the model is remembered over the splits.
    """
    measured = 0
    for split in splits:
        key = study.add_split(split_record(split))
        missing = study.missing(key, removals, evaluator.settings)
        for together in in_calls(evaluator, missing):
            _measure(study, key, split, evaluator, together)
        measured += len(missing)
    return measured


def _measure(
    study: Study, key: int, split: TaskSplit, evaluator: Evaluator, removals: Sequence[Removal]
) -> None:
    started = perf_counter()
    evaluation = evaluator.evaluate(split, removals)
    seconds = (perf_counter() - started) / len(removals)
    for row, removal in enumerate(removals):
        scores = evaluation.scores[row].astype(np.float32, copy=False)
        study.add(key, evaluator.settings, removal, scores, evaluation.answers[row], seconds)
