"""`cross_dataset_analysis.json`: every combination over the datasets, written piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from depthprune.analysis.combinations import Combination, table_combinations
from depthprune.analysis.table import DropTable
from depthprune.analysis.whole import Analysis
from depthprune.base.removal import format_removal
from depthprune.report.documents.values import combination_value, distribution_value, number
from depthprune.report.inputs import samples_by_dataset
from depthprune.report.sections.damage import damage_by_dataset

BEST = 10
"""Combinations of each number removed that are listed as the best ones."""

AT_ONCE = 4096
"""Combinations that are held at once beside those of the recommendations."""


def cross_dataset_pieces(analysis: Analysis) -> Iterator[bytes]:
    """Yield the document; one line for each combination, however many there are."""
    yield b'{\n "combination_stats": {'
    separator = "\n  "
    for one in _combinations(analysis):
        line = json.dumps(_stats(one, analysis), ensure_ascii=False, allow_nan=False)
        yield f'{separator}"{format_removal(one.removal)}": {line}'.encode(
            "utf-8", "backslashreplace"
        )
        separator = ",\n  "
    yield b"\n },\n"
    rest = json.dumps(_rest(analysis), indent=1, ensure_ascii=False, allow_nan=False)
    yield rest.removeprefix("{\n").encode("utf-8", "backslashreplace")
    yield b"\n"


def _combinations(analysis: Analysis) -> Iterator[Combination]:
    known = {
        one.removal: one
        for ranking in analysis.recommendations.independent.values()
        for one in ranking.combinations
    }
    for start in range(0, len(analysis.table.removals), AT_ONCE):
        for one in table_combinations(_rows(analysis.table, start, start + AT_ONCE)):
            # Only what is ranked has an interval.
            yield known.get(one.removal, one)


def _rows(table: DropTable, start: int, stop: int) -> DropTable:
    return replace(
        table,
        removals=table.removals[start:stop],
        drops=table.drops[start:stop],
        accuracies=table.accuracies[start:stop],
        num_samples=table.num_samples[start:stop],
    )


def _stats(one: Combination, analysis: Analysis) -> dict[str, Any]:
    damaged = damage_by_dataset(analysis, one.removal)
    return (
        combination_value(one, analysis.recommendations)
        | {"accuracy_drops_by_dataset": dict(one.drops)}
        | ({"damaged_answers": damaged} if damaged else {})
    )


def _rest(analysis: Analysis) -> dict[str, Any]:
    found = analysis.recommendations
    return {
        "best_combinations": {
            str(removed): [combination_value(one, found) for one in ranking.combinations[:BEST]]
            for removed, ranking in found.independent.items()
        },
        "dataset_specific_best": _dataset_specific(analysis),
        "summary_stats": _summary(analysis),
    }


def _dataset_specific(analysis: Analysis) -> dict[str, Any]:
    table = analysis.table
    rows = {removal: row for row, removal in enumerate(table.removals)}
    columns = {dataset: column for column, dataset in enumerate(table.datasets)}
    return {
        one.dataset: {
            str(removed): {
                "removed_blocks": list(removal),
                "num_active_blocks": table.num_blocks - removed,
                "accuracy_drop": number(drop),
                "accuracy": number(table.accuracies[rows[removal], columns[one.dataset]]),
                "num_samples": int(table.num_samples[rows[removal], columns[one.dataset]]) or None,
            }
            for removed, (removal, drop) in one.best.items()
        }
        for one in sorted(analysis.findings.responses, key=lambda one: columns[one.dataset])
    }


def _summary(analysis: Analysis) -> dict[str, Any]:
    found, table, results = analysis.recommendations, analysis.table, analysis.results
    samples = samples_by_dataset(analysis)
    return {
        "model": results.model,
        "num_total_blocks": table.num_blocks,
        "num_datasets": len(table.datasets),
        "datasets": {
            one.dataset: {
                "split": results.splits[one.dataset],
                "task_type": one.task_type or None,
                "metric": one.metric or None,
                "baseline_accuracy": number(one.baseline.accuracy),
                "num_samples": count or None,
                "num_removals": len(one.measurements),
            }
            for one, count in zip(results.datasets, samples, strict=True)
        },
        "num_combinations": len(table.removals),
        "num_drops": int(table.coverage.sum()),
        "min_coverage": found.min_coverage,
        "robust_coverage": found.robust_coverage,
        "accuracy_drops": distribution_value(analysis.findings.overall),
        "by_num_removed": {
            str(removed): {
                "num_combinations": int((table.sizes == removed).sum()),
                "num_ranked": len(ranking.combinations),
                "left_out_low_coverage": ranking.low_coverage,
                "left_out_below_min_drop": ranking.improving,
                "accuracy_drops": distribution_value(analysis.findings.by_number.get(removed)),
            }
            for removed, ranking in found.independent.items()
        },
        "problems": list(results.problems),
    }
