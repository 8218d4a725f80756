"""The evaluator whose samples are shared out to workers: each answers its slice of every call.

By samples, because what removals share is then shared as in one process, whatever the number of
workers. A worker is always given the same slice of a split: what it remembers belongs to places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

from depthprune.base.removal import Removal
from depthprune.blocks.stack import Stack
from depthprune.engine.evaluator import Evaluation, scored
from depthprune.engine.reference import admissible_removals
from depthprune.engine.workers.worker import Answered, Job, WorkerFacts
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

    def share(self, split: TaskSplit) -> Callable[[], TaskSplit]:
        """Return what fetches a split on a worker."""
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
    """

    def __init__(self, pool: Pool, stack: Stack, on_batch: Callable[[float], None]) -> None:
        self._pool, self._stack, self._on_batch = pool, stack, on_batch
        self._splits: list[tuple[TaskSplit, Callable[[], TaskSplit]]] = []
        self._scores: list[dict[tuple[int, str], float]] = []
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
        number = self._number(split)
        rows: list[tuple[str, ...]] = [() for _ in wanted]
        if places and wanted:
            found = self._answers(number, places, different)
            rows = [found[removal] for removal in wanted]
        return Evaluation(
            removals=wanted,
            sample_ids=tuple(split.samples[place].id for place in places),
            scores=scored(split, places, rows, self._scores[number]),
            answers=tuple(rows),
        )

    def _number(self, split: TaskSplit) -> int:
        # By identity: a fingerprint would do as well, but only the object itself proves it.
        for number, (known, _) in enumerate(self._splits):
            if known is split:
                return number
        self._splits.append((split, self._pool.share(split)))
        self._scores.append({})
        return len(self._splits) - 1

    def _answers(
        self, number: int, places: range, removals: tuple[Removal, ...]
    ) -> dict[Removal, tuple[str, ...]]:
        """Return the answers of all workers, in the order of the places."""
        pool, fetch = self._pool, self._splits[number][1]
        running: dict[Any, tuple[int, range]] = {}
        found: list[tuple[range, Answered]] = []
        reported = 0.0

        def give(worker: int, part: range) -> None:
            if part:
                running[pool.submit(worker, Job(number, fetch, removals, part))] = worker, part

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
            under_way = pool.done()
            busy = {worker for worker, _ in running.values()}
            finished += sum(under_way.get(worker, 0) for worker in busy)
            if finished > reported:
                self._on_batch(finished - reported)
                reported = finished
        found.sort(key=lambda pair: places.index(pair[0][0]))
        return {
            removal: tuple(text for _, one in found for text in one.answers[row])
            for row, removal in enumerate(removals)
        }

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


def cut(places: range, shares: Sequence[float]) -> list[range]:
    """Return consecutive parts of some places, one for each share; a small one may be empty."""
    total = sum(shares)
    ends = [round(len(places) * end / total) for end in accumulate(shares)]
    return [places[start:end] for start, end in zip([0, *ends], ends, strict=False)]
