"""What a sweep found: accuracy with its interval, times of each stage, what no other one beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev

import numpy as np

from depthprune.analysis.intervals import Differences, Interval, interval, mean_intervals
from depthprune.analysis.result_set import may_exceed_one
from depthprune.base.removal import Removal
from depthprune.benchmark.latency import Latency
from depthprune.study import Measurement, ModelRecord, SplitRecord


@dataclass(frozen=True)
class Times:
    """How long something took, in milliseconds.

    Attributes:
        count: how many times it was measured.
        mean: of them.
        std: population standard deviation.
        p50, p95, p99: percentiles, linear between the two nearest measurements.
    """

    count: int
    mean: float
    std: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class StageTimes:
    """Times of each stage of an answer; None for a stage that there is not.

    Attributes:
        vision: looking at the pictures of a sample.
        prefill: reading the prompt of a sample, without `vision`.
        first_token: `vision` and `prefill` of a sample.
        decode: one new token.
        total: a sample from prepared inputs to the answer's tokens.
    """

    vision: Times | None
    prefill: Times
    first_token: Times
    decode: Times | None
    total: Times


@dataclass(frozen=True)
class SweepPoint:
    """One configuration on one task.

    Attributes:
        split: task, split and metric.
        num_blocks: of the unpruned model.
        removal: the blocks that were left out.
        recommended: those that are recommended for as many active blocks; None where nothing is.
        num_samples: that accuracies are over.
        accuracy, accuracy_interval: under the removal, with its interval, see `mean_intervals`.
        baseline: accuracy of the unpruned model on the same samples.
        drop, drop_interval: baseline minus accuracy, with its paired interval.
        times: of each stage.
        totals: total milliseconds of each timed sample, in order.
        samples_per_second, tokens_per_second: one sample at a time; new tokens over the total
            time, None where none are written.
        peak_memory: bytes, with all blocks in memory; None where the system does not tell.
        removed_bytes: of the weights that the cut model does not have.
        parameters, active_parameters: of the whole model and of what stays; None where unknown.
        speedup: mean total time of the unpruned model in this sweep over this one's; None without.
        speedup_interval: its paired bootstrap interval over the timed samples; None likewise, and
            where other samples were timed, or in another run.
        dominated: whether another configuration of the task is at least as accurate and as fast,
            and better in one of the two.
        timed_at: when its run was timed; configurations of one run took turns.
    """

    split: SplitRecord
    num_blocks: int
    removal: Removal
    recommended: Removal | None
    num_samples: int
    accuracy: float
    accuracy_interval: Interval | None
    baseline: float
    drop: float
    drop_interval: Interval | None
    times: StageTimes
    totals: tuple[float, ...]
    samples_per_second: float
    tokens_per_second: float | None
    peak_memory: int | None
    removed_bytes: int
    parameters: int | None
    active_parameters: int | None
    speedup: float | None = None
    speedup_interval: Interval | None = None
    dominated: bool = False
    timed_at: str = ""

    @property
    def num_active(self) -> int:
        """How many blocks stay."""
        return self.num_blocks - len(self.removal)


def times_of(milliseconds: Iterable[float]) -> Times | None:
    """Return mean, population standard deviation and percentiles; None for nothing."""
    values = np.fromiter(milliseconds, dtype=np.float64)
    if not len(values):
        return None
    p50, p95, p99 = (float(value) for value in np.percentile(values, [50, 95, 99]))
    return Times(len(values), float(values.mean()), float(values.std()), p50, p95, p99)


def stage_times(latency: Latency) -> StageTimes:
    """Return the times of each stage; of decoding over all tokens of all samples."""
    samples = latency.samples
    prefill = times_of(one.prefill for one in samples)
    first = times_of((one.vision or 0.0) + one.prefill for one in samples)
    total = times_of(one.total for one in samples)
    if prefill is None or first is None or total is None:
        raise ValueError("no sample was timed")
    return StageTimes(
        vision=times_of(one.vision for one in samples if one.vision is not None),
        prefill=prefill,
        first_token=first,
        decode=times_of(step for one in samples for step in one.decode),
        total=total,
    )


def sweep_point(
    split: SplitRecord,
    model: ModelRecord,
    baseline: Measurement,
    measurement: Measurement,
    latency: Latency,
    recommended: Removal | None = None,
    *,
    seed: int = 0,
) -> SweepPoint:
    """Return what is known of one configuration on one task.

    Args:
        split: that it was measured on.
        model: that is pruned.
        baseline: the unpruned model, with scores.
        measurement: the configuration on the same samples, with scores.
        latency: of the configuration.
        recommended: the removal that is recommended for as many active blocks.
        seed: of the draws where scores may exceed 1.

    Raises:
        ValueError: scores are missing, or nothing was timed.
    """
    if baseline.scores is None or measurement.scores is None:
        raise ValueError("a measurement without scores has no interval")
    scores = np.asarray(measurement.scores, dtype=np.float64)
    bounded = not may_exceed_one(split.metric, split.task_type) and bool(
        np.concatenate([baseline.scores, scores]).max(initial=0.0) <= 1.0
    )
    drop = Differences((baseline.scores - scores)[None], 1.0, bounded, seed)
    accuracy = Differences(scores[None], 1.0, bounded, seed)
    seconds = sum(one.total for one in latency.samples) / 1000
    tokens = sum(one.new_tokens for one in latency.samples)
    return SweepPoint(
        split=split,
        num_blocks=model.num_blocks,
        removal=measurement.removal,
        recommended=recommended,
        num_samples=measurement.num_samples,
        accuracy=measurement.accuracy,
        accuracy_interval=mean_intervals([accuracy], lowest=0.0)[0],
        baseline=baseline.accuracy,
        drop=baseline.accuracy - measurement.accuracy,
        drop_interval=mean_intervals([drop])[0] if measurement.removal else Interval(0.0, 0.0),
        times=stage_times(latency),
        totals=tuple(one.total for one in latency.samples),
        samples_per_second=len(latency.samples) / seconds,
        tokens_per_second=tokens / seconds if tokens else None,
        peak_memory=latency.peak_memory,
        removed_bytes=latency.removed_bytes,
        parameters=model.parameters,
        active_parameters=_active_parameters(model, measurement.removal),
        timed_at=latency.measured_at,
    )


def compare_points(points: Sequence[SweepPoint]) -> list[SweepPoint]:
    """Return the points of one task with their speed-up and whether another dominates them."""
    unpruned = next((one for one in points if not one.removal), None)
    dominated = dominated_places([(one.times.total.mean, one.accuracy) for one in points])
    return [
        replace(
            one,
            speedup=None if unpruned is None else unpruned.times.total.mean / one.times.total.mean,
            speedup_interval=None if unpruned is None else speedup_interval(unpruned, one),
            dominated=place in dominated,
        )
        for place, one in enumerate(points)
    ]


def speedup_interval(
    unpruned: SweepPoint, point: SweepPoint, *, resamples: int = 2000, seed: int = 0
) -> Interval | None:
    """Return the 95% interval of the ratio of mean times; None if they were not timed together.

    Percentiles of bootstrap resamples that draw the same samples for both (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993): they ran one after the other, so that what else the
    machine did is mostly in both.
    """
    count = len(point.totals)
    # Timed in different runs they took no turns: what the machine did is in one of them alone.
    if len(unpruned.totals) != count or unpruned.timed_at != point.timed_at:
        return None
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(count, np.full(count, 1 / count), resamples)
    return interval((drawn @ np.array(unpruned.totals)) / (drawn @ np.array(point.totals)))


def mean_points(points: Sequence[SweepPoint]) -> list[tuple[int, float, float, bool]]:
    """Return the mean over tasks for each number of active blocks that every task has.

    Returns:
        Active blocks, total milliseconds, accuracy, and whether another one dominates it; in the
        order of the points.
    """
    tasks = {one.split.task for one in points}
    numbers = list(dict.fromkeys(one.num_active for one in points))
    of_number = {n: [one for one in points if one.num_active == n] for n in numbers}
    complete = [n for n in numbers if {one.split.task for one in of_number[n]} == tasks]
    places = [
        (
            fmean(one.times.total.mean for one in of_number[n]),
            fmean(one.accuracy for one in of_number[n]),
        )
        for n in complete
    ]
    dominated = dominated_places(places)
    return [
        (n, *place, index in dominated)
        for index, (n, place) in enumerate(zip(complete, places, strict=True))
    ]


def dominated_places(points: Sequence[tuple[float, float]]) -> set[int]:
    """Return the places of points of (time, accuracy) that another one dominates.

    One dominates another that is neither faster nor more accurate and worse in one of the two.
    """
    return {
        place
        for place, (time, accuracy) in enumerate(points)
        if any(t <= time and a >= accuracy and (t < time or a > accuracy) for t, a in points)
    }


def _active_parameters(model: ModelRecord, removal: Removal) -> int | None:
    if model.parameters is None or model.block_parameters is None:
        return None
    return model.parameters - sum(model.block_parameters[block] for block in removal)


@dataclass(frozen=True)
class Speedup:
    """How much faster a sample is answered, over the tasks of a sweep.

    Attributes:
        mean: of the ratios, total time of the whole model over that without the blocks.
        std: population standard deviation over the tasks.
        low, high: of the tasks.
        num_tasks: that were timed.
        num_timed: samples that were timed, of the task with the fewest.
    """

    mean: float
    std: float
    low: float
    high: float
    num_tasks: int
    num_timed: int


def mean_speedup(points: Iterable[SweepPoint], removal: Removal) -> Speedup | None:
    """Return the speed-up of a removal over the tasks; None where none was timed with all blocks.

    Args:
        points: of a sweep, from `compare_points`.
        removal: the blocks left out.
    """
    of_removal = [one for one in points if one.removal == removal and one.speedup is not None]
    ratios = [one.speedup for one in of_removal if one.speedup is not None]
    if not ratios:
        return None
    return Speedup(
        mean=fmean(ratios),
        std=pstdev(ratios),
        low=min(ratios),
        high=max(ratios),
        num_tasks=len(ratios),
        num_timed=min(one.times.total.count for one in of_removal),
    )
