"""How many answers change with the way they are batched: by sharing work, and without it.

In float32 none do. In half precision two almost equally likely tokens may swap whenever sums are
taken in another order, which the reference alone shows, run with another batch size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depthprune.base.removal import Removal
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.engine.shared.evaluator import SharedEvaluator
from depthprune.engine.shared.self_check import alike
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel


@dataclass(frozen=True)
class Agreement:
    """Shares of answers that differ from the reference's at the first batch size.

    Attributes:
        shared: of the shared evaluator's at that size.
        reference: of the reference's own at the second size.
        answers: how many were compared.
    """

    shared: float
    reference: float
    answers: int


def measure_agreement(
    loaded: LoadedModel,
    split: TaskSplit,
    removals: Sequence[Removal],
    batch_sizes: tuple[int, int] = (16, 5),
    part: str = "text",
) -> Agreement:
    """Return how many answers sharing work changes, beside what another batch size changes.

    Args:
        loaded: a model in any number type.
        split: with the samples.
        removals: at least one.
        batch_sizes: of the two runs of the reference.
        part: the stack that blocks are removed from.
    """
    first, second = batch_sizes
    plain, other = (
        ReferenceEvaluator(loaded, part=part, batch_size=size).evaluate(split, removals).answers
        for size in (first, second)
    )
    evaluator = SharedEvaluator(loaded, part=part, batch_size=first, self_check=False)
    shared = evaluator.evaluate(split, removals).answers
    count = sum(map(len, plain))
    return Agreement(_differing(shared, plain, count), _differing(other, plain, count), count)


def _differing(some: Sequence[Sequence[str]], other: Sequence[Sequence[str]], count: int) -> float:
    differing = sum(
        not alike(one, two)
        for row, beside in zip(some, other, strict=True)
        for one, two in zip(row, beside, strict=True)
    )
    return differing / max(count, 1)
