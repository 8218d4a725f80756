"""What verifying took, how the cut model answers, and what `depthprune run` ends with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from depthprune.analysis.recommend import Recommended
from depthprune.analysis.sweep import Speedup
from depthprune.analysis.verified import Choice, refused
from depthprune.base.language import t
from depthprune.base.progress import duration
from depthprune.report.documents.values import fresh_value
from depthprune.report.formatting import blocks, percent
from depthprune.report.render.plain import plain
from depthprune.report.sections.choice import answer_rows, choice_reason, nothing_text
from depthprune.report.table import Column, Section, Table, table_of
from depthprune.strategies.verification import (
    CutCheck,
    CutChecks,
    VerificationReport,
    VerificationWork,
)
from depthprune.study.records import FEWEST_FRESH


def work_line(work: VerificationWork) -> str:
    """Return what is about to be measured on fresh samples, and how long that takes."""
    counts = {
        "removals": work.removals,
        "samples": sum(work.samples.values()),
        "datasets": len(work.samples),
    }
    if work.seconds is None:
        return t(
            "Verifying {removals} {removals:removal|removals} on {samples} fresh "
            "{samples:sample|samples} of {datasets} {datasets:dataset|datasets}.",
            **counts,
        )
    return t(
        "Verifying {removals} {removals:removal|removals} on {samples} fresh "
        "{samples:sample|samples} of {datasets} {datasets:dataset|datasets}: about {time}.",
        **counts,
        time=duration(work.seconds),
    )


def done_lines(report: VerificationReport) -> list[str]:
    """Return how much was measured on fresh samples just now, and what could not be."""
    if report.measured:
        line = t(
            "On fresh samples: measured {measured} {measured:removal|removals} in {time}; {reused} "
            "{reused:was|were} there already.",
            measured=report.measured,
            time=duration(report.seconds),
            reused=report.reused,
        )
    elif report.reused:
        line = t(
            "Nothing was verified anew: all {n} {n:measurement|measurements} were there already.",
            n=report.reused,
        )
    else:
        line = t("Nothing could be verified on fresh samples.")
    reasons = [
        t("Not verified now: {dataset}: {reason}", dataset=dataset, reason=_reason(why))
        for dataset, why in report.unverified.items()
    ]
    return [line, *reasons]


def _reason(why: int | str) -> str:
    if isinstance(why, str):
        return why
    return t("{n} fresh {n:sample|samples}, {least} are needed", n=why, least=FEWEST_FRESH)


def verification_value(report: VerificationReport) -> dict[str, Any]:
    """Return how much was measured on fresh samples as plain JSON data."""
    return {
        "measured": report.measured,
        "reused": report.reused,
        "seconds": report.seconds,
        "unverified": dict(report.unverified),
    }


@dataclass(frozen=True)
class Ending:
    """What a run ends with; None for what was not asked for, or cannot be said.

    Attributes:
        recommendations: recommendations of the analysis.
        choice: removal that was carried out.
        page: path of the interactive report.
        speedup: measured speed-up.
        parameters: number of parameters that stay, and of the whole model.
        cut: folder of the smaller model.
        loader: class of transformers that loads the smaller model.
        checks: how the smaller model answered, task by task.
    """

    recommendations: Recommended
    choice: Choice | None
    page: Path | None = None
    speedup: Speedup | None = None
    parameters: tuple[int, int] | None = None
    cut: Path | None = None
    loader: str | None = None
    checks: tuple[CutCheck, ...] = ()


def choice_line(choice: Choice | None, found: Recommended) -> str:
    """Return which removal is carried out, and why this one."""
    if choice is None:
        return t("Recommended: {text}", text=nothing_text(found))
    return t(
        "Chosen: remove {number} of {total} {total:block|blocks} ({blocks}): {why}.",
        number=len(choice.combination.removal),
        total=found.num_blocks,
        blocks=blocks(choice.combination.removal),
        why=choice_reason(choice),
    )


def check_table(checks: Sequence[CutCheck]) -> Table:
    """Return accuracies of the cut model and of skipping, task by task."""
    return table_of(
        checks,
        [
            (Column(t("dataset")), lambda one: one.split.task),
            (Column(t("split")), lambda one: one.split.split),
            (Column("n", "count"), lambda one: len(one.split.sample_ids)),
            (Column(t("cut %"), "points"), lambda one: one.cut),
            (Column(t("skipped %"), "points"), lambda one: one.skipped),
            (Column(t("differing"), "count"), lambda one: one.differing),
        ],
    )


def check_lines(checks: Sequence[CutCheck]) -> list[str]:
    """Return whether the cut model scores as skipping does, in a sentence or two."""
    compared = [one for one in checks if one.differing is not None]
    differing = sum(one.differing or 0 for one in compared)
    counts = {"samples": sum(len(one.split.sample_ids) for one in compared), "tasks": len(compared)}
    lines = []
    if differing:
        text = t(
            "Cut and skipped DIFFER on {differing} of {samples} {samples:sample|samples} "
            "of {tasks} {tasks:task|tasks}.",
            differing=differing,
            **counts,
        )
        lines.append(text)
        if not is_exact(compared):
            lines.append(t("In half precision two almost equally likely tokens may swap."))
    elif compared:
        text = t(
            "Cut = skipped: equal scores on all {samples} {samples:sample|samples} of "
            "{tasks} {tasks:task|tasks}.",
            **counts,
        )
        lines.append(text)
    missing = [one.split.task for one in checks if one.differing is None]
    if missing:
        tasks = ", ".join(missing)
        lines.append(t("Skipping these blocks was not measured on: {tasks}.", tasks=tasks))
    return lines


def is_exact(checks: Sequence[CutCheck]) -> bool:
    """Return whether equal models must give equal answers: both ran in float32."""
    return all("dtype=float32" in one.settings for one in checks)


def done_line(found: CutChecks) -> str:
    """Return how many tasks the cut model answered just now."""
    if not found.measured:
        return t("Nothing was measured anew: the smaller model had answered all of them.")
    return t("The smaller model answered {n} {n:task|tasks} now.", n=found.measured)


def check_value(found: CutChecks) -> dict[str, Any]:
    """Return how the cut model answered as plain JSON data."""
    return {
        "measured": found.measured,
        "tasks": [
            {
                "task": one.split.task,
                "split": one.split.split,
                "num_samples": len(one.split.sample_ids),
                "accuracy": one.cut,
                "accuracy_skipped": one.skipped,
                "differing_samples": one.differing,
            }
            for one in found.checks
        ],
    }


def ending_section(ending: Ending) -> Section:
    """Return what a run ends with, on one screen."""
    rows = list(answer_rows(ending.recommendations, ending.choice))
    if ending.speedup is not None:
        rows.append((t("Speed:"), _speed(ending.speedup)))
    if ending.parameters is not None:
        stay, whole = ending.parameters
        share = percent(stay / whole, 1)
        text = t(
            "{stay} of {whole} stay ({share} %)", stay=f"{stay:,}", whole=f"{whole:,}", share=share
        )
        rows.append((t("Parameters:"), text))
    if ending.page is not None:
        rows.append((t("Report:"), str(ending.page)))
    if ending.cut is not None:
        rows.append((t("Smaller model:"), str(ending.cut)))
    if ending.checks:
        rows.append((t("Check:"), " ".join(check_lines(ending.checks))))
    room = max(cell_len(name) for name, _ in rows)
    table = Table([Column("", room=room), Column("")], rows, is_spaced=True)
    notes = []
    if ending.cut is not None and ending.loader is not None:
        place = json.dumps(str(ending.cut), ensure_ascii=False)
        notes = [
            t("Load it with plain transformers:"),
            f"  from transformers import {ending.loader}",
            f"  model = {ending.loader}.from_pretrained({place})",
        ]
    return Section("ending", "", [t("In short")], [table], notes)


def ending_value(ending: Ending) -> dict[str, Any]:
    """Return what a run ends with as plain JSON data, drops as fractions."""
    found, choice, speed = ending.recommendations, ending.choice, ending.speedup
    one = None if choice is None else choice.combination
    fresh = None if one is None else found.on_fresh_samples(one.removal)
    stay, whole = ending.parameters or (None, None)
    value: dict[str, Any] = plain(
        {
            "report": ending.page,
            "removed": one and one.removal,
            "rule": choice and choice.rule,
            "on_fresh_samples": fresh_value(fresh),
            "not_confirmed": refused(found),
            "drop": one and one.mean,
            "confidence_interval": one and one.interval,
            "num_samples": (one and one.num_samples) or None,
            "coverage": one and one.coverage,
            "num_datasets": found.num_datasets,
            "speedup": speed and {"mean": speed.mean, "std": speed.std},
            "parameters_active": stay,
            "parameters_total": whole,
            "cut_model": ending.cut,
            "cut_equals_skipped": _equal(ending.checks),
        }
    )
    return value


def _speed(speed: Speedup) -> str:
    return t(
        "{mean:.2f} times as fast (std {std:.2f} over {tasks} {tasks:task|tasks}, "
        "{low:.2f} to {high:.2f}; {timed} {timed:sample|samples} of each timed one by "
        "one)",
        mean=speed.mean,
        std=speed.std,
        tasks=speed.num_tasks,
        low=speed.low,
        high=speed.high,
        timed=speed.num_timed,
    )


def _equal(checks: Sequence[CutCheck]) -> bool | None:
    compared = [one.differing for one in checks if one.differing is not None]
    return not any(compared) if compared else None
