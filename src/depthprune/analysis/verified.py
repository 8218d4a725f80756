"""What is verified on fresh samples, what it costs there, and whether it stands.

A removal that was chosen for its drop on some samples looks better on them than it is. Measured
again, on samples that had no part in finding any removal, its drop is what other samples give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from depthprune.analysis.choice import choose_first
from depthprune.analysis.dataset import DatasetMeasurements
from depthprune.analysis.essential import THRESHOLD
from depthprune.analysis.intervals import paired_intervals
from depthprune.analysis.recommendations import (
    FreshDrop,
    FreshGain,
    NotVerified,
    Recommendations,
    Verified,
    VerifiedRemoval,
    VerifiedRole,
)
from depthprune.analysis.result_set import FreshResults, ResultSet
from depthprune.analysis.strategies import conservative_steps
from depthprune.base.removal import Removal, settled
from depthprune.study.records import FEWEST_FRESH

__all__ = ["FEWEST_FRESH", "removals_to_verify", "verified"]

Roles = dict[Removal, tuple[VerifiedRole, ...]]


def removals_to_verify(found: Recommendations) -> Roles:
    """Return what is measured on fresh samples, with what each is.

    All that is recommended, by strategies and for targets; the second best removal of as many
    blocks as the one that every report names; and the one-shot removals of all these numbers.
    """
    roles: Roles = {}

    def add(removal: Removal, role: VerifiedRole) -> None:
        roles[removal] = (*roles.get(removal, ()), role)

    for target in found.targets:
        if target.combination is not None:
            add(target.combination.removal, target.kind)
    for strategy in found.strategies:
        for one in strategy.combinations:
            add(one.removal, strategy.name)
    numbers = sorted({len(removal) for removal in roles})
    second = _runner_up(found)
    if second is not None:
        add(second, "runner_up")
    for number in numbers:
        together = one_shot_removal(found, number)
        if together is not None and number > 1:
            add(together, "one_shot")
    return roles


def one_shot_removal(found: Recommendations, number: int) -> Removal | None:
    """Return so many blocks that cost least alone; None where not so many were measured alone."""
    ranked = sorted(found.singles, key=lambda block: (settled(found.singles[block]), block))
    return tuple(sorted(ranked[:number])) if number <= len(ranked) else None


def verified(found: Recommendations, results: ResultSet, *, seed: int = 0) -> Verified | None:
    """Return what fresh samples say about removals; None where nothing was ever verified.

    Args:
        found: which removals are recommended, and the limit.
        results: what was measured, on the samples that chose and on fresh ones.
        seed: see `paired_intervals`.
    """
    fresh = results.fresh
    if fresh is None:
        return None
    searched = {one.dataset: one for one in results.datasets}
    used = [one for one in fresh.datasets if one.dataset in searched]
    roles = removals_to_verify(found)
    for one in conservative_steps(found.candidates, found.limit.drop):
        if one.removal not in roles:
            roles[one.removal] = ("smaller",)
    measured = dict.fromkeys(removal for one in used for removal in one.measurements)
    order = [
        *(one for one in roles if one in measured),
        *(one for one in measured if one not in roles),
    ]
    removals = [
        _verified(removal, roles.get(removal, ()), found, used, searched, fresh, seed)
        for removal in order
    ]
    return Verified(
        tuple(removals),
        tuple(one.dataset for one in used),
        tuple(_missing(results, {one.dataset for one in used})),
    )


def _verified(
    removal: Removal,
    roles: tuple[VerifiedRole, ...],
    found: Recommendations,
    fresh: Sequence[DatasetMeasurements],
    searched: dict[str, DatasetMeasurements],
    results: FreshResults,
    seed: int,
) -> VerifiedRemoval:
    used = [one for one in fresh if removal in one.measurements]
    known = [searched[one.dataset] for one in used if removal in searched[one.dataset].measurements]
    before = {one.dataset: one.drop(removal) for one in known}
    (interval,) = paired_intervals(used, [((), removal)], seed=seed)
    (earlier,) = paired_intervals(known, [((), removal)], seed=seed)
    limit, by_mean = _limit(found, roles)
    return VerifiedRemoval(
        removal=removal,
        roles=roles,
        datasets=tuple(
            FreshDrop(
                one.dataset,
                results.splits[one.dataset],
                one.drop(removal),
                one.measurements[removal].num_samples,
                before.get(one.dataset),
            )
            for one in used
        ),
        drop=fmean(one.drop(removal) for one in used),
        interval=interval,
        searched=fmean(before.values()) if before else None,
        searched_interval=earlier,
        limit=limit,
        by_mean=by_mean,
        gain=_gain(removal, one_shot_removal(found, len(removal)), used, seed),
    )


def _gain(
    removal: Removal,
    one_shot: Removal | None,
    used: Sequence[DatasetMeasurements],
    seed: int,
) -> FreshGain | None:
    if len(removal) < 2 or one_shot is None:
        return None
    if not all(one_shot in one.measurements for one in used):
        return None
    drop = fmean(one.drop(one_shot) for one in used)
    (interval,) = paired_intervals(used, [(removal, one_shot)], seed=seed)
    return FreshGain(one_shot, drop, drop - fmean(one.drop(removal) for one in used), interval)


def _limit(found: Recommendations, roles: Sequence[VerifiedRole]) -> tuple[float | None, bool]:
    """Return what a removal of these roles may cost, and whether its mean decides."""
    for role in roles:
        if role == "max_drop":
            return next(one.value for one in found.targets if one.kind == role), True
        if role in ("conservative", "balanced", "smaller"):
            return found.limit.drop, False
        if role == "aggressive":
            whole = 1.0 if found.limit.baseline is None else found.limit.baseline
            return THRESHOLD * whole, True
    return None, False


def _runner_up(found: Recommendations) -> Removal | None:
    """Return the second best of as many blocks as the removal that every report names."""
    choice = choose_first(found)
    if choice is None:
        return None
    named = choice.combination
    return next(
        (
            one.removal
            for one in found.independent[len(named.removal)].combinations
            if one.removal != named.removal
            and one.coverage >= named.coverage
            and found.essential_blocks.isdisjoint(one.removal)
        ),
        None,
    )


def _missing(results: ResultSet, used: set[str]) -> Iterator[NotVerified]:
    fresh = results.fresh or FreshResults()
    for one in results.datasets:
        name = one.dataset
        if name not in used:
            yield NotVerified(name, fresh.counts.get(name), fresh.reasons.get(name, ""))
