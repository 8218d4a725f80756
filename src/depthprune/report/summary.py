"""The summary of a run: tables for people, a plain value for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from depthprune.analysis.combinations import Combination, DatasetMeasurements
from depthprune.analysis.summary import Summary
from depthprune.base.language import t
from depthprune.report import tables
from depthprune.report.evidence import mark_lines

MATRIX_WIDTH = 12
"""More datasets than this do not fit side by side into a terminal."""


def summary_parts(summary: Summary) -> list[RenderableType]:
    """Return the tables and notes of one split, in reading order."""
    parts: list[RenderableType] = [
        t("Datasets"),
        tables.dataset_table(summary.datasets),
    ]
    if summary.importance.combinations:
        parts += [
            t("Blocks, least important first: what removing each one alone costs"),
            tables.importance_table(summary.importance),
            *mark_lines(summary.importance.combinations),
            "",
        ]
        if 1 < len(summary.datasets) <= MATRIX_WIDTH:
            parts += [
                t("The same on each dataset: drop in percentage points (- = not measured)"),
                tables.drop_matrix(summary.importance, summary.datasets),
            ]
    if summary.combinations:
        parts += [
            t("Best combinations over the datasets"),
            tables.combination_table(summary),
            *mark_lines(tables.best_combinations(summary)),
            tables.left_out_note(summary),
            "",
            t("Best combination on each dataset by itself: blocks (drop in points)"),
            tables.best_table(summary),
        ]
    parts.append(
        t(
            "Drop = baseline accuracy minus accuracy, in percentage points; negative = better. "
            "Std: over datasets. n: samples."
        )
        + " "
        + tables.interval_note()
    )
    return parts


def summary_value(summary: Summary) -> dict[str, Any]:
    """Return a summary as plain JSON data; drops and accuracies are fractions."""
    return {
        "num_blocks": summary.num_blocks,
        "min_coverage": summary.min_coverage,
        "datasets": [_dataset(dataset) for dataset in summary.datasets],
        "importance": [_combination(one) for one in summary.importance.combinations],
        "combinations": {
            str(number): {
                "ranking": [_combination(one) for one in ranking.combinations],
                "left_out_low_coverage": ranking.low_coverage,
                "left_out_negative": ranking.improving,
            }
            for number, ranking in summary.combinations.items()
        },
        "best_of_dataset": {
            dataset: {str(number): _best(*found) for number, found in best.items()}
            for dataset, best in summary.best.items()
        },
    }


def _dataset(dataset: DatasetMeasurements) -> dict[str, Any]:
    return {
        "dataset": dataset.dataset,
        "task_type": dataset.task_type,
        "metric": dataset.metric,
        "num_samples": dataset.baseline.num_samples,
        "baseline_accuracy": dataset.baseline.accuracy,
        "removals_measured": len(dataset.measurements),
    }


def _combination(one: Combination) -> dict[str, Any]:
    return {
        "removed_blocks": list(one.removal),
        "mean_drop": one.mean,
        "std": one.std,
        "interval": None if one.interval is None else [one.interval.low, one.interval.high],
        "average_accuracy": one.accuracy,
        "num_datasets": one.coverage,
        "num_samples": one.num_samples,
        "drops": _floats(one.drops),
    }


def _best(removal: tuple[int, ...], drop: float) -> dict[str, Any]:
    return {"removed_blocks": list(removal), "drop": drop}


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}
