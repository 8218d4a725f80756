"""Tasks and an evaluator without a model: drops are made up, everything else is real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from depthprune.base.removal import Removal
from depthprune.engine.evaluator import Evaluation
from depthprune.study import ModelRecord, StudyStore
from depthprune.tasks.task import Sample, SampleSequence, Task, TaskSplit

DropOf = Callable[[str, Removal], float]
"""The drop of a removal on a task."""

SETTINGS = "made up"


class NoSource:
    """A source that nobody reads."""

    def splits(self) -> tuple[str, ...]:
        return ()

    def samples(self, split: str) -> SampleSequence:
        raise NotImplementedError

    def describe(self) -> str:
        return "nowhere"


class NoScorer:
    """A scorer that nobody asks."""

    name = "made up"

    def score(self, sample: Sample, answer: str) -> float:
        raise NotImplementedError

    def score_many(self, samples: Sequence[Sample], answers: Sequence[str]) -> list[float]:
        raise NotImplementedError


def make_split(task: str, num_samples: int = 4, split: str = "validation") -> TaskSplit:
    """Return a split of a made-up task."""
    samples = tuple(Sample(id=f"{task}-{index}", question="?") for index in range(num_samples))
    return TaskSplit(
        Task(task, "VQA", NoSource()), split, samples, NoScorer(), f"{task} {split} {num_samples}"
    )


@dataclass
class FakeEvaluator:
    """Gives every sample of a task the accuracy that the made-up drop means.

    Attributes:
        drop_of: the drops.
        removals_per_call: see `Evaluator`.
        asked: what was measured, in order.
    """

    drop_of: DropOf
    removals_per_call: int = 2
    settings: str = SETTINGS
    asked: list[tuple[str, Removal]] = field(default_factory=list)

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        name = split.task.name
        assert 0 < len(removals) <= self.removals_per_call
        self.asked += [(name, removal) for removal in removals]
        chosen = split.samples[samples]
        accuracies = [0.5 - (self.drop_of(name, removal) if removal else 0) for removal in removals]
        scores = np.array([[one] * len(chosen) for one in accuracies], dtype=np.float32)
        answers = tuple(("",) * len(chosen) for _ in removals)
        ids = tuple(sample.id for sample in chosen)
        return Evaluation(tuple(removals), ids, scores, answers)


def open_study(folder: Path, num_blocks: int = 8) -> StudyStore:
    """Return a study of a made-up model."""
    return StudyStore.open(folder, model=ModelRecord("m", "f", "Made", num_blocks, "layers"))
