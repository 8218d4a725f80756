"""The evaluator whose samples are shared out to workers: each answers its slice of every call.

By samples, because what removals share is then shared as in one process, whatever the number of
workers. A worker is always given the same slice of a split: what it remembers belongs to places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from time import monotonic
from typing import Any, Protocol

from depthprune.base.progress import progress
from depthprune.base.removal import Removal
from depthprune.blocks.stack import Stack
from depthprune.engine.evaluator import Evaluation, scored
from depthprune.engine.reference import admissible_removals
from depthprune.engine.workers.worker import Answered, Job, Shared, WorkerFacts
from depthprune.tasks.task import TaskSplit

UNEQUAL = 1.25
"""Workers whose paces differ by more are given slices of different sizes."""


class LostWorker(Exception):
    """A worker has gone before it had answered."""


class Pool(Protocol):
    """The workers, by number.

    Attributes:
        facts: what is the same of all of them.
        removals_per_call: of the slowest.
    """

    facts: WorkerFacts
    removals_per_call: int

    def ready(self) -> Sequence[int]:
        """Return those that can be given work; at least one, which may have to be waited for.

        Raises:
            DepthpruneError: there is none, and there will be none.
        """
        ...

    def share(self, split: TaskSplit) -> Shared:
        """Return what fetches a split on a worker; the same for the same object."""
        ...

    def submit(self, worker: int, job: Job) -> Any:
        """Give a worker a job; return what stands for the answer. It does them in turn."""
        ...

    def wait(self, handles: Sequence[Any]) -> Sequence[Any]:
        """Return those that are answered, or lost; perhaps none, after a second at most."""
        ...

    def result(self, handle: Any) -> Answered:
        """Return the answer.

        Raises:
            LostWorker: the worker has gone; another one takes its place soon.
            DepthpruneError: what the evaluator raised; or too many workers have gone.
        """
        ...

    def done(self) -> Mapping[int, float]:
        """Return how many answers of its job each worker has finished; let them be heard."""
        ...

    def close(self) -> None:
        """End the workers, so that others find a place."""
        ...


class SlicedEvaluator:
    """Shares the samples of every call out to workers, and scores their answers.

    Args:
        pool: the workers.
        stack: of the blocks.
        on_batch: called with the number of answers that were finished since the last time.
        on_paces: called with the answers per second of each worker while it works.
    """

    def __init__(
        self,
        pool: Pool,
        stack: Stack,
        on_batch: Callable[[float], None],
        on_paces: Callable[[Sequence[float]], None] | None = None,
    ) -> None:
        self._pool, self._stack = pool, stack
        self._on_batch, self._on_paces = on_batch, on_paces
        self._scores: dict[int, dict[tuple[int, str], float]] = {}
        # Answers and seconds of each worker, by which slices are sized, once.
        self._seen: dict[int, tuple[float, float]] = {}
        self._shares: dict[int, float] = {}
        self._sized = False

    @property
    def settings(self) -> str:
        """See `Evaluator.settings`; the same as those of every worker."""
        return self._pool.facts.settings

    @property
    def removals_per_call(self) -> int:
        """See `Evaluator.removals_per_call`."""
        return self._pool.removals_per_call

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        """Return the scores of `removals` on `split.samples[samples]`; see `Evaluator.evaluate`.

        Raises:
            DepthpruneError: see `Evaluator.evaluate`; or too many workers have gone.
        """
        wanted = admissible_removals(self._stack, removals)
        places = range(len(split.samples))[samples]
        different = tuple(dict.fromkeys(wanted))
        shared = self._pool.share(split)
        known = self._scores.setdefault(shared.number, {})
        rows: list[tuple[str, ...]] = [() for _ in wanted]
        if places and wanted:
            found = self._answers(shared, places, different)
            rows = [found[removal] for removal in wanted]
        return Evaluation(
            removals=wanted,
            sample_ids=tuple(split.samples[place].id for place in places),
            scores=scored(split, places, rows, known),
            answers=tuple(rows),
        )

    def _answers(
        self, split: Shared, places: range, removals: tuple[Removal, ...]
    ) -> dict[Removal, tuple[str, ...]]:
        """Return the answers of all workers, in the order of the places."""
        pool = self._pool
        running: dict[Any, tuple[int, range]] = {}
        found: list[tuple[range, Answered]] = []
        reported, begun = 0.0, monotonic()

        def give(worker: int, part: range) -> None:
            if part:
                running[pool.submit(worker, Job(split, removals, part))] = worker, part

        def spread(part: range) -> None:
            """Give what a lost worker had to those that are there."""
            ready = pool.ready()
            for worker, piece in zip(ready, cut(part, [1.0] * len(ready)), strict=True):
                give(worker, piece)

        ready = pool.ready()
        self._size(ready, removals)
        for worker, part in zip(
            self._shares, cut(places, list(self._shares.values())), strict=True
        ):
            if worker in ready:
                give(worker, part)
            else:
                spread(part)
        while running:
            for handle in pool.wait(list(running)):
                worker, part = running.pop(handle)
                try:
                    answered = pool.result(handle)
                except LostWorker:
                    spread(part)
                    continue
                found.append((part, answered))
                work, seconds = self._seen.get(worker, (0.0, 0.0))
                work += len(part) * len(removals)
                self._seen[worker] = work, seconds + answered.seconds
            finished = float(sum(len(part) for part, _ in found) * len(removals))
            busy = {worker for worker, _ in running.values()}
            under_way = {worker: n for worker, n in pool.done().items() if worker in busy}
            finished += sum(under_way.values())
            if finished > reported:
                self._on_batch(finished - reported)
                reported = finished
                if self._on_paces is not None:
                    self._on_paces(self._paces(under_way, monotonic() - begun))
        found.sort(key=lambda pair: places.index(pair[0][0]))
        return {
            removal: tuple(text for _, one in found for text in one.answers[row])
            for row, removal in enumerate(removals)
        }

    def _paces(self, under_way: Mapping[int, float], passed: float) -> list[float]:
        """Return the answers per second of each worker, those of the call under way included."""
        paces = []
        for worker in sorted({*self._seen, *under_way}):
            work, seconds = self._seen.get(worker, (0.0, 0.0))
            if worker in under_way:
                work, seconds = work + under_way[worker], seconds + passed
            paces.append(work / seconds if seconds > 0 else 0.0)
        return paces

    def _size(self, ready: Sequence[int], removals: Sequence[Removal]) -> None:
        """Decide which share of the samples each worker gets: by pace, once that is known."""
        joined = [worker for worker in ready if worker not in self._shares]
        paces = {
            worker: work / seconds for worker, (work, seconds) in self._seen.items() if seconds > 0
        }
        if joined or (not self._sized and paces and any(removals)):
            workers = sorted({*self._shares, *joined})
            unequal = paces and max(paces.values()) > UNEQUAL * min(paces.values())
            usual = sum(paces.values()) / len(paces) if paces else 1.0
            self._shares = {w: paces.get(w, usual) if unequal else 1.0 for w in workers}
            self._sized = bool(paces)


def check_samples(pool: Pool, splits: Sequence[TaskSplit]) -> None:
    """See that every worker can read its part of some splits, with their pictures.

    Raises:
        DepthpruneError: names the node, and what it lacks.
    """
    with progress("checking the samples on every node"):
        for split in splits:
            ready, shared = pool.ready(), pool.share(split)
            parts = cut(range(len(split.samples)), [1.0] * len(ready))
            running = [
                pool.submit(worker, Job(shared, (), part))
                for worker, part in zip(ready, parts, strict=True)
            ]
            while running:
                for handle in pool.wait(running):
                    running.remove(handle)
                    with suppress(LostWorker):  # the one that takes its place reads them itself
                        pool.result(handle)


def cut(places: range, shares: Sequence[float]) -> list[range]:
    """Return consecutive parts of some places, one for each share; a small one may be empty."""
    total = sum(shares)
    ends = [round(len(places) * end / total) for end in accumulate(shares)]
    return [places[start:end] for start, end in zip([0, *ends], ends, strict=False)]
