"""Tables of recommended combinations: rankings, the stepwise path, what each step adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import isnan

from rich.table import Table

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.recommendations import Recommendations, Step
from depthprune.base.language import t
from depthprune.report.evidence import (
    accuracy_text,
    compact_table,
    samples_text,
    std_text,
)
from depthprune.report.tables import blocks, interval_text, percent


def ranking_table(
    found: Recommendations,
    rankings: Mapping[int, Ranking],
    *,
    shown: int,
    wide: bool = False,
) -> Table:
    """Return the first combinations of each ranking, with the adjusted drop beside the plain."""
    listed = {number: ranking.combinations[:shown] for number, ranking in sorted(rankings.items())}
    every = [one for ones in listed.values() for one in ones]
    table, row = _combination_table(found, every, wide=wide)
    for number, ones in listed.items():
        if not ones:
            active = str(found.num_blocks - number)
            table.add_row(str(number), active, t("none ranked"), end_section=True)
        for place, one in enumerate(ones):
            counts = (str(number), str(found.num_blocks - number)) if place == 0 else ("", "")
            table.add_row(*counts, *row(one), end_section=place == len(ones) - 1)
    return table


def path_table(found: Recommendations, *, wide: bool) -> Table:
    """Return the steps of the path with their cumulative drops."""
    path = [step.combination for step in found.stepwise.steps]
    table, row = _combination_table(found, path, wide=wide)
    for one in path:
        number = len(one.removal)
        table.add_row(str(number), str(found.num_blocks - number), *row(one))
    return table


def step_table(steps: Sequence[Step]) -> Table:
    """Return what each step of the path adds to the drop, and which of them jumps."""
    intervals = any(step.interval is not None for step in steps)
    table = compact_table()
    table.add_column(t("step"), justify="right", no_wrap=True)
    table.add_column(t("adds block"), justify="right")
    table.add_column(t("increment"), justify="right", no_wrap=True)
    table.add_column(t("paired"), justify="right", no_wrap=True)
    if intervals:
        table.add_column(t("95% interval"), justify="right", no_wrap=True)
    table.add_column(t("on sets"), justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    for before, step in pairwise(steps):
        one, known = step.combination, before.combination
        table.add_row(
            f"{len(known.removal)} → {len(one.removal)}",
            blocks(tuple(sorted(set(one.removal) - set(known.removal)))),
            percent(step.incremental or 0.0) + (" !" if step.jump else "  "),
            "-" if step.paired is None else percent(step.paired),
            *((interval_text(step.interval),) if intervals else ()),
            str(len(one.drops.keys() & known.drops.keys())),
            samples_text(step.num_samples),
        )
    return table


def _combination_table(
    found: Recommendations, ones: Sequence[Combination], *, wide: bool
) -> tuple[Table, Callable[[Combination], list[str]]]:
    """Return an empty table of combinations, and what makes the cells of one, counts left out."""
    intervals = any(one.interval is not None for one in ones)
    table = compact_table()
    table.add_column(t("removed"), justify="right", no_wrap=True)
    table.add_column(t("active"), justify="right", no_wrap=True)
    table.add_column(t("blocks"), min_width=10)
    accuracies = wide or not intervals
    names = (t("drop"), *((t("95% interval"),) if intervals else ()), t("std"))
    more = (t("acc. %"),) if accuracies else ()
    for name in (*names, *more, t("sets"), "n", t("adj.")):
        table.add_column(name, justify="right", no_wrap=True)

    def row(one: Combination) -> list[str]:
        return [
            blocks(one.removal),
            percent(one.mean),
            *((interval_text(one.interval),) if intervals else ()),
            std_text(one),
            *((accuracy_text(one),) if accuracies else ()),
            f"{one.coverage}/{found.num_datasets}",
            samples_text(one.num_samples),
            _adjusted(found, one),
        ]

    return table, row


def _adjusted(found: Recommendations, one: Combination) -> str:
    drop = found.adjusted.get(one.removal, float("nan"))
    return "-" if isnan(drop) else percent(drop)
