"""What results show of the datasets: responses, pairs, orders of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from depthprune.analysis.dataset_agreement import Pair, extreme_pairs
from depthprune.analysis.findings import Analysis
from depthprune.analysis.responses import DatasetResponse
from depthprune.analysis.result_set import SplitAgreement, is_consistent
from depthprune.base.language import filled, t
from depthprune.base.removal import rounded
from depthprune.report.formatting import percent, removed_columns
from depthprune.report.sections.inputs import samples_by_dataset
from depthprune.report.table import Column, Section, Table, table_of

FEW = 3
"""Blocks that are named of an order."""


def responses(analysis: Analysis) -> Section:
    """Return how sensitive each dataset is, the most sensitive first, and its drops in numbers."""
    found = analysis.findings.responses
    samples = samples_by_dataset(analysis)
    known = [one for one in found if one.sensitivity is not None]
    sentences = []
    if known[1:]:
        sentence = t(
            "Most sensitive: {most} ({most_drop} points per block); least: {least} ({least_drop})."
        )
        text = sentence.format(
            most=known[0].dataset,
            most_drop=percent(known[0].sensitivity or 0.0),
            least=known[-1].dataset,
            least_drop=percent(known[-1].sensitivity or 0.0),
        )
        sentences.append(text)
    table = table_of(
        found,
        [
            (Column(t("dataset")), lambda one: one.dataset),
            (Column(t("task type")), lambda one: one.task_type or None),
            (Column(t("baseline %"), "points"), lambda one: one.baseline),
            (Column(t("per block (points)"), "points"), lambda one: one.sensitivity),
            (Column("n", "samples"), lambda one: samples[one.dataset]),
            (Column(t("drops"), "count"), lambda one: one.drops.count),
            (Column(t("mean (points)"), "points"), lambda one: one.drops.mean),
            (
                Column(t("std (points)"), "points"),
                lambda one: one.drops.std if one.drops.count else None,
            ),
            (Column(t("median (points)"), "points"), lambda one: one.drops.median),
            (Column(t("max (points)"), "points"), lambda one: one.drops.maximum),
        ],
        notes=[t("Per block: mean single-block drop; drops: how many were measured.")],
    )
    return Section("responses", t("How each dataset responds"), sentences, [table])


def specific_best(analysis: Analysis) -> Section:
    """Return the best removal of each dataset by itself, by number removed."""
    found = analysis.findings.responses
    samples = samples_by_dataset(analysis)
    numbers = sorted({number for one in found for number in one.best})
    table = Table(
        [Column(t("dataset")), Column("n", "samples"), *removed_columns(numbers)],
        [[one.dataset, samples[one.dataset], *map(one.best.get, numbers)] for one in found],
        names=2,
    )
    title = t("Best removal on each dataset by itself: blocks (drop in points)")
    return Section("specific-best", title, tables=[table])


def pairs(analysis: Analysis) -> Section:
    """Return the most and the least alike datasets, and whether the task type matters."""
    name, title = "pairs", t("Datasets two by two")
    alike, unlike = extreme_pairs(analysis.findings.pairs)
    if not alike:
        nothing = t("No two datasets share enough measured combinations to be compared.")
        return Section(name, title, [nothing])
    groups = table_of(
        analysis.findings.pair_groups,
        [
            (Column(t("task types")), lambda one: t("same") if one.same_type else t("different")),
            (Column(t("pairs"), "count"), lambda one: one.count),
            (Column(t("mean Pearson"), "number", 3), lambda one: one.pearson and one.pearson.mean),
            (
                Column(t("mean Spearman"), "number", 3),
                lambda one: one.spearman and one.spearman.mean,
            ),
            (
                Column(t("mean |difference| (points)"), "points"),
                lambda one: one.difference and one.difference.mean,
            ),
        ],
        title=t("Same against different task type:"),
        notes=[
            t(
                "Correlations over the drops of the combinations that both measured. Difference: "
                "mean drop of the first minus the second. All pairs: pairwise_dataset_stats.json."
            )
        ],
    )
    ends = ((t("Most alike:"), alike), (t("Least alike:"), unlike))
    return Section(
        name, title, tables=[*(_pairs(ones, heading) for heading, ones in ends if ones), groups]
    )


def specific(analysis: Analysis) -> Section:
    """Return how far the order of the blocks on one dataset is that on the others."""
    name, title = "specific", t("Importance on one dataset against importance on the others")
    found = [one for one in analysis.findings.responses if one.generic_scores]
    if not found:
        return Section(name, title, [t("No dataset shares single blocks with another one.")])
    undefined = (one for one in found if one.generic_agreement is None)
    ordered = sorted(
        (one for one in found if one.generic_agreement is not None),
        key=lambda one: (-(one.generic_agreement or 0.0), one.dataset),
    )
    table = table_of(
        [*ordered, *undefined],
        [
            (Column(t("dataset")), lambda one: one.dataset),
            (Column("rho", "number", 3), lambda one: one.generic_agreement),
            (Column(t("blocks"), "count"), lambda one: len(one.generic_scores)),
            (
                Column(t("least important here")),
                lambda one: _least({b: one.specific_scores[b] for b in one.generic_scores}),
            ),
            (Column(t("on the others")), lambda one: _least(one.generic_scores)),
            (Column(t("differs most")), _differs_most),
        ],
        notes=[
            t(
                "rho: Spearman, between the single-block drops of a dataset and the mean of the "
                "others'. Differs most: block (drop here / drop on the others, in points)."
            )
        ],
    )
    return Section(name, title, tables=[table])


def agreements(analysis: Analysis) -> Section:
    """Return whether the training split orders the blocks as the validation split does."""
    name, title = "splits", t("Training against validation split")
    found = analysis.findings.agreements
    if not found:
        nothing = t("No dataset was measured on its training and on its validation split.")
        return Section(name, title, [nothing])
    consistent = sum(one.rho is not None and is_consistent(one.rho) for one in found)
    sentence = t(
        "{consistent} of {n} {n:dataset|datasets} {consistent:orders|order} the blocks "
        "alike on both (rho of 0.9 or more)."
    )

    def common(one: SplitAgreement) -> set[int]:
        return one.train_scores.keys() & one.validation_scores.keys()

    table = table_of(
        found,
        [
            (Column(t("dataset")), lambda one: one.dataset),
            (Column("rho", "number", 4), lambda one: one.rho),
            (Column(t("p-value"), "p-value"), lambda one: one.p_value),
            (Column(t("blocks"), "count"), lambda one: len(common(one))),
            (
                Column(t("least, train")),
                lambda one: _least({block: one.train_scores[block] for block in common(one)}),
            ),
            (
                Column(t("least, validation")),
                lambda one: _least({block: one.validation_scores[block] for block in common(one)}),
            ),
        ],
    )
    return Section(name, title, [filled(sentence, consistent=consistent, n=len(found))], [table])


def _pairs(found: Sequence[Pair], title: str) -> Table:
    types = {True: t("same"), False: t("different")}
    return table_of(
        found,
        [
            (Column(t("datasets")), lambda one: f"{one.first} / {one.second}"),
            (Column("Pearson", "number", 3), lambda one: one.pearson),
            (Column("Spearman", "number", 3), lambda one: one.spearman),
            (Column(t("difference (points)"), "points"), lambda one: one.difference),
            (Column(t("common"), "count"), lambda one: one.common),
            (
                Column(t("task types")),
                lambda one: types[one.same_type] if one.types_known else None,
            ),
        ],
        title=title,
    )


def _least(scores: Mapping[int, float]) -> str:
    ordered = sorted(scores, key=lambda block: (rounded(scores[block]), block))
    return ", ".join(map(str, ordered[:FEW]))


def _differs_most(one: DatasetResponse) -> str:
    here, others = one.specific_scores, one.generic_scores
    block = max(others, key=lambda known: (rounded(abs(here[known] - others[known])), -known))
    return f"{block} ({percent(here[block], 1)} / {percent(others[block], 1)})"
