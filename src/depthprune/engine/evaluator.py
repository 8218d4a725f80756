"""How a model scores on a task under many removals: the interface that every engine fulfils."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from depthprune.base.removal import Removal
from depthprune.tasks.task import TaskSplit


@dataclass(frozen=True)
class Evaluation:
    """Scores of many removals on the same samples.

    Attributes:
        removals: R removals, in the order asked for.
        sample_ids: N sample ids, in the order of the split.
        scores: float32 array of shape (R, N).
        answers: R tuples of N answers behind the scores (see `Scorer.score` for their form); a
            generated one that reached the limit of its length is a `CutAnswer`, and a chosen one a
            `ChosenOption` where the losses of the options are known.
    """

    removals: tuple[Removal, ...]
    sample_ids: tuple[str, ...]
    scores: NDArray[np.float32]
    answers: tuple[tuple[str, ...], ...]


class Evaluator(Protocol):
    """Evaluates removals of one model.

    The contract, which `depthprune.testing.evaluators` holds for every implementation: the answers
    for a removal do not depend on the other removals in the call, on the batch size, on the slice
    of samples they are part of, or on earlier calls; `()` is the unpruned model; the model is as
    before afterwards, also when a call fails.
    """

    @property
    def settings(self) -> str:
        """Everything about decoding that can change an answer, as one stable line of text.

        For example `greedy dtype=float32`; batch size and device are not part of it.
        """
        ...

    @property
    def removals_per_call(self) -> int:
        """How many removals this evaluator likes to be given at once (1: shares no work).

        It may be another number after every call; `in_calls` follows it.
        """
        ...

    def evaluate(
        self, split: TaskSplit, removals: Sequence[Removal], samples: slice = slice(None)
    ) -> Evaluation:
        """Return the scores of `removals` on `split.samples[samples]`.

        Raises:
            RemovalError: a block does not exist.
            InadmissibleRemovalError: the architecture cannot express a removal.
            TaskError: a sample cannot be used (an image that cannot be read).
        """
        ...


def as_slice(places: range) -> slice:
    """Return the slice that selects these places of a sequence."""
    # Before the first place stands nothing; -1 would be the last.
    return slice(places.start, places.stop if places.stop >= 0 else None, places.step)


def scored(
    split: TaskSplit,
    places: range,
    answers: Sequence[Sequence[str]],
    known: dict[tuple[int, str], float],
) -> NDArray[np.float32]:
    """Return the scores of answers to a split's samples, (R, N); equal ones are scored once.

    Args:
        split: with the samples and what scores answers to them.
        places: of the N samples.
        answers: R rows of N answers.
        known: scores by place and answer; what is not known yet is added.
    """
    pairs = [(place, answer) for row in answers for place, answer in zip(places, row, strict=True)]
    new = [pair for pair in dict.fromkeys(pairs) if pair not in known]
    samples = [split.samples[place] for place, _ in new]
    found = split.scorer.score_many(samples, [answer for _, answer in new]) if new else []
    known.update(zip(new, found, strict=True))
    scores = np.array([known[pair] for pair in pairs], dtype=np.float32)
    return scores.reshape(len(answers), len(places))


def in_calls(evaluator: Evaluator, removals: Sequence[Removal]) -> Iterator[Sequence[Removal]]:
    """Yield the removals in turn, so many at once as the evaluator likes by then."""
    start = 0
    while start < len(removals):
        stop = start + evaluator.removals_per_call
        yield removals[start:stop]
        start = stop
