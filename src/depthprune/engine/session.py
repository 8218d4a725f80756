"""A study that is being measured: what it holds is looked up, what it lacks is measured and stored.

Everything that measures goes through here, so this is where several workers would come in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic, perf_counter

import numpy as np
from numpy.typing import NDArray

from depthprune.base.language import counted
from depthprune.base.log import logger
from depthprune.base.progress import Progress
from depthprune.base.removal import Objective, Removal, format_removal
from depthprune.engine.evaluator import Evaluation, Evaluator, in_calls
from depthprune.engine.objective import OptionLosses
from depthprune.study import Measurement, SplitRecord, StudyStore
from depthprune.study.records import Role, increases
from depthprune.tasks.task import CutAnswer, Task, TaskSplit

LOOK_EVERY = 5.0
"""Seconds from one look for the best removal so far to the next."""


@dataclass(frozen=True)
class SplitGroup:
    """Splits that are measured together.

    Attributes:
        splits: one alone, or those of one name of several tasks, which are searched jointly.
        weights: of the splits in the mean drop, with a sum of 1; None means equal weights.
    """

    splits: tuple[TaskSplit, ...]
    weights: tuple[float, ...] | None = None

    @property
    def num_samples(self) -> int:
        """Answers that one removal takes."""
        return sum(len(split.samples) for split in self.splits)

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights, also where they are equal."""
        return self.weights or (1 / len(self.splits),) * len(self.splits)

    @property
    def name(self) -> str:
        """The task, or how many there are, and the name of the split."""
        first, *others = self.splits
        tasks = f"{counted(len(self.splits), 'task')} jointly" if others else first.task.name
        return f"{tasks}, {first.split}"


@dataclass(frozen=True)
class Visit:
    """The order in which an evaluator is shown the samples of a split.

    Attributes:
        split: with its samples in this order.
        places: of these samples in the split's own order.
        chunk: samples in one call.
    """

    split: TaskSplit
    places: NDArray[np.int64]
    chunk: int


class Session:
    """Looks up, measures and stores. Each measurement is stored as soon as it is there.

    Attributes:
        study: that is measured.
        evaluator: that answers.
        bar: that shows how far it is.
        evaluated: answers that were taken so far.
    """

    def __init__(
        self,
        study: StudyStore,
        evaluator: Evaluator,
        bar: Progress | None = None,
        *,
        role: Role = "search",
        objective: Objective = "accuracy",
    ) -> None:
        """Begin; `role` is what the splits are measured for, see `SplitRecord`."""
        self._role = role
        self._objective = objective
        self.study = study
        self.evaluator = evaluator
        self.bar = Progress() if bar is None else bar
        self.evaluated = 0
        self._keys: dict[tuple[str, str, str], int] = {}
        self._losses = OptionLosses()
        self._expected = 0
        self._settled: set[tuple[int, Removal]] = set()
        self._looked = 0.0

    @property
    def settings(self) -> str:
        """The decoding settings of everything that is measured here."""
        return self.evaluator.settings

    def key(self, split: TaskSplit) -> int:
        """Return the key of a split in the study, which gets it where it lacks it."""
        name = (split.task.name, split.split, split.fingerprint)
        if name not in self._keys:
            self._keys[name] = self.study.add_split(replace(split_record(split), role=self._role))
        return self._keys[name]

    def tables(self, group: SplitGroup) -> list[dict[Removal, float]]:
        """Return the drops that the study holds, one table for each split."""
        return [self.study.drops(self.key(split), self.settings) for split in group.splits]

    def drops(self, group: SplitGroup) -> dict[Removal, float]:
        """Return the mean drop of every removal that is measured on all splits of a group."""
        return mean_drops(self.tables(group), group.weights)

    def ranks(self, group: SplitGroup) -> dict[Removal, float]:
        """Return what ranks the removals in place of their drops; empty where that is the drop.

        The mean increase of the loss by every removal that `drops` holds. A split without losses
        (its answers are written, or were measured without) counts with its drop.
        """
        if self._objective == "accuracy":
            return {}
        tables: list[Mapping[Removal, float]] = []
        for split, drops in zip(group.splits, self.tables(group), strict=True):
            losses = self.study.losses(self.key(split), self.settings)
            tables.append(increases(losses) if losses else drops)
        return mean_drops(tables, group.weights)

    def measurement(self, split: TaskSplit, removal: Removal) -> Measurement | None:
        """Return what the study holds of one removal on one split."""
        return self.study.measurement(self.key(split), self.settings, removal)

    def missing(self, split: TaskSplit, removals: Sequence[Removal]) -> list[Removal]:
        """Return the removals that the study does not hold on a split."""
        return self.study.missing(self.key(split), removals, self.settings)

    def measure(
        self,
        group: SplitGroup,
        removals: Sequence[Removal],
        visits: Sequence[Visit] | None = None,
    ) -> int:
        """Measure on every split what the study lacks there; return how many measurements.

        Split by split, so that inputs which do not fit into memory together are prepared once for
        all removals. What a removal changes in the model is remembered over the splits.

        Args:
            group: the splits.
            removals: the blocks that are left out; `()` is the whole model.
            visits: in which order and how many at once each split's samples are shown; as they are
                and all at once where not given. It changes no answer.
        """
        measured = 0
        for place, split in enumerate(group.splits):
            missing = self.missing(split, removals)
            self.settle(SplitGroup((split,)), set(removals).difference(missing))
            for together in in_calls(self.evaluator, missing):
                self._measure(split, together, visits[place] if visits else None)
                self.settle(SplitGroup((split,)), together)
                if monotonic() - self._looked > LOOK_EVERY:
                    self.look(self.drops(group), self.ranks(group))
            measured += len(missing)
        return measured

    def expect(self, measurements: int) -> None:
        """Say that at most so many measurements more are ahead, a removal once for every split."""
        self._expected += measurements
        self.settle(SplitGroup(()), ())

    def settle(self, group: SplitGroup, removals: Iterable[Removal]) -> None:
        """Count removals with which the splits of a group are done, as far as some are expected."""
        self._settled.update((self.key(one), gone) for gone in removals for one in group.splits)
        if self._expected:
            done = len(self._settled)
            self.bar.count(done, max(done, self._expected))

    def settled(self, group: SplitGroup) -> int:
        """Return how many measurements of a group's splits are counted by `settle`."""
        keys = {self.key(split) for split in group.splits}
        return sum(key in keys for key, _ in self._settled)

    def look(self, drops: Mapping[Removal, float], ranks: Mapping[Removal, float]) -> None:
        """Let the progress say which is the best of the removals of the most blocks."""
        self._looked = monotonic()
        most = max(map(len, drops), default=0)
        if most:
            ranks = ranks or drops
            _, best = min((ranks[one], one) for one in drops if len(one) == most)
            self.bar.found(best, drops[best])

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> tuple[Evaluation, float]:
        """Return the answers to some samples, and the seconds for each removal; store nothing."""
        started = perf_counter()
        evaluation = self.evaluator.evaluate(split, removals, samples)
        seconds = (perf_counter() - started) / len(removals)
        self.evaluated += len(removals) * len(evaluation.sample_ids)
        return evaluation, seconds

    def _measure(self, split: TaskSplit, removals: Sequence[Removal], visit: Visit | None) -> None:
        if visit is None:
            parts = [self.evaluate(split, removals)]
            back = np.arange(len(split.samples))
        else:
            back = np.argsort(visit.places)
            parts = [
                self.evaluate(visit.split, removals, slice(first, first + visit.chunk))
                for first in range(0, len(back), visit.chunk)
            ]
        for row, removal in enumerate(removals):
            scores = np.concatenate([part.scores[row] for part, _ in parts]).astype(np.float32)
            shown = [answer for part, _ in parts for answer in part.answers[row]]
            answers = [shown[place] for place in back]
            self.study.add(
                self.key(split),
                self.settings,
                removal,
                scores[back],
                answers,
                sum(seconds for _, seconds in parts),
                cut=cut_places(answers, split.task),
                losses=self._losses.of(split, answers),
            )
            logger.info(
                "%s, %s: %s: accuracy %.4f",
                *(split.task.name, split.split, format_removal(removal), scores.mean()),
            )


def cut_places(answers: Sequence[str], task: Task) -> list[int] | None:
    """Return which answers reached the limit of their length; None where none is generated."""
    if task.answer != "generate":
        return None
    return [place for place, answer in enumerate(answers) if isinstance(answer, CutAnswer)]


def split_record(split: TaskSplit) -> SplitRecord:
    """Return what the study keeps about a split."""
    return SplitRecord(
        task=split.task.name,
        task_type=split.task.task_type,
        split=split.split,
        fingerprint=split.fingerprint,
        sample_ids=tuple(sample.id for sample in split.samples),
        metric=split.scorer.name,
        metric_version=split.metric_version,
        pictures=split.pictures,
    )


def mean_drops(
    tables: Sequence[Mapping[Removal, float]], weights: Sequence[float] | None = None
) -> dict[Removal, float]:
    """Return the weighted mean drop of every removal that all tables hold.

    Args:
        tables: drops by removal (fractions), one table for each task.
        weights: one for each table, not negative, with a sum above 0; None means equal weights.
    """
    if not tables:
        return {}
    shares = [1.0] * len(tables) if weights is None else list(weights)
    total = sum(shares)
    first, *others = tables
    return {
        removal: sum(
            share / total * table[removal] for share, table in zip(shares, tables, strict=True)
        )
        for removal in first
        if all(removal in table for table in others)
    }
