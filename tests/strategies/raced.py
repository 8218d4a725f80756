"""Made-up scores per sample, and an evaluator of them that can be killed at any call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depthprune.base.removal import Removal
from depthprune.engine.evaluator import Evaluation
from depthprune.tasks.task import TaskSplit
from tests.strategies.fakes import SETTINGS

ScoreOf = Callable[[str, Removal], NDArray[np.float64]]
"""The scores of all samples of a task, in the split's own order, under a removal."""


class Killed(BaseException):
    """What a killed process does: nothing more."""


def gradient(num_samples: int, seed: int = 0, noise: float = 0.3) -> ScoreOf:
    """Return scores 0 or 1: a block costs the more the higher its number."""

    def scores(task: str, removal: Removal) -> NDArray[np.float64]:
        name = sum(task.encode())
        difficulty = np.random.default_rng([seed, name]).normal(size=num_samples)
        luck = np.random.default_rng([seed, name, *removal]).normal(size=num_samples)
        strength = 1 - sum(0.02 + 0.15 * block for block in removal)
        return (strength + noise * luck > difficulty).astype(np.float64)

    return scores


@dataclass
class SlicingEvaluator:
    """Scores the samples of a slice by their ids, as a real evaluator does.

    Attributes:
        score_of: the scores.
        removals_per_call: see `Evaluator`.
        calls_left: then the process is killed; None: never.
        asked: removal and number of samples of every call, in order.
    """

    score_of: ScoreOf
    removals_per_call: int = 4
    settings: str = SETTINGS
    calls_left: int | None = None
    asked: list[tuple[str, Removal, int]] = field(default_factory=list)

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        assert 0 < len(removals) <= self.removals_per_call
        if self.calls_left is not None:
            if not self.calls_left:
                raise Killed
            self.calls_left -= 1
        chosen = split.samples[samples]
        assert chosen
        name = split.task.name
        places = [int(sample.id.rpartition("-")[2]) for sample in chosen]
        self.asked += [(name, removal, len(chosen)) for removal in removals]
        scores = np.array([self.score_of(name, one)[places] for one in removals], np.float32)
        answers = tuple(tuple(f"{one} {place}" for place in places) for one in removals)
        ids = tuple(sample.id for sample in chosen)
        return Evaluation(tuple(removals), ids, scores, answers)

    @property
    def evaluations(self) -> int:
        """Answers that were given."""
        return sum(number for *_, number in self.asked)
