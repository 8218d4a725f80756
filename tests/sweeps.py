"""Sweeps made by hand: measurements and latencies of a model of four blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from depthprune.analysis.sweep import SweepPoint, compare_points, sweep_point
from depthprune.base.removal import Removal
from depthprune.benchmark.latency import Latency, LatencyConditions, SampleLatency
from depthprune.benchmark.sweep import SweepMeasurement
from depthprune.strategies.configurations import Configuration
from depthprune.study import Measurement, ModelRecord, SplitRecord

MODEL = ModelRecord("tiny", "f1", "LlamaForCausalLM", 4, "model.layers", 1000, (100, 110, 120, 130))
CONDITIONS = LatencyConditions(
    "f1", "model.layers", "t1", "cpu: fast", 1, "float32", "sdpa", "2.13", "5.23", 2, 1, 3
)


def split_record(task: str = "okvqa", num_samples: int = 4) -> SplitRecord:
    ids = tuple(f"validation/{index}" for index in range(num_samples))
    return SplitRecord(task, "VQA", "validation", "t1", ids, "vqa_accuracy")


def measured_scores(removal: Removal, scores: Sequence[float], task: str = "okvqa") -> Measurement:
    values = np.array(scores, dtype=np.float32)
    exact = values.astype(np.float64)
    return Measurement(
        task,
        "validation",
        removal,
        float(exact.mean()),
        float(exact.std()),
        len(values),
        values,
        tuple(f"answer {index}" for index in range(len(values))),
        1.0,
        "greedy dtype=float32",
        "2026-01-01T00:00:00+00:00",
    )


def latency(
    removal: Removal,
    totals: Sequence[float] = (10.0, 14.0),
    *,
    vision: float | None = 2.0,
    decode: tuple[float, ...] = (1.0, 3.0),
    peak_memory: int | None = 2**30,
) -> Latency:
    samples = tuple(
        SampleLatency(
            f"validation/{index}", 8, len(decode) + 1 if decode else 0, vision, 3.0, decode, total
        )
        for index, total in enumerate(totals)
    )
    return Latency(
        removal,
        CONDITIONS,
        samples,
        peak_memory,
        "process_peak_rss",
        400,
        "2026-01-02T00:00:00+00:00",
        ((),),
    )


def measured(
    removal: Removal,
    scores: Sequence[float],
    totals: Sequence[float] = (10.0, 14.0),
    *,
    task: str = "okvqa",
    baseline: Sequence[float] = (1, 1, 0, 1),
    timed: Latency | None = None,
) -> SweepMeasurement:
    return SweepMeasurement(
        split_record(task, len(scores)),
        Configuration(4 - len(removal), removal),
        measured_scores((), baseline, task),
        measured_scores(removal, scores, task),
        latency(removal, totals) if timed is None else timed,
        "generate",
    )


def point(one: SweepMeasurement, recommended: Removal | None = None) -> SweepPoint:
    return sweep_point(one.split, MODEL, one.baseline, one.measurement, one.latency, recommended)


def task_points(task: str = "okvqa") -> list[SweepPoint]:
    """Return three configurations, of which one is slower and worse than another."""
    ones = [
        (measured((1, 2), (1, 0, 0, 0), (6.0, 8.0), task=task), (1, 2)),
        (measured((3,), (0, 0, 0, 0), (9.0, 11.0), task=task), (1,)),
        (measured((), (1, 1, 0, 1), (12.0, 16.0), task=task), ()),
    ]
    return compare_points([point(one, recommended) for one, recommended in ones])
