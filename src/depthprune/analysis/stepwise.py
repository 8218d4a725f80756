"""The stepwise path: removals of which each contains the one before, and where its cost jumps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median

from depthprune.analysis.bootstrap import Interval
from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.dataset import DatasetMeasurements
from depthprune.analysis.intervals import paired_intervals
from depthprune.analysis.recommendations import Step, StepwisePath
from depthprune.base.removal import settled

JUMP_FACTOR = 3.0
"""A step jumps when it costs more than this many times the median of the steps before it..."""

JUMP_LEAST = 0.02
"""... and more than these two points: three times nearly nothing is nothing to warn of."""


def stepwise_path(
    independent: Mapping[int, Ranking],
    datasets: Sequence[DatasetMeasurements] = (),
    *,
    seed: int = 0,
    intervals: bool = True,
) -> StepwisePath:
    """Return the path that begins with the best single block and adds the best block each time.

    Each step is the best-ranked combination of one block more that contains the step before. A step
    jumps when its increment exceeds `JUMP_LEAST` and `JUMP_FACTOR` times the median of the
    increments before it, the drop of the first step among them.

    Args:
        independent: the rankings by number removed.
        datasets: for the intervals and the n of the increments.
        seed: see `paired_intervals`.
        intervals: False leaves the intervals out.
    """
    found, missing = _walk(independent)
    by_name = {dataset.dataset: dataset for dataset in datasets}
    steps: list[Step] = []
    costs: list[float] = []
    for index, combination in enumerate(found):
        if index == 0:
            steps.append(Step(combination, None, None, None, jump=False))
            costs.append(combination.mean)
            continue
        before = found[index - 1]
        incremental = combination.mean - before.mean
        usual = max(JUMP_LEAST, JUMP_FACTOR * median(costs))
        jump = settled(incremental) > settled(usual)
        paired = _paired(before, combination)
        certain = _paired_interval(before, combination, by_name, seed) if intervals else None
        samples = _paired_samples(before, combination, by_name)
        steps.append(Step(combination, incremental, paired, certain, jump, samples))
        costs.append(incremental)
    return StepwisePath(tuple(steps), missing)


def _walk(independent: Mapping[int, Ranking]) -> tuple[list[Combination], int | None]:
    path: list[Combination] = []
    for number in range(1, max(independent, default=0) + 1):
        inside = set(path[-1].removal) if path else set()
        ranked = independent[number].combinations if number in independent else ()
        step = next((one for one in ranked if inside.issubset(one.removal)), None)
        if step is None:
            return path, number
        path.append(step)
    return path, None


def _common(before: Combination, after: Combination) -> list[str]:
    return [name for name in after.drops if name in before.drops]


def _paired(before: Combination, after: Combination) -> float | None:
    common = _common(before, after)
    if not common:
        return None
    return fmean(after.drops[name] - before.drops[name] for name in common)


def _paired_samples(
    before: Combination, after: Combination, datasets: Mapping[str, DatasetMeasurements]
) -> int:
    counts = [
        min(datasets[name].measurements[one.removal].num_samples for one in (before, after))
        if name in datasets
        else 0
        for name in _common(before, after)
    ]
    return sum(counts) if all(counts) else 0


def _paired_interval(
    before: Combination,
    after: Combination,
    datasets: Mapping[str, DatasetMeasurements],
    seed: int,
) -> Interval | None:
    common = _common(before, after)
    if not common or any(name not in datasets for name in common):
        return None
    measured = [datasets[name] for name in common]
    return paired_intervals(measured, [(before.removal, after.removal)], seed=seed)[0]
