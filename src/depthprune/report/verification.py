"""What verifying takes and took, and what fresh samples did not confirm, in sentences."""

from __future__ import annotations

from typing import Any

from depthprune.analysis.choice import choose, refused
from depthprune.analysis.recommendations import Recommendations
from depthprune.base.language import t
from depthprune.report.tables import blocks, percent
from depthprune.strategies.runner import RunReport
from depthprune.strategies.verification import VerificationWork


def work_line(work: VerificationWork) -> str:
    """Return what is about to be measured on fresh samples, and how long that takes."""
    text = t(
        "Verifying {removals} removals on {samples} fresh samples of {datasets} datasets{time}."
    )
    time = "" if work.seconds is None else t(", about {time}").format(time=duration(work.seconds))
    return text.format(
        removals=work.removals,
        samples=sum(work.samples.values()),
        datasets=len(work.samples),
        time=time,
    )


def duration(seconds: float) -> str:
    """Return a time as people say it: `8 s`, `3 min`, `1 h 20 min`."""
    if seconds < 90:
        return t("{n} s").format(n=max(1, round(seconds)))
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return t("{n} min").format(n=minutes)
    return t("{h} h {n} min").format(h=hours, n=minutes)


def done_line(report: RunReport) -> str:
    """Return how much was measured on fresh samples just now."""
    if report.measured:
        text = t(
            "Measured {measured} removals on fresh samples in {seconds:.0f} s; {reused} were "
            "there already."
        )
    else:
        text = t("Nothing was verified anew: all {reused} measurements were there already.")
    return text.format(measured=report.measured, seconds=report.seconds, reused=report.reused)


def refused_lines(found: Recommendations) -> list[str]:
    """Return what would be carried out, had fresh samples confirmed it, and what is instead."""
    lines = []
    for removal in refused(found):
        one = None if found.verified is None else found.verified.of(removal)
        if one is None or one.limit is None:
            continue
        text = t(
            "Not confirmed: on {n} fresh samples, removing {blocks} costs {drop} points, up to "
            "{high}, which is more than {limit}."
        )
        lines.append(
            text.format(
                n=one.num_samples,
                blocks=blocks(removal),
                drop=percent(one.drop),
                high=percent(one.upper_end),
                limit=percent(one.limit),
            )
        )
    if lines:
        choice = choose(found)
        lines.append(
            t("No smaller removal is left to take its place.")
            if choice is None
            else t("The next smaller removal takes its place: {blocks}.").format(
                blocks=blocks(choice.combination.removal)
            )
        )
    return lines


def verification_value(report: RunReport) -> dict[str, Any]:
    """Return how much was measured on fresh samples as plain JSON data."""
    return {"measured": report.measured, "reused": report.reused, "seconds": report.seconds}
