"""What racing stopped, after how many samples, and what that saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType

from depthprune.base.language import t
from depthprune.base.removal import Removal, format_removal
from depthprune.report.table import Column, Table
from depthprune.strategies.racing import RaceReport


def race_parts(races: Sequence[RaceReport]) -> list[RenderableType]:
    """Return what racing did in the searches of one split's name: a line for each, and a table."""
    if not races:
        return []
    parts: list[RenderableType] = [race_line(race) for race in races]
    if any(race.stopped for race in races):
        parts += [
            _stopped_table(races),
            t(
                "A stopped removal is certainly out of the beam at this confidence. It was seen on "
                "a part of the samples only: it has no drop, and is in no other table or file."
            ),
        ]
    return parts


def race_line(race: RaceReport) -> str:
    """Return one line: how many removals one search stopped, how surely, and what that saved."""
    return t(
        "Racing, {tasks}: {stopped} of {removals} {removals:removal|removals} "
        "{stopped:was|were} stopped at {confidence}% confidence, which saved {saved} "
        "of {all} sample {all:evaluation|evaluations} ({share}%).",
        tasks=_tasks(race),
        stopped=len(race.stopped),
        removals=race.num_removals,
        confidence=f"{100 * race.confidence:g}",
        saved=f"{race.saved:,}",
        all=f"{race.without_racing:,}",
        share=f"{100 * race.saved / race.without_racing:.0f}",
    )


def race_value(races: Sequence[RaceReport]) -> list[dict[str, Any]]:
    """Return what racing did as plain JSON data."""
    return [
        {
            "tasks": list(race.tasks),
            "confidence": race.confidence,
            "num_samples": race.num_samples,
            "num_removals": race.num_removals,
            "stopped": [
                {"removed_block_indices": list(removal), "num_samples_seen": seen}
                for removal, seen in _by_seen(race)
            ],
            "evaluations_saved": race.saved,
            "evaluations_without_racing": race.without_racing,
        }
        for race in races
    ]


def _stopped_table(races: Sequence[RaceReport]) -> Table:
    rows = []
    for race in races:
        by_seen: dict[int, list[Removal]] = {}
        for removal, seen in _by_seen(race):
            by_seen.setdefault(seen, []).append(removal)
        for seen, removals in by_seen.items():
            after = t("{seen} of {all}").format(seen=seen, all=race.num_samples)
            rows.append([_tasks(race), after, "  ".join(map(format_removal, removals))])
    columns = [Column(t("dataset")), Column(t("stopped after"), "shown"), Column(t("removals"))]
    return Table(columns, rows, is_spaced=True)


def _by_seen(race: RaceReport) -> list[tuple[Removal, int]]:
    return sorted(race.stopped.items(), key=lambda one: (one[1], len(one[0]), one[0]))


def _tasks(race: RaceReport) -> str:
    if len(race.tasks) == 1:
        return race.tasks[0]
    return t("{n} {n:dataset|datasets} jointly", n=len(race.tasks))
