"""What an analysis was made from: the model, its datasets, and what was wrong in the files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthprune.analysis.findings import Analysis
from depthprune.analysis.result_set import ResultSet
from depthprune.base.language import filled, t
from depthprune.report.formatting import percent
from depthprune.report.table import Column, Table, table_of
from depthprune.tasks.weak import WeakBaseline

PROBLEMS_SHOWN = 20
"""Problems that a terminal shows; the text reports list all of them."""


def samples_by_dataset(analysis: Analysis) -> dict[str, int]:
    """Return the number of samples of each dataset: the largest known one, 0 where none is."""
    known = analysis.table.num_samples.max(axis=0, initial=0).tolist()
    return {
        one.dataset: max(int(count), one.baseline.num_samples)
        for one, count in zip(analysis.results.datasets, known, strict=True)
    }


def scope_line(analysis: Analysis) -> str:
    """Return what was analysed, in one line."""
    table = analysis.table
    text = t(
        "Model: {model}, {blocks} {blocks:block|blocks}; datasets: {datasets}, "
        "removals: {removals}, drops measured: {cells} ({share} % of all)"
    )
    cells = int(table.coverage.sum())
    return filled(
        text,
        model=analysis.results.model,
        blocks=table.num_blocks,
        datasets=len(table.datasets),
        removals=f"{len(table.removals):,}",
        cells=f"{cells:,}",
        share=percent(cells / max(table.drops.size, 1), 0),
    )


def problem_lines(results: ResultSet, *, shown: int | None = PROBLEMS_SHOWN) -> list[str]:
    """Return what was wrong in the input; the messages themselves are in English.

    Args:
        results: Results that were read.
        shown: Maximum number of listed problems; None lists all.
    """
    if not results.problems:
        return []
    listed = results.problems if shown is None else results.problems[:shown]
    lines = [t("About the input ({n}):", n=len(results.problems))]
    lines += [f"  - {problem}" for problem in listed]
    more = len(results.problems) - len(listed)
    if more:
        lines.append("  " + t("... and {n} more", n=more))
    return lines


def input_table(analysis: Analysis) -> Table:
    """Return the datasets: split, task type, samples, baseline accuracy, removals measured."""
    samples = samples_by_dataset(analysis)
    return table_of(
        analysis.results.datasets,
        [
            (Column(t("dataset")), lambda one: one.dataset),
            (Column(t("split")), lambda one: analysis.results.splits[one.dataset]),
            (Column(t("task type")), lambda one: one.task_type or None),
            (Column("n", "samples"), lambda one: samples[one.dataset]),
            (Column(t("baseline %"), "points"), lambda one: one.baseline.accuracy),
            (Column(t("removals"), "count"), lambda one: len(one.measurements)),
        ],
    )


def weak_lines(weak: Sequence[WeakBaseline]) -> list[str]:
    """Return one line for each task: what is wrong with its baseline, or may be."""
    certain = t("Weak baseline: {task}, {split}: {why}. Its drops say nothing.")
    few = t("Weak baseline, maybe: {task}, {split}: {why}. The samples are few.")
    return [
        (certain if one.weakness.is_certain else few).format(
            task=one.task, split=one.split, why=one.weakness.note.translated()
        )
        for one in weak
    ]


def weak_value(weak: Sequence[WeakBaseline]) -> list[dict[str, Any]]:
    """Return the same as plain JSON data."""
    return [
        {
            "dataset": one.task,
            "split": one.split,
            "reason": str(one.weakness),
            "certain": one.weakness.is_certain,
        }
        for one in weak
    ]
