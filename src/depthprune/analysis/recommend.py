"""Which blocks to remove: every recommendation of a result set, with the evidence behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import fsum, isnan
from statistics import fmean

from depthprune.analysis import options
from depthprune.analysis.adjusted import adjusted_drops, find_disagreements
from depthprune.analysis.combinations import (
    Combination,
    Ranking,
    rank,
    table_combinations,
    with_intervals,
)
from depthprune.analysis.essential import THRESHOLD, find_essential
from depthprune.analysis.recommendations import Limit, Recommendations
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.selection import find_selections
from depthprune.analysis.stepwise import stepwise_path
from depthprune.analysis.strategies import (
    SHARE,
    choose_strategies,
    conservative_coverage,
    find_candidates,
)
from depthprune.analysis.table import DropTable, drop_table
from depthprune.analysis.targets import choose_targets
from depthprune.analysis.verified import verified
from depthprune.analysis.weak import weak_baselines
from depthprune.base.errors import AnalysisError
from depthprune.base.removal import Removal

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
) -> Recommendations:
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
        AnalysisError: nothing was measured, or a threshold makes no sense.
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

    def decide(combinations: Iterable[Combination], *, with_draws: bool) -> Recommendations:
        return _decide(
            combinations, results, adjusted, ranking, targets, essential_threshold, seed, with_draws
        )

    found = decide(combinations, with_draws=False)
    if combinations and any(one.baseline.scores is not None for one in results.datasets):
        # Which combinations are shown must be known before their intervals are computed.
        shown = _shown(found, top) if len(combinations) > EVERY_INTERVAL else set(table.removals)
        chosen = [one for one in combinations if one.removal in shown]
        known = {one.removal: one for one in with_intervals(chosen, results.datasets, seed=seed)}
        combinations = [known.get(one.removal, one) for one in combinations]
        found = decide(combinations, with_draws=True)
    selections = find_selections(found.independent, _chosen(found), results.datasets, seed=seed)
    fresh = verified(found, results, seed=seed)
    return replace(found, weak=weak, verified=fresh, selections=selections)


def _decide(
    combinations: Iterable[Combination],
    results: ResultSet,
    adjusted: Mapping[Removal, float],
    ranking: options.Ranking,
    targets: options.Targets,
    essential_threshold: float,
    seed: int,
    with_draws: bool,
) -> Recommendations:
    by_number: dict[int, list[Combination]] = {}
    for one in combinations:
        by_number.setdefault(len(one.removal), []).append(one)
    independent = _rankings(by_number, ranking.min_coverage, ranking.min_drop)
    robust = _rankings(by_number, ranking.robust_coverage, ranking.min_drop)
    singles = by_number.get(1, [])
    judged = [one for one in singles if one.coverage >= ranking.min_coverage]
    baselines = {dataset.dataset: dataset.baseline.accuracy for dataset in results.datasets}
    essential = find_essential(judged, baselines, threshold=essential_threshold)
    stepwise = stepwise_path(independent, results.datasets, seed=seed, intervals=with_draws)
    limit = _limit(results, baselines)
    candidates = find_candidates(
        independent,
        robust,
        stepwise,
        baselines,
        essential={one.combination.removal[0] for one in essential},
    )
    return Recommendations(
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
        num_judged=len(judged),
    )


def _rankings(
    by_number: Mapping[int, list[Combination]], min_coverage: int, min_drop: float | None
) -> dict[int, Ranking]:
    return {
        number: rank(given, min_coverage=min_coverage, min_drop=min_drop)
        for number, given in sorted(by_number.items())
    }


def _shown(found: Recommendations, top: int) -> set[Removal]:
    rankings = [*found.independent.values(), *found.robust.values()]
    shown = [one for ranking in rankings for one in ranking.combinations[:top]]
    shown += [step.combination for step in found.stepwise.steps]
    shown += [one.combination for one in found.essential]
    shown += [one.adjusted for one in found.disagreements]
    shown += [one.combination for one in found.targets if one.combination is not None]
    named = {one.removal for one in shown} | {(block,) for block in found.singles}
    return named | found.candidates.removals


def _chosen(found: Recommendations) -> set[Removal]:
    """Return what was chosen for its drop: for a strategy, a target, the path or a ranking."""
    rankings = [*found.independent.values(), *found.robust.values()]
    chosen = [one for ranking in rankings for one in ranking.combinations[:1]]
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
        raise AnalysisError(f"top is {top}", mend="give a count of 1 or more")
    if not 0 <= threshold <= 1:  # NaN is refused too
        raise AnalysisError(f"essential_threshold is {threshold}", mend="give a fraction, 0 to 1")
