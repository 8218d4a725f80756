"""Racing, the stopping rule of the runner: candidates are measured chunk by chunk until they lose.

Single blocks are never raced: their drops are the importance scores, and the one-shot comparison
needs each of them. From two blocks on, the candidates of a step race for the places in the beam.
Those that stay to the end become measurements like any other; the stopped ones never do.

A joint search races on the weighted mean over its tasks: all samples of all tasks in one random
order, each score times its task's weight over the share of its samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from depthprune.base.errors import DepthpruneError, option
from depthprune.base.files import is_number
from depthprune.base.removal import Removal, format_removal
from depthprune.engine.session import Session, SplitGroup, Visit
from depthprune.strategies.kinds.beam import BeamSearch, BeamStep, RaceOptions
from depthprune.strategies.one_shot import Compared
from depthprune.strategies.race import Race, RaceRule, race_order
from depthprune.strategies.strategy import STOPPED, SearchSpace, Strategy
from depthprune.study.races import RaceChunk, RaceRecord, StoredRace, check_places
from depthprune.tasks.task import ScoringSource, TaskSplit

Bounds = tuple[float, float]

UNIT: Bounds = (0.0, 1.0)

KNOWN: Mapping[str, Bounds] = dict.fromkeys(
    (
        *("vqa_accuracy", "anls", "exact_match", "choice_letter", "choice_likelihood"),
        *("perplexity", "token_accuracy"),
    ),
    UNIT,
)
"""Of the built-in metrics; CIDEr-D has bounds that depend on its scale."""

LM_EVAL = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
"""Metrics of the lm-evaluation-harness from 0 to 1; so is its 1 / perplexity."""

SCORE_ROUNDING = 1e-6
"""Scores are float32."""


def score_bounds(split: TaskSplit) -> Bounds:
    """Return the smallest and largest score that a sample of a split can have.

    A scorer of a user's own states them as `bounds = (0.0, 1.0)`.

    Raises:
        DepthpruneError: they are not known, or make no sense.
    """
    found = getattr(split.scorer, "bounds", None)
    if found is None:
        found = _known(split)
    if found is None:
        raise DepthpruneError(
            f"a race needs to know how large a score of {split.scorer.name} can be "
            f"({split.task.name})",
            option="race",
            mend=f"search without {option('race')}, or let the scorer say "
            "`bounds = (smallest, largest)`",
        )
    low, high = found
    if not (is_number(low) and is_number(high) and low < high):
        raise DepthpruneError(
            f"scores of {split.scorer.name} cannot lie between {low} and {high} "
            f"({split.task.name})",
            option="race",
            mend="let the scorer say `bounds = (smallest, largest)`, two finite numbers",
        )
    return float(low), float(high)


def check_scores(
    scores: NDArray[np.float32], bounds: Bounds, split: TaskSplit, removal: Removal
) -> None:
    """Refuse scores that break what is known about their metric: the race would not be valid.

    Args:
        scores: of some samples.
        bounds: from `score_bounds`.
        split: of the samples.
        removal: whose scores they are.

    Raises:
        DepthpruneError: a score is not finite, or not between the bounds.
    """
    low, high = bounds
    where = f"{split.task.name} {split.split}, removal {format_removal(removal)}"
    if not np.isfinite(scores).all():
        raise DepthpruneError(
            "a score is not a finite number",
            where=where,
            mend="the model may not bear this loss: keep one of these blocks by "
            f"{option('protect')}; or "
            "check the metric",
        )
    wrong = scores[(scores < low - SCORE_ROUNDING) | (scores > high + SCORE_ROUNDING)]
    if wrong.size:
        raise DepthpruneError(
            f"a score of {wrong[0]:g}, but {split.scorer.name} is known to lie between {low:g} "
            f"and {high:g}",
            where=where,
            mend=f"search without {option('race')}, or mend the scorer's `bounds`",
        )


def _known(split: TaskSplit) -> Bounds | None:
    task, scorer = split.task, split.scorer
    if isinstance(task.source, ScoringSource):
        # The harness's scorer is not imported to be recognised: it needs an optional package.
        metric = getattr(scorer, "metric", None)
        is_perplexity = scorer.name.startswith("1 / ")
        of_harness = scorer.name.endswith("(lm-eval)")
        return UNIT if of_harness and (is_perplexity or metric in LM_EVAL) else None
    if task.metric == "cider_d":
        return 0.0, 10.0 * float(task.metric_options.get("scale", 1.0))
    return KNOWN.get(task.metric)


FIRST_RACED = 2
"""The fewest blocks that raced candidates remove."""

RULE = 1
"""Raised with every change of the rule or the order of the samples: earlier races end there."""

Scores = Mapping[Removal, NDArray[np.float32]]


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

    def without(self, measured: Mapping[Removal, float]) -> RaceReport:
        """Return the report without stopped removals that are measured in full meanwhile."""
        stopped = {one: seen for one, seen in self.stopped.items() if one not in measured}
        return replace(self, stopped=stopped)


def raced_beam(strategy: Strategy) -> BeamSearch | None:
    """Return the beam search whose candidates race, None where none do."""
    search = strategy.search if isinstance(strategy, Compared) else strategy
    return search if isinstance(search, BeamSearch) and search.race is not None else None


def race_of(strategy: Strategy) -> RaceOptions | None:
    """Return how the candidates of a strategy race, None where none do."""
    beam = raced_beam(strategy)
    return None if beam is None else beam.race


def check_race(groups: Sequence[SplitGroup]) -> None:
    """Refuse, before anything is measured, tasks whose scores have no known bounds.

    Raises:
        DepthpruneError: names the task and its metric.
    """
    for group in groups:
        for split in group.splits:
            score_bounds(split)


class Racing:
    """Measures what a beam search asks for, and stops candidates that are certainly out.

    Of candidates that race, what an evaluator returned is stored at once: a kill loses the call in
    flight, one chunk of the samples under a few removals. Of what is measured in full it loses, as
    without racing, the removals that are measured together. A removal that was stopped is not
    measured again under the same options; one that the study holds in full is never stopped.

    Attributes:
        stopped: removals that were stopped, with the number of samples seen of each.
    """

    def __init__(
        self, beam: BeamSearch, space: SearchSpace, session: Session, group: SplitGroup
    ) -> None:
        """Put the samples into their order.

        Raises:
            DepthpruneError: the bounds of a split's scores are not known.
        """
        assert beam.race is not None
        self.stopped: dict[Removal, int] = {}
        self._beam, self._space, self._session, self._group = beam, space, session, group
        self._options = beam.race
        self._splits = raced_splits(session, group, beam.race.chunk, space.seed)
        self._stopped_in: dict[Removal, StoredRace] = {}

    def measure(self, batch: Sequence[Removal], drops: Mapping[Removal, float]) -> int:
        """Measure a batch, racing where its removals compete; return how many measurements."""
        step = self._raced_step(batch, drops)
        few = self._group.num_samples <= self._options.chunk * len(self._splits)
        return self._in_full(batch) if step is None or few else self._race(step)

    def report(
        self, strategy: Strategy, drops: Mapping[Removal, float], evaluated: int
    ) -> RaceReport:
        """Return what racing did, after the end of a search that took so many answers."""
        steps = self._beam.steps(self._space, drops)
        considered = {(), *(removal for step in steps for removal in step.candidates)}
        if isinstance(strategy, Compared):
            considered.update(strategy.one_shot(self._space, drops).values())
        return RaceReport(
            tasks=tuple(split.task.name for split in self._group.splits),
            split=self._group.splits[0].split,
            confidence=self._options.confidence,
            num_samples=self._group.num_samples,
            num_removals=len(considered),
            stopped={one: seen for one, seen in self.stopped.items() if drops[one] == STOPPED},
            evaluated=evaluated,
        )

    def _raced_step(
        self, batch: Sequence[Removal], drops: Mapping[Removal, float]
    ) -> BeamStep | None:
        """Return the step whose candidates were asked for, if they are to race."""
        if () in batch:
            return None
        steps = self._beam.steps(self._space, drops)
        step = next((step for step in steps if step.missing), None)
        # Proposals and one-shot removals are wanted in full.
        if step is None or step.number < FIRST_RACED or tuple(batch) != step.missing:
            return None
        return step if len(step.candidates) > self._beam.width else None

    def _in_full(self, removals: Sequence[Removal]) -> int:
        """Measure removals that do not race; what a race saw of them is not taken again."""
        fresh = [removal for removal in removals if removal not in self._stopped_in]
        visits = [split.visit for split in self._splits]
        measured = self._session.measure(self._group, fresh, visits)
        for removal in (one for one in removals if one in self._stopped_in):
            stored = self._stopped_in[removal]
            for split in self._splits:
                full = split.measured([removal])
                for start, stop in self._chunks():
                    split.scores(stored, full, [removal], start, stop)
                measured += split.finish(stored, removal)
        return measured

    def _race(self, step: BeamStep) -> int:
        """Let the candidates of a step race; store what stays to the end; keep what is stopped."""
        stored = self._session.study.race(self._record(step))
        decided = stored.stopped()
        if not all(removal in decided for removal in step.missing):
            decided = self._decide(step, stored)
        self.stopped |= {one: decided[one] for one in step.missing if one in decided}
        self._stopped_in |= dict.fromkeys(decided, stored)
        finished = [one for one in step.missing if one not in decided]
        return sum(split.finish(stored, one) for one in finished for split in self._splits)

    def _decide(self, step: BeamStep, stored: StoredRace) -> dict[Removal, int]:
        """Return which candidates are stopped, and after how many samples."""
        candidates = step.candidates
        # Each step may err, so all of them share what the search may err.
        rule = RaceRule(
            width=self._beam.width,
            level=(1 - self._options.confidence) / self._num_steps,
            span=max(split.span for split in self._splits),
        )
        complete = [place for place, one in enumerate(candidates) if one not in step.missing]
        race = Race(len(candidates), self._group.num_samples, rule, complete)
        full = [split.measured(candidates) for split in self._splits]
        stopped: dict[Removal, int] = {}
        for start, stop in self._chunks():
            running = [candidates[place] for place in race.running]
            scores = np.zeros((len(running), stop - start))
            for split, known in zip(self._splits, full, strict=True):
                turns, found = split.scores(stored, known, running, start, stop)
                scores[:, turns - start] = found
            leaving = [candidates[place] for place in race.observe(scores)]
            if leaving:
                stored.stop(leaving, stop)
                stopped |= dict.fromkeys(leaving, stop)
        return stopped

    def _record(self, step: BeamStep) -> RaceRecord:
        factors = ",".join(f"{split.factor:.9g}" for split in self._splits)
        return RaceRecord(
            splits=tuple(split.key for split in self._splits),
            settings=self._session.settings,
            confidence=self._options.confidence,
            options=f"rule={RULE} width={self._beam.width} steps={self._num_steps} "
            f"chunk={self._options.chunk} seed={self._space.seed} factors={factors}",
            candidates=step.candidates,
        )

    @property
    def _num_steps(self) -> int:
        most = min(self._beam.most_removed(self._space), self._space.most_removed)
        return max(1, most - FIRST_RACED + 1)

    def _chunks(self) -> Iterator[tuple[int, int]]:
        """Yield the turns between which a race looks."""
        total, chunk = self._group.num_samples, self._options.chunk * len(self._splits)
        for start in range(0, total, chunk):
            yield start, min(start + chunk, total)


@dataclass(frozen=True)
class RacedSplit:
    """One split as a race runs over it: takes scores from the study, or measures.

    Attributes:
        session: measures and stores.
        key: of the split in the study.
        visit: the samples in the order of the race.
        turns: when each of them is seen, counted over the samples of all splits; ascending.
        factor: of its scores, so that the mean over all samples is the weighted mean of the tasks.
        bounds: of its scores.
    """

    session: Session
    key: int
    visit: Visit
    turns: NDArray[np.int64]
    factor: float
    bounds: Bounds

    @property
    def span(self) -> float:
        """The largest difference of two weighted scores of a sample."""
        low, high = self.bounds
        return self.factor * (high - low)

    def measured(self, removals: Sequence[Removal]) -> Scores:
        """Return, in the order of the race, the scores of those removals that are known in full.

        Raises:
            DepthpruneError: they break the bounds of the metric.
        """
        study, settings = self.session.study, self.session.settings
        full = {}
        for one in study.measurements(self.key, settings, with_answers=False):
            if one.removal in removals and one.scores is not None:
                check_scores(one.scores, self.bounds, self.visit.split, one.removal)
                full[one.removal] = one.scores[self.visit.places]
        return full

    def scores(
        self, stored: StoredRace, full: Scores, removals: Sequence[Removal], start: int, stop: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return turns and weighted scores from `start` to `stop`: shape (removals, turns).

        What was measured is stored when this returns.

        Raises:
            DepthpruneError: a score is not finite or breaks the bounds of its metric.
        """
        first, last = map(int, np.searchsorted(self.turns, (start, stop)))
        turns = self.turns[first:last]
        if first == last:
            return turns, np.zeros((len(removals), 0))
        found: dict[Removal, NDArray[np.float32]] = {}
        for removal in removals:
            known = (
                full[removal][first:last]
                if removal in full
                else stored.chunk_scores(self.key, removal, first)
            )
            if known is not None:
                found[removal] = known
        missing = [removal for removal in removals if removal not in found]
        at_once = self.session.evaluator.removals_per_call
        for begin in range(0, len(missing), at_once):
            found |= self._measure(stored, missing[begin : begin + at_once], first, last)
        matrix = np.array([found[removal] for removal in removals], dtype=np.float64)
        return turns, self.factor * matrix

    def finish(self, stored: StoredRace, removal: Removal) -> bool:
        """Make a measurement of the chunks of a candidate; return whether there was none yet."""
        study, settings, places = self.session.study, self.session.settings, self.visit.places
        if not study.missing(self.key, [removal], settings):
            return False
        chunks = stored.chunks(self.key, removal)
        seen = np.concatenate([chunk.places for chunk in chunks])
        check_places(seen, len(places))
        back = np.argsort(seen)
        scores = np.concatenate([chunk.scores for chunk in chunks])[back]
        answers = [answer for chunk in chunks for answer in chunk.answers]
        ordered = [answers[place] for place in back]
        with study.transaction():
            seconds = sum(chunk.seconds for chunk in chunks)
            study.add(self.key, settings, removal, scores, ordered, seconds)
            stored.forget(self.key, removal)
        return True

    def _measure(
        self, stored: StoredRace, removals: Sequence[Removal], first: int, last: int
    ) -> dict[Removal, NDArray[np.float32]]:
        split = self.visit.split
        evaluation, seconds = self.session.evaluate(split, removals, slice(first, last))
        found = {}
        for row, removal in enumerate(removals):
            found[removal] = evaluation.scores[row].astype(np.float32, copy=False)
            check_scores(found[removal], self.bounds, split, removal)
        places = self.visit.places[first:last].astype(np.int32)
        with self.session.study.transaction():
            for row, removal in enumerate(removals):
                answers = evaluation.answers[row]
                chunk = RaceChunk(first, places, found[removal], answers, seconds)
                stored.add_chunk(self.key, removal, chunk)
        return found


def raced_splits(session: Session, group: SplitGroup, chunk: int, seed: int) -> list[RacedSplit]:
    """Return the splits of a search as a race runs over them, in the order of the group.

    Raises:
        DepthpruneError: the bounds of a split's scores are not known.
    """
    order = race_order(group.num_samples, seed)
    splits = []
    first = 0
    for split, weight in zip(group.splits, group.shares, strict=True):
        number = len(split.samples)
        turns = np.flatnonzero((order >= first) & (order < first + number))
        places = order[turns] - first
        ordered = replace(
            split,
            samples=tuple(split.samples[place] for place in places),
            pictures=tuple(split.pictures[place] for place in places if split.pictures),
            # An evaluator may know splits by their fingerprints.
            fingerprint=f"{split.fingerprint} raced {seed}",
        )
        factor = weight * group.num_samples / number
        visit = Visit(ordered, places, chunk)
        key, bounds = session.key(split), score_bounds(split)
        splits.append(RacedSplit(session, key, visit, turns, factor, bounds))
        first += number
    return splits
