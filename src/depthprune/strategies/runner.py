"""The runner: measures what a strategy asks for, alone or jointly, and completes what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from time import perf_counter

from depthprune.base.errors import DepthpruneError
from depthprune.base.log import logger
from depthprune.base.removal import Removal, rounded
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies.racing import RaceReport, Racing, raced_beam
from depthprune.strategies.strategy import STOPPED, SearchSpace, Strategy
from depthprune.tasks.task import TaskSplit


def group_splits(
    splits: Sequence[TaskSplit], *, joint: bool, task_weights: Mapping[str, float]
) -> list[SplitGroup]:
    """Return what is searched by itself: every split, or jointly all splits of one name.

    Args:
        splits: of all tasks.
        joint: whether tasks are searched together; train and validation never are.
        task_weights: by task; empty means equal weights. Where a task lacks a split, the weights
            of the others count.

    Raises:
        DepthpruneError: only tasks with weight 0 have a split.
    """
    if not joint:
        return [SplitGroup((split,)) for split in splits]
    by_name: dict[str, list[TaskSplit]] = {}
    for split in splits:
        by_name.setdefault(split.split, []).append(split)
    groups = []
    for name, members in by_name.items():
        shares = [task_weights.get(split.task.name, 0.0) for split in members]
        if task_weights and not sum(shares):
            raise DepthpruneError(
                f"the tasks that have a split {name} all have the weight 0",
                option="task_weights",
                mend="give one of them a positive weight, or leave this split out",
            )
        weights = tuple(share / sum(shares) for share in shares) if task_weights else None
        groups.append(SplitGroup(tuple(members), weights))
    return groups


@dataclass(frozen=True)
class RunReport:
    """What one run did.

    Attributes:
        measured: removals that were measured now, the baseline included, once for each split.
        reused: measurements of these splits that the study held when the run began.
        seconds: wall-clock time of the whole run.
        races: what racing did in each search; none where it was not asked for.
    """

    measured: int = 0
    reused: int = 0
    seconds: float = 0.0
    races: tuple[RaceReport, ...] = ()

    def __add__(self, other: RunReport) -> RunReport:
        return RunReport(
            self.measured + other.measured,
            self.reused + other.reused,
            self.seconds + other.seconds,
            self.races + other.races,
        )


def run(strategy: Strategy, space: SearchSpace, session: Session, group: SplitGroup) -> RunReport:
    """Follow `strategy` to its end; run again after an interruption to go on where it stopped.

    The baseline is measured first. Of several splits the strategy is told the mean drops, and every
    removal is measured on all; one that only some of them hold counts as not measured. The
    candidates of a beam that races are stopped as soon as they are certainly out of it.

    Args:
        strategy: decides what is measured.
        space: the removals that it may consider.
        session: measures and stores.
        group: the splits that are searched together.

    Raises:
        DepthpruneError: a race cannot be held, or the study or the evaluator fails.
    """
    started = perf_counter()
    beam = raced_beam(strategy)
    race = None if beam is None else Racing(beam, space, session, group)
    tables, evaluated = session.tables(group), session.evaluated
    reused = sum(map(len, tables))
    for split, table in zip(group.splits, tables, strict=True):
        session.settle(SplitGroup((split,)), table)
    work = most_work(strategy, space, group)
    # What is measured already takes no time: it must not count as work that is still ahead.
    ahead = max(0, work - held(session, group))
    session.bar.shrink(work - ahead)
    measured, stopped = 0, dict[Removal, float]()
    drops: dict[Removal, float] = {}
    batch: Sequence[Removal] = [()]
    while batch:
        if race is None:
            measured += session.measure(group, batch)
        else:
            measured += race.measure(batch, drops)
            stopped = dict.fromkeys(race.stopped, STOPPED)
        found, ranks = session.drops(group), session.ranks(group)
        session.settle(group, batch)
        session.look(found, ranks)
        drops = stopped | found
        batch = strategy.ask(replace(space, ranks=ranks), drops)
        if batch:
            logger.info("%s: %d removals are looked at next", group.name, len(batch))
    evaluated = session.evaluated - evaluated
    session.bar.shrink(max(0, ahead - evaluated))
    session.expect(session.settled(group) - most_measurements(strategy, space, group))
    races = () if race is None else (race.report(strategy, drops, evaluated),)
    return RunReport(measured, reused, perf_counter() - started, races)


def most_work(strategy: Strategy, space: SearchSpace, group: SplitGroup) -> int:
    """Return how many answers a search takes at most, the baseline included; 0 when unknown."""
    most = strategy.most_evaluations(space)
    return (most + 1) * group.num_samples if most else 0


def most_measurements(strategy: Strategy, space: SearchSpace, group: SplitGroup) -> int:
    """Return how many removals a search measures at most, the baseline included, on every split."""
    most = strategy.most_evaluations(space)
    return (most + 1) * len(group.splits) if most else 0


def held(session: Session, group: SplitGroup) -> int:
    """Return how many answers to the samples of a group the study holds already."""
    tables = session.tables(group)
    return sum(
        len(table) * len(split.samples) for table, split in zip(tables, group.splits, strict=True)
    )


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
    for removal in sorted(drops, key=lambda removal: (rounded(fmean(drops[removal])), removal)):
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
    """
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
