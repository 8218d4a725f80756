"""What results show of blocks and combinations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from depthprune.analysis.dataset_agreement import Consistency
from depthprune.analysis.drop_table import DropTable, share_at_most
from depthprune.analysis.findings import Analysis
from depthprune.analysis.responses import UNKNOWN, TaskTypeFinding
from depthprune.analysis.synergy import Synergy, antagonistic, synergistic, trusted_coverage
from depthprune.base.language import filled, t
from depthprune.base.removal import Removal
from depthprune.report.formatting import distribution, percent, removed_columns
from depthprune.report.sections.answers import damage
from depthprune.report.sections.datasets import agreements, pairs, responses, specific
from depthprune.report.sections.inputs import samples_by_dataset
from depthprune.report.table import Cell, Column, Section, Table, table_of

ENDS = 10
"""Combinations that a table shows of either end."""

BLOCKS_SHOWN = 5
"""Blocks of a task type that are named as the least and as the most important."""

LIMITS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Drops up to which the table of shares counts."""


def findings(analysis: Analysis) -> list[Section]:
    """Return all findings in reading order; where nothing is found, a sentence says so."""
    builders = (
        task_types, positions, synergy, consistency, responses, pairs, distributions, specific,
        agreements, damage,
    )  # fmt: skip
    return [build(analysis) for build in builders]


def task_types(analysis: Analysis) -> Section:
    """Return how the task types differ, the order of the blocks and the best removals of each."""
    name, title = "task-types", t("Task types")
    found = analysis.findings.by_task_type
    if not found:
        return Section(name, title, [t("Nothing was measured.")])
    if found[1:]:
        sentence = t(
            "Most sensitive: {most} ({most_drop} points per block, {most_n} "
            "{most_n:drop|drops}); least: {least} ({least_drop} points, {least_n} "
            "{least_n:drop|drops})."
        )
        most, least = (one.single_drops or one.drops for one in (found[0], found[-1]))
        text = filled(
            sentence,
            most=_type(found[0]),
            most_drop=percent(most.mean),
            most_n=most.count,
            least=_type(found[-1]),
            least_drop=percent(least.mean),
            least_n=least.count,
        )
    else:
        text = t("All datasets are of one type: {type}.", type=_type(found[0]))
    samples = samples_by_dataset(analysis)

    def num_samples(one: TaskTypeFinding) -> int:
        counts = [samples[dataset] for dataset in one.datasets]
        return sum(counts) if all(counts) else 0

    drops = table_of(
        found,
        [
            (Column(t("task type")), _type),
            (Column(t("sets"), "count"), lambda one: len(one.datasets)),
            (Column("n", "samples"), num_samples),
            *distribution(lambda one: one.drops),
            (
                Column(t("per block (points)"), "points"),
                lambda one: one.single_drops and one.single_drops.mean,
            ),
        ],
        notes=[
            t(
                "Over all measured drops (count); n: samples of its datasets; per block: mean "
                "over single-block drops only."
            )
        ],
    )
    order = table_of(
        found,
        [
            (Column(t("task type")), _type),
            (Column(t("cost least"), "choices"), lambda one: _ends_of_order(one)[0]),
            (Column(t("cost most"), "choices"), lambda one: _ends_of_order(one)[1]),
        ],
        title=t("Blocks by task type (drop in points, sets):"),
    )
    numbers = sorted({number for one in found for number in one.best})
    best = Table(
        [Column(t("task type")), *removed_columns(numbers)],
        [[_type(one), *map(one.best.get, numbers)] for one in found],
        t("Best removal of each task type (drop in points, sets):"),
        names=1,
    )
    orders = [order] if any(one.blocks for one in found) else []
    return Section(name, title, [text], [drops, *orders, best])


def positions(analysis: Analysis) -> Section:
    """Return what blocks cost early, in the middle and late in the stack."""
    name, title = "positions", t("Position in the stack")
    words = {"early": t("early"), "middle": t("middle"), "late": t("late"), "mixed": t("mixed")}
    known = {one.name: one.drops for one in analysis.findings.positions if one.drops is not None}
    if not known:
        return Section(name, title, [t("No block was measured alone.")])
    most, least = (choose(known, key=lambda name: known[name].mean) for choose in (max, min))
    sentence = t(
        "Blocks cost most in the part {most} (mean {most_drop} points, {most_n} "
        "{most_n:block|blocks}), least in the part {least} ({least_drop} points, "
        "{least_n} {least_n:block|blocks}).",
        most=words[most],
        most_drop=percent(known[most].mean),
        most_n=known[most].count,
        least=words[least],
        least_drop=percent(known[least].mean),
        least_n=known[least].count,
    )
    singles = table_of(
        analysis.findings.positions,
        [
            (Column(t("part")), lambda one: words[one.name]),
            (
                Column(t("blocks")),
                lambda one: f"{one.blocks[0]}-{one.blocks[-1]}" if one.blocks else None,
            ),
            *distribution(lambda one: one.drops),
        ],
        notes=[t("Over the mean drops of single blocks; count: blocks that were measured.")],
    )
    several = table_of(
        [one for one in analysis.findings.positions_by_number if one.number > 1],
        [
            (Column(t("removed"), "count"), lambda one: one.number),
            (Column(t("part")), lambda one: words[one.name]),
            *distribution(lambda one: one.drops),
        ],
        title=t(
            "Combinations by the part that their blocks lie in (mixed: more than one part; "
            "count: combinations, on one dataset or more):"
        ),
    )
    return Section(name, title, [sentence], [singles, *([several] if several.rows else [])])


def synergy(analysis: Analysis) -> Section:
    """Return the most synergistic and the most antagonistic combinations."""
    name, title = "synergy", t("Synergy: combinations against the sum of their blocks")
    found = analysis.findings.synergies
    if not found:
        nothing = t("No combination was measured together with its single blocks.")
        return Section(name, title, [nothing])
    least = trusted_coverage(found)
    covered = [one for one in found if one.coverage >= least]
    better = synergistic(covered, top=len(covered))
    sentence = t(
        "{better} of {n} {n:combination|combinations} {better:costs|cost} less than "
        "the sum of {better:its|their} blocks alone (synergy below 0), the others as "
        "much or more. Many are compared: the ends look more extreme than they are."
    )
    sentences = [filled(sentence, better=len(better), n=len(covered))]
    left_out = len(found) - len(covered)
    if left_out:
        text = t(
            "Left out: {n} whose synergy is known on one dataset only, which is mostly chance."
        )
        sentences.append(filled(text, n=left_out))
    elif least == 1:
        sentences.append(t("Each synergy is known on one dataset only, which is mostly chance."))
    worse = antagonistic(covered, top=ENDS)
    ends = ((t("Most synergistic:"), better[:ENDS]), (t("Most antagonistic:"), worse))
    return Section(
        name, title, sentences, [_synergies(ones, heading) for heading, ones in ends if ones]
    )


def consistency(analysis: Analysis) -> Section:
    """Return which combinations the datasets agree about, and how agreement goes with coverage."""
    name, title = "consistency", t("Consistency over the datasets")
    covered = analysis.findings.consistency
    if not covered:
        return Section(name, title, [t("No combination was measured on two datasets or more.")])
    found = [one for one in covered if one.variation is not None]
    if not found:
        return Section(name, title, [t("Every mean drop is 0: no variation is defined.")])
    samples = samples_by_removal(analysis.table)
    first, last = found[:ENDS], found[ENDS:][-ENDS:][::-1]
    ends = ((t("Most consistent:"), first), (t("Least consistent:"), last))
    tables = [_consistencies(ones, samples, heading) for heading, ones in ends if ones]
    if any(one.ruinous for one in (*first, *last)):
        ruinous = t("*: consistently bad, it costs more than half of the accuracy.")
        tables[-1] = replace(tables[-1], notes=[ruinous])
    by_coverage = table_of(
        analysis.findings.variation_by_coverage.items(),
        [
            (Column(t("sets"), "count"), lambda one: one[0]),
            (Column(t("combinations"), "count"), lambda one: one[1].count),
            (Column(t("median variation"), "number"), lambda one: one[1].median),
            (Column(t("smallest"), "number"), lambda one: one[1].minimum),
            (Column(t("largest"), "number"), lambda one: one[1].maximum),
        ],
        title=t("By coverage:"),
    )
    sentence = t(
        "Variation: std over the datasets divided by the mean drop without its sign; small = "
        "the datasets agree. Two datasets agree more easily than eight: look at the sets."
    )
    return Section(name, title, [sentence], [*tables, by_coverage])


def distributions(analysis: Analysis) -> Section:
    """Return all measured drops in numbers, by number removed, and the share below some limits."""
    overall = analysis.findings.overall
    rows = [(t("all"), overall), *analysis.findings.by_number.items()]
    sentence = t("Half of all {n} measured {n:drop|drops} are at most {median} points.")
    text = filled(sentence, n=f"{overall.count:,}", median=percent(overall.median))
    removed = Column(t("removed"), "count")
    numbers = table_of(
        rows,
        [
            (removed, lambda row: row[0]),
            *distribution(lambda row: row[1]),
            (Column(t("quartiles"), "range"), lambda row: row[1].quartiles),
        ],
    )
    limits = [Column(f"≤ {percent(limit, 0)}", "share") for limit in LIMITS]
    shares = Table(
        [removed, Column(t("count"), "count"), *limits],
        [
            [name, drops.count, *(share_at_most(drops, limit) for limit in LIMITS)]
            for name, drops in rows
        ],
        t("Share of the drops, in %, that are at most so many points:"),
    )
    title = t("Distribution of the drops")
    return Section("distributions", title, [text], [numbers, shares])


def samples_by_removal(table: DropTable) -> dict[Removal, int]:
    """Return the samples behind each removal over its datasets; 0 where one is unknown."""
    return dict(zip(table.removals, table.total_samples.tolist(), strict=True))


def _type(one: TaskTypeFinding) -> str:
    return t("Unknown") if one.task_type == UNKNOWN else one.task_type


def _ends_of_order(one: TaskTypeFinding) -> tuple[list[Any], list[Any]]:
    """Return the blocks of a task type that cost least and most, with their drops and datasets."""
    coverage = {single.block: single.coverage for single in one.blocks}
    order = [((block,), drop, coverage[block]) for block, drop in one.block_ranking]
    least, others = order[:BLOCKS_SHOWN], order[BLOCKS_SHOWN:]
    return least, others[-BLOCKS_SHOWN:][::-1]


def _synergies(found: Sequence[Synergy], title: str) -> Table:
    return table_of(
        found,
        [
            (Column(t("blocks"), "blocks"), lambda one: one.removal),
            (Column(t("synergy (points)"), "points"), lambda one: one.synergy),
            (
                Column(t("std (points)"), "points"),
                lambda one: one.std if one.coverage > 1 else None,
            ),
            (Column(t("drop (points)"), "points"), lambda one: one.actual),
            (Column(t("sum of singles (points)"), "points"), lambda one: one.expected),
            (Column(t("sets"), "count"), lambda one: one.coverage),
            (Column("n", "samples"), lambda one: one.num_samples),
        ],
        title=title,
    )


def _consistencies(found: Sequence[Consistency], samples: dict[Removal, int], title: str) -> Table:
    return table_of(
        found,
        [
            (
                Column(t("blocks"), "blocks"),
                lambda one: Cell(one.removal, mark="*" if one.ruinous else None),
            ),
            (Column(t("variation"), "number"), lambda one: one.variation),
            (Column(t("drop (points)"), "points"), lambda one: one.mean),
            (Column(t("std (points)"), "points"), lambda one: one.std),
            (Column(t("sets"), "count"), lambda one: one.coverage),
            (Column("n", "samples"), lambda one: samples[one.removal]),
        ],
        title=title,
    )
