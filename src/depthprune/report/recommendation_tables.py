"""Tables of recommended combinations: rankings, the stepwise path, what each step adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.recommendations import Recommendations, Step
from depthprune.base.language import t
from depthprune.report.table import Cell, Column, Table, table_of
from depthprune.report.tables import blocks


def ranking_table(
    found: Recommendations,
    rankings: Mapping[int, Ranking],
    *,
    shown: int,
    wide: bool = False,
) -> Table:
    """Return the first combinations of each ranking, with the adjusted drop beside the plain."""
    rows: list[Row] = []
    ends = []
    for number, ranking in sorted(rankings.items()):
        ones = ranking.combinations[:shown]
        rows += [(number if one is ones[0] else None, one) for one in ones] or [(number, None)]
        ends.append(len(rows) - 1)
    return _combinations(found, rows, ends, wide=wide)


def path_table(found: Recommendations, *, wide: bool) -> Table:
    """Return the steps of the path with their cumulative drops."""
    path = [step.combination for step in found.stepwise.steps]
    return _combinations(found, [(len(one.removal), one) for one in path], wide=wide)


def step_table(steps: Sequence[Step]) -> Table:
    """Return what each step of the path adds to the drop, and which of them jumps."""
    interval = (Column(t("95% interval"), "interval"), lambda pair: pair[1].interval)
    has_intervals = any(step.interval is not None for step in steps)
    return table_of(
        pairwise(steps),
        [
            (Column(t("step"), "shown"), lambda pair: " → ".join(map(_number, pair))),
            (Column(t("adds block"), "shown"), _added),
            (
                Column(t("increment"), "points"),
                lambda pair: Cell(pair[1].incremental or 0.0, mark="!" if pair[1].jump else " "),
            ),
            (Column(t("paired"), "points"), lambda pair: pair[1].paired),
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


def _combinations(
    found: Recommendations, rows: Sequence[Row], ends: Sequence[int] = (), *, wide: bool
) -> Table:
    """Return combinations by number removed; accuracies only where there is room for them."""

    def of(value: Callable[[Combination], Any]) -> Callable[[Row], Any]:
        return lambda row: "" if row[1] is None else value(row[1])

    has_intervals = any(one is not None and one.interval is not None for _, one in rows)
    interval = (Column(t("95% interval"), "interval"), of(lambda one: one.interval))
    accuracy = (Column(t("acc. %"), "points"), of(lambda one: one.accuracy))
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
            (Column(t("std"), "points"), of(lambda one: one.std if one.coverage > 1 else None)),
            *([accuracy] if wide or not has_intervals else []),
            (Column(t("sets"), "shown"), of(lambda one: f"{one.coverage}/{found.num_datasets}")),
            (Column("n", "samples"), of(lambda one: one.num_samples)),
            (Column(t("adj."), "points"), of(lambda one: found.adjusted.get(one.removal))),
        ],
        ends=ends,
    )


def _number(step: Step) -> str:
    return str(len(step.combination.removal))


def _added(pair: tuple[Step, Step]) -> str:
    before, after = (set(step.combination.removal) for step in pair)
    return blocks(tuple(sorted(after - before)))
