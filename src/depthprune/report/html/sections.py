"""The findings as short tables, one group for each question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from depthprune.analysis.findings import Distribution, Pair, PairGroup, Synergy
from depthprune.analysis.synergy import antagonistic, synergistic, trusted_coverage
from depthprune.analysis.whole import Analysis
from depthprune.base.language import t
from depthprune.report.html.text import (
    NOTHING,
    Column,
    TextTable,
    block_list,
    count,
    known_type,
    points,
    rho,
    signed,
)

TOP = 10
ENDS = 5
"""Rows at either end of long tables."""


@dataclass(frozen=True)
class Section:
    """Tables that answer one question.

    Attributes:
        name: of the section, for links.
        open: whether its tables are seen at once.
        notes: lines below the tables.
    """

    name: str
    title: str
    tables: Sequence[TextTable]
    open: bool = False
    notes: Sequence[str] = ()


def sections(analysis: Analysis) -> list[Section]:
    """Return what the results show; sections without a row are left out."""
    every = [
        Section("task-types", t("By task type"), [_types(analysis), *_type_best(analysis)], True),
        Section("positions", t("By position in the stack"), list(_positions(analysis)), True),
        Section("synergy", t("Synergy between blocks"), list(_synergies(analysis)), True),
        Section("responses", t("How each dataset responds"), [_responses(analysis)]),
        Section("pairs", t("Which datasets are alike"), list(_pairs(analysis))),
        Section("consistency", t("Consistency over the datasets"), [_consistency(analysis)]),
        Section("distributions", t("Drops by number removed"), [_distributions(analysis)]),
        Section("splits", t("Training against validation"), [_splits(analysis)]),
    ]
    filled = [
        Section(
            one.name, one.title, [table for table in one.tables if table.rows], one.open, one.notes
        )
        for one in every
    ]
    found = [one for one in filled if one.tables]
    if analysis.results.problems:
        title = t("Problems in what was read ({n})").format(n=len(analysis.results.problems))
        found.append(Section("problems", title, [], notes=analysis.results.problems))
    return found


def _types(analysis: Analysis) -> TextTable:
    return TextTable(
        t("Drops of all removals, most sensitive task type first"),
        [
            Column(t("task type"), number=False),
            Column(t("datasets"), number=False),
            Column(t("mean drop alone")),
            *_distribution_columns(),
        ],
        [
            [
                known_type(one.task_type),
                ", ".join(one.datasets),
                points(None if one.single_drops is None else one.single_drops.mean),
                *_distribution(one.drops),
            ]
            for one in analysis.findings.by_task_type
        ],
        t(
            "Mean drop alone: over single blocks, which (nearly) every dataset measured. The other "
            "columns are over all removals, in points; count: measured drops."
        ),
    )


def _type_best(analysis: Analysis) -> Iterator[TextTable]:
    found = analysis.findings.by_task_type
    numbers = sorted({number for one in found for number in one.best})
    rows = []
    for one in found:
        row = [known_type(one.task_type)]
        for number in numbers:
            if number not in one.best:
                row.append(NOTHING)
                continue
            removal, drop, coverage = one.best[number]
            row.append(f"{block_list(removal)} ({points(drop)}; {coverage}/{len(one.datasets)})")
        ranking = [block for block, _ in one.block_ranking]
        row += [block_list(ranking[:3]) or NOTHING, block_list(ranking[:-4:-1]) or NOTHING]
        rows.append(row)
    yield TextTable(
        t("Best removal for each task type"),
        [
            Column(t("task type"), number=False),
            *(Column(t("{number} removed").format(number=n), number=False) for n in numbers),
            Column(t("least important"), number=False),
            Column(t("most important"), number=False),
        ],
        rows,
        t("Blocks (drop in points; on how many of its datasets)."),
    )


def _positions(analysis: Analysis) -> Iterator[TextTable]:
    names = {"early": t("early"), "middle": t("middle"), "late": t("late"), "mixed": t("mixed")}
    yield TextTable(
        t("Drop of single blocks by third of the stack"),
        [
            Column(t("part"), number=False),
            Column(t("blocks"), number=False),
            *_distribution_columns(),
        ],
        [
            [names[one.name], _span(one.blocks), *_distribution(one.drops)]
            for one in analysis.findings.positions
            if one.drops is not None
        ],
        t("Over the mean drop of each block; count: blocks measured alone."),
    )
    yield TextTable(
        t("Combinations by where their blocks lie"),
        [Column(t("removed")), Column(t("part"), number=False), *_distribution_columns()],
        [
            [str(one.number), names[one.name], *_distribution(one.drops)]
            for one in analysis.findings.positions_by_number
            if one.number > 1
        ],
        t("Over the mean drop of each combination; mixed: blocks of more than one part."),
    )


def _synergies(analysis: Analysis) -> Iterator[TextTable]:
    found = analysis.findings.synergies
    least = trusted_coverage(found)
    covered = [one for one in found if one.coverage >= least]
    note = t(
        "Synergy: drop of the combination minus the sum of its blocks alone, over the same "
        "datasets, in points. Shown: combinations with {least} such datasets or more, {shown} of "
        "{total}."
    ).format(least=least, shown=len(covered), total=len(found))
    yield _synergy_table(
        t("Better together: they cost less than one by one"),
        synergistic(found, top=TOP, min_coverage=least),
        note,
    )
    yield _synergy_table(
        t("Worse together: they cost more than one by one"),
        antagonistic(found, top=TOP, min_coverage=least),
        note,
    )


def _synergy_table(title: str, found: Sequence[Synergy], note: str) -> TextTable:
    return TextTable(
        title,
        [
            Column(t("blocks"), number=False),
            Column(t("synergy")),
            Column(t("std")),
            Column(t("together")),
            Column(t("sum alone")),
            Column(t("datasets")),
            Column("n"),
        ],
        [
            [
                block_list(one.removal),
                signed(one.synergy),
                points(one.std) if one.coverage > 1 else NOTHING,
                points(one.actual),
                points(one.expected),
                str(one.coverage),
                count(one.num_samples) if one.num_samples else NOTHING,
            ]
            for one in found
        ],
        note,
    )


def _responses(analysis: Analysis) -> TextTable:
    return TextTable(
        t("Most sensitive dataset first"),
        [
            Column(t("dataset"), number=False),
            Column(t("task type"), number=False),
            Column(t("baseline %")),
            Column(t("mean drop alone")),
            *_distribution_columns(),
            Column(t("rho with the others")),
        ],
        [
            [
                one.dataset,
                known_type(one.task_type),
                points(one.baseline),
                points(one.sensitivity),
                *_distribution(one.drops),
                rho(one.generic_agreement),
            ]
            for one in analysis.findings.responses
        ],
        t(
            "Rho with the others: Spearman's rho between its own single-block drops and the mean "
            "of those of the other datasets; low means that it needs a choice of its own."
        ),
    )


def _pairs(analysis: Analysis) -> Iterator[TextTable]:
    defined = [one for one in analysis.findings.pairs if one.pearson is not None]
    columns = [
        Column(t("first dataset"), number=False),
        Column(t("second dataset"), number=False),
        Column("Pearson"),
        Column("Spearman"),
        Column(t("mean difference")),
        Column(t("common removals")),
        Column(t("task types"), number=False),
    ]
    note = t("Over the removals that both measured; difference: first minus second, in points.")
    few = len(defined) <= 2 * ENDS
    first = defined if few else defined[:ENDS]
    title = t("All pairs, most alike first") if few else t("Most alike")
    yield TextTable(title, columns, [_pair(one) for one in first], note)
    last = [] if few else defined[: -ENDS - 1 : -1]
    yield TextTable(t("Least alike"), columns, [_pair(one) for one in last], note)
    yield TextTable(
        t("Same task type against different ones"),
        [
            Column(t("task types"), number=False),
            Column(t("pairs")),
            Column(t("mean Pearson")),
            Column(t("mean Spearman")),
            Column(t("mean absolute difference")),
        ],
        [_group(one) for one in analysis.findings.pair_groups if one.count],
    )


def _pair(one: Pair) -> list[str]:
    same = t("same") if one.same_type else t("different")
    return [
        one.first,
        one.second,
        rho(one.pearson),
        rho(one.spearman),
        signed(one.difference),
        str(one.common),
        same if one.types_known else NOTHING,
    ]


def _group(one: PairGroup) -> list[str]:
    return [
        t("same") if one.same_type else t("different"),
        str(one.count),
        rho(None if one.pearson is None else one.pearson.mean),
        rho(None if one.spearman is None else one.spearman.mean),
        points(None if one.difference is None else one.difference.mean),
    ]


def _consistency(analysis: Analysis) -> TextTable:
    found = [one for one in analysis.findings.consistency if one.variation is not None][:TOP]
    return TextTable(
        t("The {n} most consistent combinations").format(n=len(found)),
        [
            Column(t("blocks"), number=False),
            Column(t("drop (points)")),
            Column(t("std")),
            Column(t("std / |mean|")),
            Column(t("datasets")),
        ],
        [
            [
                block_list(one.removal),
                points(one.mean),
                points(one.std),
                rho(one.variation),
                str(one.coverage),
            ]
            for one in found
        ],
        t("Combinations measured on two datasets or more; few datasets look consistent by chance."),
    )


def _distributions(analysis: Analysis) -> TextTable:
    rows = [
        [str(number), *_distribution(drops)]
        for number, drops in sorted(analysis.findings.by_number.items())
    ]
    if len(rows) > 1:
        rows.append([t("all"), *_distribution(analysis.findings.overall)])
    return TextTable(
        t("Every measured drop, on every dataset"),
        [Column(t("removed")), *_distribution_columns()],
        rows,
    )


def _splits(analysis: Analysis) -> TextTable:
    return TextTable(
        t("Do both splits order the blocks alike?"),
        [
            Column(t("dataset"), number=False),
            Column("rho"),
            Column(t("p-value")),
            Column(t("blocks")),
        ],
        [
            [
                one.dataset,
                rho(one.rho),
                NOTHING if one.p_value is None else f"{one.p_value:.1e}",
                str(len(one.train_scores.keys() & one.validation_scores.keys())),
            ]
            for one in analysis.findings.agreements
        ],
        t("Spearman's rho between the single-block drops of both splits; above 0.9 they agree."),
    )


def _distribution_columns() -> list[Column]:
    return [
        Column(t("mean")),
        Column(t("std")),
        Column(t("min")),
        Column(t("median")),
        Column(t("max")),
        Column(t("count")),
    ]


def _distribution(drops: Distribution | None) -> list[str]:
    if drops is None:
        return [NOTHING] * 6
    numbers = (drops.mean, drops.std, drops.minimum, drops.median, drops.maximum)
    return [*map(points, numbers), f"{drops.count:,}"]


def _span(blocks: Sequence[int]) -> str:
    return f"{blocks[0]}–{blocks[-1]}" if len(blocks) > 1 else block_list(blocks)
