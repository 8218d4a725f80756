"""Completing: measure the best combinations on every dataset, so that they compare on equal ground.

Searches of single datasets measure what looks good there, and a mean over two easy datasets easily
beats a mean over eight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from time import perf_counter

from depthprune.base.drops import settled
from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal
from depthprune.evaluate.evaluator import Evaluator
from depthprune.search.runner import RunReport, measure_missing, split_record
from depthprune.study import Study
from depthprune.tasks.task import TaskSplit

ROUNDS = 10
"""Of measuring and ranking again in one run; the same command goes on from there."""

Tables = Sequence[Mapping[Removal, float]]
"""Drops by removal, one table for each dataset."""


@dataclass(frozen=True)
class Completion:
    """How far the best combinations were measured everywhere.

    Attributes:
        best: how many of each number removed.
        incomplete: those of them that some dataset still lacks; empty when all is done.
        report: how much was measured.
    """

    best: int
    incomplete: tuple[Removal, ...]
    report: RunReport


def best_combinations(tables: Tables, best: int) -> list[Removal]:
    """Return the `best` combinations of each number removed, by mean drop over their datasets.

    As the summary ranks them, but one dataset is enough and improvements are not left out. Equal
    means are ordered by block indices.
    """
    drops: dict[Removal, list[float]] = {}
    for table in tables:
        for removal, drop in table.items():
            if removal:
                drops.setdefault(removal, []).append(drop)
    by_number: dict[int, list[Removal]] = {}
    for removal in sorted(drops, key=lambda removal: (settled(fmean(drops[removal])), removal)):
        by_number.setdefault(len(removal), []).append(removal)
    return [removal for number in sorted(by_number) for removal in by_number[number][:best]]


def incomplete_combinations(tables: Tables, best: int) -> list[Removal]:
    """Return those of the best combinations that some dataset lacks."""
    return [
        removal
        for removal in best_combinations(tables, best)
        if not all(removal in table for table in tables)
    ]


def complete(
    study: Study,
    splits: Sequence[TaskSplit],
    evaluator: Evaluator,
    best: int,
    *,
    rounds: int = ROUNDS,
    before: Callable[[int], None] | None = None,
) -> Completion:
    """Measure the best combinations on every split, rank again, and so on until none is missing.

    A mean over few datasets is often too good: once measured everywhere the combination falls back,
    and others take its place. So this goes on until the best ones are complete, for at most
    `rounds` rounds. No removal is tried that the study does not hold for some dataset.

    Args:
        study: holds a search on these splits.
        splits: of different tasks.
        evaluator: measures.
        best: combinations of each number removed.
        rounds: after which it stops, and says what is missing.
        before: called before each round with the number of answers that it takes.

    Raises:
        DepthpruneError: `best` is negative.
    """
    check_best(best)
    started = perf_counter()
    keys = [study.add_split(split_record(split)) for split in splits]

    measured = 0
    for number in range(rounds + 1):
        tables = [study.drops(key, evaluator.settings) for key in keys]
        missing = incomplete_combinations(tables, best)
        if not missing or number == rounds:
            break
        if before is not None:
            before(_answers(tables, splits, missing))
        measured += measure_missing(study, splits, evaluator, missing)
    return Completion(best, tuple(missing), RunReport(measured, 0, perf_counter() - started))


def _answers(tables: Tables, splits: Sequence[TaskSplit], removals: Sequence[Removal]) -> int:
    return sum(
        len(split.samples) * sum(removal not in table for removal in removals)
        for table, split in zip(tables, splits, strict=True)
    )


def check_best(best: int) -> None:
    """Refuse a negative number of combinations.

    Raises:
        DepthpruneError: it is negative.
    """
    if best < 0:
        raise DepthpruneError(
            f"the best {best} combinations cannot be completed",
            where="--complete",
            mend="give 1 or more, or 0 to leave them as the search did",
        )
