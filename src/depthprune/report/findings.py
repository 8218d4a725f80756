"""What results show of blocks and combinations, as sentences and tables. Only formatting."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import RenderableType
from rich.table import Table

from depthprune.analysis.distributions import share_at_most
from depthprune.analysis.findings import Consistency, Distribution, Synergy, TaskTypeFinding
from depthprune.analysis.synergy import antagonistic, synergistic, trusted_coverage
from depthprune.analysis.table import DropTable
from depthprune.analysis.task_types import UNKNOWN
from depthprune.analysis.whole import Analysis
from depthprune.base.language import t
from depthprune.base.removal import Removal, format_removal
from depthprune.report.dataset_findings import (
    agreement_parts,
    pair_parts,
    response_parts,
    specific_parts,
)
from depthprune.report.evidence import compact_table, samples_text
from depthprune.report.inputs import samples_by_dataset
from depthprune.report.tables import blocks, percent

ENDS = 10
"""Combinations that a table shows of either end."""

BLOCKS_SHOWN = 5
"""Blocks of a task type that are named as the least and as the most important."""

NUMBERS_WIDE = 4
"""Numbers of removed blocks side by side in one table."""

LIMITS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Drops up to which the table of shares counts."""

Section = Callable[[Analysis], list[RenderableType]]


def finding_parts(analysis: Analysis) -> list[RenderableType]:
    """Return all findings in reading order, each with a heading, a sentence and a table."""
    sections: list[tuple[str, Section]] = [
        (t("Task types"), task_type_parts),
        (t("Position in the stack"), position_parts),
        (t("Synergy: combinations against the sum of their blocks"), synergy_parts),
        (t("Consistency over the datasets"), consistency_parts),
        (t("How each dataset responds"), response_parts),
        (t("Datasets two by two"), pair_parts),
        (t("Distribution of the drops"), distribution_parts),
        (t("Importance on one dataset against importance on the others"), specific_parts),
        (t("Training against validation split"), agreement_parts),
    ]
    parts: list[RenderableType] = []
    for heading, section in sections:
        parts += ["", f"== {heading} ==", *section(analysis)]
    return parts


def task_type_parts(analysis: Analysis) -> list[RenderableType]:
    """Return how the task types differ, the order of the blocks and the best removals of each."""
    found = analysis.findings.by_task_type
    if not found:
        return [t("Nothing was measured.")]
    parts: list[RenderableType] = []
    if found[1:]:
        sentence = t(
            "Most sensitive: {most} ({most_drop} points per block, {most_n} drops); least: {least} "
            "({least_drop} points, {least_n} drops)."
        )
        most, least = (one.single_drops or one.drops for one in (found[0], found[-1]))
        parts.append(
            sentence.format(
                most=_type(found[0]),
                most_drop=percent(most.mean),
                most_n=most.count,
                least=_type(found[-1]),
                least_drop=percent(least.mean),
                least_n=least.count,
            )
        )
    else:
        parts.append(t("All datasets are of one type: {type}.").format(type=_type(found[0])))
    table = compact_table()
    table.add_column(t("task type"))
    table.add_column(t("sets"), justify="right")
    table.add_column("n", justify="right", no_wrap=True)
    _add_distribution(table)
    table.add_column(t("per block %"), justify="right")
    samples = dict(zip(analysis.table.datasets, samples_by_dataset(analysis), strict=True))
    for one in found:
        counts = [samples[name] for name in one.datasets]
        total = samples_text(sum(counts) if all(counts) else 0)
        single = "-" if one.single_drops is None else percent(one.single_drops.mean)
        sets = str(len(one.datasets))
        table.add_row(_type(one), sets, total, *distribution_row(one.drops), single)
    parts += [
        table,
        t(
            "Over all measured drops (count); n: samples of its datasets; per block: mean over "
            "single-block drops only."
        ),
    ]
    if any(one.blocks for one in found):
        parts += [t("Blocks by task type (drop %, sets):"), _block_table(found)]
    parts.append(t("Best removal of each task type (drop %, sets):"))
    numbers = sorted({number for one in found for number in one.best})
    parts += [
        _best_table(found, numbers[start : start + NUMBERS_WIDE])
        for start in range(0, len(numbers), NUMBERS_WIDE)
    ]
    return parts


def position_parts(analysis: Analysis) -> list[RenderableType]:
    """Return what blocks cost early, in the middle and late in the stack."""
    names = {"early": t("early"), "middle": t("middle"), "late": t("late"), "mixed": t("mixed")}
    known = {one.name: one.drops for one in analysis.findings.positions if one.drops is not None}
    if not known:
        return [t("No block was measured alone.")]
    most, least = (choose(known, key=lambda name: known[name].mean) for choose in (max, min))
    sentence = t(
        "Blocks cost most in the part {most} (mean {most_drop} points, {most_n} blocks), least in "
        "the part {least} ({least_drop} points, {least_n} blocks)."
    )
    parts: list[RenderableType] = [
        sentence.format(
            most=names[most],
            most_drop=percent(known[most].mean),
            most_n=known[most].count,
            least=names[least],
            least_drop=percent(known[least].mean),
            least_n=known[least].count,
        )
    ]
    table = compact_table()
    table.add_column(t("part"))
    table.add_column(t("blocks"))
    _add_distribution(table)
    for one in analysis.findings.positions:
        extent = f"{one.blocks[0]}-{one.blocks[-1]}" if one.blocks else "-"
        cells = ("0", "-", "-", "-", "-", "-") if one.drops is None else distribution_row(one.drops)
        table.add_row(names[one.name], extent, *cells)
    parts += [table, t("Over the mean drops of single blocks; count: blocks that were measured.")]
    several = [one for one in analysis.findings.positions_by_number if one.number > 1]
    if several:
        table = compact_table()
        table.add_column(t("removed"), justify="right")
        table.add_column(t("part"))
        _add_distribution(table)
        for found in several:
            name = names[found.name]
            table.add_row(str(found.number), name, *distribution_row(found.drops))
        parts += [
            t(
                "Combinations by the part that their blocks lie in (mixed: more than one part; "
                "count: combinations, on one dataset or more):"
            ),
            table,
        ]
    return parts


def synergy_parts(analysis: Analysis) -> list[RenderableType]:
    """Return the most synergistic and the most antagonistic combinations."""
    found = analysis.findings.synergies
    if not found:
        return [t("No combination was measured together with its single blocks.")]
    least = trusted_coverage(found)
    covered = [one for one in found if one.coverage >= least]
    better = synergistic(covered, top=len(covered))
    sentence = t(
        "{better} of {n} combinations cost less than the sum of their blocks alone (synergy "
        "below 0), the others as much or more. Many are compared: the ends look more extreme than "
        "they are."
    )
    parts: list[RenderableType] = [sentence.format(better=len(better), n=len(covered))]
    left_out = len(found) - len(covered)
    if left_out:
        told = t(
            "Left out: {n} whose synergy is known on one dataset only, which is mostly chance."
        )
        parts.append(told.format(n=left_out))
    elif least == 1:
        parts.append(t("Each synergy is known on one dataset only, which is mostly chance."))
    if better:
        parts += [t("Most synergistic:"), _synergy_table(better[:ENDS])]
    worse = antagonistic(covered, top=ENDS)
    if worse:
        parts += [t("Most antagonistic:"), _synergy_table(worse)]
    return parts


def consistency_parts(analysis: Analysis) -> list[RenderableType]:
    """Return which combinations the datasets agree about, and how agreement goes with coverage."""
    covered = analysis.findings.consistency
    if not covered:
        return [t("No combination was measured on two datasets or more.")]
    found = [one for one in covered if one.variation is not None]
    if not found:
        return [t("Every mean drop is 0: no variation is defined.")]
    samples = samples_by_removal(analysis.table)
    parts: list[RenderableType] = [
        t(
            "Variation: std over the datasets divided by the mean drop without its sign; small = "
            "the datasets agree. Two datasets agree more easily than eight: look at the sets."
        ),
        t("Most consistent:"),
        _consistency_table(found[:ENDS], samples),
    ]
    rest = found[ENDS:][-ENDS:][::-1]
    if rest:
        parts += [t("Least consistent:"), _consistency_table(rest, samples)]
    if any(one.ruinous for one in (*found[:ENDS], *rest)):
        parts.append(t("*: consistently bad, it costs more than half of the accuracy."))
    table = compact_table()
    table.add_column(t("sets"), justify="right")
    table.add_column(t("combinations"), justify="right")
    table.add_column(t("median variation"), justify="right")
    table.add_column(t("smallest"), justify="right")
    table.add_column(t("largest"), justify="right")
    for coverage, drops in analysis.findings.variation_by_coverage.items():
        cells = (drops.median, drops.minimum, drops.maximum)
        table.add_row(str(coverage), str(drops.count), *(f"{value:.2f}" for value in cells))
    return [*parts, t("By coverage:"), table]


def distribution_parts(analysis: Analysis) -> list[RenderableType]:
    """Return all measured drops in numbers, by number removed, and the share below some limits."""
    overall = analysis.findings.overall
    by_number = {str(number): drops for number, drops in analysis.findings.by_number.items()}
    rows = {t("all"): overall, **by_number}
    sentence = t("Half of all {n} measured drops are at most {median} points.")
    parts: list[RenderableType] = [
        sentence.format(n=f"{overall.count:,}", median=percent(overall.median))
    ]
    table = compact_table()
    table.add_column(t("removed"), justify="right")
    _add_distribution(table)
    table.add_column(t("quartiles"), justify="right", no_wrap=True)
    for name, drops in rows.items():
        lower, upper = drops.quartiles
        quartiles = f"{percent(lower)}, {percent(upper)}"
        table.add_row(name, *distribution_row(drops), quartiles)
    parts += [table, t("Share of the drops, in %, that are at most so many points:")]
    table = compact_table()
    table.add_column(t("removed"), justify="right")
    table.add_column(t("count"), justify="right")
    for limit in LIMITS:
        table.add_column(f"≤ {percent(limit, 0)}", justify="right", no_wrap=True)
    for name, drops in rows.items():
        shares = (share_at_most(drops, limit) for limit in LIMITS)
        table.add_row(name, str(drops.count), *(percent(share, 0) for share in shares))
    return [*parts, table]


def samples_by_removal(table: DropTable) -> dict[Removal, int]:
    """Return the samples behind each removal over its datasets; 0 where one is unknown."""
    return dict(zip(table.removals, table.total_samples.tolist(), strict=True))


def distribution_row(drops: Distribution) -> tuple[str, ...]:
    """Return count, mean, std, minimum, median and maximum as cells, in points."""
    values = (drops.mean, drops.std, drops.minimum, drops.median, drops.maximum)
    return str(drops.count), *map(percent, values)


def _type(one: TaskTypeFinding) -> str:
    return t("Unknown") if one.task_type == UNKNOWN else one.task_type


def _add_distribution(table: Table) -> None:
    for name in (t("count"), t("mean %"), t("std"), t("min"), t("median"), t("max")):
        table.add_column(name, justify="right", no_wrap=True)


def _block_table(found: Sequence[TaskTypeFinding]) -> Table:
    table = compact_table()
    table.add_column(t("task type"))
    table.add_column(t("cost least"))
    table.add_column(t("cost most"))
    for one in found:
        coverage = {single.block: single.coverage for single in one.blocks}
        cells = [
            f"{block} ({percent(drop)}, {coverage[block]})" for block, drop in one.block_ranking
        ]
        least = cells[:BLOCKS_SHOWN]
        most = cells[len(least) :][-BLOCKS_SHOWN:][::-1]
        table.add_row(_type(one), "; ".join(least) or "-", "; ".join(most) or "-")
    return table


def _best_table(found: Sequence[TaskTypeFinding], numbers: Sequence[int]) -> Table:
    table = compact_table()
    table.add_column(t("task type"))
    for number in numbers:
        table.add_column(t("{number} removed").format(number=number))
    for one in found:
        cells = []
        for number in numbers:
            removal, drop, coverage = one.best.get(number, ((), 0.0, 0))
            known = f"{format_removal(removal, ', ')} ({percent(drop)}, {coverage})"
            cells.append(known if coverage else "-")
        table.add_row(_type(one), *cells)
    return table


def _synergy_table(found: Sequence[Synergy]) -> Table:
    table = compact_table()
    table.add_column(t("blocks"))
    for name in (t("synergy %"), t("std"), t("drop %"), t("sum of singles %"), t("sets"), "n"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            blocks(one.removal),
            percent(one.synergy),
            percent(one.std) if one.coverage > 1 else "-",
            percent(one.actual),
            percent(one.expected),
            str(one.coverage),
            samples_text(one.num_samples),
        )
    return table


def _consistency_table(
    found: Sequence[Consistency],
    samples: dict[Removal, int],
) -> Table:
    table = compact_table()
    table.add_column(t("blocks"))
    for name in (t("variation"), t("drop %"), t("std"), t("sets"), "n"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            blocks(one.removal) + (" *" if one.ruinous else ""),
            f"{one.variation:.2f}",
            percent(one.mean),
            percent(one.std),
            str(one.coverage),
            samples_text(samples[one.removal]),
        )
    return table
