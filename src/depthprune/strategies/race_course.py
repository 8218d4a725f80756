"""A split as a race runs over it: samples in random order, scores chunk by chunk.

A joint search races on the weighted mean over its tasks: all samples of all tasks in one random
order, each score times its task's weight over the share of its samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from depthprune.base.removal import Removal
from depthprune.engine.evaluator import Evaluator, in_calls
from depthprune.strategies.joint import SplitGroup
from depthprune.strategies.race import race_order
from depthprune.strategies.race_bounds import Bounds, check_scores, score_bounds
from depthprune.strategies.runner import split_record
from depthprune.study import Study
from depthprune.study.races import RaceChunk, StoredRace, check_places
from depthprune.tasks.task import TaskSplit


@dataclass(frozen=True)
class Course:
    """One split as a race runs over it: its samples in the order of the race.

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
        """The largest difference of two weighted scores of a sample."""
        low, high = self.bounds
        return self.factor * (high - low)


def courses_of(study: Study, group: SplitGroup, seed: int) -> list[Course]:
    """Return the splits of a search as a race runs over them, in the order of the group.

    Raises:
        DepthpruneError: the bounds of a split's scores are not known.
    """
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
        courses.append(Course(key, ordered, places, turns, factor, score_bounds(split)))
        first += number
    return courses


def measure_in_full(
    study: Study, course: Course, evaluator: Evaluator, removals: Sequence[Removal], chunk: int
) -> int:
    """Measure what the study lacks on the samples of one split; return how many removals.

    In the order of the race, and chunk by chunk: an evaluator that remembers inputs and answers of
    a split finds them again when other removals race over it.
    """
    missing = study.missing(course.key, removals, evaluator.settings)
    back = np.argsort(course.places)
    for together in in_calls(evaluator, missing):
        started = perf_counter()
        parts = [
            evaluator.evaluate(course.split, together, slice(first, first + chunk))
            for first in range(0, len(back), chunk)
        ]
        seconds = (perf_counter() - started) / len(together)
        for row, removal in enumerate(together):
            scores = np.concatenate([part.scores[row] for part in parts])[back]
            answers = [answer for part in parts for answer in part.answers[row]]
            ordered = [answers[place] for place in back]
            study.add(course.key, evaluator.settings, removal, scores, ordered, seconds)
    return len(missing)


class Lane:
    """The part of a race that runs over one split: takes scores from the study, or measures."""

    def __init__(
        self,
        study: Study,
        stored: StoredRace,
        course: Course,
        evaluator: Evaluator,
        candidates: Sequence[Removal],
    ) -> None:
        """Take what is known of the candidates in full.

        Raises:
            DepthpruneError: it breaks the bounds of the scores.
        """
        self._study = study
        self._stored = stored
        self._course = course
        self._evaluator = evaluator
        wanted = set(candidates)
        self._full: dict[Removal, NDArray[np.float32]] = {}
        for one in study.measurements(course.key, evaluator.settings, with_answers=False):
            if one.removal in wanted and one.scores is not None:
                check_scores(one.scores, course.bounds, course.split, one.removal)
                self._full[one.removal] = one.scores[course.places]

    def scores(
        self, removals: Sequence[Removal], start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
        """Return turns, weighted scores and how many answers it took, from `start` to `stop`.

        The scores are of shape (removals, turns). What was measured is stored when this returns.

        Raises:
            DepthpruneError: a score is not finite or breaks the bounds of its metric.
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
