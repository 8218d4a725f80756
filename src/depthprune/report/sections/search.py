"""What a search prints: the summary of a split, gains, what racing stopped, what is complete."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from depthprune.analysis.combinations import Combination
from depthprune.analysis.study_summary import Gain, MeanGain, StudySummary
from depthprune.base.language import filled, t
from depthprune.base.removal import Removal, format_removal
from depthprune.importance.compare import RankAgreement
from depthprune.report.formatting import (
    below_limit_note,
    blocks,
    interval_note,
    percent,
    removed_columns,
    std_of,
)
from depthprune.report.render.plain import plain
from depthprune.report.sections.evidence import mark_lines
from depthprune.report.table import Column, Section, Table, table_of
from depthprune.strategies.racing import RaceReport
from depthprune.strategies.runner import Completion


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
    text = percent(one.gain, 1)
    return text if one.held_out is None else f"{text} ({percent(one.held_out, 1)})"


def _by_seen(race: RaceReport) -> list[tuple[Removal, int]]:
    return sorted(race.stopped.items(), key=lambda one: (one[1], len(one[0]), one[0]))


def _tasks(race: RaceReport) -> str:
    if len(race.tasks) == 1:
        return race.tasks[0]
    return t("{n} {n:dataset|datasets} jointly", n=len(race.tasks))


MATRIX_WIDTH = 12
"""More datasets than this do not fit side by side into a terminal."""

TOP = 3
"""Combinations of each number removed that are shown."""


def summary_section(summary: StudySummary) -> Section:
    """Return the tables and notes of one split, in reading order."""
    tables = [_datasets(summary)]
    if summary.importance.combinations:
        tables.append(importance(summary))
        if 1 < len(summary.datasets) <= MATRIX_WIDTH:
            tables.append(matrix(summary))
    if summary.combinations:
        tables += [combinations(summary), best(summary)]
    note = t(
        "Drop = baseline accuracy minus accuracy, in percentage points; negative = better. "
        "Std: over datasets. n: samples."
    )
    return Section("summary", "", tables=tables, notes=[f"{note} {interval_note()}"])


def agreements(found: Mapping[str, RankAgreement]) -> Table:
    """Return how far train and validation order the blocks alike, for each dataset."""
    return table_of(
        found.items(),
        [
            (Column(t("dataset")), lambda one: one[0]),
            (Column("rho", "number", 4), lambda one: one[1].rho),
            (Column(t("p-value"), "p-value"), lambda one: one[1].p_value),
        ],
        title=t("Do train and validation order the blocks alike? (Spearman)"),
        is_spaced=True,
    )


def importance(summary: StudySummary) -> Table:
    """Return single blocks from the least to the most important."""

    def hit_hardest(one: Combination) -> str:
        dataset, drop = max(one.drops.items(), key=lambda item: (item[1], item[0]))
        return f"{dataset} {percent(drop)}"

    found = summary.importance.combinations
    over_sets: list[tuple[Column, Callable[[Combination], Any]]] = [
        (Column(t("std (points)"), "points"), std_of),
        (Column(t("sets"), "count"), lambda one: one.coverage),
        (Column(t("hit hardest (points)")), hit_hardest),
    ]
    return table_of(
        found,
        [
            (Column(t("block"), "shown"), lambda one: blocks(one.removal)),
            (Column(t("drop (points)"), "points"), lambda one: one.mean),
            (Column(t("95% interval (points)"), "interval"), lambda one: one.interval),
            (Column("n", "count"), lambda one: one.num_samples),
            *(over_sets if any(one.coverage > 1 for one in found) else ()),
        ],
        title=t("Blocks, least important first: what removing each one alone costs"),
        notes=[*mark_lines(found), ""],
        is_spaced=True,
    )


def matrix(summary: StudySummary) -> Table:
    """Return the drop of each single block on each dataset, in the order of the ranking."""
    names = [one.dataset for one in summary.datasets]
    headings = (f"{one.dataset}_n={one.baseline.num_samples}" for one in summary.datasets)
    columns = [Column(heading.replace("_", "\n"), "points", 1) for heading in headings]
    return Table(
        [Column(t("blocks"), "shown"), *columns],
        [
            [blocks(one.removal), *map(one.drops.get, names)]
            for one in summary.importance.combinations
        ],
        t("The same on each dataset: drop in percentage points (- = not measured)"),
        is_spaced=True,
    )


def combinations(summary: StudySummary) -> Table:
    """Return the best combinations over all datasets for each number of removed blocks."""
    rows: list[list[Any]] = []
    ends, shown = [], []
    for number, ranking in sorted(summary.combinations.items()):
        counts: list[Any] = [number, summary.num_blocks - number]
        for one in ranking.combinations[:TOP]:
            shown.append(one)
            sets = f"{one.coverage}/{len(summary.datasets)}"
            drop = [one.mean, one.interval, std_of(one), sets, one.num_samples]
            rows.append([*counts, blocks(one.removal), *drop])
            counts = ["", ""]
        if not ranking.combinations:
            rows.append([*counts, t("none ranked"), *[""] * 5])
        ends.append(len(rows) - 1)
    columns = [
        Column(t("removed"), "count"),
        Column(t("active"), "count"),
        Column(t("blocks")),
        Column(t("drop (points)"), "points"),
        Column(t("95% interval (points)"), "interval"),
        Column(t("std (points)"), "points"),
        Column(t("sets"), "shown"),
        Column("n", "count"),
    ]
    title = t("Best combinations over the datasets")
    notes = [*mark_lines(shown), _left_out(summary), ""]
    return Table(columns, rows, title, notes, ends=ends, is_spaced=True)


def best(summary: StudySummary) -> Table:
    """Return the best combination that each dataset's own search found, per number removed."""
    numbers = sorted(summary.combinations)
    samples = {one.dataset: one.baseline.num_samples for one in summary.datasets}
    return Table(
        [Column(t("dataset")), Column("n", "count"), *removed_columns(numbers)],
        [
            [dataset, samples[dataset], *map(found.get, numbers)]
            for dataset, found in summary.best.items()
        ],
        t("Best combination on each dataset by itself: blocks (drop in points)"),
        names=2,
        is_spaced=True,
    )


def summary_value(summary: StudySummary) -> dict[str, Any]:
    """Return a summary as plain JSON data; drops and accuracies are fractions."""
    value = {
        "num_blocks": summary.num_blocks,
        "min_coverage": summary.min_coverage,
        "datasets": [
            {
                "dataset": one.dataset,
                "task_type": one.task_type,
                "metric": one.metric,
                "num_samples": one.baseline.num_samples,
                "baseline_accuracy": one.baseline.accuracy,
                "removals_measured": len(one.measurements),
            }
            for one in summary.datasets
        ],
        "importance": map(_combination, summary.importance.combinations),
        "combinations": {
            number: {
                "ranking": map(_combination, ranking.combinations),
                "left_out_low_coverage": ranking.low_coverage,
                "left_out_negative": ranking.improving,
            }
            for number, ranking in summary.combinations.items()
        },
        "best_of_dataset": {
            dataset: {
                number: {"removed_blocks": removal, "drop": drop}
                for number, (removal, drop) in found.items()
            }
            for dataset, found in summary.best.items()
        },
    }
    made: dict[str, Any] = plain(value)
    return made


def _combination(one: Combination) -> dict[str, Any]:
    return {
        "removed_blocks": one.removal,
        "mean_drop": one.mean,
        "std": one.std,
        "interval": one.interval,
        "average_accuracy": one.accuracy,
        "num_datasets": one.coverage,
        "num_samples": one.num_samples,
        "drops": one.drops,
    } | ({} if one.loss is None else {"loss_increase": one.loss})


def _datasets(summary: StudySummary) -> Table:
    return table_of(
        summary.datasets,
        [
            (Column(t("dataset")), lambda one: one.dataset),
            (Column(t("task type")), lambda one: one.task_type),
            (Column("n", "count"), lambda one: one.baseline.num_samples),
            (Column(t("baseline %"), "points"), lambda one: one.baseline.accuracy),
            (Column(t("removals measured"), "count"), lambda one: len(one.measurements)),
        ],
        title=t("Datasets"),
        is_spaced=True,
    )


def _left_out(summary: StudySummary) -> str:
    """Return a line that says how many combinations the ranking leaves out, and why."""
    rankings = summary.combinations.values()
    text = t(
        "Left out of this ranking: {low} measured on fewer than {coverage} "
        "{coverage:dataset|datasets} (--min-coverage). A mean over few datasets (sets) "
        "says little about the others.",
        low=sum(ranking.low_coverage for ranking in rankings),
        coverage=summary.min_coverage,
    )
    return text + below_limit_note(rankings)
