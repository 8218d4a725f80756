"""The summary of one split: what was measured, what blocks cost, the best removals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from depthprune.analysis.combinations import Combination
from depthprune.analysis.summary import Summary
from depthprune.base.language import t
from depthprune.importance.compare import RankAgreement
from depthprune.report.evidence import mark_lines
from depthprune.report.render.json import plain
from depthprune.report.sections.columns import removed_columns, std_of
from depthprune.report.table import Column, Section, Table, table_of
from depthprune.report.tables import below_limit_note, blocks, interval_note, percent

MATRIX_WIDTH = 12
"""More datasets than this do not fit side by side into a terminal."""

TOP = 3
"""Combinations of each number removed that are shown."""


def summary_section(summary: Summary) -> Section:
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


def importance(summary: Summary) -> Table:
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


def matrix(summary: Summary) -> Table:
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


def combinations(summary: Summary) -> Table:
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


def best(summary: Summary) -> Table:
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


def summary_value(summary: Summary) -> dict[str, Any]:
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
    told: dict[str, Any] = plain(value)
    return told


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
    }


def _datasets(summary: Summary) -> Table:
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


def _left_out(summary: Summary) -> str:
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
