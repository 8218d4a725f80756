"""Before the hours: what a search will measure at most, how long that takes, and how much it keeps.

Nothing is measured for it, but for a few answers of the whole model where a pace is asked for.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Literal

from depthprune.base.errors import StudyError
from depthprune.base.progress import Progress, progress
from depthprune.benchmark.measure import scored_removals, scored_split
from depthprune.benchmark.options import BenchmarkPlan
from depthprune.blocks.admissible import check_admissible
from depthprune.engine.evaluator import Evaluator
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.strategies.kinds.exhaustive import Ablation
from depthprune.strategies.model import OpenModel
from depthprune.strategies.one_shot import Compared, compared
from depthprune.strategies.pipeline import ReadySearch
from depthprune.strategies.strategy import LimitedStrategy, SearchSpace, Strategy
from depthprune.study import StudyStore
from depthprune.study.store import DATABASE_NAME
from depthprune.tasks.task import TaskSplit

BYTES_PER_ANSWER = 150
"""What a study and its result files take for a short answer; measured on the demo."""

TRIED = 8
"""Samples of each split that an estimate answers."""

Basis = Literal["study", "other tasks", "estimate"]
"""Where a pace comes from: removals of this task that the study holds; of its other tasks; or a few
answers of the whole model now. The last is slower than a search, whose removals share their work.
"""


@dataclass(frozen=True)
class SplitForecast:
    """What will be measured on one split.

    Attributes:
        task, split: their names.
        num_samples: answers that each removal takes.
        most: removals, the whole model included, at most.
        held: of these that the study holds already, or that a search before measures.
        pace: seconds for each answer; None where nobody knows.
        basis: of the pace.
    """

    task: str
    split: str
    num_samples: int
    most: int
    held: int
    pace: float | None
    basis: Basis | None

    @property
    def answers(self) -> int:
        """Answers that are still to be taken, at most."""
        return max(0, self.most - self.held) * self.num_samples

    @property
    def seconds(self) -> float | None:
        """How long they take."""
        return None if self.pace is None else self.answers * self.pace


@dataclass(frozen=True)
class SearchForecast:
    """What one search will measure.

    Attributes:
        strategy: its name.
        by_number: removals of each number of blocks, at most; empty where the strategy cannot say.
        splits: what is measured on each.
        notes: names of options that add what cannot be foreseen.
    """

    strategy: str
    by_number: Mapping[int, int]
    splits: tuple[SplitForecast, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forecast:
    """What some searches will measure.

    Attributes:
        folder: of the study.
        searches: in their order.
        num_bytes: that the study will grow by, about.
        free: bytes on its disk.
        weights: bytes of the model in memory.
        cut_bytes: of the smaller model that is written at most; None where none is.
    """

    folder: Path
    searches: tuple[SearchForecast, ...]
    num_bytes: int
    free: int
    weights: int
    cut_bytes: int | None = None

    @property
    def splits(self) -> list[SplitForecast]:
        """All splits of all searches."""
        return [split for search in self.searches for split in search.splits]

    @property
    def seconds(self) -> float | None:
        """How long all of it takes at most; None where a pace is not known."""
        times = [one.seconds if one.answers else 0.0 for one in self.splits]
        known = [one for one in times if one is not None]
        return sum(known) if len(known) == len(times) else None


def forecast(
    searches: Sequence[ReadySearch],
    *,
    estimate: bool = False,
    cut_bytes: int | None = None,
    uncounted: tuple[str, ...] = (),
) -> Forecast:
    """Return what searches will measure; the model and the samples are there and were checked.

    Args:
        searches: of one study and model, in their order.
        estimate: answer a few samples of every split by the whole model, to know a pace.
        cut_bytes: see `Forecast`.
        uncounted: options that add what is not counted.
    """
    folder, model = searches[0].request.folder, searches[0].model
    splits = {one.fingerprint: one for each in searches for one in each.splits}
    evaluator = model.evaluator(Progress())
    tried = _tried(evaluator, list(splits.values())) if estimate else {}
    held, paces, stored = _held(folder, evaluator.settings)
    mean = sum(paces.values()) / len(paces) if paces else None
    planned: dict[str, Mapping[int, int]] = {}
    found = []
    for search in searches:
        strategy = compared(search.request.search.strategy)
        by_number = most_by_number(strategy, search.space)
        most = sum(by_number.values()) or strategy.most_evaluations(search.space)
        rows = []
        for split in search.splits:
            known = held.get(split.fingerprint, 0)
            before = planned.get(split.fingerprint)
            if before is not None:
                # Single blocks are the same in every search, and so is the whole model.
                known = max(known, 1 + min(before.get(1, 0), by_number.get(1, 0)))
            planned[split.fingerprint] = by_number
            pace, basis = _pace(split, tried, paces, mean)
            names = (split.task.name, split.split, len(split.samples))
            rows.append(SplitForecast(*names, most + 1, min(known, most + 1), pace, basis))
        options = search.request.search
        adding = {
            "complete": options.complete,
            "warm_start": options.warm_start,
            "strategy": not most,
        }
        notes = [name for name, adds in adding.items() if adds] + [*uncounted]
        found.append(SearchForecast(options.strategy.name, by_number, tuple(rows), tuple(notes)))
    answers = sum(one.answers for each in found for one in each.splits)
    return Forecast(
        folder=folder,
        searches=tuple(found),
        num_bytes=round(answers * (stored or BYTES_PER_ANSWER)),
        free=shutil.disk_usage(_existing(folder)).free,
        weights=model.loaded.model.get_memory_footprint(),
        cut_bytes=cut_bytes,
    )


def forecast_scores(
    model: OpenModel, card: BenchmarkPlan, path: Path, *, estimate: bool = False
) -> Forecast:
    """Return what an evaluation will score; whatever its file holds is not asked.

    Raises:
        DepthpruneError: samples cannot be read, or the removal is not possible.
    """
    check_admissible(model.stack, card.removal)
    splits = [scored_split(model.loaded, card, task, name) for task, name in card.scored]
    evaluator = ReferenceEvaluator(
        model.loaded, part=card.part, batch_size=card.batch_size or "auto"
    )
    tried = _tried(evaluator, splits) if estimate else {}
    rows = []
    for split in splits:
        pace, basis = _pace(split, tried, {}, None)
        most = len(scored_removals(card, split.task))
        names = (split.task.name, split.split, len(split.samples))
        rows.append(SplitForecast(*names, most, 0, pace, basis))
    found = SearchForecast("evaluate", {}, tuple(rows), ("metrics",) if card.metrics else ())
    free = shutil.disk_usage(_existing(path)).free
    return Forecast(path, (found,), 0, free, model.loaded.model.get_memory_footprint())


def most_by_number(strategy: Strategy, space: SearchSpace) -> dict[int, int]:
    """Return how many removals of each number of blocks a strategy measures at most.

    Nothing for a strategy that does not tell how its bound grows with the largest number.
    """
    search = strategy.search if isinstance(strategy, Compared) else strategy
    if isinstance(search, Ablation):
        return {1: search.most_evaluations(space)}
    if not isinstance(search, LimitedStrategy) or not search.most_evaluations(space):
        return {}
    found: dict[int, int] = {}
    before = 0
    for number in range(1, min(search.most_removed(space), space.most_removed) + 1):
        most = replace(search, max_removed=number).most_evaluations(space)
        one_shot = int(number > 1 and search is not strategy)
        found[number], before = most - before + one_shot, most
    return found


def _pace(
    split: TaskSplit,
    tried: Mapping[str, float],
    paces: Mapping[str, float],
    mean: float | None,
) -> tuple[float | None, Basis | None]:
    if split.task.name in paces:
        return paces[split.task.name], "study"
    if split.fingerprint in tried:
        return tried[split.fingerprint], "estimate"
    return mean, None if mean is None else "other tasks"


def _tried(evaluator: Evaluator, splits: Sequence[TaskSplit]) -> dict[str, float]:
    """Return the seconds that an answer of the whole model takes, by split."""
    paces = {}
    with progress("answering a few samples", len(splits)) as bar:
        for split in splits:
            bar.describe(f"answering {TRIED} samples of {split.task.name}")
            # What is built once, at the first answer, is no part of a pace.
            evaluator.evaluate(split, [()], slice(0, 1))
            started = perf_counter()
            found = evaluator.evaluate(split, [()], slice(0, TRIED))
            paces[split.fingerprint] = (perf_counter() - started) / len(found.sample_ids)
            bar.advance()
    return paces


def _held(folder: Path, settings: str) -> tuple[dict[str, int], dict[str, float], float | None]:
    """Return what a study holds: removals by split, seconds for an answer by task, its bytes."""
    held: dict[str, int] = {}
    times: dict[str, list[tuple[float, int]]] = {}
    if not (folder / DATABASE_NAME).is_file():
        return held, {}, None
    try:
        with StudyStore.open(folder, read_only=True) as study:
            for stored in study.splits():
                if settings not in stored.settings:
                    continue
                measured = study.measurements(stored.key, settings, with_samples=False)
                held[stored.record.fingerprint] = len(measured)
                own = [one for one in measured if one.origin is None and one.num_samples]
                # Removals share their work, the whole model is answered alone.
                shared = [one for one in own if one.removal] or own
                pairs = [(one.seconds, one.num_samples) for one in shared]
                times.setdefault(stored.record.task, []).extend(pairs)
    except StudyError:
        return {}, {}, None  # it is told when the study is opened to be written
    paces = {
        task: sum(seconds for seconds, _ in pairs) / sum(number for _, number in pairs)
        for task, pairs in times.items()
        if pairs
    }
    answers = sum(number for pairs in times.values() for _, number in pairs)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return held, paces, size / answers if answers else None


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
