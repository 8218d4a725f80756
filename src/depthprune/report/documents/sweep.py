"""The file of one configuration on one task, and the summary of a sweep; schema: docs/sweep.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from depthprune.analysis.intervals import Interval
from depthprune.analysis.sweep import SweepPoint
from depthprune.base.documents import WrongFieldError, read_document
from depthprune.base.errors import FileError, LayoutError
from depthprune.base.removal import active_blocks
from depthprune.benchmark.latency import Conditions, Latency, SampleLatency
from depthprune.benchmark.sweep import Measured
from depthprune.study import ModelRecord

FORMAT: Literal["depthprune-sweep-1"] = "depthprune-sweep-1"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Ends = tuple[Finite, Finite]

_CONDITIONS = {field.name for field in fields(Conditions)} - {"model", "task"}
"""Those that the provenance of a latency names; the two others are those of the file."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


class TimesLayout(_Strict):
    """Milliseconds; `count` measurements."""

    count: Annotated[int, Field(ge=1)]
    mean: Positive
    std: Positive
    p50: Positive
    p95: Positive
    p99: Positive


class LatencyLayout(_Strict):
    """Times of each stage, at batch size 1; null for a stage that there is not."""

    vision_ms: TimesLayout | None
    prefill_ms: TimesLayout
    time_to_first_token_ms: TimesLayout
    decode_ms_per_token: TimesLayout | None
    total_ms: TimesLayout


class AggregateStats(_Strict):
    """What was found over the samples; accuracies and drops are fractions."""

    num_samples: Count
    accuracy: Finite
    accuracy_std: Positive
    accuracy_confidence_interval: Ends | None
    baseline_accuracy: Finite
    accuracy_drop: Finite
    accuracy_drop_confidence_interval: Ends | None
    latency: LatencyLayout
    samples_per_second: Positive
    tokens_per_second: Positive | None
    peak_memory_bytes: Count | None
    peak_memory_kind: Literal["gpu_allocated", "process_peak_rss"]
    removed_weight_bytes: Count
    parameters_total: Count | None
    parameters_active: Count | None


class SampleTimes(_Strict):
    """Milliseconds of one sample."""

    prompt_tokens: Count
    new_tokens: Count
    vision_ms: Positive | None
    prefill_ms: Positive
    decode_steps_ms: tuple[Positive, ...]
    total_ms: Positive


class PerSample(_Strict):
    """One sample; `latency` is null for those that were not timed."""

    sample_id: str
    score: Finite
    baseline_score: Finite
    answer: str
    latency: SampleTimes | None


class LatencyProvenance(_Strict):
    """Under which conditions latencies were measured."""

    batch_size: Literal[1]
    stack: str
    device: str
    threads: Annotated[int, Field(ge=1)]
    dtype: str
    attention: str
    torch: str
    transformers: str
    samples: Annotated[int, Field(ge=1)]
    warmup: Count
    new_tokens: Count
    measured_at: str
    alternated_with: tuple[tuple[Count, ...], ...]


class Provenance(_Strict):
    """What the numbers are from."""

    depthprune: str
    model: str
    model_fingerprint: str
    architecture: str
    task_fingerprint: str
    settings: str
    answers: Literal["generate", "choose", "read", "respond"]
    accuracy_measured_at: str
    blocks_from: str
    latency: LatencyProvenance


class SweepFile(_Strict):
    """One configuration on one task: `{task}_blocks{n}.json`."""

    format: Literal["depthprune-sweep-1"]
    task: str
    task_type: str
    split: str
    metric: str
    num_blocks: Annotated[int, Field(ge=1)]
    num_active_blocks: Annotated[int, Field(ge=1)]
    removed_block_indices: tuple[Count, ...]
    active_block_indices: tuple[Count, ...]
    recommended_block_indices: tuple[Count, ...] | None
    is_recommended: bool | None
    aggregate_stats: AggregateStats
    per_sample_results: tuple[PerSample, ...]
    provenance: Provenance


def sweep_file_name(task: str, num_active: int) -> str:
    """Return the name of the file of one configuration on one task."""
    return f"{task}_blocks{num_active}.json"


def sweep_file_value(
    point: SweepPoint, measured: Measured, model: ModelRecord, blocks_from: str
) -> dict[str, Any]:
    """Return the content of that file as plain JSON data.

    Args:
        point: what was found.
        measured: that it was found in.
        model: that is pruned.
        blocks_from: what said which blocks go.
    """
    from depthprune import __version__

    measurement, latency = measured.measurement, measured.latency
    recommended = point.recommended
    value = {
        "format": FORMAT,
        "task": point.split.task,
        "task_type": point.split.task_type,
        "split": point.split.split,
        "metric": point.split.metric,
        "num_blocks": point.num_blocks,
        "num_active_blocks": point.num_active,
        "removed_block_indices": point.removal,
        "active_block_indices": active_blocks(point.removal, point.num_blocks),
        "recommended_block_indices": recommended,
        "is_recommended": None if recommended is None else recommended == point.removal,
        "aggregate_stats": _aggregate(point, measurement.std, latency.memory_kind),
        "per_sample_results": _samples(measured),
        "provenance": {
            "depthprune": __version__,
            "model": model.name,
            "model_fingerprint": model.fingerprint,
            "architecture": model.architecture,
            "task_fingerprint": point.split.fingerprint,
            "settings": measurement.settings,
            "answers": measured.answers,
            "accuracy_measured_at": measurement.created,
            "blocks_from": blocks_from,
            "latency": {
                "batch_size": 1,
                **{name: getattr(latency.conditions, name) for name in _CONDITIONS},
                "measured_at": latency.measured_at,
                "alternated_with": latency.alternated_with,
            },
        },
    }
    return SweepFile.model_validate(value).model_dump(mode="json")


def read_sweep_file(path: Path) -> SweepFile:
    """Read and check the file of one configuration.

    Raises:
        FileError: it is missing or no JSON.
        LayoutError: it is not in this layout; names the field.
    """
    return read_document(path, _layout, mend="delete it and run the sweep again")


def _layout(value: Any) -> SweepFile:
    try:
        return SweepFile.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise WrongFieldError(f"not the file of a sweep: {first['msg']}", *first["loc"]) from error


def known_latency(folder: Path, task: str, num_active: int) -> Latency | None:
    """Return the latency that an earlier sweep left in a folder; None where there is none to use.

    A file that cannot be read is as good as none: it is written anew.
    """
    try:
        return latency_of(read_sweep_file(folder / sweep_file_name(task, num_active)))
    except (FileError, LayoutError):
        return None


def latency_of(file: SweepFile) -> Latency:
    """Return the latency that a file holds."""
    about, stats = file.provenance.latency, file.aggregate_stats
    return Latency(
        removal=file.removed_block_indices,
        conditions=Conditions(
            model=file.provenance.model_fingerprint,
            task=file.provenance.task_fingerprint,
            **about.model_dump(include=_CONDITIONS),
        ),
        samples=tuple(
            SampleLatency(
                sample_id=one.sample_id,
                prompt_tokens=one.latency.prompt_tokens,
                new_tokens=one.latency.new_tokens,
                vision=one.latency.vision_ms,
                prefill=one.latency.prefill_ms,
                decode=one.latency.decode_steps_ms,
                total=one.latency.total_ms,
            )
            for one in file.per_sample_results
            if one.latency is not None
        ),
        peak_memory=stats.peak_memory_bytes,
        memory_kind=stats.peak_memory_kind,
        removed_bytes=stats.removed_weight_bytes,
        measured_at=about.measured_at,
        alternated_with=about.alternated_with,
    )


def sweep_summary_value(
    points: Sequence[SweepPoint], failures: Mapping[str, str], blocks_from: str
) -> dict[str, Any]:
    """Return the table of a sweep as plain JSON data, one entry for each configuration and task."""
    return {
        "format": FORMAT,
        "blocks_from": blocks_from,
        "configurations": [_row(point) for point in points],
        "failures": dict(failures),
    }


def _row(point: SweepPoint) -> dict[str, Any]:
    times, recommended = point.times, point.recommended
    return {
        "file": sweep_file_name(point.split.task, point.num_active),
        "task": point.split.task,
        "split": point.split.split,
        "num_active_blocks": point.num_active,
        "removed_block_indices": list(point.removal),
        "is_recommended": None if recommended is None else recommended == point.removal,
        "num_samples": point.num_samples,
        "accuracy": point.accuracy,
        "accuracy_confidence_interval": _ends(point.accuracy_interval),
        "accuracy_drop": point.drop,
        "accuracy_drop_confidence_interval": _ends(point.drop_interval),
        "num_samples_timed": times.total.count,
        "vision_ms": None if times.vision is None else times.vision.mean,
        "prefill_ms": times.prefill.mean,
        "decode_ms_per_token": None if times.decode is None else times.decode.mean,
        "total_ms": times.total.mean,
        "speedup": point.speedup,
        "speedup_confidence_interval": _ends(point.speedup_interval),
        "samples_per_second": point.samples_per_second,
        "tokens_per_second": point.tokens_per_second,
        "peak_memory_bytes": point.peak_memory,
        "parameters_active": point.active_parameters,
        "dominated": point.dominated,
    }


def _aggregate(point: SweepPoint, std: float, memory_kind: str) -> dict[str, Any]:
    times = point.times
    return {
        "num_samples": point.num_samples,
        "accuracy": point.accuracy,
        "accuracy_std": std,
        "accuracy_confidence_interval": _ends(point.accuracy_interval),
        "baseline_accuracy": point.baseline,
        "accuracy_drop": point.drop,
        "accuracy_drop_confidence_interval": _ends(point.drop_interval),
        "latency": {
            "vision_ms": times.vision,
            "prefill_ms": times.prefill,
            "time_to_first_token_ms": times.first_token,
            "decode_ms_per_token": times.decode,
            "total_ms": times.total,
        },
        "samples_per_second": point.samples_per_second,
        "tokens_per_second": point.tokens_per_second,
        "peak_memory_bytes": point.peak_memory,
        "peak_memory_kind": memory_kind,
        "removed_weight_bytes": point.removed_bytes,
        "parameters_total": point.parameters,
        "parameters_active": point.active_parameters,
    }


def _samples(measured: Measured) -> list[dict[str, Any]]:
    timed = {
        one.sample_id: {
            "prompt_tokens": one.prompt_tokens,
            "new_tokens": one.new_tokens,
            "vision_ms": one.vision,
            "prefill_ms": one.prefill,
            "decode_steps_ms": one.decode,
            "total_ms": one.total,
        }
        for one in measured.latency.samples
    }
    scores, baseline = measured.measurement.scores, measured.baseline.scores
    answers = measured.measurement.answers
    assert scores is not None
    assert baseline is not None
    assert answers is not None
    return [
        {
            "sample_id": sample,
            "score": score,
            "baseline_score": before,
            "answer": answer,
            "latency": timed.get(sample),
        }
        for sample, score, before, answer in zip(
            measured.split.sample_ids, scores.tolist(), baseline.tolist(), answers, strict=True
        )
    ]


def _ends(interval: Interval | None) -> Ends | None:
    return None if interval is None else (interval.low, interval.high)
