"""What a search would measure and how long it would take; how far a study is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from depthprune.base.errors import option
from depthprune.base.files import format_size
from depthprune.base.language import filled, t
from depthprune.base.progress import ahead, duration, pace_of, tally
from depthprune.base.terminal import printable
from depthprune.benchmark.forecast import Forecast
from depthprune.report.table import Column, Section, table_of
from depthprune.study.status import Status


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
    size = format_size(found.weights)
    sentences.append(t("Memory: {size} for the weights; answers take more.", size=size))
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
        "weight_bytes": found.weights,
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


def status_section(status: Status) -> Section:
    """Return who writes a study, how far it is, and what is measured."""
    sign, sentences = status.sign, [_process(status)]
    if status.state in ("running", "silent"):
        share = sign.done / sign.total if sign.total and sign.done is not None else None
        parts = [tally(sign.removals, sign.best)]
        if share is not None:
            left = sign.seconds_left
            # Time has passed since it said so.
            parts.append(ahead(min(1.0, share), left and max(0.0, left - (sign.age or 0.0))))
        parts.append(pace_of(sign.per_second, sign.workers_per_second))
        sentences += filter(None, [", ".join(filter(None, parts))])
    else:
        sentences += filter(None, [tally(sign.removals, sign.best)])
    if status.state in ("ended", "stopped"):
        sentences.append(
            t("Run the same command again to go on: what was measured is kept, and used.")
        )
    command = status.holder.content.get("command") if status.holder else None
    if isinstance(command, str):
        sentences.append(t("Command: {command}", command=printable(command)))
    table = table_of(
        status.splits,
        [
            (Column(t("dataset")), lambda one: one.task),
            (Column(t("split")), lambda one: one.split),
            (Column("n", "samples"), lambda one: one.num_samples),
            (Column(t("removals"), "count"), lambda one: one.measured),
            (Column(t("best so far"), "blocks"), lambda one: one.best and one.best[0]),
            (Column(t("drop (points)"), "points"), lambda one: one.best and one.best[1]),
        ],
    )
    title = t(
        "{model}, {n} {n:block|blocks}, in {folder}",
        model=status.model.name,
        n=status.model.num_blocks,
        folder=status.folder,
    )
    note = t("Removals: with the whole model. Best: of those that remove the most blocks.")
    return Section("status", title, sentences, [table], [note])


def status_value(status: Status) -> dict[str, Any]:
    """Return the same as plain JSON data."""
    holder = status.holder
    process = None
    if holder is not None:
        process = {
            "pid": holder.pid,
            "host": holder.host,
            "since": holder.since,
            "is_alive": holder.is_alive,
            "command": holder.content.get("command"),
        }
    sign = asdict(status.sign)
    if status.sign.best is not None:
        removal, drop = status.sign.best
        sign["best"] = {"removal": list(removal), "drop": drop}
    return {
        "study": str(status.folder),
        "model": status.model.name,
        "num_blocks": status.model.num_blocks,
        "state": status.state,
        "process": process,
        "progress": sign,
        "splits": [
            {
                "task": one.task,
                "split": one.split,
                "num_samples": one.num_samples,
                "measured": one.measured,
                "best": one.best and {"removal": list(one.best[0]), "drop": one.best[1]},
            }
            for one in status.splits
        ],
    }


def _process(status: Status) -> str:
    holder, sign = status.holder, status.sign
    if holder is None:
        return t("Nobody writes this study, and nothing tells who did.")
    said = printable(sign.what or "-")
    process = t(
        "process {pid} on {host}, since {since}",
        pid=holder.pid,
        host=printable(holder.host),
        since=printable(holder.since),
    )
    ago = t("unknown") if sign.age is None else duration(sign.age)
    idle = t("unknown") if sign.idle is None else duration(sign.idle)
    texts = {
        "running": t("Working: {what} ({process}; the last answer came {idle} ago)."),
        "silent": t("No sign of life for {ago}: {what} ({process}). It hangs, or it is gone."),
        "ended": t("Not working: killed; the last sign came {ago} ago, during {what} ({process})."),
        "stopped": t("Not working: stopped {ago} ago, during {what} ({process})."),
        "finished": t("Done: {what} finished {ago} ago ({process})."),
        "unknown": t("Nobody writes this study. Written last by {process}."),
    }
    if status.state == "silent" and sign.age is None:
        return t("In the hands of {process}, which gives no signs of life.", process=process)
    text = texts[status.state].format(what=said, process=process, ago=ago, idle=idle)
    if status.state == "finished" and holder.is_alive:
        text += " " + t("The process lives: it goes on with what follows, or does something else.")
    return text
