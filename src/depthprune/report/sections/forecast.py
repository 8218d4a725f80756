"""What a search would measure, how long it would take, and how much it would keep."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from depthprune.base.files import format_size
from depthprune.base.language import filled, t
from depthprune.base.naming import option
from depthprune.base.progress import duration
from depthprune.benchmark.forecast import Forecast
from depthprune.report.table import Column, Section, table_of


def forecast_section(found: Forecast) -> Section:
    """Return removals, samples, disk and hours of some searches."""
    named = len(found.searches) > 1
    search = [(Column(t("search")), lambda row: row[0].strategy)][:named]
    depths = table_of(
        [(each, *one) for each in found.searches for one in each.by_number.items()],
        [
            *search,
            (Column(t("blocks removed"), "count"), lambda row: row[1]),
            (Column(t("removals"), "count"), lambda row: row[2]),
        ],
        title=t("Removals at most, for each task and split"),
    )
    tasks = table_of(
        [(each, one) for each in found.searches for one in each.splits],
        [
            *search,
            (Column(t("dataset")), lambda row: row[1].task),
            (Column(t("split")), lambda row: row[1].split),
            (Column("n", "count"), lambda row: row[1].num_samples),
            (Column(t("removals"), "count"), lambda row: row[1].most),
            (Column(t("held"), "count"), lambda row: row[1].held),
            (Column(t("answers"), "amount"), lambda row: row[1].answers),
            (
                Column(t("time"), "shown"),
                lambda row: None if row[1].seconds is None else duration(row[1].seconds),
            ),
        ],
        title=t("What is measured at most; removals with the whole model, held: of them, already"),
    )
    sentences = _time(found)
    for name in dict.fromkeys(note for each in found.searches for note in each.notes):
        sentences.append(t("What {option} adds is not counted.", option=option(name)))
    if found.num_bytes:
        size, free = format_size(found.num_bytes), format_size(found.free)
        text = t("Disk: about {size} for the study ({free} are free).", size=size, free=free)
        sentences.append(text)
    if found.cut_bytes is not None:
        size = format_size(found.cut_bytes)
        sentences.append(t("The smaller model takes up to {size}.", size=size))
    title = t("What would be measured into {folder}", folder=found.folder)
    notes = [t("Nothing was measured: model and data were read and checked.")]
    return Section("forecast", title, sentences, [depths, tasks] if depths.rows else [tasks], notes)


def forecast_value(found: Forecast) -> dict[str, Any]:
    """Return the same as plain JSON data."""
    return {
        "study": str(found.folder),
        "searches": [
            {
                "strategy": search.strategy,
                "removals_by_number": {str(n): most for n, most in search.by_number.items()},
                "splits": [
                    asdict(one) | {"answers": one.answers, "seconds": one.seconds}
                    for one in search.splits
                ],
            }
            for search in found.searches
        ],
        "seconds": found.seconds,
        "study_bytes": found.num_bytes,
        "free_bytes": found.free,
        "cut_bytes": found.cut_bytes,
    }


def _time(found: Forecast) -> list[str]:
    """Return how long it takes, and by what that is known."""
    if found.seconds is None:
        text = t("Time: not known; with {option}, 8 samples of each task are answered and timed.")
        return [filled(text, option=option("estimate"))]
    bases = {
        "study": t("this study"),
        "other tasks": t("its other tasks"),
        "estimate": t("the whole model now"),
    }
    known = dict.fromkeys(bases[one.basis] for one in found.splits if one.basis is not None)
    lines = [
        t(
            "Time: at most {n} {n:answer|answers}, about {time} at the pace of {basis}.",
            n=f"{sum(one.answers for one in found.splits):,}",
            time=duration(found.seconds),
            basis=", ".join(known) or "-",
        )
    ]
    if found.num_bytes and any(one.basis == "estimate" for one in found.splits):
        lines.append(t("A search is faster than that: removals share their work."))
    return lines
