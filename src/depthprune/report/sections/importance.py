"""What `compare` and `merge` print: tables for people, plain values for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from depthprune.base.language import filled, t
from depthprune.importance.compare import Overlap, SplitComparison
from depthprune.importance.merge import Scores
from depthprune.importance.sources import DatasetScores
from depthprune.report.formatting import blocks, percent
from depthprune.report.render.json import plain
from depthprune.report.table import Column, Section, Table, table_of

TOP = 5


def comparison(
    comparisons: Sequence[SplitComparison],
    one_split: Sequence[DatasetScores],
    threshold: float,
) -> Section:
    """Return what `compare` shows: one row a dataset, the overlaps, the blocks that moved.

    Args:
        comparisons: of the datasets with two splits; at least one.
        one_split: datasets that were left out.
        threshold: from which on rho is called consistent.
    """
    moved = _moved(comparisons)
    notes = [] if moved.rows else [moved.title, "  " + t("none")]
    notes += [
        t(
            "{dataset}: validation stands for its split {split}",
            dataset=one.dataset,
            split=one.splits[1].split,
        )
        for one in comparisons
        if one.splits[1].split != "validation"
    ]
    notes += [
        t(
            "{dataset}: left out, it was measured on {split} only",
            dataset=one.dataset,
            split=one.splits[0].split,
        )
        for one in one_split
    ]
    explanation = t(
        "Consistent: rho of {threshold} or more. p-value: two-sided. n: samples of each split. "
        "Least, most: how many of these blocks both orders have in common. "
        "Equal drops share their mean rank.",
        threshold=f"{threshold:g}",
    )
    tables = [_agreements(comparisons), _overlaps(comparisons), *([moved] if moved.rows else [])]
    return Section("comparison", "", tables=tables, notes=[*notes, explanation])


def comparison_value(
    comparisons: Sequence[SplitComparison], one_split: Sequence[DatasetScores], threshold: float
) -> dict[str, Any]:
    """Return the same as plain JSON data; drops are fractions."""
    value: dict[str, Any] = plain(
        {
            "threshold": threshold,
            "consistent": [one.dataset for one in comparisons if one.consistent],
            "datasets": map(_comparison, comparisons),
            "one_split_only": {one.dataset: one.splits[0].split for one in one_split},
        }
    )
    return value


def merged(scores: Scores) -> Section:
    """Return what `merge` shows: the datasets with their weights, the ranking, its two ends."""
    top = min(TOP, len(scores.ranking))
    least, most = scores.ranking[:top], scores.ranking[::-1][:top]
    notes = [
        t("{n} least important: {blocks}", n=top, blocks=_with_drops(least, scores)),
        t("{n} most important: {blocks}", n=top, blocks=_with_drops(most, scores)),
    ]
    if any(one.one_split is None for one in scores.datasets):
        train, other = f"{scores.train_weight:g}", f"{1 - scores.train_weight:g}"
        text = t("A dataset with two splits: {train} of the first, {other} of the second.")
        notes.append(filled(text, train=train, other=other))
    alone = [f"{one.source.dataset} ({one.one_split})" for one in scores.datasets if one.one_split]
    if alone:
        note = t("Note: measured on one split only, which is used as it is: {datasets}")
        notes.append(filled(note, datasets=", ".join(alone)))
    if scores.unmeasured:
        note = t("Note: no dataset has a score for {blocks} of the {n} {n:block|blocks}.")
        notes.append(filled(note, blocks=blocks(scores.unmeasured), n=scores.num_blocks))
    return Section("merged", "", tables=[_weights(scores), _ranking(scores)], notes=notes)


def _agreements(comparisons: Sequence[SplitComparison]) -> Table:
    top_k = max(one.top_k for one in comparisons)
    answers = {True: t("yes"), False: t("no"), None: None}
    return table_of(
        comparisons,
        [
            (Column(t("dataset")), lambda one: one.dataset),
            (Column("n", "shown"), lambda one: _samples([each.num_samples for each in one.splits])),
            (Column("rho", "number", 4), lambda one: one.agreement.rho),
            (Column(t("p-value"), "p-value"), lambda one: one.agreement.p_value),
            (Column(t("consistent"), "shown"), lambda one: answers[one.consistent]),
            (
                Column(t("least {n}").format(n=top_k), "shown"),
                lambda one: f"{len(one.least.common)}/{one.top_k}",
            ),
            (
                Column(t("most {n}").format(n=top_k), "shown"),
                lambda one: f"{len(one.most.common)}/{one.top_k}",
            ),
        ],
        title=t("Do train and validation order the blocks alike? (Spearman)"),
    )


def _overlaps(comparisons: Sequence[SplitComparison]) -> Table:
    rows = [
        (dataset, end.format(n=one.top_k), overlap)
        for one in comparisons
        for dataset, end, overlap in (
            (one.dataset, t("least {n}"), one.least),
            ("", t("most {n}"), one.most),
        )
    ]
    return table_of(
        rows,
        [
            (Column(t("dataset")), lambda row: row[0]),
            (Column(""), lambda row: row[1]),
            (Column(t("in common"), "blocks"), lambda row: row[2].common or None),
            (Column(t("train only"), "blocks"), lambda row: row[2].first_only or None),
            (Column(t("validation only"), "blocks"), lambda row: row[2].second_only or None),
        ],
        title=t("The least and the most important blocks of both orders"),
    )


def _moved(comparisons: Sequence[SplitComparison]) -> Table:
    rows = [
        (one.dataset if place == 0 else "", moved)
        for one in comparisons
        for place, moved in enumerate(one.disagreeing)
    ]
    return table_of(
        rows,
        [
            (Column(t("dataset")), lambda row: row[0]),
            (Column(t("block"), "count"), lambda row: row[1].block),
            (Column(t("train rank"), "shown"), lambda row: f"{row[1].ranks[0]:g}"),
            (Column(t("validation rank"), "shown"), lambda row: f"{row[1].ranks[1]:g}"),
            (Column(t("train drop (points)"), "points"), lambda row: row[1].scores[0]),
            (Column(t("validation drop (points)"), "points"), lambda row: row[1].scores[1]),
        ],
        title=t(
            "Blocks whose rank differs by more than {n} {n:place|places} (1 = least important)",
            n=f"{comparisons[0].max_shift:g}",
        ),
    )


def _weights(scores: Scores) -> Table:
    weights = scores.weights
    return table_of(
        scores.datasets,
        [
            (Column(t("dataset")), lambda one: one.source.dataset),
            (Column(t("split")), lambda one: ", ".join(each.split for each in one.source.splits)),
            (
                Column("n", "shown"),
                lambda one: _samples([each.num_samples for each in one.source.splits]),
            ),
            (
                Column(t("weight"), "shown"),
                lambda one: None if weights is None else f"{weights[one.source.dataset]:.4g}",
            ),
        ],
        title=t("Datasets, ordered by name; method over them: {method}", method=scores.method),
    )


def _ranking(scores: Scores) -> Table:
    names = (one.source.dataset.replace("_", "\n") for one in scores.datasets)
    columns = [Column(t("rank"), "count"), Column(t("block"), "count")]
    columns += [Column(name, "points") for name in (t("merged"), *names)]
    rows = [
        [rank, block, scores.scores[block], *(one.scores[block] for one in scores.datasets)]
        for rank, block in enumerate(scores.ranking, start=1)
    ]
    title = t("Blocks, least important first: drop in percentage points")
    return Table(columns, rows, title, names=3)


def _with_drops(ranked: Sequence[int], scores: Scores) -> str:
    return ", ".join(f"{block} ({percent(scores.scores[block])})" for block in ranked)


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
            {"block": moved.block, "ranks": moved.ranks, "scores": moved.scores}
            for moved in one.disagreeing
        ],
    }


def _overlap(one: Overlap) -> dict[str, Sequence[int]]:
    return {
        "common": one.common,
        "train_only": one.first_only,
        "validation_only": one.second_only,
    }


def _samples(counts: Sequence[int | None]) -> str:
    if len(set(counts)) == 1:
        counts = counts[:1]
    return "/".join("-" if count is None else str(count) for count in counts)
