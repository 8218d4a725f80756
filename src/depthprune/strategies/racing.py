"""The runner of a raced beam search: candidates are measured chunk by chunk until they are stopped.

Single blocks are never raced: their drops are the importance scores, and the one-shot comparison
needs each of them. From two blocks on, the candidates of a step race for the places in the beam.
Those that stay to the end become measurements like any other; the stopped ones never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from depthprune.base.removal import Removal
from depthprune.engine.evaluator import Evaluator
from depthprune.strategies.comparison import Compared
from depthprune.strategies.joint import SplitGroup, mean_drops
from depthprune.strategies.kinds.beam import BeamSearch, BeamStep, RaceOptions
from depthprune.strategies.race import Race, RaceRule
from depthprune.strategies.race_bounds import score_bounds
from depthprune.strategies.race_course import Course, Lane, courses_of, measure_in_full
from depthprune.strategies.runner import RunReport, split_record
from depthprune.strategies.space import SearchSpace
from depthprune.strategies.strategy import STOPPED, Strategy
from depthprune.study import Study
from depthprune.study.races import RaceRecord, StoredRace

FIRST_RACED = 2
"""The fewest blocks that raced candidates remove."""

RULE = 1
"""Raised with every change of the rule or the order of the samples: earlier races end there."""


@dataclass(frozen=True)
class RaceReport:
    """What racing did in one search.

    Attributes:
        tasks: that were searched, one alone or several jointly.
        split: the name of their splits.
        confidence: that the search keeps the beams it would keep without racing.
        num_samples: of a removal that is measured in full, over all tasks.
        num_removals: that the search considered, the baseline among them.
        stopped: the removals that were stopped, with the number of samples seen of each; without
            those that were measured in full for another reason.
        evaluated: answers that this run took; what an earlier run took is not counted.
    """

    tasks: tuple[str, ...]
    split: str
    confidence: float
    num_samples: int
    num_removals: int
    stopped: Mapping[Removal, int]
    evaluated: int

    @property
    def saved(self) -> int:
        """The answers that stopping saved, in this run and in those before."""
        return sum(self.num_samples - seen for seen in self.stopped.values())

    @property
    def without_racing(self) -> int:
        """The answers that the same search takes without racing."""
        return self.num_removals * self.num_samples


def without_measured(
    report: RaceReport, study: Study, group: SplitGroup, settings: str
) -> RaceReport:
    """Return a report without the stopped removals that are measured in full meanwhile."""
    keys = [study.add_split(split_record(split)) for split in group.splits]
    full = mean_drops([study.drops(key, settings) for key in keys])
    stopped = {one: seen for one, seen in report.stopped.items() if one not in full}
    return replace(report, stopped=stopped)


def check_race(groups: Sequence[SplitGroup]) -> None:
    """Refuse, before anything is measured, tasks whose scores have no known bounds.

    Raises:
        DepthpruneError: names the task and its metric.
    """
    for group in groups:
        for split in group.splits:
            score_bounds(split)


def race_of(strategy: Strategy) -> RaceOptions | None:
    """Return how a strategy races, None where it does not."""
    beam = raced_beam(strategy)
    return None if beam is None else beam.race


def raced_beam(strategy: Strategy) -> BeamSearch | None:
    """Return the beam search that a strategy follows, or None where it follows none."""
    search = strategy.search if isinstance(strategy, Compared) else strategy
    return search if isinstance(search, BeamSearch) else None


def run_racing(
    strategy: Compared,
    space: SearchSpace,
    study: Study,
    group: SplitGroup,
    evaluator: Evaluator,
    options: RaceOptions,
    seed: int = 0,
) -> tuple[RunReport, RaceReport]:
    """Follow a beam search to its end, racing; run again after an interruption to go on.

    Of candidates that race, what an evaluator returned is stored at once: a kill loses the call in
    flight, one chunk of the samples under a few removals. Of what is measured in full it loses, as
    without racing, the removals that are measured together. A removal that was stopped is not
    measured again under the same options; one that the study holds in full is never stopped.

    Args:
        strategy: a beam search with what it must beat.
        space: the removals that may be considered.
        study: where measurements and chunks are looked up and stored.
        group: the splits that are searched together.
        evaluator: measures.
        options: of the race.
        seed: of the order of the samples.

    Raises:
        DepthpruneError: the scores have no known bounds or break them; or the study or the
            evaluator fails.
    """
    started = perf_counter()
    beam = raced_beam(strategy)
    assert beam is not None, "options refuse a race of other strategies"
    courses = courses_of(study, group, seed)
    keys = [course.key for course in courses]
    reused = sum(len(study.drops(key, evaluator.settings)) for key in keys)
    stopped: dict[Removal, int] = {}
    raced_in: dict[Removal, StoredRace] = {}
    told: dict[Removal, float] = {}
    work = _Work()
    batch: Sequence[Removal] = [()]
    while batch:
        step = _raced_step(beam, space, told, batch)
        if step is None or group.num_samples <= options.chunk * len(courses):
            work += _measure_in_full(study, courses, evaluator, options, batch, raced_in)
        else:
            stored = study.race(_record(evaluator, courses, beam, space, options, step, seed))
            found, done = _race(study, stored, courses, evaluator, beam, space, step, options)
            stopped |= found
            raced_in |= dict.fromkeys(found, stored)
            work += done
        drops = mean_drops([study.drops(key, evaluator.settings) for key in keys], group.weights)
        told = dict.fromkeys(stopped, STOPPED) | drops
        batch = strategy.ask(space, told)
    considered = {removal for step in beam.steps(space, told) for removal in step.candidates}
    considered |= {(), *strategy.one_shot(space, told).values()}
    return (
        RunReport(work.measured, reused, perf_counter() - started),
        RaceReport(
            tasks=tuple(split.task.name for split in group.splits),
            split=group.splits[0].split,
            confidence=options.confidence,
            num_samples=group.num_samples,
            num_removals=len(considered),
            stopped={one: seen for one, seen in stopped.items() if told[one] == STOPPED},
            evaluated=work.evaluated,
        ),
    )


@dataclass(frozen=True)
class _Work:
    """Measurements that were finished, and answers that were taken for them or in vain."""

    measured: int = 0
    evaluated: int = 0

    def __add__(self, other: _Work) -> _Work:
        return _Work(self.measured + other.measured, self.evaluated + other.evaluated)


def _raced_step(
    beam: BeamSearch, space: SearchSpace, told: Mapping[Removal, float], batch: Sequence[Removal]
) -> BeamStep | None:
    """Return the step whose candidates were asked for, if they are to race."""
    if () in batch:
        return None
    step = next((step for step in beam.steps(space, told) if step.missing), None)
    # Seeds and one-shot removals are wanted in full.
    if step is None or step.number < FIRST_RACED or tuple(batch) != step.missing:
        return None
    return step if len(step.candidates) > beam.width else None


def _record(
    evaluator: Evaluator,
    courses: Sequence[Course],
    beam: BeamSearch,
    space: SearchSpace,
    options: RaceOptions,
    step: BeamStep,
    seed: int,
) -> RaceRecord:
    factors = ",".join(f"{course.factor:.9g}" for course in courses)
    return RaceRecord(
        splits=tuple(course.key for course in courses),
        settings=evaluator.settings,
        confidence=options.confidence,
        options=f"rule={RULE} width={beam.width} steps={_raced_steps(beam, space)} "
        f"chunk={options.chunk} seed={seed} factors={factors}",
        candidates=step.candidates,
    )


def _raced_steps(beam: BeamSearch, space: SearchSpace) -> int:
    most = min(beam.most_removed(space), space.most_removed)
    return max(1, most - FIRST_RACED + 1)


def _measure_in_full(
    study: Study,
    courses: Sequence[Course],
    evaluator: Evaluator,
    options: RaceOptions,
    removals: Sequence[Removal],
    raced_in: Mapping[Removal, StoredRace],
) -> _Work:
    """Measure removals that do not race; what a race saw of them is not taken again."""
    fresh = [removal for removal in removals if removal not in raced_in]
    work = _Work()
    for course in courses:
        measured = measure_in_full(study, course, evaluator, fresh, options.chunk)
        work += _Work(measured, measured * len(course.places))
    for removal in (one for one in removals if one in raced_in):
        lanes = [Lane(study, raced_in[removal], course, evaluator, [removal]) for course in courses]
        for start, stop in _chunks(courses, options):
            taken = (lane.scores([removal], start, stop)[2] for lane in lanes)
            work += _Work(evaluated=sum(taken))
        work += _Work(measured=sum(lane.finish(removal) for lane in lanes))
    return work


def _chunks(courses: Sequence[Course], options: RaceOptions) -> Iterator[tuple[int, int]]:
    """Yield the turns between which a race looks."""
    total = sum(len(course.places) for course in courses)
    chunk = options.chunk * len(courses)
    for start in range(0, total, chunk):
        yield start, min(start + chunk, total)


def _race(
    study: Study,
    stored: StoredRace,
    courses: Sequence[Course],
    evaluator: Evaluator,
    beam: BeamSearch,
    space: SearchSpace,
    step: BeamStep,
    options: RaceOptions,
) -> tuple[dict[Removal, int], _Work]:
    """Let the candidates of a step race; store what stays to the end; return what was stopped."""
    decided = stored.stopped()
    if all(removal in decided for removal in step.missing):
        return {removal: decided[removal] for removal in step.missing}, _Work()
    candidates = step.candidates
    # Each step may err, so all of them share what the search may err.
    rule = RaceRule(
        width=beam.width,
        level=(1 - options.confidence) / _raced_steps(beam, space),
        span=max(course.span for course in courses),
    )
    total = sum(len(course.places) for course in courses)
    missing = set(step.missing)
    complete = [place for place, one in enumerate(candidates) if one not in missing]
    race = Race(len(candidates), total, rule, complete)
    lanes = [Lane(study, stored, course, evaluator, candidates) for course in courses]
    stopped: dict[Removal, int] = {}
    work = _Work()
    for start, stop in _chunks(courses, options):
        running = [candidates[place] for place in race.running]
        scores = np.zeros((len(running), stop - start))
        for lane in lanes:
            turns, found, evaluated = lane.scores(running, start, stop)
            scores[:, turns - start] = found
            work += _Work(evaluated=evaluated)
        leaving = [candidates[place] for place in race.observe(scores)]
        if leaving:
            stored.stop(leaving, stop)
            stopped |= dict.fromkeys(leaving, stop)
    for removal in (one for one in step.missing if one not in stopped):
        work += _Work(measured=sum(lane.finish(removal) for lane in lanes))
    return stopped, work
