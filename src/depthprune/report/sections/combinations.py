"""Tables of recommended combinations: rankings, the stepwise path, what each step adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.recommendations import Recommendations, Step
from depthprune.base.language import t
from depthprune.base.removal import Removal
from depthprune.report.render.text import NOTHING
from depthprune.report.sections.columns import std_of
from depthprune.report.table import Cell, Column, Table, table_of
from depthprune.report.tables import blocks, interval_note


def ranking_table(found: Recommendations, rankings: Mapping[int, Ranking], shown: int) -> Table:
    """Return the first combinations of each ranking, with the adjusted drop beside the plain."""
    rows: list[Row] = []
    ends = []
    for number, ranking in sorted(rankings.items()):
        ones = ranking.combinations[:shown]
        rows += [(number if one is ones[0] else None, one) for one in ones] or [(number, None)]
        ends.append(len(rows) - 1)
    return _combinations(found, rows, ends)


def path_table(found: Recommendations) -> Table:
    """Return the steps of the path with their cumulative drops."""
    path = [step.combination for step in found.stepwise.steps]
    return _combinations(found, [(len(one.removal), one) for one in path])


def step_table(steps: Sequence[Step]) -> Table:
    """Return what each step of the path adds to the drop, and which of them jumps."""
    interval = (Column(t("95% interval (points)"), "interval"), lambda pair: pair[1].interval)
    has_intervals = any(step.interval is not None for step in steps)
    return table_of(
        pairwise(steps),
        [
            (Column(t("step"), "shown"), lambda pair: " → ".join(map(_number, pair))),
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
    )


Row = tuple[int | None, Combination | None]
"""How many blocks are removed, where a group begins, and the combination; None: none is ranked."""


def _combinations(found: Recommendations, rows: Sequence[Row], ends: Sequence[int] = ()) -> Table:
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
            (
                Column(t("std (points)"), "points"),
                of(std_of),
            ),
            (accuracy, of(lambda one: one.accuracy)),
            (Column(t("sets"), "shown"), of(lambda one: f"{one.coverage}/{found.num_datasets}")),
            (Column("n", "samples"), of(lambda one: one.num_samples)),
            (Column(t("adj. (points)"), "points"), of(lambda one: found.adjusted.get(one.removal))),
        ],
        ends=ends,
    )


def rules_table(found: Recommendations) -> Table:
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


def _rules(found: Recommendations, number: int) -> list[tuple[Combination | None, list[str]]]:
    """Return the combinations recommended for a number of blocks, with the rules that do so."""
    nothing = Ranking((), 0, 0)
    steps = [step.combination for step in found.stepwise.steps]
    candidates = {
        t("best"): found.independent[number].combinations[:1],
        t("robust"): found.robust.get(number, nothing).combinations[:1],
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


def _number(step: Step) -> str:
    return str(len(step.combination.removal))


def _added(pair: tuple[Step, Step]) -> str:
    before, after = (set(step.combination.removal) for step in pair)
    return blocks(tuple(sorted(after - before)))
