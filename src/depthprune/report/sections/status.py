"""Is a study still being measured, and how far is it?"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from depthprune.base.language import t
from depthprune.base.progress import ahead, duration, tally
from depthprune.base.terminal import printable
from depthprune.report.table import Column, Section, table_of
from depthprune.study.status import Status


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
        if sign.per_second:
            parts.append(t("{n} {n:answer|answers} a minute", n=round(60 * sign.per_second)))
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
