"""One worker: a process that holds the whole model and answers slices of the samples.

It is asked for answers alone. They are scored where the study is, so that neither metrics nor
sources of data, nor code of a user's own behind them, are needed on its machine.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from socket import gethostname
from time import perf_counter
from typing import Any

import depthprune
from depthprune.base.errors import DepthpruneError, Spelling, TaskError, spelled
from depthprune.base.log import logger
from depthprune.base.progress import Progress, shown
from depthprune.base.removal import Removal
from depthprune.engine.evaluator import Evaluator, as_slice
from depthprune.study import ModelRecord
from depthprune.tasks.load import image_digest
from depthprune.tasks.task import Sample, TaskSplit


@dataclass(frozen=True)
class WorkerFacts:
    """What must be the same of all workers of a study.

    Attributes:
        record: of the model.
        settings: see `Evaluator.settings`.
        state: how the model runs, as a study keeps it.
    """

    record: ModelRecord
    settings: str
    state: Mapping[str, Any] = field(compare=False)


@dataclass(frozen=True)
class Shared:
    """A split that workers fetch when they see it first.

    Attributes:
        number: of the split among all of these workers; each keeps one object for each.
        name: of its task.
        fetch: returns it.
    """

    number: int
    name: str
    fetch: Callable[[], TaskSplit]


@dataclass(frozen=True)
class Job:
    """What a worker is to answer.

    Attributes:
        split: that it is asked about.
        removals: see `Evaluator.evaluate`; none: only see that the pictures are there.
        places: of the samples in the split.
    """

    split: Shared
    removals: tuple[Removal, ...]
    places: range


@dataclass(frozen=True)
class Answered:
    """What a worker answered: the rows of `Evaluation.answers`, and the seconds they took."""

    answers: tuple[tuple[str, ...], ...]
    seconds: float
    removals_per_call: int


@dataclass(frozen=True)
class Signs:
    """Signs of life: answers of the job under way that are finished, and what is to be said."""

    done: float
    messages: tuple[tuple[int, str], ...]


class Unscored:
    """The scorer of a split on a worker: nothing is scored there."""

    name = "none"

    def score(self, sample: Sample, answer: str) -> float:
        """Return 0."""
        return 0.0

    def score_many(self, samples: Sequence[Sample], answers: Sequence[str]) -> list[float]:
        """Return zeros."""
        return [0.0] * len(answers)


def as_sent(split: TaskSplit) -> TaskSplit:
    """Return a split as a worker needs it: samples and how they are asked, without the rest."""
    task: Any = replace(split.task, source=None, metric_options={})  # type: ignore[arg-type]
    return replace(split, task=task, scorer=Unscored())


def check_pictures(split: TaskSplit, places: range) -> None:
    """See that the pictures of some samples are those that were chosen.

    Raises:
        TaskError: one is not here, or is another one.
    """
    shared = "let every node have the data at the same path: a shared file system, or copies"
    for place in places if split.pictures else ():
        sample = split.samples[place]
        try:
            found = tuple(image_digest(image) for image in sample.images)
        except TaskError as error:
            raise error.but(mend=shared) from error
        if found != split.pictures[place]:
            raise TaskError(
                f"sample {sample.id} of {split.task.name} has another image there", mend=shared
            )


def versions() -> dict[str, str]:
    """Return the versions that must be the same everywhere; builds (`+cu128`) may differ."""
    found = {"depthprune": depthprune.__version__}
    for name in ("torch", "transformers"):
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


class _Messages(logging.Handler):
    """Keeps warnings until they are fetched."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.kept: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append((record.levelno, record.getMessage()))

    def fetch(self) -> tuple[tuple[int, str], ...]:
        found = tuple(self.kept)
        del self.kept[: len(found)]
        return found


class Worker:
    """Opens the model once, then answers one job after the other."""

    def __init__(self) -> None:
        self._bar = Progress()
        self._messages = _Messages()
        self._splits: dict[int, TaskSplit] = {}
        self._evaluator: Evaluator | None = None
        self._spelling: Spelling | None = None

    def node(self) -> str:
        """Return the name of the machine."""
        return gethostname()

    def open(
        self, opened: bytes, wanted: Mapping[str, str], folder: str, threads: int | None
    ) -> tuple[WorkerFacts, int]:
        """Open the model; return what it is, and how many removals it likes to be given at once.

        Args:
            opened: pickled: what returns evaluator and facts, and how options are spelled.
            wanted: the versions that must be here.
            folder: that relative paths are meant from.
            threads: of torch; None leaves them.

        Raises:
            DepthpruneError: other versions are installed here, or the model cannot be opened.
        """
        found = versions()
        for name, there in wanted.items():
            if found[name] != there:
                raise DepthpruneError(
                    f"{self.node()} has {name} {found[name]}, and this machine {there}",
                    where=self.node(),
                    mend="install the same versions of depthprune, torch and transformers on "
                    "every node",
                )
        with suppress(OSError):
            os.chdir(folder)
        logger.addHandler(self._messages)
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        make, self._spelling = pickle.loads(opened)
        with spelled(self._spelling), shown(False):
            self._evaluator, facts = make(self._bar)
            return facts, self._evaluator.removals_per_call

    def evaluate(self, job: Job) -> Answered:
        """Return the answers to a job; see `Evaluator.evaluate` for what can be wrong."""
        assert self._evaluator is not None
        assert self._spelling is not None
        self._bar.done = 0.0
        split = self._split(job.split)
        if not job.removals:
            check_pictures(split, job.places)
            return Answered((), 0.0, self._evaluator.removals_per_call)
        started = perf_counter()
        with spelled(self._spelling), shown(False):
            found = self._evaluator.evaluate(split, job.removals, as_slice(job.places))
        seconds = perf_counter() - started
        return Answered(found.answers, seconds, self._evaluator.removals_per_call)

    def _split(self, shared: Shared) -> TaskSplit:
        if shared.number not in self._splits:
            try:
                self._splits[shared.number] = shared.fetch()
            except Exception as error:  # unpickling imports what a user's own samples are made of
                raise TaskError(
                    f"the samples of {shared.name} cannot be read there: "
                    f"{type(error).__name__}: {error}",
                    mend="install what the task file imports on every node",
                ) from error
        return self._splits[shared.number]

    def signs(self) -> Signs:
        """Return signs of life; each message once."""
        return Signs(self._bar.done, self._messages.fetch())
