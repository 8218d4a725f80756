"""The runner: measures what a strategy asks for and the study does not hold, to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from depthprune.base.log import logger
from depthprune.base.removal import Removal
from depthprune.engine.session import Session, SplitGroup
from depthprune.strategies.racing import RaceReport, Racing, raced_beam
from depthprune.strategies.space import SearchSpace
from depthprune.strategies.strategy import STOPPED, Strategy


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
        found = session.drops(group)
        session.settle(group, batch)
        session.look(found)
        drops = stopped | found
        batch = strategy.ask(space, drops)
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
