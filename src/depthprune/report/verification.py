"""What verifying takes and took, in sentences."""

from __future__ import annotations

from typing import Any

from depthprune.base.language import t
from depthprune.base.progress import duration
from depthprune.strategies.verification import VerificationReport, VerificationWork
from depthprune.study.seen import FEWEST_FRESH


def work_line(work: VerificationWork) -> str:
    """Return what is about to be measured on fresh samples, and how long that takes."""
    told = {"removals": work.removals, "samples": sum(work.samples.values())}
    told["datasets"] = len(work.samples)
    if work.seconds is None:
        return t(
            "Verifying {removals} {removals:removal|removals} on {samples} fresh "
            "{samples:sample|samples} of {datasets} {datasets:dataset|datasets}.",
            **told,
        )
    return t(
        "Verifying {removals} {removals:removal|removals} on {samples} fresh "
        "{samples:sample|samples} of {datasets} {datasets:dataset|datasets}: about {time}.",
        **told,
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
