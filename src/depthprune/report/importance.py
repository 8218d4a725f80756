"""What `compare` and `merge` print: tables for people, plain values for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table

from depthprune.base.language import t
from depthprune.importance.compare import Overlap, SplitComparison
from depthprune.importance.merge import Merged, MergedDataset
from depthprune.importance.sources import DatasetScores
from depthprune.report.tables import blocks, percent

SIDE_BY_SIDE = 6
"""Datasets whose scores fit beside each other into 80 columns."""

TOP = 5


def comparison_parts(
    comparisons: Sequence[SplitComparison],
    one_split: Sequence[DatasetScores],
    threshold: float,
) -> list[RenderableType]:
    """Return what `compare` shows: one row a dataset, the overlaps, the blocks that moved.

    Args:
        comparisons: of the datasets with two splits; at least one.
        one_split: datasets that were left out.
        threshold: from which on rho is called consistent.
    """
    parts: list[RenderableType] = [
        t("Do train and validation order the blocks alike? (Spearman)"),
        _agreement_table(comparisons),
        t("The least and the most important blocks of both orders"),
        _overlap_table(comparisons),
    ]
    max_shift = comparisons[0].max_shift
    moved = t("Blocks whose rank differs by more than {n} places (1 = least important)")
    parts.append(moved.format(n=f"{max_shift:g}"))
    if any(one.disagreeing for one in comparisons):
        parts.append(_moved_table(comparisons))
    else:
        parts.append("  " + t("none"))
    parts += [
        t("{dataset}: validation stands for its split {split}").format(
            dataset=one.dataset, split=one.splits[1].split
        )
        for one in comparisons
        if one.splits[1].split != "validation"
    ]
    parts += [
        t("{dataset}: left out, it was measured on {split} only").format(
            dataset=one.dataset, split=one.splits[0].split
        )
        for one in one_split
    ]
    explanation = t(
        "Consistent: rho of {threshold} or more. p-value: two-sided. n: samples of each split. "
        "Least, most: how many of these blocks both orders have in common. "
        "Equal drops share their mean rank."
    )
    return [*parts, explanation.format(threshold=f"{threshold:g}")]


def comparison_value(
    comparisons: Sequence[SplitComparison], one_split: Sequence[DatasetScores], threshold: float
) -> dict[str, Any]:
    """Return the same as plain JSON data; drops are fractions."""
    return {
        "threshold": threshold,
        "consistent": [one.dataset for one in comparisons if one.consistent],
        "datasets": [_comparison(one) for one in comparisons],
        "one_split_only": {one.dataset: one.splits[0].split for one in one_split},
    }


def merge_parts(merged: Merged) -> list[RenderableType]:
    """Return what `merge` shows: the datasets with their weights, the ranking, its two ends."""
    width = ceil(len(merged.datasets) / ceil(len(merged.datasets) / SIDE_BY_SIDE))
    heading = t("Datasets, ordered by name; method over them: {method}")
    parts: list[RenderableType] = [
        heading.format(method=merged.method),
        _weights_table(merged),
        t("Blocks, least important first: drop in percentage points"),
    ]
    parts += [
        _ranking_table(merged, merged.datasets[start : start + width])
        for start in range(0, len(merged.datasets), width)
    ]
    top = min(TOP, len(merged.ranking))
    least, most = merged.ranking[:top], merged.ranking[::-1][:top]
    parts += [
        t("{n} least important: {blocks}").format(n=top, blocks=_with_drops(least, merged)),
        t("{n} most important: {blocks}").format(n=top, blocks=_with_drops(most, merged)),
    ]
    if any(one.one_split is None for one in merged.datasets):
        weighted = t("A dataset with two splits: {train} of the first, {other} of the second.")
        train, other = f"{merged.train_weight:g}", f"{1 - merged.train_weight:g}"
        parts.append(weighted.format(train=train, other=other))
    alone = [
        f"{one.source.dataset} ({one.one_split})"
        for one in merged.datasets
        if one.one_split is not None
    ]
    if alone:
        note = t("Note: measured on one split only, which is used as it is: {datasets}")
        parts.append(note.format(datasets=", ".join(alone)))
    if merged.unmeasured:
        note = t("Note: no dataset has a score for {blocks} of the {n} blocks.")
        parts.append(note.format(blocks=blocks(merged.unmeasured), n=merged.num_blocks))
    return parts


def _agreement_table(comparisons: Sequence[SplitComparison]) -> Table:
    table = _table()
    table.add_column(t("dataset"), no_wrap=True)
    for heading in ("n", "rho", t("p-value"), t("consistent")):
        table.add_column(heading, justify="right")
    top_k = max(one.top_k for one in comparisons)
    for heading in (t("least {n}"), t("most {n}")):
        table.add_column(heading.format(n=top_k), justify="right")
    answers = {True: t("yes"), False: t("no"), None: "-"}
    for one in comparisons:
        rho, p_value = one.agreement.rho, one.agreement.p_value
        table.add_row(
            one.dataset,
            _samples([split.num_samples for split in one.splits]),
            "-" if rho is None else f"{rho:.4f}",
            "-" if p_value is None else f"{p_value:.2e}",
            answers[one.consistent],
            f"{len(one.least.common)}/{one.top_k}",
            f"{len(one.most.common)}/{one.top_k}",
        )
    return table


def _overlap_table(comparisons: Sequence[SplitComparison]) -> Table:
    table = _table()
    table.add_column(t("dataset"), no_wrap=True)
    table.add_column("")
    table.add_column(t("in common"))
    table.add_column(t("train only"))
    table.add_column(t("validation only"))
    for one in comparisons:
        ends = ((t("least {n}"), one.least), (t("most {n}"), one.most))
        for place, (end, overlap) in enumerate(ends):
            sides = (overlap.common, overlap.first_only, overlap.second_only)
            table.add_row(
                one.dataset if place == 0 else "",
                end.format(n=one.top_k),
                *(blocks(side) if side else "-" for side in sides),
            )
    return table


def _moved_table(comparisons: Sequence[SplitComparison]) -> Table:
    table = _table()
    table.add_column(t("dataset"), no_wrap=True)
    table.add_column(t("block"), justify="right")
    for heading in (
        t("train rank"),
        t("validation rank"),
        t("train drop %"),
        t("validation drop %"),
    ):
        table.add_column(heading, justify="right")
    for one in comparisons:
        for place, moved in enumerate(one.disagreeing):
            table.add_row(
                one.dataset if place == 0 else "",
                str(moved.block),
                *(f"{rank:g}" for rank in moved.ranks),
                *(percent(score) for score in moved.scores),
            )
    return table


def _weights_table(merged: Merged) -> Table:
    table = _table()
    table.add_column(t("dataset"), no_wrap=True)
    table.add_column(t("split"))
    table.add_column("n", justify="right")
    table.add_column(t("weight"), justify="right")
    for one in merged.datasets:
        weight = None if merged.weights is None else merged.weights[one.source.dataset]
        table.add_row(
            one.source.dataset,
            ", ".join(split.split for split in one.source.splits),
            _samples([split.num_samples for split in one.source.splits]),
            "-" if weight is None else f"{weight:.4g}",
        )
    return table


def _ranking_table(merged: Merged, datasets: Sequence[MergedDataset]) -> Table:
    table = _table()
    table.add_column(t("rank"), justify="right")
    table.add_column(t("block"), justify="right")
    table.add_column(t("merged"), justify="right")
    for one in datasets:
        table.add_column(one.source.dataset.replace("_", "\n"), justify="right")
    for rank, block in enumerate(merged.ranking, start=1):
        shares = (percent(one.scores[block]) for one in datasets)
        table.add_row(str(rank), str(block), percent(merged.scores[block]), *shares)
    return table


def _with_drops(ranked: Sequence[int], merged: Merged) -> str:
    return ", ".join(f"{block} ({percent(merged.scores[block])})" for block in ranked)


def _comparison(one: SplitComparison) -> dict[str, Any]:
    return {
        "dataset_name": one.dataset,
        "splits": [split.split for split in one.splits],
        "num_samples": [split.num_samples for split in one.splits],
        "num_blocks": len(one.blocks),
        "spearman_correlation": one.agreement.rho,
        "p_value": one.agreement.p_value,
        "consistent": one.consistent,
        "top_k": one.top_k,
        "least_important": _overlap(one.least),
        "most_important": _overlap(one.most),
        "max_shift": one.max_shift,
        "disagreeing_blocks": [
            {"block": moved.block, "ranks": list(moved.ranks), "scores": list(moved.scores)}
            for moved in one.disagreeing
        ],
    }


def _overlap(one: Overlap) -> dict[str, list[int]]:
    return {
        "common": list(one.common),
        "train_only": list(one.first_only),
        "validation_only": list(one.second_only),
    }


def _samples(counts: Sequence[int | None]) -> str:
    if len(set(counts)) == 1:
        counts = counts[:1]
    return "/".join("-" if count is None else str(count) for count in counts)


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
