"""The file of one configuration on one task, and the summary of a sweep; schema: docs/sweep.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from depthprune.analysis.sweep import SweepPoint
from depthprune.base.documents import (
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    Field,
    Json,
    Kind,
    Layout,
    WrongFieldError,
    each,
    one_of,
    read_document,
)
from depthprune.base.errors import FileError, LayoutError
from depthprune.base.removal import active_blocks
from depthprune.benchmark.latency import Latency, LatencyConditions, SampleLatency
from depthprune.benchmark.sweep import SweepMeasurement
from depthprune.report.render.plain import plain
from depthprune.study import ModelRecord

FORMAT = "depthprune-sweep-1"


def _field(name: str, kind: Kind, of: Any = "") -> Field:
    return Field(name, kind, of, required=True)


def _or_null(name: str, kind: Kind, of: Any = "") -> Field:
    return Field(name, kind, of, null=True)


def _positive(value: Any) -> float:
    number: float = NUMBER.read(value)
    if number < 0:
        raise WrongFieldError(f"{value} is below 0")
    return number


def _from_one(value: Any) -> int:
    number: int = COUNT.read(value)
    if number < 1:
        raise WrongFieldError(f"{value} is below 1")
    return number


def _one(value: Any) -> int:
    if COUNT.read(value) != 1:
        raise WrongFieldError(f"only a batch size of 1 is known, not {value}")
    return 1


POSITIVE = Kind("a number from 0", _positive)
FROM_ONE = Kind("a count from 1", _from_one)
BLOCKS = each(COUNT)
ENDS = Kind("the two ends of an interval", each(NUMBER).read, plain)

TIMES = Layout(
    SimpleNamespace,
    _field("count", FROM_ONE),
    *(_field(name, POSITIVE) for name in ("mean", "std", "p50", "p95", "p99")),
)
"""Milliseconds; `count` measurements."""

STAGES = Layout(
    SimpleNamespace,
    _or_null("vision_ms", TIMES, "vision"),
    _field("prefill_ms", TIMES, "prefill"),
    _field("time_to_first_token_ms", TIMES, "first_token"),
    _or_null("decode_ms_per_token", TIMES, "decode"),
    _field("total_ms", TIMES, "total"),
)
"""Times of each stage, at batch size 1; null for a stage that there is not."""

AGGREGATE_STATS = Layout(
    SimpleNamespace,
    _field("num_samples", COUNT, "point.num_samples"),
    _field("accuracy", NUMBER, "point.accuracy"),
    _field("accuracy_std", POSITIVE, "measured.measurement.std"),
    _or_null("accuracy_confidence_interval", ENDS, "point.accuracy_interval"),
    _field("baseline_accuracy", NUMBER, "point.baseline"),
    _field("accuracy_drop", NUMBER, "point.drop"),
    _or_null("accuracy_drop_confidence_interval", ENDS, "point.drop_interval"),
    _field("latency", STAGES, "point.times"),
    _field("samples_per_second", POSITIVE, "point.samples_per_second"),
    _or_null("tokens_per_second", POSITIVE, "point.tokens_per_second"),
    _or_null("peak_memory_bytes", COUNT, "point.peak_memory"),
    _field(
        "peak_memory_kind",
        one_of(["gpu_allocated", "process_peak_rss"]),
        "measured.latency.memory_kind",
    ),
    _field("removed_weight_bytes", COUNT, "point.removed_bytes"),
    _or_null("parameters_total", COUNT, "point.parameters"),
    _or_null("parameters_active", COUNT, "point.active_parameters"),
)
"""What was found over the samples; accuracies and drops are fractions."""

SAMPLE_TIMES = Layout(
    dict,
    _field("prompt_tokens", COUNT),
    _field("new_tokens", COUNT),
    _or_null("vision_ms", POSITIVE, "vision"),
    _field("prefill_ms", POSITIVE, "prefill"),
    _field("decode_steps_ms", each(POSITIVE), "decode"),
    _field("total_ms", POSITIVE, "total"),
)
"""Milliseconds of one sample."""

SAMPLE = Layout(
    SimpleNamespace,
    _field("sample_id", TEXT),
    _field("score", NUMBER),
    _field("baseline_score", NUMBER),
    _field("answer", TEXT),
    _or_null("latency", SAMPLE_TIMES),
)
"""One sample; `latency` is null for those that were not timed."""

CONDITIONS: dict[str, Kind] = {
    **dict.fromkeys(("stack", "device"), TEXT),
    "threads": FROM_ONE,
    **dict.fromkeys(("dtype", "attention", "torch", "transformers"), TEXT),
    "samples": FROM_ONE,
    **dict.fromkeys(("warmup", "new_tokens"), COUNT),
}
"""Under which latencies were measured, besides model and task."""

LATENCY = Layout(
    SimpleNamespace,
    _field("batch_size", Kind("1", _one), lambda _: 1),
    *(_field(name, kind, f"conditions.{name}") for name, kind in CONDITIONS.items()),
    _field("measured_at", TEXT),
    _field("alternated_with", each(BLOCKS)),
)

PROVENANCE = Layout(
    SimpleNamespace,
    _field("depthprune", TEXT, "version"),
    _field("model", TEXT, "model.name"),
    _field("model_fingerprint", TEXT, lambda file: file.model.fingerprint),
    _field("architecture", TEXT, "model.architecture"),
    _field("task_fingerprint", TEXT, lambda file: file.point.split.fingerprint),
    _field("settings", TEXT, "measured.measurement.settings"),
    _field("answers", one_of(["generate", "choose", "read", "respond"]), "measured.answers"),
    _field("accuracy_measured_at", TEXT, lambda file: file.measured.measurement.created),
    _field("blocks_from", TEXT),
    _field("latency", LATENCY, "measured.latency"),
)
"""What the numbers are from."""


def _active(point: SweepPoint) -> Sequence[int]:
    return active_blocks(point.removal, point.num_blocks)


def _is_recommended(point: SweepPoint) -> bool | None:
    return None if point.recommended is None else point.recommended == point.removal


def _samples(measured: SweepMeasurement) -> list[SimpleNamespace]:
    timed = {one.sample_id: one for one in measured.latency.samples}
    scores, baseline = measured.measurement.scores, measured.baseline.scores
    answers = measured.measurement.answers
    assert scores is not None
    assert baseline is not None
    assert answers is not None
    ids = measured.split.sample_ids
    return [
        SimpleNamespace(
            sample_id=name,
            score=score,
            baseline_score=before,
            answer=answer,
            latency=timed.get(name),
        )
        for name, score, before, answer in zip(
            ids, scores.tolist(), baseline.tolist(), answers, strict=True
        )
    ]


SWEEP_FILE = Layout(
    SimpleNamespace,
    _field("format", one_of([FORMAT]), lambda _: FORMAT),
    *(
        _field(name, TEXT, f"point.split.{name}")
        for name in ("task", "task_type", "split", "metric")
    ),
    _field("num_blocks", FROM_ONE, "point.num_blocks"),
    _field("num_active_blocks", FROM_ONE, "point.num_active"),
    _field("removed_block_indices", BLOCKS, "point.removal"),
    _field("active_block_indices", BLOCKS, lambda file: _active(file.point)),
    _or_null("recommended_block_indices", BLOCKS, "point.recommended"),
    _or_null("is_recommended", FLAG, lambda file: _is_recommended(file.point)),
    _field("aggregate_stats", AGGREGATE_STATS, "."),
    _field("per_sample_results", each(SAMPLE), lambda file: _samples(file.measured)),
    _field("provenance", PROVENANCE, "."),
)
"""One configuration on one task: `{task}_blocks{n}.json`."""


def sweep_file_name(task: str, num_active: int) -> str:
    """Return the name of the file of one configuration on one task."""
    return f"{task}_blocks{num_active}.json"


def sweep_file_value(
    point: SweepPoint, measured: SweepMeasurement, model: ModelRecord, blocks_from: str
) -> Json:
    """Return the content of that file as plain JSON data.

    Args:
        point: what was found.
        measured: that it was found in.
        model: that is pruned.
        blocks_from: what said which blocks go.
    """
    from depthprune import __version__ as version

    file = SimpleNamespace(
        point=point, measured=measured, model=model, blocks_from=blocks_from, version=version
    )
    value: Json = SWEEP_FILE.write(file)
    return value


def read_sweep_file(path: Path) -> SimpleNamespace:
    """Read and check the file of one configuration.

    Raises:
        FileError: it is missing or no JSON.
        LayoutError: it is not in this layout; names the field.
    """
    file: SimpleNamespace = read_document(
        path, SWEEP_FILE.read, mend="delete it and run the sweep again"
    )
    return file


def known_latency(folder: Path, task: str, num_active: int) -> Latency | None:
    """Return the latency that an earlier sweep left in a folder; None where there is none to use.

    A file that cannot be read is as good as none: it is written anew.
    """
    try:
        return latency_of(read_sweep_file(folder / sweep_file_name(task, num_active)))
    except (FileError, LayoutError):
        return None


def latency_of(file: SimpleNamespace) -> Latency:
    """Return the latency that a file holds."""
    about, stats = file.provenance.latency, file.aggregate_stats
    return Latency(
        removal=file.removal,
        conditions=LatencyConditions(
            model=file.provenance.model_fingerprint,
            task=file.provenance.task_fingerprint,
            **{name: getattr(about, name) for name in CONDITIONS},
        ),
        samples=tuple(
            SampleLatency(one.sample_id, **{"vision": None} | one.latency)
            for one in file.per_sample_results
            if one.latency is not None
        ),
        peak_memory=stats.peak_memory,
        memory_kind=stats.memory_kind,
        removed_bytes=stats.removed_bytes,
        measured_at=about.measured_at,
        alternated_with=about.alternated_with,
    )


def sweep_summary_value(
    points: Sequence[SweepPoint], failures: Mapping[str, str], blocks_from: str
) -> dict[str, Any]:
    """Return the table of a sweep as plain JSON data, one entry for each configuration and task."""
    value: dict[str, Any] = plain(
        {
            "format": FORMAT,
            "blocks_from": blocks_from,
            "configurations": map(_row, points),
            "failures": failures,
        }
    )
    return value


def _row(point: SweepPoint) -> dict[str, Any]:
    times = point.times
    return {
        "file": sweep_file_name(point.split.task, point.num_active),
        "task": point.split.task,
        "split": point.split.split,
        "num_active_blocks": point.num_active,
        "removed_block_indices": point.removal,
        "is_recommended": _is_recommended(point),
        "num_samples": point.num_samples,
        "accuracy": point.accuracy,
        "accuracy_confidence_interval": point.accuracy_interval,
        "accuracy_drop": point.drop,
        "accuracy_drop_confidence_interval": point.drop_interval,
        "num_samples_timed": times.total.count,
        "vision_ms": times.vision and times.vision.mean,
        "prefill_ms": times.prefill.mean,
        "decode_ms_per_token": times.decode and times.decode.mean,
        "total_ms": times.total.mean,
        "speedup": point.speedup,
        "speedup_confidence_interval": point.speedup_interval,
        "samples_per_second": point.samples_per_second,
        "tokens_per_second": point.tokens_per_second,
        "peak_memory_bytes": point.peak_memory,
        "parameters_active": point.active_parameters,
        "dominated": point.dominated,
    }
