"""What verifying takes and took, and what fresh samples did not confirm, in sentences."""

from __future__ import annotations

from typing import Any

from depthprune.analysis.choice import choose, refused
from depthprune.analysis.recommendations import Recommendations
from depthprune.base.language import t
from depthprune.base.progress import duration
from depthprune.report.tables import blocks, percent
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


def refused_lines(found: Recommendations) -> list[str]:
    """Return what would be carried out, had fresh samples confirmed it, and what is instead."""
    lines = []
    for removal in refused(found):
        one = None if found.verified is None else found.verified.of(removal)
        if one is None or one.limit is None:
            continue
        lines.append(
            t(
                "Not confirmed: on {n} fresh {n:sample|samples}, removing {blocks} costs {drop} "
                "points, up to {high}; the limit is {limit}.",
                n=one.num_samples,
                blocks=blocks(removal),
                drop=percent(one.drop),
                high=percent(one.upper_end),
                limit=percent(one.limit),
            )
        )
    if not lines:
        return []
    choice = choose(found)
    if choice is None:
        return [*lines, t("No smaller removal is left to take its place.")]
    smaller = blocks(choice.combination.removal)
    return [*lines, t("The next smaller removal takes its place: {blocks}.", blocks=smaller)]


def verification_value(report: RunReport) -> dict[str, Any]:
    """Return how much was measured on fresh samples as plain JSON data."""
    return {"measured": report.measured, "reused": report.reused, "seconds": report.seconds}
