"""The stepwise path, and the strategies that are recommended."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf, isnan
from statistics import fmean, median
from typing import Literal

from depthprune.analysis.combinations import Combination, RankedCombinations
from depthprune.analysis.intervals import FEWEST, Interval, paired_intervals
from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.base.removal import rounded


@dataclass(frozen=True)
class Essential:
    """A block that must never go: without it the model loses more than `threshold` of its accuracy.

    Attributes:
        combination: the block alone, with drop, interval, n and coverage.
        share: of the mean baseline accuracy that is lost, a fraction. Where no baseline is known
            it is taken as 1, which makes the share the smallest that it can be.
        worst: name of the dataset that is hit hardest, and its drop.
    """

    combination: Combination
    share: float
    worst: tuple[str, float]


THRESHOLD = 0.5
"""Of the accuracy of the unpruned model: a block whose loss costs more than this is essential."""


def costs_too_much(drop: float, baseline: float, threshold: float = THRESHOLD) -> bool:
    """Return whether a drop is more than `threshold` of the accuracy of the unpruned model."""
    return baseline > 0 and rounded(drop) > rounded(threshold * baseline)


def baseline_of(one: Combination, baselines: Mapping[str, float]) -> float:
    """Return the mean accuracy of the unpruned model on the datasets of a combination.

    One that is unknown counts as 1, the most it can be, so that no loss is overstated.
    """
    return fmean(1.0 if isnan(baselines[name]) else baselines[name] for name in one.drops)


def find_essential(
    singles: Iterable[Combination],
    baselines: Mapping[str, float],
    *,
    threshold: float = THRESHOLD,
) -> tuple[Essential, ...]:
    """Return the single blocks whose mean drop is more than `threshold` of the accuracy.

    Drop and baseline accuracy are means over the same datasets. A baseline that is unknown counts
    as 1, the most it can be, so that no block is called essential by mistake.

    Args:
        singles: removals of one block.
        baselines: accuracy of the unpruned model by dataset; NaN where unknown.
        threshold: a share of the accuracy.
    """
    found = []
    for one in singles:
        baseline = baseline_of(one, baselines)
        if costs_too_much(one.mean, baseline, threshold):
            worst = max(one.drops.items(), key=lambda item: (item[1], item[0]))
            found.append(Essential(one, one.mean / baseline, worst))
    return tuple(
        sorted(found, key=lambda one: (-rounded(one.combination.mean), one.combination.removal))
    )


@dataclass(frozen=True)
class Step:
    """One step of the stepwise path: a combination that contains the one before.

    Attributes:
        combination: the blocks removed so far, with their (cumulative) drop.
        incremental: what this step adds to the mean drop, a fraction; None for the first step.
            The difference of the two mean drops, each over the datasets it was measured on.
        paired: the same over the datasets that measured both steps; None if there is none.
        interval: paired bootstrap interval of `paired`; None without per-sample scores.
        jump: whether the increment is out of proportion, see `stepwise_path`.
        num_samples: behind `paired`; 0 when unknown on one of its datasets, and for the first step.
    """

    combination: Combination
    incremental: float | None
    paired: float | None
    interval: Interval | None
    jump: bool
    num_samples: int = 0


@dataclass(frozen=True)
class StepwisePath:
    """Removals of which each contains the one before.

    Attributes:
        steps: from one block on.
        missing: the number of blocks for which no superset of the last step is in the ranking,
            although combinations of that size, or larger ones, were measured; None when the path
            is complete.
    """

    steps: tuple[Step, ...]
    missing: int | None


JUMP_FACTOR = 3.0
"""A step jumps when it costs more than this many times the median of the steps before it..."""

JUMP_LEAST = 0.02
"""... and more than these two points: three times nearly nothing is nothing to warn of."""


def stepwise_path(
    independent: Mapping[int, RankedCombinations],
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
    found, missing = _path(independent)
    by_name = {dataset.dataset: dataset for dataset in datasets}
    steps = [Step(one, None, None, None, jump=False) for one in found[:1]]
    costs = [one.mean for one in found[:1]]
    for before, after in pairwise(found):
        incremental = after.mean - before.mean
        usual = max(JUMP_LEAST, JUMP_FACTOR * median(costs))
        jump = rounded(incremental) > rounded(usual)
        paired, interval, samples = _added(before, after, by_name, seed if intervals else None)
        steps.append(Step(after, incremental, paired, interval, jump, samples))
        costs.append(incremental)
    return StepwisePath(tuple(steps), missing)


def _path(independent: Mapping[int, RankedCombinations]) -> tuple[list[Combination], int | None]:
    path: list[Combination] = []
    for number in range(1, max(independent, default=0) + 1):
        inside = set(path[-1].removal) if path else set()
        ranked = independent[number].combinations if number in independent else ()
        step = next((one for one in ranked if inside.issubset(one.removal)), None)
        if step is None:
            return path, number
        path.append(step)
    return path, None


def _added(
    before: Combination,
    after: Combination,
    datasets: Mapping[str, DatasetMeasurements],
    seed: int | None,
) -> tuple[float | None, Interval | None, int]:
    """Return what a step adds on the datasets that measured both, its interval and its samples.

    The samples are 0 when unknown on one of these datasets; no seed leaves the interval out.
    """
    common = [name for name in after.drops if name in before.drops]
    if not common:
        return None, None, 0
    mean = fmean(after.drops[name] - before.drops[name] for name in common)
    if any(name not in datasets for name in common):
        return mean, None, 0
    measured = [datasets[name] for name in common]
    counts = [
        min(one.measurements[each.removal].num_samples for each in (before, after))
        for one in measured
    ]
    interval = None
    if seed is not None:
        (interval,) = paired_intervals(measured, [(before.removal, after.removal)], seed=seed)
    return mean, interval, sum(counts) if all(counts) else 0


StrategyName = Literal["conservative", "balanced", "aggressive"]


@dataclass(frozen=True)
class Candidates:
    """What the strategies choose among; no interval is needed to know them.

    Attributes:
        steps: for each step of the path with enough coverage, what may stand for it, best first.
        robust: the best robust combination of each number removed, most blocks first.
        bold: the best combination of each number that keeps half of the baseline accuracy, and the
            best robust one that does, most blocks first.
    """

    steps: tuple[tuple[Combination, ...], ...]
    robust: tuple[Combination, ...]
    bold: tuple[tuple[Combination, ...], ...]

    @property
    def removals(self) -> set[tuple[int, ...]]:
        """All of them: whose intervals decide."""
        chosen = [*self.robust, *(one for ones in (*self.steps, *self.bold) for one in ones)]
        return {one.removal for one in chosen}


@dataclass(frozen=True)
class RecommendedStrategy:
    """One way to choose removals: see `strategies.choose_strategies`.

    Attributes:
        name: conservative, balanced or aggressive.
        combinations: one or two removals; none where nothing fulfils the condition. The last
            conservative one is what is carried out where nobody says otherwise.
    """

    name: StrategyName
    combinations: tuple[Combination, ...]


SHARE = 0.1
"""Of the mean baseline accuracy: the drop that a conservative or balanced removal may cost."""

COVERED = 0.75
"""Of the datasets, that must have measured a conservative removal."""

STEPS = 2
"""Steps of the path that are conservative: the last ones within the limit."""

Rankings = Mapping[int, RankedCombinations]


def conservative_coverage(num_datasets: int) -> int:
    """Return the fewest datasets that must have measured a conservative removal."""
    return ceil(COVERED * num_datasets)


def find_candidates(
    independent: Rankings,
    robust: Rankings,
    path: StepwisePath,
    baselines: Mapping[str, float],
    essential: Collection[int] = (),
) -> Candidates:
    """Return what the strategies choose among: nothing that removes an essential block.

    Args:
        independent: rankings by number removed.
        robust: the same with robust coverage.
        path: the stepwise path.
        baselines: accuracy of the unpruned model on every dataset; NaN where unknown.
        essential: blocks that must never go.
    """
    least = conservative_coverage(len(baselines))
    spared, robust_spared = _sparing(independent, essential), _sparing(robust, essential)
    bold: list[tuple[Combination, ...]] = []
    for number in sorted(spared, reverse=True):
        best = _first_to_keep_half(spared[number], baselines)
        best_robust = _first_to_keep_half(robust_spared.get(number, ()), baselines)
        if best is None:
            continue
        other = best_robust is not None and best_robust.removal != best.removal
        bold.append((best, best_robust) if best_robust is not None and other else (best,))
    return Candidates(
        steps=tuple(
            _in_place_of(step.combination, spared, essential)
            for step in path.steps
            if step.combination.coverage >= least
        ),
        robust=tuple(ones[0] for _, ones in sorted(robust_spared.items(), reverse=True) if ones),
        bold=tuple(bold),
    )


def choose_strategies(candidates: Candidates, limit: float) -> tuple[RecommendedStrategy, ...]:
    """Return the conservative, the balanced and the aggressive strategy.

    Conservative: the last `STEPS` steps of the stepwise path that were measured on at least three
    quarters of the datasets and whose `upper_end` is within `limit`. A better removal of as many
    blocks, measured on as many datasets, takes a step's place. Balanced: the most blocks whose best
    robust removal is within `limit`. Aggressive: of the most blocks of which a removal keeps half
    of the baseline accuracy, the best, and beside it the best robust one. Where the whole model
    scores nothing (a limit of 0), a removal can cost nothing either: all three are empty.

    Args:
        candidates: see `find_candidates`.
        limit: the largest drop of a conservative or balanced removal, a fraction.
    """
    if limit <= 0:
        candidates = Candidates((), (), ())
    careful = conservative_steps(candidates, limit)[-STEPS:]
    balanced = [one for one in candidates.robust if is_within(one, limit)][:1]
    aggressive = candidates.bold[0] if candidates.bold else ()
    return (
        RecommendedStrategy("conservative", tuple(careful)),
        RecommendedStrategy("balanced", tuple(balanced)),
        RecommendedStrategy("aggressive", aggressive),
    )


def conservative_steps(candidates: Candidates, limit: float) -> list[Combination]:
    """Return what stands for each step of the path that is within the limit, fewest blocks first.

    Of these the last `STEPS` are recommended; what fresh samples do not confirm gives way to the
    one before.
    """
    if limit <= 0:
        return []
    within = (
        next((one for one in ones if is_within(one, limit)), None) for ones in candidates.steps
    )
    return [one for one in within if one is not None]


def upper_end(combination: Combination) -> float:
    """Return the drop that must be within the limit: the end of the interval, else the mean.

    Too few samples for an interval could hide any drop: it is infinite then. An unknown number of
    samples, as in files of old results, is none too few.
    """
    if combination.interval is not None:
        return combination.interval.high
    return inf if 0 < combination.num_samples < FEWEST else combination.mean


def is_within(combination: Combination, limit: float) -> bool:
    """Return whether a combination certainly costs no more than the limit."""
    return rounded(upper_end(combination)) <= rounded(limit)


def _sparing(rankings: Rankings, essential: Collection[int]) -> dict[int, list[Combination]]:
    gone = set(essential)
    return {
        number: [one for one in ranking.combinations if gone.isdisjoint(one.removal)]
        for number, ranking in rankings.items()
    }


def _in_place_of(
    step: Combination, spared: Mapping[int, list[Combination]], essential: Collection[int]
) -> tuple[Combination, ...]:
    """Return the best removal of as many blocks on as many datasets, and the step itself."""
    best = next(
        (one for one in spared.get(len(step.removal), ()) if one.coverage >= step.coverage), None
    )
    itself = () if set(essential) & set(step.removal) else (step,)
    if best is None or (itself and rounded(best.order) >= rounded(step.order)):
        return itself
    return (best, *itself)


def _first_to_keep_half(
    ranked: Iterable[Combination], baselines: Mapping[str, float]
) -> Combination | None:
    """Return the first that leaves half of the baseline accuracy on its datasets."""
    return next(
        (one for one in ranked if not costs_too_much(one.mean, baseline_of(one, baselines))), None
    )
