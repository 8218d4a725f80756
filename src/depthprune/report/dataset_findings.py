"""What results show of the datasets: responses, pairs, orders of blocks. Only formatting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

from rich.console import RenderableType
from rich.table import Table

from depthprune.analysis.agreement import is_consistent
from depthprune.analysis.findings import DatasetResponse, Distribution, Pair
from depthprune.analysis.pairs import extreme_pairs
from depthprune.analysis.whole import Analysis
from depthprune.base.drops import settled
from depthprune.base.language import t
from depthprune.report.evidence import compact_table, samples_text
from depthprune.report.inputs import samples_by_dataset
from depthprune.report.tables import percent

FEW = 3
"""Blocks that are named of an order."""

NUMBERS_WIDE = 4


def response_parts(analysis: Analysis) -> list[RenderableType]:
    """Return how sensitive each dataset is, the most sensitive first, and its drops in numbers."""
    found = analysis.findings.responses
    samples = dict(zip(analysis.table.datasets, samples_by_dataset(analysis), strict=True))
    parts: list[RenderableType] = []
    known = [one for one in found if one.sensitivity is not None]
    if known[1:]:
        sentence = t(
            "Most sensitive: {most} ({most_drop} points per block); least: {least} ({least_drop})."
        )
        most, least = known[0], known[-1]
        parts.append(
            sentence.format(
                most=most.dataset,
                most_drop=percent(most.sensitivity or 0.0),
                least=least.dataset,
                least_drop=percent(least.sensitivity or 0.0),
            )
        )
    table = compact_table()
    table.add_column(t("dataset"), overflow="fold")
    table.add_column(t("task type"))
    names = (t("baseline %"), t("per block %"), "n", t("drops"), t("mean %"), t("std"))
    for name in (*names, t("median"), t("max")):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            one.dataset,
            one.task_type or "-",
            "-" if isnan(one.baseline) else percent(one.baseline),
            "-" if one.sensitivity is None else percent(one.sensitivity),
            samples_text(samples[one.dataset]),
            str(one.drops.count),
            *(_points(value, one.drops) for value in (one.drops.mean, one.drops.std)),
            *(_points(value, one.drops) for value in (one.drops.median, one.drops.maximum)),
        )
    return [*parts, table, t("Per block: mean single-block drop; drops: how many were measured.")]


def specific_best_parts(analysis: Analysis) -> list[RenderableType]:
    """Return the best removal of each dataset by itself, by number removed."""
    found = analysis.findings.responses
    samples = dict(zip(analysis.table.datasets, samples_by_dataset(analysis), strict=True))
    numbers = sorted({number for one in found for number in one.best})
    return [
        _best_table(found, samples, numbers[start : start + NUMBERS_WIDE])
        for start in range(0, len(numbers), NUMBERS_WIDE)
    ]


def pair_parts(analysis: Analysis) -> list[RenderableType]:
    """Return the most and the least alike datasets, and whether the task type matters."""
    pairs = analysis.findings.pairs
    alike, unlike = extreme_pairs(pairs)
    if not alike:
        return [t("No two datasets share enough measured combinations to be compared.")]
    parts: list[RenderableType] = [t("Most alike:"), _pair_table(alike)]
    if unlike:
        parts += [t("Least alike:"), _pair_table(unlike)]
    table = compact_table()
    table.add_column(t("task types"))
    names = (t("pairs"), t("mean Pearson"), t("mean Spearman"), t("mean |difference| %"))
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for group in analysis.findings.pair_groups:
        table.add_row(
            t("same") if group.same_type else t("different"),
            str(group.count),
            "-" if group.pearson is None else f"{group.pearson.mean:.3f}",
            "-" if group.spearman is None else f"{group.spearman.mean:.3f}",
            "-" if group.difference is None else percent(group.difference.mean),
        )
    note = t(
        "Correlations over the drops of the combinations that both measured. Difference: mean drop "
        "of the first minus the second. All pairs: pairwise_dataset_stats.json."
    )
    return [*parts, t("Same against different task type:"), table, note]


def specific_parts(analysis: Analysis) -> list[RenderableType]:
    """Return how far the order of the blocks on one dataset is that on the others."""
    found = [one for one in analysis.findings.responses if one.generic_scores]
    if not found:
        return [t("No dataset shares single blocks with another one.")]
    table = compact_table()
    table.add_column(t("dataset"), overflow="fold")
    table.add_column("rho", justify="right", no_wrap=True)
    table.add_column(t("blocks"), justify="right", no_wrap=True)
    table.add_column(t("least important here"))
    table.add_column(t("on the others"))
    table.add_column(t("differs most"))
    undefined = (one for one in found if one.generic_agreement is None)
    ordered = sorted(
        (one for one in found if one.generic_agreement is not None),
        key=lambda one: (-(one.generic_agreement or 0.0), one.dataset),
    )
    for one in (*ordered, *undefined):
        rho = one.generic_agreement
        table.add_row(
            one.dataset,
            "-" if rho is None else f"{rho:.3f}",
            str(len(one.generic_scores)),
            _least({block: one.specific_scores[block] for block in one.generic_scores}),
            _least(one.generic_scores),
            _differs_most(one),
        )
    note = t(
        "rho: Spearman, between the single-block drops of a dataset and the mean of the others'. "
        "Differs most: block (drop here / drop on the others, in points)."
    )
    return [table, note]


def agreement_parts(analysis: Analysis) -> list[RenderableType]:
    """Return whether the training split orders the blocks as the validation split does."""
    found = analysis.findings.agreements
    if not found:
        return [t("No dataset was measured on its training and on its validation split.")]
    consistent = sum(one.rho is not None and is_consistent(one.rho) for one in found)
    sentence = t(
        "{consistent} of {n} datasets order the blocks alike on both (rho of 0.9 or more)."
    )
    table = compact_table()
    table.add_column(t("dataset"), overflow="fold")
    for name in ("rho", t("p-value"), t("blocks")):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(t("least, train"))
    table.add_column(t("least, validation"))
    for one in found:
        common = one.train_scores.keys() & one.validation_scores.keys()
        table.add_row(
            one.dataset,
            "-" if one.rho is None else f"{one.rho:.4f}",
            "-" if one.p_value is None else f"{one.p_value:.2e}",
            str(len(common)),
            _least({block: one.train_scores[block] for block in common}),
            _least({block: one.validation_scores[block] for block in common}),
        )
    return [sentence.format(consistent=consistent, n=len(found)), table]


def _best_table(
    found: Sequence[DatasetResponse],
    samples: Mapping[str, int],
    numbers: Sequence[int],
) -> Table:
    table = compact_table()
    table.add_column(t("dataset"), overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    for number in numbers:
        table.add_column(t("{number} removed").format(number=number))
    for one in found:
        cells = (
            f"{', '.join(map(str, one.best[number][0]))} ({percent(one.best[number][1])})"
            if number in one.best
            else "-"
            for number in numbers
        )
        table.add_row(one.dataset, samples_text(samples[one.dataset]), *cells)
    return table


def _pair_table(pairs: Sequence[Pair]) -> Table:
    table = compact_table()
    table.add_column(t("datasets"), overflow="fold")
    names = ("Pearson", "Spearman", t("difference %"), t("common"))
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(t("task types"))
    for one in pairs:
        kind = (t("same") if one.same_type else t("different")) if one.types_known else "-"
        table.add_row(
            f"{one.first} / {one.second}",
            "-" if one.pearson is None else f"{one.pearson:.3f}",
            "-" if one.spearman is None else f"{one.spearman:.3f}",
            "-" if one.difference is None else percent(one.difference),
            str(one.common),
            kind,
        )
    return table


def _points(value: float, drops: Distribution) -> str:
    return percent(value) if drops.count else "-"


def _least(scores: Mapping[int, float]) -> str:
    ordered = sorted(scores, key=lambda block: (settled(scores[block]), block))
    return ", ".join(map(str, ordered[:FEW]))


def _differs_most(one: DatasetResponse) -> str:
    here, others = one.specific_scores, one.generic_scores
    block = max(others, key=lambda known: (settled(abs(here[known] - others[known])), -known))
    return f"{block} ({percent(here[block], 1)} / {percent(others[block], 1)})"
