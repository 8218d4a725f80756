"""Scores of single blocks: splits compared, datasets merged, and proxies beside measured drops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from depthprune.base.language import filled, t
from depthprune.base.removal import Removal, format_removal
from depthprune.importance.compare import MeasuredDrops, Overlap, ProxyAgreement, SplitComparison
from depthprune.importance.merge import Scores
from depthprune.importance.proxies import PROXIES, ProxyScores
from depthprune.importance.score_files import least_important_first
from depthprune.importance.sources import DatasetScores, SplitImportance
from depthprune.report.formatting import blocks, percent
from depthprune.report.render.plain import plain
from depthprune.report.table import Cell, Column, Section, Table, table_of

TOP = 5


def comparison(
    comparisons: Sequence[SplitComparison],
    one_split: Sequence[DatasetScores],
    threshold: float,
) -> Section:
    """Return what `compare` shows: one row a dataset, the overlaps, the blocks that moved.

    Args:
        comparisons: Comparisons of the datasets with two splits; at least one.
        one_split: Datasets that were left out, measured on one split only.
        threshold: Least rho that is called consistent.
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

    def common(overlap: Overlap, one: SplitComparison) -> str:
        return f"{len(overlap.common)}/{one.top_k}"

    return table_of(
        comparisons,
        [
            (Column(t("dataset")), lambda one: one.dataset),
            (Column("n", "shown"), lambda one: _samples(one.splits)),
            (Column("rho", "number", 4), lambda one: one.agreement.rho),
            (Column(t("p-value"), "p-value"), lambda one: one.agreement.p_value),
            (Column(t("consistent"), "shown"), lambda one: answers[one.consistent]),
            (Column(t("least {n}", n=top_k), "shown"), lambda one: common(one.least, one)),
            (Column(t("most {n}", n=top_k), "shown"), lambda one: common(one.most, one)),
        ],
        title=t("Do train and validation order the blocks alike? (Spearman)"),
    )


def _overlaps(comparisons: Sequence[SplitComparison]) -> Table:
    rows: list[tuple[str, str, Overlap]] = []
    for one in comparisons:
        rows.append((one.dataset, t("least {n}", n=one.top_k), one.least))
        rows.append(("", t("most {n}", n=one.top_k), one.most))
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
            (Column("n", "shown"), lambda one: _samples(one.source.splits)),
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


def _samples(splits: Sequence[SplitImportance]) -> str:
    """Return the samples of each split; once where all have as many."""
    counts = ["-" if one.num_samples is None else str(one.num_samples) for one in splits]
    return counts[0] if len(set(counts)) == 1 else "/".join(counts)


@dataclass(frozen=True)
class SplitProxies:
    """The proxies of one split, with what is known of its drops.

    Attributes:
        task: Name of the task, with underscores.
        split: Name of the split, e.g. `validation`.
        proxies: Scores of each proxy, in the order shown.
        measured: Measured drops; None where there are none.
        agreements: Agreement of each proxy with the drops; None where too few blocks have both.
        best_runs: Runs with the smallest angular distance, by length.
        first: Number of blocks that are marked as the least important ones of a proxy.
    """

    task: str
    split: str
    proxies: tuple[ProxyScores, ...]
    measured: MeasuredDrops | None
    agreements: Mapping[str, ProxyAgreement | None]
    best_runs: Mapping[int, Removal]
    first: int


def proxies_sections(splits: Sequence[SplitProxies], notes: Sequence[str]) -> list[Section]:
    """Return the tables of each split, one over all splits, and how to read them.

    Args:
        splits: Proxies of each split; at least one.
        notes: Further lines at the end.
    """
    sections = [section for one in splits for section in _split_sections(one)]
    compared = [one for one in splits if one.measured is not None]
    if len(compared) > 1:
        title = t("Rank correlation (Spearman) of each proxy with the measured drops")
        sections.append(Section("correlations", "", [title], [correlation_table(compared)]))
    reading = (
        t("Higher scores are more important blocks; only their order compares with drops."),
        t("* = among the {k} that a proxy would remove first.", k=max(one.first for one in splits)),
    )
    return [*sections, Section("reading", "", [" ".join(reading), *notes])]


def _split_sections(one: SplitProxies) -> list[Section]:
    heading = t(
        "{task}, {split}: proxies on {n} {n:sample|samples}",
        task=one.task,
        split=one.split,
        n=max(proxy.num_samples for proxy in one.proxies),
    )
    sections = [Section("scores", "", [heading], [_scores_table(one)])]
    if one.measured is None:
        unknown = t("No drops of single blocks are measured on this split.")
        sections.append(Section("drops", "", [unknown]))
    else:
        note = _drops_note(one.measured)
        sections.append(Section("drops", "", [note], [_agreement_table(one)]))
    if one.best_runs:
        title = t("Runs of consecutive blocks with the smallest angular distance")
        sections.append(Section("runs", "", [title], [_runs_table(one)]))
    return sections


def correlation_table(splits: Sequence[SplitProxies]) -> Table:
    """Return Spearman's rho of each proxy with the measured drops, one row for each split."""

    def rho(name: str) -> Callable[[SplitProxies], float | None]:
        return lambda one: found.rank.rho if (found := one.agreements.get(name)) else None

    columns: list[tuple[Column, Callable[[SplitProxies], Any]]] = [
        (Column(t("dataset")), lambda one: one.task)
    ]
    if len({one.split for one in splits}) > 1:
        columns.append((Column(t("split")), lambda one: one.split))
    columns += [(Column(_heading(name), "number"), rho(name)) for name in _names(splits)]
    return table_of(splits, columns, is_spaced=True)


def proxies_value(splits: Sequence[SplitProxies]) -> list[dict[str, Any]]:
    """Return the same as plain JSON data; drops are fractions."""
    return [
        {
            "dataset": one.task,
            "split": one.split,
            "proxies": {proxy.name: _proxy_value(one, proxy) for proxy in one.proxies},
            "measured": None if one.measured is None else _measured_value(one.measured),
        }
        for one in splits
    ]


def _scores_table(one: SplitProxies) -> Table:
    drops = {} if one.measured is None else one.measured.single
    blocks = sorted({block for proxy in one.proxies for block in proxy.scores} | drops.keys())
    order = {block: place for place, block in enumerate(least_important_first(drops))}
    blocks.sort(key=lambda block: order.get(block, len(order)))

    def cell(proxy: ProxyScores) -> Callable[[int], Cell]:
        first = set(least_important_first(proxy.scores)[: one.first])

        def scored(block: int) -> Cell:
            score = f"{proxy.scores[block]:.3g}" if block in proxy.scores else "-"
            return Cell(score, mark="*" if block in first else " ")

        return scored

    columns: list[tuple[Column, Callable[[int], Any]]] = [
        (Column(t("block"), "count"), lambda block: block)
    ]
    if drops:
        columns.append((Column(t("drop (points)"), "points"), drops.get))
    columns += [(Column(_heading(each.name), "shown"), cell(each)) for each in one.proxies]
    return table_of(blocks, columns, is_spaced=True)


def _agreement_table(one: SplitProxies) -> Table:
    def of(value: Callable[[ProxyAgreement], Any]) -> Callable[[tuple[str, Any]], Any]:
        return lambda row: None if row[1] is None else value(row[1])

    return table_of(
        one.agreements.items(),
        [
            (Column(t("proxy")), lambda row: row[0]),
            (Column("rho", "number"), of(lambda found: found.rank.rho)),
            (Column("p", "p-value", 1), of(lambda found: found.rank.p_value)),
            (Column(t("blocks"), "count"), of(lambda found: found.num_blocks)),
            (
                Column(t("least important found"), "shown"),
                of(lambda found: t("{found} of {k}", found=found.found, k=found.first)),
            ),
        ],
        is_spaced=True,
    )


def _runs_table(one: SplitProxies) -> Table:
    runs = next(proxy.runs for proxy in one.proxies if proxy.name == "angular_distance")
    drops = {} if one.measured is None else one.measured.drops
    return table_of(
        one.best_runs.items(),
        [
            (Column(t("removed"), "count"), lambda row: row[0]),
            (Column(t("blocks")), lambda row: format_removal(row[1], ",")),
            (Column(_heading("angular_distance"), "shown"), lambda row: f"{runs[row[1]]:.3g}"),
            (Column(t("drop (points)"), "points"), lambda row: drops.get(row[1])),
        ],
        is_spaced=True,
    )


def _drops_note(measured: MeasuredDrops) -> str:
    if measured.same_samples:
        text = t("Drops: measured on the same samples ({settings}).")
    else:
        text = t("Drops: measured on another sample of this split, n = {n} ({settings}).")
    return filled(text, n=measured.num_samples or "?", settings=measured.settings)


def _proxy_value(one: SplitProxies, proxy: ProxyScores) -> dict[str, Any]:
    found = one.agreements.get(proxy.name)
    value: dict[str, Any] = {
        "scores": plain(dict(sorted(proxy.scores.items()))),
        "num_samples": proxy.num_samples,
        "num_tokens": proxy.num_tokens,
        "agreement": found
        and {
            "spearman_correlation": found.rank.rho,
            "p_value": found.rank.p_value,
            "num_blocks": found.num_blocks,
            "least_important": found.first,
            "found": found.found,
        },
    }
    if proxy.runs:
        value["best_runs"] = {
            str(length): {"blocks": list(run), "distance": proxy.runs[run]}
            for length, run in one.best_runs.items()
        }
    return value


def _measured_value(measured: MeasuredDrops) -> dict[str, Any]:
    return {
        "drops": plain(dict(sorted(measured.single.items()))),
        "num_samples": measured.num_samples,
        "settings": measured.settings,
        "same_samples": measured.same_samples,
    }


def _names(splits: Sequence[SplitProxies]) -> list[str]:
    shown = {proxy.name for one in splits for proxy in one.proxies}
    return [name for name in PROXIES if name in shown]


def _heading(name: str) -> str:
    return name.replace("_", "\n")
