"""Which blocks to remove, by every rule, each with its evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import isnan
from typing import Any

from depthprune.analysis.combinations import Combination, RankedCombinations
from depthprune.analysis.recommend import Recommended, Target
from depthprune.analysis.recommended_strategies import Step
from depthprune.analysis.verified import choose
from depthprune.base.language import filled, t
from depthprune.base.removal import Removal
from depthprune.report.formatting import below_limit_note, blocks, interval_note, percent, std_of
from depthprune.report.render.text import NOTHING
from depthprune.report.sections.choice import answer, removal_text, strategies, unbounded_lines
from depthprune.report.sections.evidence import (
    coverage_text,
    dataset_lines,
    evidence,
    mark_lines,
    samples_text,
)
from depthprune.report.sections.inputs import weak_lines
from depthprune.report.table import Cell, Column, Section, Table, table_of

SHOWN = 5
"""Combinations of each number removed that the rankings show."""

ROBUST_SHOWN = 2

Row = tuple[int | None, Combination | None]
"""How many blocks are removed, where a group begins, and the combination; None: none is ranked."""


def ranking_table(
    found: Recommended, rankings: Mapping[int, RankedCombinations], shown: int
) -> Table:
    """Return the first combinations of each ranking, with the adjusted drop beside the plain."""
    rows: list[Row] = []
    ends = []
    for number, ranking in sorted(rankings.items()):
        ones = ranking.combinations[:shown]
        rows += [(number if one is ones[0] else None, one) for one in ones] or [(number, None)]
        ends.append(len(rows) - 1)
    return _combinations(found, rows, ends)


def _step_table(steps: Sequence[Step]) -> Table:
    """Return what each step of the path adds to the drop, and which of them jumps."""
    interval = (Column(t("95% interval (points)"), "interval"), lambda pair: pair[1].interval)
    has_intervals = any(step.interval is not None for step in steps)
    return table_of(
        pairwise(steps),
        [
            (
                Column(t("step"), "shown"),
                lambda pair: " → ".join(str(len(step.combination.removal)) for step in pair),
            ),
            (Column(t("adds block"), "shown"), _added),
            (
                Column(t("increment (points)"), "points"),
                lambda pair: Cell(pair[1].incremental or 0.0, mark="!" if pair[1].jump else " "),
            ),
            (Column(t("paired (points)"), "points"), lambda pair: pair[1].paired),
            *([interval] if has_intervals else []),
            (
                Column(t("on sets"), "count"),
                lambda pair: len(pair[0].combination.drops.keys() & pair[1].combination.drops),
            ),
            (Column("n", "samples"), lambda pair: pair[1].num_samples),
        ],
        title=t("What each step adds, in percentage points"),
        notes=[
            t(
                "Increment: this mean drop minus the one before, each over its own datasets. "
                "Paired: over the sets that measured both."
            )
        ],
    )


def _combinations(found: Recommended, rows: Sequence[Row], ends: Sequence[int] = ()) -> Table:
    """Return combinations by number removed."""

    def of(value: Callable[[Combination], Any]) -> Callable[[Row], Any]:
        return lambda row: "" if row[1] is None else value(row[1])

    has_intervals = any(one is not None and one.interval is not None for _, one in rows)
    interval = (Column(t("95% interval (points)"), "interval"), of(lambda one: one.interval))
    accuracy = Column(t("acc. %"), "points", is_spare=has_intervals)
    return table_of(
        rows,
        [
            (Column(t("removed"), "count"), lambda row: "" if row[0] is None else row[0]),
            (
                Column(t("active"), "count"),
                lambda row: "" if row[0] is None else found.num_blocks - row[0],
            ),
            (
                Column(t("blocks"), "blocks", room=10),
                lambda row: t("none ranked") if row[1] is None else row[1].removal,
            ),
            (Column(t("drop (points)"), "points"), of(lambda one: one.mean)),
            *([interval] if has_intervals else []),
            (Column(t("std (points)"), "points"), of(std_of)),
            (accuracy, of(lambda one: one.accuracy)),
            (Column(t("sets"), "shown"), of(lambda one: f"{one.coverage}/{found.num_datasets}")),
            (Column("n", "samples"), of(lambda one: one.num_samples)),
            (Column(t("adj. (points)"), "points"), of(lambda one: found.adjusted.get(one.removal))),
        ],
        ends=ends,
    )


def rules_table(found: Recommended) -> Table:
    """Return for each number removed what is best, robust, and next step by step."""
    rows: list[Row] = []
    rules: list[str] = []
    for number in sorted(found.independent):
        named = _rules(found, number) or [(None, [NOTHING])]
        rows += [(None if place else number, one) for place, (one, _) in enumerate(named)]
        rules += [" · ".join(each) for _, each in named]
    table = _combinations(found, rows)
    read = t(
        "Best: smallest mean drop among combinations measured on {least} {least:dataset|datasets} "
        "or more. Robust: the same for {robust} or more. Step by step: contains the step before.",
        least=found.min_coverage,
        robust=found.robust_coverage,
    )
    return replace(
        table,
        title=t("Recommended for each number of blocks"),
        columns=[table.columns[0], Column(t("rule")), *table.columns[1:]],
        rows=[[row[0], rule, *row[1:]] for row, rule in zip(table.rows, rules, strict=True)],
        notes=[read, reading_note()],
    )


def _rules(found: Recommended, number: int) -> list[tuple[Combination | None, list[str]]]:
    """Return the combinations recommended for a number of blocks, with the rules that do so."""
    robust = found.robust.get(number)
    steps = [step.combination for step in found.stepwise.steps]
    candidates = {
        t("best"): found.independent[number].combinations[:1],
        t("robust"): robust.combinations[:1] if robust else (),
        t("step by step"): [one for one in steps if len(one.removal) == number],
    }
    named: dict[Removal, tuple[Combination, list[str]]] = {}
    for rule, combinations in candidates.items():
        for one in combinations:
            named.setdefault(one.removal, (one, []))[1].append(rule)
    return list(named.values())


def reading_note() -> str:
    """Return how the tables are to be read."""
    text = t(
        "Drop: accuracy of the unpruned model minus accuracy, in percentage points, mean over the "
        "datasets; negative = better. Std: population, over datasets. Acc.: mean accuracy. Sets: "
        "datasets measured of all. n: samples, - = unknown. Adj.: adjusted, expected over all "
        "datasets (effect of the removal + effect of the dataset)."
    )
    return f"{text} {interval_note()}"


def _added(pair: tuple[Step, Step]) -> str:
    before, after = (set(step.combination.removal) for step in pair)
    return blocks(tuple(sorted(after - before)))


def recommendations(found: Recommended) -> list[Section]:
    """Return every recommendation with its evidence, in reading order; none where it is weak."""
    if found.is_weak:
        return []
    builders = (independent, stepwise, robust, strategies, must_stay, adjusted, *_asked(found))
    reading = Section("reading", t("How to read the tables"), [reading_note()])
    return [answer(found, choose(found)), *(build(found) for build in builders), reading]


def short(found: Recommended) -> list[Section]:
    """Return what most people want to know; nothing where a baseline is too weak."""
    builders = (*_asked(found), strategies, stepwise, must_stay)
    if found.is_weak:
        return []
    return [answer(found, choose(found)), *(build(found) for build in builders)]


def _asked(found: Recommended) -> list[Callable[[Recommended], Section]]:
    return [targets] if found.targets else []


def independent(found: Recommended, *, shown: int = SHOWN) -> Section:
    """Return the best removals of each number of blocks."""
    title = t("Independent best: for each number removed, the smallest mean drops")
    return Section(
        "independent",
        title,
        tables=[_ranking(found, found.independent, shown)],
        notes=[left_out(found.independent, found.min_coverage)],
    )


def robust(found: Recommended) -> Section:
    """Return the best removals that enough datasets measured."""
    return Section(
        "robust",
        t(
            "Robust: the best of those with a coverage of at least {coverage} "
            "{coverage:dataset|datasets}",
            coverage=found.robust_coverage,
        ),
        tables=[_ranking(found, found.robust, ROBUST_SHOWN)],
        notes=[left_out(found.robust, found.robust_coverage)],
    )


def left_out(rankings: Mapping[int, RankedCombinations], min_coverage: int) -> str:
    """Return the line that counts what the rankings leave out, and why."""
    text = t(
        "Left out: {low} measured on fewer than {coverage} {coverage:dataset|datasets}.",
        low=sum(ranking.low_coverage for ranking in rankings.values()),
        coverage=min_coverage,
    )
    return text + below_limit_note(rankings.values())


def stepwise(found: Recommended) -> Section:
    """Return the stepwise path with cumulative and incremental drops, and where it jumps."""
    steps = found.stepwise.steps
    title = t("Stepwise: each step removes one more block than the step before")
    if not steps:
        return Section("stepwise", title, missing(found))
    jumped = jumps(found) or ([t("No step jumps.")] if steps[1:] else [])
    path = [step.combination for step in steps]
    table = _combinations(found, [(len(one.removal), one) for one in path])
    tables = [replace(table, notes=[*missing(found), *jumped])]
    if steps[1:]:
        tables.append(_step_table(steps))
    return Section("stepwise", title, tables=tables)


def missing(found: Recommended) -> list[str]:
    """Return where the stepwise path ends before what was measured does, if it does."""
    path = found.stepwise
    if path.missing is None:
        return []
    if not path.steps:
        return [t("No single block is ranked: there is no path.")]
    text = t(
        "No superset of the last step with {number} {number:block|blocks} is ranked "
        "(measured on enough datasets): the path ends here. Measure more: depthprune "
        "search --complete 3.",
        number=path.missing,
    )
    return [text]


def jumps(found: Recommended) -> list[str]:
    """Return the steps of the path that cost out of proportion."""
    return [
        t(
            "Jump (!): the step to {number} {number:block|blocks} costs {increment} points "
            "more, more than three times the median of the steps before it.",
            number=len(step.combination.removal),
            increment=percent(step.incremental or 0.0),
        )
        + _on_common_sets(before, step)
        for before, step in pairwise(found.stepwise.steps)
        if step.jump
    ]


def must_stay(found: Recommended) -> Section:
    """Return the blocks that must stay, with the evidence."""
    if not found.num_judged:
        text = t(
            "Unknown: no block was measured alone on {coverage} {coverage:dataset|datasets} "
            "or more."
        )
    else:
        text = t(
            "None of the {judged} {judged:block that was|blocks that were} measured alone on "
            "{coverage} {coverage:dataset|datasets} or more (of {total}) costs more than "
            "half of the accuracy."
        )
    nothing = filled(
        text, judged=found.num_judged, coverage=found.min_coverage, total=found.num_blocks
    )
    lines = [
        t(
            "Block {block}: {evidence}; {share} % of the accuracy is lost; "
            "hit hardest is {dataset} ({drop} points)",
            block=blocks(one.combination.removal),
            evidence=evidence(one.combination, found.datasets),
            share=percent(one.share, 0),
            dataset=one.worst[0],
            drop=percent(one.worst[1]),
        )
        for one in found.essential
    ]
    return Section("must-stay", t("Blocks that must never go"), lines or [nothing])


def adjusted(found: Recommended) -> Section:
    """Return where plain means and adjusted drops name different winners, and what is assumed."""
    return Section("adjusted", t("Adjusted for the datasets"), _adjusted_lines(found))


def targets(found: Recommended) -> Section:
    """Return what meets each target that was asked for."""
    lines = []
    for target in found.targets:
        name, one = target_name(target), target.combination
        if one is None:
            lines.append(t("{target}: no ranked combination meets it", target=name))
            continue
        more = reached(target)
        more = t("; {reached}", reached=more) if more else ""
        removal = removal_text(found, one)
        lines.append(t("{target}: {removal}{reached}", target=name, removal=removal, reached=more))
    return Section("targets", t("Targets"), lines)


def _ranking(found: Recommended, rankings: Mapping[int, RankedCombinations], shown: int) -> Table:
    """Return rankings, with what their table has no room for: marks, and the names of datasets."""
    ones = [one for _, each in sorted(rankings.items()) for one in each.combinations[:shown]]
    notes = [*mark_lines(ones), *dataset_lines(ones, found.datasets)]
    return replace(ranking_table(found, rankings, shown), notes=notes)


def _adjusted_lines(found: Recommended) -> list[str]:
    if not found.adjusted or all(isnan(drop) for drop in found.adjusted.values()):
        return [t("The drops cannot be adjusted for the datasets.")]
    ranked = (one for each in found.independent.values() for one in each.combinations)
    if any(one.loss is not None for one in ranked):
        return [t("Removals are ranked by losses, which are not adjusted for the datasets.")]
    if not found.disagreements:
        same = t("Plain means and drops adjusted for the datasets name the same winners.")
        return [same, *_assumption(found)]
    return [
        t(
            "Warning, {number} removed: the plain mean favours {plain} ({plain_sets}, n = "
            "{plain_n}: {plain_drop} points, adjusted {plain_adjusted}), but over equal datasets "
            "{other} costs less ({other_sets}, n = {other_n}: {other_drop} points, adjusted "
            "{other_adjusted}).",
            number=one.number,
            plain=blocks(one.plain.removal),
            plain_sets=coverage_text(one.plain, found.datasets),
            plain_n=samples_text(one.plain.num_samples),
            plain_drop=percent(one.plain.mean),
            plain_adjusted=percent(one.plain_adjusted_drop),
            other=blocks(one.adjusted.removal),
            other_sets=coverage_text(one.adjusted, found.datasets),
            other_n=samples_text(one.adjusted.num_samples),
            other_drop=percent(one.adjusted.mean),
            other_adjusted=percent(one.adjusted_adjusted_drop),
        )
        for one in found.disagreements
    ] + _assumption(found)


def _assumption(found: Recommended) -> list[str]:
    """Return what the adjusted drop assumes, where it is more than the plain mean."""
    if not found.num_incomplete:
        return []
    return [
        t(
            "The adjusted drop assumes that cells are missing at random: that which datasets "
            "measured a combination has nothing to do with what it costs there. Searches on each "
            "dataset by itself measure what is cheap there, so it comes out too low after them."
        )
    ]


def warnings(found: Recommended) -> list[str]:
    """Return where the best is less than it seems: metrics, datasets, jumps, what is left out."""
    lines = unbounded_lines(found)
    for number, ranking in sorted(found.independent.items()):
        for best in ranking.combinations[:1]:
            if best.coverage < found.robust_coverage:
                text = t(
                    "Removing {number}: the best, {blocks}, was measured on {coverage} of {total} "
                    "{total:dataset|datasets} only; nothing is known about the others.",
                    number=number,
                    blocks=blocks(best.removal),
                    coverage=best.coverage,
                    total=found.num_datasets,
                )
                lines.append(text)
    lines += _adjusted_lines(found) if found.disagreements else []
    lines += [*jumps(found), *missing(found)]
    rankings = found.independent.values()
    if any(ranking.low_coverage or ranking.improving for ranking in rankings):
        lines.append(left_out(found.independent, found.min_coverage))
    return lines


def notes(found: Recommended) -> list[str]:
    """Return what a reader must know before the tables."""
    lines = []
    if found.num_datasets == 1:
        lines.append(
            t(
                "Note: only one dataset was measured: its drops are ranked as they are, and say "
                "nothing about other datasets."
            )
        )
    lines += weak_lines(found.weak)
    if found.is_weak:
        lines.append(
            t(
                "Nothing is recommended: drops from a weak baseline say nothing. Mend the model or "
                "the task and measure in a new study, or measure without it."
            )
        )
    elif not any(ranking.combinations for ranking in found.independent.values()):
        lines.append(
            t(
                "Note: no removal that is ranked was measured on {coverage} "
                "{coverage:dataset|datasets} or more: nothing can be recommended. --min-coverage "
                "changes the limit.",
                coverage=found.min_coverage,
            )
        )
    elif all(isnan(drop) for drop in found.adjusted.values()):
        lines.append(
            t(
                "Note: the datasets fall into groups that share no measured removal; means over "
                "different groups are not comparable."
            )
        )
    if found.num_incomplete:
        counts = {"incomplete": found.num_incomplete, "all": found.num_combinations}
        lines.append(
            t(
                "Note: {incomplete} of {all} {all:combination|combinations} "
                "{incomplete:was|were} measured on some of the {total} datasets only, as "
                "searches on each dataset by itself do. On equal ground: `depthprune search "
                "--joint`, or `--complete 3` for the best of each number.",
                **counts,
                total=found.num_datasets,
            )
        )
    if found.path_ends:
        lines.append(
            t(
                "Note: the stepwise path removes block {blocks}, an end of the stack: `select` "
                "follows it with --protect none only.",
                blocks=blocks(found.path_ends),
            )
        )
    return lines


def _on_common_sets(before: Step, step: Step) -> str:
    """Return what a step adds on the datasets that measured both, where these are not the same."""
    one, known = step.combination.drops.keys(), before.combination.drops.keys()
    if step.paired is None or one == known:
        return ""
    return t(
        " On the {sets} {sets:dataset|datasets} that measured both it adds {paired} (n = "
        "{samples}).",
        sets=len(one & known),
        paired=percent(step.paired),
        samples=samples_text(step.num_samples),
    )


def target_name(target: Target) -> str:
    """Return what was asked for."""
    if target.kind == "max_drop":
        return t("drop of at most {value} {value:point|points}", value=percent(target.value))
    if target.kind == "speedup":
        return t("{value:g} times as fast", value=target.value)
    return t("at most {value} % of the parameters", value=percent(target.value, 1))


def reached(target: Target) -> str:
    """Return how far a target is met; empty where the drop says it."""
    if target.reached is None or target.kind == "max_drop":
        return ""
    if target.kind == "speedup":
        return t(
            "about {reached:.2f} times as fast (estimated from the share that stays)",
            reached=target.reached,
        )
    if target.exact:
        share = t("{reached} % of the parameters stay")
    else:
        share = t("{reached} % of the blocks stay (parameters unknown)")
    return filled(share, reached=percent(target.reached, 1))
