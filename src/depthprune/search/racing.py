"""The runner of a raced beam search: candidates are measured chunk by chunk until they are stopped.

Single blocks are never raced: their drops are the importance scores, and the one-shot comparison
needs each of them. From two blocks on, the candidates of a step race for the places in the beam.
Those that stay to the end become measurements like any other; the stopped ones never do.

A joint search races on the weighted mean over its tasks: all samples of all tasks in one random
order, each score times its task's weight over the number of its samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from depthprune.base.removal import Removal
from depthprune.evaluate.evaluator import Evaluator
from depthprune.search.beam import BeamSearch, BeamStep
from depthprune.search.comparison import Compared
from depthprune.search.joint import SplitGroup, mean_drops
from depthprune.search.options import RaceOptions
from depthprune.search.race import Race, RaceRule, race_order
from depthprune.search.race_bounds import Bounds, check_scores, score_bounds
from depthprune.search.runner import RunReport, measure_missing, split_record
from depthprune.search.strategy import STOPPED, Strategy
from depthprune.study import Study
from depthprune.study.races import RaceChunk, RaceRecord, StoredRace, check_places
from depthprune.tasks.task import TaskSplit

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


def raced_beam(strategy: Strategy) -> BeamSearch | None:
    """Return the beam search that a strategy follows, or None where it follows none."""
    search = strategy.search if isinstance(strategy, Compared) else strategy
    return search if isinstance(search, BeamSearch) else None


def run_racing(
    strategy: Compared,
    study: Study,
    group: SplitGroup,
    evaluator: Evaluator,
    options: RaceOptions,
    seed: int = 0,
) -> tuple[RunReport, RaceReport]:
    """Follow a beam search to its end, racing; run again after an interruption to go on.

    What an evaluator returned is stored at once, so that a kill loses at most the call in flight:
    one chunk of the samples under a few removals. A removal that was stopped is not measured again
    under the same options; one that the study holds in full is never stopped.

    Args:
        strategy: a beam search with what it must beat.
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
    courses = _courses(study, group, seed)
    keys = [course.key for course in courses]
    reused = sum(len(study.drops(key, evaluator.settings)) for key in keys)
    stopped: dict[Removal, int] = {}
    told: dict[Removal, float] = {}
    work = _Work()
    batch: Sequence[Removal] = [()]
    while batch:
        step = _raced_step(beam, told, batch)
        if step is None or group.num_samples <= options.chunk * len(courses):
            work += _measure_in_full(study, group, evaluator, batch)
        else:
            record = _record(evaluator, courses, beam, options, step, seed)
            found, done = _race(study, study.race(record), courses, evaluator, beam, step, options)
            stopped |= found
            work += done
        drops = mean_drops([study.drops(key, evaluator.settings) for key in keys], group.weights)
        told = dict.fromkeys(stopped, STOPPED) | drops
        batch = strategy.ask(told)
    considered = {removal for step in beam.steps(told) for removal in step.candidates}
    considered |= {(), *strategy.one_shot(told).values()}
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


@dataclass(frozen=True)
class _Course:
    """One split as a race runs over it.

    Attributes:
        key: of the split in the study.
        split: with the samples in the order of the race.
        places: of those samples in the split's own order.
        turns: when each of them is seen, counted over the samples of all splits; ascending.
        factor: of its scores, so that the mean over all samples is the weighted mean of the tasks.
        bounds: of its scores.
    """

    key: int
    split: TaskSplit
    places: NDArray[np.int64]
    turns: NDArray[np.int64]
    factor: float
    bounds: Bounds

    @property
    def span(self) -> float:
        low, high = self.bounds
        return self.factor * (high - low)


def _courses(study: Study, group: SplitGroup, seed: int) -> list[_Course]:
    total = group.num_samples
    order = race_order(total, seed)
    weights = group.weights or [1 / len(group.splits)] * len(group.splits)
    courses = []
    first = 0
    for split, weight in zip(group.splits, weights, strict=True):
        number = len(split.samples)
        turns = np.flatnonzero((order >= first) & (order < first + number))
        places = order[turns] - first
        ordered = replace(
            split,
            samples=tuple(split.samples[place] for place in places),
            # An evaluator may know splits by their fingerprints.
            fingerprint=f"{split.fingerprint} raced {seed}",
        )
        key = study.add_split(split_record(split))
        factor = weight * total / number
        courses.append(_Course(key, ordered, places, turns, factor, score_bounds(split)))
        first += number
    return courses


def _raced_step(
    beam: BeamSearch, told: Mapping[Removal, float], batch: Sequence[Removal]
) -> BeamStep | None:
    """Return the step whose candidates were asked for, if they are to race."""
    if () in batch:
        return None
    step = next((step for step in beam.steps(told) if step.missing), None)
    # Seeds and one-shot removals are wanted in full.
    if step is None or step.number < FIRST_RACED or tuple(batch) != step.missing:
        return None
    return step if len(step.candidates) > beam.width else None


def _record(
    evaluator: Evaluator,
    courses: Sequence[_Course],
    beam: BeamSearch,
    options: RaceOptions,
    step: BeamStep,
    seed: int,
) -> RaceRecord:
    factors = ",".join(f"{course.factor:.9g}" for course in courses)
    return RaceRecord(
        splits=tuple(course.key for course in courses),
        settings=evaluator.settings,
        confidence=options.confidence,
        options=f"rule={RULE} width={beam.width} steps={_raced_steps(beam)} "
        f"chunk={options.chunk} seed={seed} factors={factors}",
        candidates=step.candidates,
    )


def _raced_steps(beam: BeamSearch) -> int:
    most = min(beam.max_removed, beam.space.most_removed)
    return max(1, most - FIRST_RACED + 1)


def _measure_in_full(
    study: Study, group: SplitGroup, evaluator: Evaluator, removals: Sequence[Removal]
) -> _Work:
    work = _Work()
    for split in group.splits:
        measured = measure_missing(study, [split], evaluator, removals)
        work += _Work(measured, measured * len(split.samples))
    return work


def _race(
    study: Study,
    stored: StoredRace,
    courses: Sequence[_Course],
    evaluator: Evaluator,
    beam: BeamSearch,
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
        level=(1 - options.confidence) / _raced_steps(beam),
        span=max(course.span for course in courses),
    )
    total = sum(len(course.places) for course in courses)
    chunk = options.chunk * len(courses)
    missing = set(step.missing)
    complete = [place for place, one in enumerate(candidates) if one not in missing]
    race = Race(len(candidates), total, rule, complete)
    lanes = [_Lane(study, stored, course, evaluator, candidates) for course in courses]
    stopped: dict[Removal, int] = {}
    work = _Work()
    for start in range(0, total, chunk):
        stop = min(start + chunk, total)
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


class _Lane:
    """The part of a race that runs over one split: takes scores from the study, or measures."""

    def __init__(
        self,
        study: Study,
        stored: StoredRace,
        course: _Course,
        evaluator: Evaluator,
        candidates: Sequence[Removal],
    ) -> None:
        self._study = study
        self._stored = stored
        self._course = course
        self._evaluator = evaluator
        wanted = set(candidates)
        self._full = {
            one.removal: one.scores[course.places]
            for one in study.measurements(course.key, evaluator.settings, with_answers=False)
            if one.removal in wanted and one.scores is not None
        }

    def scores(
        self, removals: Sequence[Removal], start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
        """Return turns, weighted scores and how many answers it took, from `start` to `stop`.

        The scores are of shape (removals, turns).
        """
        course = self._course
        first, last = map(int, np.searchsorted(course.turns, (start, stop)))
        found: dict[Removal, NDArray[np.float32]] = {}
        if first == last:
            return course.turns[first:last], np.zeros((len(removals), 0)), 0
        for removal in removals:
            known = self._known(removal, first, last)
            if known is not None:
                found[removal] = known
        missing = [removal for removal in removals if removal not in found]
        at_once = self._evaluator.removals_per_call
        for begin in range(0, len(missing), at_once):
            found |= self._measure(missing[begin : begin + at_once], first, last)
        matrix = np.array([found[removal] for removal in removals], dtype=np.float64)
        evaluated = len(missing) * (last - first)
        return course.turns[first:last], course.factor * matrix, evaluated

    def finish(self, removal: Removal) -> bool:
        """Make a measurement of the chunks of a candidate; return whether there was none yet."""
        course = self._course
        if removal in self._full:
            return False
        chunks = self._stored.chunks(course.key, removal)
        places = np.concatenate([chunk.places for chunk in chunks])
        check_places(places, len(course.places))
        back = np.argsort(places)
        answers = [answer for chunk in chunks for answer in chunk.answers]
        with self._study.transaction():
            self._study.add(
                course.key,
                self._evaluator.settings,
                removal,
                np.concatenate([chunk.scores for chunk in chunks])[back],
                [answers[place] for place in back],
                sum(chunk.seconds for chunk in chunks),
            )
            self._stored.forget(course.key, removal)
        return True

    def _known(self, removal: Removal, first: int, last: int) -> NDArray[np.float32] | None:
        if removal in self._full:
            return self._full[removal][first:last]
        return self._stored.chunk_scores(self._course.key, removal, first)

    def _measure(
        self, removals: Sequence[Removal], first: int, last: int
    ) -> dict[Removal, NDArray[np.float32]]:
        course = self._course
        started = perf_counter()
        evaluation = self._evaluator.evaluate(course.split, removals, slice(first, last))
        seconds = (perf_counter() - started) / len(removals)
        found = {}
        for row, removal in enumerate(removals):
            scores = evaluation.scores[row].astype(np.float32, copy=False)
            check_scores(scores, course.bounds, course.split, removal)
            found[removal] = scores
        with self._study.transaction():
            for row, (removal, scores) in enumerate(found.items()):
                chunk = RaceChunk(
                    first,
                    course.places[first:last].astype(np.int32),
                    scores,
                    evaluation.answers[row],
                    seconds,
                )
                self._stored.add_chunk(course.key, removal, chunk)
        return found
