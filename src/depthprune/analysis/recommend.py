"""Which blocks to remove: every recommendation of a result set, with the evidence behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import fsum, isnan
from statistics import fmean

from depthprune.analysis import options
from depthprune.analysis.combinations import (
    Combination,
    CorrectedDrop,
    Disagreement,
    RankedCombinations,
    adjusted_drops,
    find_disagreements,
    find_selections,
    rank,
    table_combinations,
    with_intervals,
)
from depthprune.analysis.drop_table import DropTable, drop_table
from depthprune.analysis.options import TargetKind, Targets
from depthprune.analysis.recommended_strategies import (
    SHARE,
    THRESHOLD,
    Candidates,
    Essential,
    RecommendedStrategy,
    StepwisePath,
    choose_strategies,
    conservative_coverage,
    find_candidates,
    find_essential,
    stepwise_path,
)
from depthprune.analysis.result_set import ResultSet, weak_baselines
from depthprune.analysis.verified import Verified, VerifiedRemoval, verified
from depthprune.base.errors import AnalysisError
from depthprune.base.removal import Removal, rounded
from depthprune.tasks.weak import WeakBaseline


@dataclass(frozen=True)
class Limit:
    """The drop that a conservative or balanced removal may cost.

    Attributes:
        drop: a fraction: a tenth of `baseline`.
        baseline: mean accuracy of the unpruned model over all datasets; None where none is known,
            which counts as 1.
        coverage: the fewest datasets that must have measured a conservative removal.
        unbounded: share of `baseline`, and so of `drop`, by dataset whose metric may exceed 1.
    """

    drop: float
    baseline: float | None
    coverage: int
    unbounded: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recommended:
    """All recommendations of one result set.

    Attributes:
        num_blocks: of the unpruned stack.
        datasets: names of those in the result set.
        min_coverage: of the independent and stepwise rankings; 1 where there is one dataset.
        robust_coverage: of the robust rankings; no more than there are datasets.
        independent: by number removed, every ranked combination, best first.
        robust: the same with `robust_coverage`.
        stepwise: the path whose blocks are removed one after the other.
        strategies: conservative, balanced, aggressive.
        limit: what a conservative or balanced removal may cost.
        candidates: what the strategies were chosen among.
        essential: blocks that must never go, the most damaging first.
        adjusted: dataset-adjusted drop (two-way additive model) of every ranked combination; NaN
            where the datasets have no removals in common, by which they could be compared.
        disagreements: where adjusted and plain drops name different winners.
        targets: one for each target that was asked for.
        singles: mean drop of every block that was measured alone, by block; none is left out.
        single_ranks: what these blocks are ranked by: the drops, or the increases of the loss.
        num_judged: single blocks with enough coverage to tell whether they must stay.
        weak: datasets whose baseline is no basis for drops, or may be none. Where that is certain
            of one, nothing is ranked, and this is the reason.
        verified: what was measured again on fresh samples; None where nothing ever was.
        selections: of what is recommended, the steps of the path and the best of every ranking:
            how it was chosen, with its drop corrected for that.
    """

    num_blocks: int
    datasets: tuple[str, ...]
    min_coverage: int
    robust_coverage: int
    independent: Mapping[int, RankedCombinations]
    robust: Mapping[int, RankedCombinations]
    stepwise: StepwisePath
    strategies: tuple[RecommendedStrategy, ...]
    limit: Limit
    candidates: Candidates
    essential: tuple[Essential, ...]
    adjusted: Mapping[tuple[int, ...], float]
    disagreements: tuple[Disagreement, ...]
    targets: tuple[Target, ...] = ()
    singles: Mapping[int, float] = field(default_factory=dict)
    single_ranks: Mapping[int, float] = field(default_factory=dict)
    num_judged: int = 0
    weak: tuple[WeakBaseline, ...] = ()
    verified: Verified | None = None
    selections: Mapping[Removal, CorrectedDrop] = field(default_factory=dict)

    @property
    def is_weak(self) -> bool:
        """Whether nothing can be recommended because of a baseline."""
        return any(one.weakness.is_certain for one in self.weak)

    @property
    def num_datasets(self) -> int:
        """Return how many datasets were measured."""
        return len(self.datasets)

    def on_fresh_samples(self, removal: Removal) -> VerifiedRemoval | None:
        """Return what fresh samples say about a removal; None where it was not verified."""
        return None if self.verified is None else self.verified.of(removal)

    @property
    def num_combinations(self) -> int:
        """Return how many combinations were measured, those that a limit left out not counted."""
        return sum(len(one.combinations) + one.low_coverage for one in self.independent.values())

    @property
    def num_incomplete(self) -> int:
        """Return how many of them some datasets did not measure."""
        complete = sum(
            one.coverage == self.num_datasets
            for ranking in self.independent.values()
            for one in ranking.combinations
        )
        return self.num_combinations - complete

    @property
    def essential_blocks(self) -> frozenset[int]:
        """Return the blocks that must never go."""
        return frozenset(one.combination.removal[0] for one in self.essential)

    @property
    def path_ends(self) -> tuple[int, ...]:
        """Return which of the first and the last block the stepwise path removes.

        A selection that protects both ends of the stack cannot follow the path over them.
        """
        path = {block for step in self.stepwise.steps for block in step.combination.removal}
        return tuple(sorted(path & {0, self.num_blocks - 1}))


@dataclass(frozen=True)
class Target:
    """What a user asked for instead of a number of blocks.

    Attributes:
        kind: `max_drop` (fraction), `speedup` (ratio above 1) or `params` (share that stays, 0..1).
        value: as asked.
        combination: the best one of `number` blocks that meets it; None where the target cannot be
            met with what was measured.
        reached: the drop, the estimated speed-up or the share of parameters of `combination`.
        exact: False for speed-ups (estimated, see `targets`) and where the parameters per block
            are unknown.
    """

    kind: TargetKind
    value: float
    combination: Combination | None
    reached: float | None
    exact: bool

    @property
    def number(self) -> int | None:
        """Blocks to be removed: the most within a `max_drop`, the fewest that reach the others."""
        return None if self.combination is None else len(self.combination.removal)


def choose_targets(
    independent: Mapping[int, RankedCombinations],
    results: ResultSet,
    asked: Targets,
) -> tuple[Target, ...]:
    """Return for each target that is given the combination that meets it.

    For `max_drop` the most blocks whose best combination keeps to it; for the others the fewest
    blocks of which a combination reaches it, and the best of those that do.

    Args:
        independent: rankings by number removed.
        results: for the numbers of blocks and parameters.
        asked: the largest mean drop, a speed-up at least, and the share of the parameters that
            stays at most.
    """
    exact = results.parameters is not None and results.block_parameters is not None
    numbers = sorted(independent)

    def best(numbers: Iterable[int], meets: Callable[[Combination], bool]) -> Combination | None:
        """Return the best combination that meets a target, of the first number that has one."""
        ranked = (one for number in numbers for one in independent[number].combinations)
        return next(filter(meets, ranked), None)

    def smallest(share: float) -> Combination | None:
        return best(
            numbers,
            lambda one: rounded(share_that_stays(results, one.removal)) <= rounded(share),
        )

    targets = []
    if (most := asked.max_drop) is not None:
        met = best(reversed(numbers), lambda one: rounded(one.mean) <= rounded(most))
        targets.append(Target("max_drop", most, met, None if met is None else met.mean, exact=True))
    if (ratio := asked.speedup) is not None:
        # Shares, not ratios, are compared: the same rounding on both sides.
        met = smallest(1 / ratio)
        reached = None if met is None else 1 / share_that_stays(results, met.removal)
        targets.append(Target("speedup", ratio, met, reached, exact=False))
    if (share := asked.params) is not None:
        met = smallest(share)
        reached = None if met is None else share_that_stays(results, met.removal)
        targets.append(Target("params", share, met, reached, exact=exact))
    return tuple(targets)


def share_that_stays(results: ResultSet, removal: Removal) -> float:
    """Return the share of the model's parameters, else of its blocks, that a removal leaves."""
    if results.parameters is None or results.block_parameters is None:
        return 1 - len(removal) / results.num_blocks
    return 1 - sum(results.block_parameters[block] for block in removal) / results.parameters


def scores_realising(recommendations: Recommended) -> dict[int, float]:
    """Return a score for every block: removing the lowest ones follows the stepwise path.

    The n blocks with the lowest scores are those of step n; so the selection of
    `num_blocks - n` active blocks gives exactly that step. Only removals that contain each other
    have an order: where the independent best ones do not, it is the stepwise path that is realised.
    A selection that protects the first and the last block follows the path as far as it removes
    neither (`Recommended.path_ends` says when it does).

    The scores are places, 0 for the block that goes first: drops would tie or come out of order,
    as a mean over other datasets may fall from step to step. Behind the path follow the other
    blocks by their drop alone, then those that were never measured alone, then the essential ones.

    Returns:
        By block, ascending by block.
    """
    order: list[int] = []
    for step in recommendations.stepwise.steps:
        order += [block for block in step.combination.removal if block not in order]
    essential = recommendations.essential_blocks
    singles = recommendations.single_ranks

    def place(block: int) -> tuple[bool, bool, float, int]:
        measured = block in singles
        return block in essential, not measured, singles.get(block, 0.0), block

    rest = set(range(recommendations.num_blocks)) - set(order)
    order += sorted(rest, key=place)
    return {block: float(order.index(block)) for block in sorted(order)}


EVERY_INTERVAL = 500
"""Up to this many combinations each has its interval; of more, only those that are shown."""


def recommend(
    results: ResultSet,
    ranking: options.Ranking = options.Ranking(),
    targets: options.Targets = options.Targets(),
    *,
    essential_threshold: float = THRESHOLD,
    top: int = 5,
    seed: int = 0,
    table: DropTable | None = None,
) -> Recommended:
    """Return which blocks to remove, by every rule, with the evidence behind each.

    Args:
        results: what was measured.
        ranking: what is ranked; no more datasets are asked for than there are.
        targets: see `choose_targets`.
        essential_threshold: see `find_essential`.
        top: combinations of each ranking that are shown, and have intervals even if there are more
            than `EVERY_INTERVAL`.
        seed: of the bootstrap.
        table: of these results, when it is there already.

    Raises:
        AnalysisError: nothing was measured, or a threshold is out of its bounds.
    """
    _check(essential_threshold, top)
    if table is None:
        table = drop_table(results.datasets, results.num_blocks)
    combinations = table_combinations(table)
    if not combinations:
        raise AnalysisError(
            "no removal was measured, there is nothing to recommend",
            mend="measure removals first: depthprune search, or depthprune profile",
        )
    weak = weak_baselines(results)
    if any(one.weakness.is_certain for one in weak):
        # Drops from such a baseline say nothing: a ranking of them would be taken for one.
        combinations = []
    most = max(1, len(results.datasets))
    ranking = replace(
        ranking,
        min_coverage=min(ranking.min_coverage, most),
        robust_coverage=min(ranking.robust_coverage, most),
    )
    adjusted = dict(zip(table.removals, adjusted_drops(table).tolist(), strict=True))

    decide = partial(_decide, results, adjusted, ranking, targets, essential_threshold, seed)
    found = decide(combinations, intervals=False)
    if combinations and any(one.baseline.scores is not None for one in results.datasets):
        # Which combinations are shown must be known before their intervals are computed.
        shown = _shown(found, top) if len(combinations) > EVERY_INTERVAL else set(table.removals)
        chosen = [one for one in combinations if one.removal in shown]
        known = {one.removal: one for one in with_intervals(chosen, results.datasets, seed=seed)}
        combinations = [known.get(one.removal, one) for one in combinations]
        found = decide(combinations, intervals=True)
    selections = find_selections(found.independent, _chosen(found), results.datasets, seed=seed)
    fresh = verified(found, results, seed=seed)
    return replace(found, weak=weak, verified=fresh, selections=selections)


def _decide(
    results: ResultSet,
    adjusted: Mapping[Removal, float],
    ranking: options.Ranking,
    targets: options.Targets,
    essential_threshold: float,
    seed: int,
    combinations: Iterable[Combination],
    *,
    intervals: bool,
) -> Recommended:
    by_number: dict[int, list[Combination]] = {}
    for one in combinations:
        by_number.setdefault(len(one.removal), []).append(one)
    independent = _rankings(by_number, ranking.min_coverage, ranking.min_drop)
    robust = _rankings(by_number, ranking.robust_coverage, ranking.min_drop)
    singles = by_number.get(1, [])
    judged = [one for one in singles if one.coverage >= ranking.min_coverage]
    baselines = {dataset.dataset: dataset.baseline.accuracy for dataset in results.datasets}
    essential = find_essential(judged, baselines, threshold=essential_threshold)
    stepwise = stepwise_path(independent, results.datasets, seed=seed, intervals=intervals)
    limit = _limit(results, baselines)
    candidates = find_candidates(
        independent,
        robust,
        stepwise,
        baselines,
        essential={one.combination.removal[0] for one in essential},
    )
    return Recommended(
        num_blocks=results.num_blocks,
        datasets=tuple(dataset.dataset for dataset in results.datasets),
        min_coverage=ranking.min_coverage,
        robust_coverage=ranking.robust_coverage,
        independent=independent,
        robust=robust,
        stepwise=stepwise,
        strategies=choose_strategies(candidates, limit.drop),
        limit=limit,
        candidates=candidates,
        essential=essential,
        adjusted={
            one.removal: adjusted[one.removal]
            for each in independent.values()
            for one in each.combinations
        },
        disagreements=find_disagreements(independent, adjusted),
        targets=choose_targets(independent, results, targets),
        singles={one.removal[0]: one.mean for one in singles},
        single_ranks={one.removal[0]: one.order for one in singles},
        num_judged=len(judged),
    )


def _rankings(
    by_number: Mapping[int, list[Combination]], min_coverage: int, min_drop: float | None
) -> dict[int, RankedCombinations]:
    return {
        number: rank(given, min_coverage=min_coverage, min_drop=min_drop)
        for number, given in sorted(by_number.items())
    }


def _shown(found: Recommended, top: int) -> set[Removal]:
    """Return all that reports show: what was chosen, and what it is compared with."""
    shown = [one.combination for one in found.essential]
    shown += [one.adjusted for one in found.disagreements]
    alone: set[Removal] = {(block,) for block in found.singles}
    return {one.removal for one in shown} | alone | _chosen(found, top)


def _chosen(found: Recommended, top: int = 1) -> set[Removal]:
    """Return what was chosen for its drop: for a strategy, a target, the path or a ranking."""
    rankings = [*found.independent.values(), *found.robust.values()]
    chosen = [one for ranking in rankings for one in ranking.combinations[:top]]
    chosen += [step.combination for step in found.stepwise.steps]
    chosen += [one.combination for one in found.targets if one.combination is not None]
    return {one.removal for one in chosen} | found.candidates.removals


def _limit(results: ResultSet, baselines: Mapping[str, float]) -> Limit:
    known = {name: accuracy for name, accuracy in baselines.items() if not isnan(accuracy)}
    mean = fmean(known.values()) if known else None
    total = fsum(known.values())
    unbounded = [
        one.dataset for one in results.datasets if one.may_exceed_one or one.baseline.accuracy > 1
    ]
    return Limit(
        drop=SHARE * (1.0 if mean is None else mean),
        baseline=mean,
        coverage=conservative_coverage(len(baselines)),
        unbounded={name: known[name] / total for name in unbounded if name in known and total},
    )


def _check(threshold: float, top: int) -> None:
    if top < 1:
        raise AnalysisError(f"top must be 1 or more, not {top}")
    if not 0 <= threshold <= 1:  # NaN is refused too
        raise AnalysisError(f"essential_threshold must be a fraction from 0 to 1, not {threshold}")
