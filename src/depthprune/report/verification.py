"""What verifying takes and took, in sentences."""

from __future__ import annotations

from typing import Any

from depthprune.base.language import t
from depthprune.base.progress import duration
from depthprune.strategies.runner import RunReport
from depthprune.strategies.verification import VerificationWork


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


def done_line(report: RunReport) -> str:
    """Return how much was measured on fresh samples just now."""
    if not report.measured and not report.reused:
        return t("Nothing could be verified on fresh samples.")
    if not report.measured:
        return t(
            "Nothing was verified anew: all {n} {n:measurement|measurements} were there already.",
            n=report.reused,
        )
    return t(
        "On fresh samples: measured {measured} {measured:removal|removals} in {time}; {reused} "
        "{reused:was|were} there already.",
        measured=report.measured,
        time=duration(report.seconds),
        reused=report.reused,
    )


def verification_value(report: RunReport) -> dict[str, Any]:
    """Return how much was measured on fresh samples as plain JSON data."""
    return {"measured": report.measured, "reused": report.reused, "seconds": report.seconds}
