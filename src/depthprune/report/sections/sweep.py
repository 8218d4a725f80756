"""What `sweep` prints: accuracy and times of each configuration, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from depthprune.analysis.intervals import Interval
from depthprune.analysis.sweep import SweepPoint, Times, mean_points
from depthprune.base.language import filled, t
from depthprune.base.removal import format_removal
from depthprune.benchmark.sweep import Failure, SweepReport
from depthprune.report.table import Cell, Column, Section, Table, table_of

MIB = 1024**2


def sweep_sections(points: Sequence[SweepPoint], *, each_task: bool = True) -> list[Section]:
    """Return the tables of a sweep: one section for each task, and the means over several.

    Args:
        points: what was found.
        each_task: False leaves the means alone, where there are several tasks.
    """
    sections = []
    tasks = list(dict.fromkeys(one.split.task for one in points))
    for task in tasks if each_task or len(tasks) == 1 else ():
        of_task = [one for one in points if one.split.task == task]
        heading = t(
            "{task}: accuracy over {n} {n:sample|samples}, times over {timed}, one at a time",
            task=task,
            n=of_task[0].num_samples,
            timed=of_task[0].times.total.count,
        )
        tables = [_accuracy_table(of_task), _stage_table(of_task)]
        sections.append(Section(task, "", [heading], tables))
    if len(tasks) > 1:
        heading = t("Mean over {n} {n:task|tasks}", n=len(tasks))
        sections.append(Section("mean", "", [heading], [_mean_table(points)]))
    if points:
        sections[-1] = replace(sections[-1], notes=_notes(points))
    return sections


def report_lines(report: SweepReport) -> list[str]:
    """Return how much was measured now, and how much was there already."""
    if report.measured or report.timed:
        text = t(
            "Measured {measured} {measured:accuracy|accuracies} ({reused} "
            "{reused:was|were} there) and {timed} {timed:latency|latencies} ({kept} "
            "{kept:was|were} there)."
        )
    else:
        text = t(
            "Nothing was measured anew: {reused} {reused:accuracy|accuracies} and {kept} "
            "{kept:latency|latencies} were there."
        )
    counts = {name: getattr(report, name) for name in ("measured", "reused", "timed", "kept")}
    return [filled(text, **counts)]


def failure_lines(failures: Sequence[Failure]) -> list[str]:
    """Return what could not be measured, and why."""
    task = t("Not measured: {task}: {what}")
    configuration = t("Not measured: {task} with {n} active {n:block|blocks}: {what}")
    return [
        filled(
            task if one.num_active is None else configuration,
            task=one.task,
            n=one.num_active,
            what=one.error.what,
        )
        for one in failures
    ]


def _accuracy_table(points: Sequence[SweepPoint]) -> Table:
    return table_of(
        points,
        [
            (Column(t("active"), "count"), lambda one: one.num_active),
            (
                Column(t("removed blocks"), "blocks"),
                lambda one: Cell(one.removal, mark="*" if _is_other(one) else None),
            ),
            (Column(t("accuracy %"), "points"), lambda one: one.accuracy),
            (Column(t("drop (points)"), "points"), lambda one: one.drop),
            (Column(t("95% interval (points)"), "interval"), lambda one: one.drop_interval),
            (
                Column(t("speed-up"), "shown"),
                lambda one: _ratio(one.speedup) + _ratio_interval(one.speedup_interval),
            ),
        ],
    )


def _stage_table(points: Sequence[SweepPoint]) -> Table:
    return table_of(
        points,
        [
            (Column(t("active"), "count"), lambda one: one.num_active),
            (Column(t("vision"), "number", 1), lambda one: _mean(one.times.vision)),
            (Column(t("prefill"), "number", 1), lambda one: _mean(one.times.prefill)),
            (Column(t("ms/token"), "number", 1), lambda one: _mean(one.times.decode)),
            (Column(t("total ms"), "number", 1), lambda one: one.times.total.mean),
            (Column("std", "number", 1), lambda one: one.times.total.std),
            (Column("P50", "number", 1), lambda one: one.times.total.p50),
            (Column("P95", "number", 1), lambda one: one.times.total.p95),
            (Column("P99", "number", 1), lambda one: one.times.total.p99),
            (Column(t("tokens/s"), "number", 1), lambda one: one.tokens_per_second),
        ],
    )


def _mean_table(points: Sequence[SweepPoint]) -> Table:
    means = mean_points(points)
    whole = points[0].num_blocks
    unpruned = next((total for active, total, _, _ in means if active == whole), None)
    return table_of(
        means,
        [
            (Column(t("active"), "count"), lambda mean: mean[0]),
            (Column(t("accuracy %"), "points"), lambda mean: mean[2]),
            (Column(t("total ms"), "number", 1), lambda mean: mean[1]),
            (
                Column(t("speed-up"), "shown"),
                lambda mean: _ratio(None if unpruned is None else unpruned / mean[1]),
            ),
            (Column(t("dominated"), "shown"), lambda mean: t("yes") if mean[3] else ""),
        ],
    )


def _notes(points: Sequence[SweepPoint]) -> list[str]:
    lines = [
        t(
            "Times are means in milliseconds, speed-ups have 95% intervals over the timed samples. "
            "Prefill is without vision; skipped blocks are still in memory."
        )
    ]
    other = {one.num_active: one for one in points if _is_other(one)}
    for number, one in sorted(other.items(), reverse=True):
        text = t("* not the blocks that are recommended for {n} active: {blocks}")
        lines.append(text.format(n=number, blocks=format_removal(one.recommended or (), ", ")))
    unknown = sorted({one.num_active for one in points if one.removal and one.recommended is None})
    if unknown:
        text = t("No blocks are recommended in the study for {numbers} active.")
        lines.append(text.format(numbers=", ".join(map(str, unknown))))
    elif not other and any(one.removal for one in points):
        lines.append(t("The blocks removed are the recommended ones."))
    apart = {o.num_active for o in points if o.speedup is not None and o.speedup_interval is None}
    if apart:
        text = t("Timed in another run than the unpruned model, so without interval: {numbers}.")
        lines.append(text.format(numbers=", ".join(map(str, sorted(apart)))))
    peaks = [one for one in points if one.peak_memory is not None]
    if peaks:
        most = max(one.peak_memory or 0 for one in peaks)
        lines.append(t("Peak memory: {mib:.0f} MiB.").format(mib=most / MIB))
    if all(one.speedup is None for one in points):
        text = t("There is no speed-up without the unpruned model: add {n} to --num_active_blocks.")
        lines.append(text.format(n=points[0].num_blocks))
    return lines


def _is_other(one: SweepPoint) -> bool:
    return one.recommended is not None and one.recommended != one.removal


def _mean(times: Times | None) -> float | None:
    return None if times is None else times.mean


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _ratio_interval(interval: Interval | None) -> str:
    return "" if interval is None else f" [{interval.low:.2f}, {interval.high:.2f}]"
