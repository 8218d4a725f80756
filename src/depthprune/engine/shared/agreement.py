"""How far shared work and the reference agree: a quick check before use, and a measured share.

In float32 no answer changes with the way it is batched. In half precision two almost equally likely
tokens may swap whenever sums are taken in another order, which the reference alone shows, run with
another batch size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from depthprune.base.language import counted
from depthprune.base.removal import Removal, format_removal
from depthprune.engine.evaluator import as_slice
from depthprune.engine.reference import ReferenceEvaluator
from depthprune.tasks.task import TaskSplit

if TYPE_CHECKING:
    from depthprune.blocks.models import LoadedModel


SAMPLES = 3
REMOVALS = 3

NEARLY = 1e-3
"""Sums of floats may be so far apart, as a share: they are added up in another order."""

MOST_DIFFERING = 0.5
"""In half precision answers differ between any two ways of batching, but never most of them."""


def differences(
    reference: ReferenceEvaluator,
    split: TaskSplit,
    places: range,
    answers: Mapping[Removal, Sequence[str]],
) -> str | None:
    """Say how answers differ from the reference's on a few samples and removals, or None.

    Args:
        reference: evaluates them again.
        split: with the samples.
        places: of the samples that were answered, in the split.
        answers: for each removal, to all of these samples.
    """
    few = places[:SAMPLES]
    removals = _some(sorted(answers))
    found = reference.evaluate(split, removals, as_slice(few))
    pairs = [
        (removal, sample_id, ours, theirs)
        for removal, row in zip(removals, found.answers, strict=True)
        for sample_id, ours, theirs in zip(found.sample_ids, answers[removal], row, strict=False)
    ]
    differing = [pair for pair in pairs if not alike(pair[2], pair[3])]
    exact = "dtype=float32" in reference.settings or "dtype=float64" in reference.settings
    if len(differing) <= (0 if exact else MOST_DIFFERING * len(pairs)):
        return None
    removal, sample_id, ours, theirs = differing[0]
    return (
        f"{len(differing)} of {counted(len(pairs), 'answer')} differ from those of the reference, "
        "e.g. without "
        f"blocks {format_removal(removal)} for sample {sample_id} {ours!r} instead of {theirs!r}"
    )


def alike(ours: str, theirs: str) -> bool:
    """Return whether two answers are the same, or the same numbers but for their last digits."""
    if ours == theirs:
        return True
    try:
        return _alike(json.loads(ours), json.loads(theirs))
    except ValueError:
        return False


def _alike(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_alike(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=NEARLY, abs_tol=NEARLY)
    return bool(ours == theirs)


def _some(removals: Sequence[Removal]) -> list[Removal]:
    """Return a few removals: the first, the last, and what lies between."""
    if len(removals) <= REMOVALS:
        return list(removals)
    step = (len(removals) - 1) / (REMOVALS - 1)
    return [removals[round(place * step)] for place in range(REMOVALS)]


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
    from depthprune.engine.shared.evaluator import SharedEvaluator

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
