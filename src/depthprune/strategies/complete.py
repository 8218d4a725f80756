"""Completing: measure the best combinations on every dataset, so that they compare on equal ground.

Searches of single datasets measure what looks good there, and a mean over two easy datasets easily
beats a mean over eight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from time import perf_counter

from depthprune.base.drops import settled
from depthprune.base.errors import DepthpruneError
from depthprune.base.language import counted
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies.joint import group_splits
from depthprune.strategies.runner import RunReport
from depthprune.tasks.task import TaskSplit

Tables = Sequence[Mapping[Removal, float]]
"""Drops by removal, one table for each dataset."""


@dataclass(frozen=True)
class Completion:
    """The best combinations are measured on every dataset.

    Attributes:
        best: how many of each number removed.
        report: how much was measured for it.
    """

    best: int
    report: RunReport


def best_combinations(tables: Tables, best: int) -> list[Removal]:
    """Return the `best` combinations of each number removed, by mean drop over their datasets.

    As the summary ranks them, but one dataset is enough and improvements are not left out. Equal
    means are ordered by block indices.
    """
    drops: dict[Removal, list[float]] = {}
    for table in tables:
        for removal, drop in table.items():
            if removal:
                drops.setdefault(removal, []).append(drop)
    by_number: dict[int, list[Removal]] = {}
    for removal in sorted(drops, key=lambda removal: (settled(fmean(drops[removal])), removal)):
        by_number.setdefault(len(removal), []).append(removal)
    return [removal for number in sorted(by_number) for removal in by_number[number][:best]]


def next_for_completion(tables: Tables, best: int) -> dict[int, list[Removal]]:
    """Return what to measure next: each incomplete one of the best, on the first that lacks it.

    Returns:
        Removals by the index of the table; nothing when all of the best are complete.
    """
    wanted: dict[int, list[Removal]] = {}
    for removal in best_combinations(tables, best):
        lacking = (index for index, table in enumerate(tables) if removal not in table)
        index = next(lacking, None)
        if index is not None:
            wanted.setdefault(index, []).append(removal)
    return wanted


def complete(session: Session, group: SplitGroup, best: int) -> Completion:
    """Measure until the best combinations of each number removed are known on every split.

    A mean over few datasets is often too good: measured on one dataset more, the combination falls
    back and another takes its place. So each incomplete one of the best is measured on one dataset
    more, all are ranked again, and so on until none of the best is incomplete. What falls back on
    the way costs no more. No removal is tried that the study does not hold for some dataset, so
    this ends.

    Args:
        session: of a study that holds a search on these splits.
        group: splits of different tasks, with their baselines measured.
        best: combinations of each number removed.

    Raises:
        DepthpruneError: `best` is negative.
    """
    check_best(best)
    started = perf_counter()
    measured = 0
    while wanted := next_for_completion(session.tables(group), best):
        alone = {index: SplitGroup((group.splits[index],)) for index in wanted}
        session.bar.grow(sum(alone[index].num_samples * len(wanted[index]) for index in wanted))
        session.expect(sum(map(len, wanted.values())))
        for index, removals in wanted.items():
            measured += session.measure(alone[index], removals)
    return Completion(best, RunReport(measured, 0, perf_counter() - started))


def complete_groups(
    best: int, session: Session, splits: Sequence[TaskSplit]
) -> dict[str, Completion]:
    """Complete the best combinations of each split's name, see `complete`."""
    completions = {}
    for group in group_splits(splits, joint=True, task_weights={}):
        name = group.splits[0].split
        session.bar.describe(f"best combinations on every dataset, {name}")
        completions[name] = complete(session, group, best)
    return completions


def check_best(best: int) -> None:
    """Refuse a negative number of combinations.

    Raises:
        DepthpruneError: it is negative.
    """
    if best < 0:
        raise DepthpruneError(
            f"the best {counted(best, 'combination')} cannot be completed",
            option="complete",
            mend="give 1 or more, or 0 to leave them as the search did",
        )
