"""Workers in this process, for tests: what they share, lose and answer is as with real ones."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from depthprune.base.errors import spelling
from depthprune.base.progress import Progress
from depthprune.engine.evaluator import Evaluator
from depthprune.engine.workers.sliced import LostWorker
from depthprune.engine.workers.worker import (
    Answered,
    Job,
    Shared,
    Worker,
    WorkerFacts,
    as_sent,
    versions,
)
from depthprune.tasks.task import TaskSplit


class LocalPool:
    """See `Pool`; everything that a real worker is sent is pickled and unpickled.

    Args:
        number: of the workers.
        make: opens the model; picklable.
        lost: which jobs are lost, counted from 0; the worker is away until the next call.
    """

    def __init__(
        self,
        number: int,
        make: Callable[[Progress], tuple[Evaluator, WorkerFacts]],
        lost: Sequence[int] = (),
    ) -> None:
        self.jobs: list[tuple[int, Job]] = []
        self._lost, self._away = set(lost), set[int]()
        self._shared: dict[int, tuple[TaskSplit, Shared]] = {}
        self._workers = [Worker() for _ in range(number)]
        opened = pickle.dumps((make, spelling()))
        for one in self._workers:
            self.facts, self.removals_per_call = one.open(opened, versions(), os.getcwd(), None)  # noqa: PTH109

    def ready(self) -> Sequence[int]:
        """See `Pool.ready`."""
        found = [one for one in range(len(self._workers)) if one not in self._away]
        self._away.clear()
        return found

    def share(self, split: TaskSplit) -> Shared:
        """See `Pool.share`."""
        if id(split) not in self._shared:
            fetch = partial(pickle.loads, pickle.dumps(as_sent(split)))
            self._shared[id(split)] = split, Shared(len(self._shared), split.task.name, fetch)
        return self._shared[id(split)][1]

    def submit(self, worker: int, job: Job) -> Any:
        """See `Pool.submit`."""
        self.jobs.append((worker, job))
        return len(self.jobs) - 1

    def wait(self, handles: Sequence[Any]) -> Sequence[Any]:
        """See `Pool.wait`; the last one is answered first."""
        return handles[-1:]

    def result(self, handle: Any) -> Answered:
        """See `Pool.result`."""
        worker, job = self.jobs[handle]
        if handle in self._lost:
            self._away.add(worker)
            raise LostWorker
        answered: Answered = pickle.loads(pickle.dumps(self._workers[worker].evaluate(job)))
        self.removals_per_call = answered.removals_per_call
        return answered

    def done(self) -> Mapping[int, float]:
        """See `Pool.done`."""
        return {}

    def close(self) -> None:
        """See `Pool.close`."""
