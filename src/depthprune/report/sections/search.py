"""What a search says beside the measurements: gains, what racing stopped, what is complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from depthprune.analysis.dataset_gains import MeanGain
from depthprune.analysis.gain import Gain
from depthprune.base.language import filled, t
from depthprune.base.removal import Removal, format_removal
from depthprune.report.render.json import plain
from depthprune.report.table import Column, Section, Table, table_of
from depthprune.report.tables import blocks, percent
from depthprune.strategies.complete import Completion
from depthprune.strategies.racing import RaceReport


def gains(found: Sequence[Gain]) -> Section:
    """Return what one search gained, of one dataset or joint, by number of removed blocks."""
    title = t("What the search gained over removing the blocks that cost least alone")
    table = table_of(
        found,
        [
            (Column(t("removed"), "count"), lambda one: one.number),
            (Column(t("best found (points)")), lambda one: _with_drop(one.best, one.best_drop)),
            (
                Column(t("one-shot (points)")),
                lambda one: _with_drop(one.one_shot, one.one_shot_drop),
            ),
            (Column(t("gain (points)"), "points"), lambda one: one.gain),
            (Column(t("held out (points)"), "points"), lambda one: one.held_out),
            (Column(t("among"), "count"), lambda one: one.candidates),
            (Column("n", "count"), lambda one: one.num_samples),
        ],
        title=title,
        notes=[_gain_note()],
    )
    return Section("gains", "", tables=[table] if found else [])


def dataset_gains(found: Mapping[str, Sequence[Gain]], means: Sequence[MeanGain]) -> Section:
    """Return what the searches of several datasets gained, each over its own one-shot ranking."""
    title = t(
        "What each dataset's own search gained over removing the blocks that cost least alone: "
        "gain in points (held-out gain)"
    )
    name = t("{number} removed")
    columns = [Column(t("dataset")), *(Column(filled(name, number=one.number)) for one in means)]
    rows = []
    for dataset, of_dataset in found.items():
        by_number = {gain.number: gain for gain in of_dataset}
        rows.append([dataset, *(_gain(by_number.get(mean.number)) for mean in means)])
    rows.append([t("mean"), *map(_gain, means)])
    table = Table(
        columns, rows, title, [_gain_note()], names=1, ends=[len(rows) - 2], is_spaced=True
    )
    return Section("gains", "", tables=[table] if means else [])


def gains_value(found: Sequence[Gain]) -> list[dict[str, Any]]:
    """Return gains as plain JSON data; drops and gains are fractions."""
    return [
        {
            "num_removed": one.number,
            "num_active": one.active,
            "best": list(one.best),
            "best_drop": one.best_drop,
            "chosen_among": one.candidates,
            "one_shot": plain(one.one_shot),
            "one_shot_drop": one.one_shot_drop,
            "gain": one.gain,
            "held_out_gain": one.held_out,
            "num_samples": one.num_samples,
            "num_datasets": one.num_datasets,
        }
        for one in found
    ]


def dataset_gains_value(
    found: Mapping[str, Sequence[Gain]], means: Sequence[MeanGain]
) -> dict[str, Any]:
    """Return the gains of datasets and their means as plain JSON data, as fractions."""
    return {
        "datasets": {dataset: gains_value(of_dataset) for dataset, of_dataset in found.items()},
        "mean": [
            {
                "num_removed": one.number,
                "gain": one.gain,
                "held_out_gain": one.held_out,
                "num_datasets": one.num_datasets,
            }
            for one in means
        ],
    }


def joint_note(weights: Mapping[str, float]) -> str:
    """Return the line that says what a joint search was about.

    Args:
        weights: of the datasets, with a sum of 1.
    """
    if len(set(weights.values())) < 2:
        return t("Joint search on the mean drop over {n} {n:dataset|datasets}.", n=len(weights))
    shares = ", ".join(f"{dataset} {weight:.2f}" for dataset, weight in weights.items())
    return t(
        "Joint search on the weighted mean drop over {n} datasets: {weights}. "
        "The rankings above weigh all datasets alike, the gains below do not.",
        n=len(weights),
        weights=shares,
    )


def completion_note(completion: Completion) -> str:
    """Return the line that says which combinations compare on equal ground."""
    return t(
        "The best {best} {best:combination|combinations} of each number removed "
        "{best:is|are} measured on every dataset.",
        best=completion.best,
    )


def races(found: Sequence[RaceReport]) -> Section:
    """Return what racing stopped in the searches of one split's name, and what that saved."""
    rows = []
    for race in found:
        by_seen: dict[int, list[Removal]] = {}
        for removal, seen in _by_seen(race):
            by_seen.setdefault(seen, []).append(removal)
        for seen, removals in by_seen.items():
            after = t("{seen} of {all}", seen=seen, all=race.num_samples)
            rows.append([_tasks(race), after, "  ".join(map(format_removal, removals))])
    columns = [Column(t("dataset")), Column(t("stopped after"), "shown"), Column(t("removals"))]
    note = t(
        "A stopped removal is certainly out of the beam at this confidence. It was seen on "
        "a part of the samples only: it has no drop, and is in no other table or file."
    )
    table = Table(columns, rows, notes=[note], is_spaced=True)
    return Section("races", "", [race_line(race) for race in found], [table] if rows else [])


def race_line(race: RaceReport) -> str:
    """Return one line: how many removals one search stopped, how surely, and what that saved."""
    return t(
        "Racing, {tasks}: {stopped} of {removals} {removals:removal|removals} "
        "{stopped:was|were} stopped at {confidence}% confidence, which saved {saved} of "
        "{all} sample {all:evaluation|evaluations} ({share}%).",
        tasks=_tasks(race),
        stopped=len(race.stopped),
        removals=race.num_removals,
        confidence=f"{100 * race.confidence:g}",
        saved=f"{race.saved:,}",
        all=f"{race.without_racing:,}",
        share=f"{100 * race.saved / race.without_racing:.0f}",
    )


def races_value(found: Sequence[RaceReport]) -> list[dict[str, Any]]:
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
        for race in found
    ]


def _gain_note() -> str:
    return t(
        "One-shot: the blocks that cost least alone, removed together. Gain = its drop minus the "
        "drop of the best removal found, in percentage points; n: samples. The best of many looks "
        "better than it is on the samples that chose it, so no interval is given. "
        "Held out: the gain when chosen on one half of the samples and judged on the other, both "
        "ways; it may be negative. Among: how many removals the best was chosen among. "
        "- = not measured, or no scores per sample."
    )


def _with_drop(removal: Removal | None, drop: float | None) -> str | None:
    if removal is None:
        return None
    return f"{blocks(removal)} ({'-' if drop is None else percent(drop)})"


def _gain(one: Gain | MeanGain | None) -> str | None:
    if one is None or one.gain is None:
        return None
    told = percent(one.gain, 1)
    return told if one.held_out is None else f"{told} ({percent(one.held_out, 1)})"


def _by_seen(race: RaceReport) -> list[tuple[Removal, int]]:
    return sorted(race.stopped.items(), key=lambda one: (one[1], len(one[0]), one[0]))


def _tasks(race: RaceReport) -> str:
    if len(race.tasks) == 1:
        return race.tasks[0]
    return t("{n} {n:dataset|datasets} jointly", n=len(race.tasks))
