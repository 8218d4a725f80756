"""What is verified on fresh samples, what it costs there, and whether it stands.

A removal that was chosen for its drop on some samples looks better on them than it is. Measured
again, on samples that had no part in finding any removal, its drop is what other samples give.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from depthprune.analysis.combinations import Combination, RankedCombinations
from depthprune.analysis.intervals import Interval, paired_intervals
from depthprune.analysis.options import TargetKind
from depthprune.analysis.recommended_strategies import THRESHOLD, StrategyName, conservative_steps
from depthprune.analysis.result_set import DatasetMeasurements, FreshResults, ResultSet
from depthprune.base.removal import Removal, rounded

if TYPE_CHECKING:
    from depthprune.analysis.recommend import Recommended


VerifiedRole = StrategyName | TargetKind | Literal["smaller", "runner_up", "one_shot"]
"""What a removal is beside being verified: recommended by a strategy or for a target; a smaller one
that may take its place; the second best of as many blocks; the one-shot removal of as many."""


@dataclass(frozen=True)
class FreshDrop:
    """What a removal costs on the fresh samples of one dataset; drops are fractions.

    Attributes:
        split: that the fresh samples are of.
        num_samples: fresh ones.
        searched: its drop on the samples that chose it; None where it was not measured on them.
    """

    dataset: str
    split: str
    drop: float
    num_samples: int
    searched: float | None


@dataclass(frozen=True)
class FreshGain:
    """What a removal gains over the one-shot removal of as many blocks, on fresh samples.

    Attributes:
        one_shot: the blocks that cost least alone.
        drop: its mean drop on the same fresh samples.
        gain: this minus the drop of the removal, a fraction.
        interval: paired, of the gain; None where there is none.
    """

    one_shot: Removal
    drop: float
    gain: float
    interval: Interval | None


@dataclass(frozen=True)
class VerifiedRemoval:
    """A removal on fresh samples, beside the samples that chose it; drops are fractions.

    Attributes:
        removal: the blocks left out.
        roles: what it is; none for one that somebody verified by hand.
        datasets: those that could be verified.
        drop: the mean over these datasets.
        interval: paired, of `drop`; None where there is none.
        searched: its mean drop on the samples that chose it, over those of the same datasets that
            measured it; None where none did.
        searched_interval: paired, of `searched`.
        limit: what it may cost by its first role that has a limit; None where none has.
        by_mean: whether the mean must be within the limit, as for `max_drop`, or the upper end.
        gain: over the one-shot removal; None where that was not measured on the same samples.
    """

    removal: Removal
    roles: tuple[VerifiedRole, ...]
    datasets: tuple[FreshDrop, ...]
    drop: float
    interval: Interval | None
    searched: float | None
    searched_interval: Interval | None
    limit: float | None
    by_mean: bool
    gain: FreshGain | None

    @property
    def num_samples(self) -> int:
        """Fresh samples behind its drop."""
        return sum(one.num_samples for one in self.datasets)

    @property
    def num_searched(self) -> int:
        """Of its datasets, how many measured it when it was chosen."""
        return sum(one.searched is not None for one in self.datasets)

    @property
    def upper_end(self) -> float:
        """The drop that must be within a limit: the end of the interval, else the mean."""
        return self.drop if self.interval is None else self.interval.high

    @property
    def confirmed(self) -> bool | None:
        """Whether fresh samples confirm that it keeps to its limit; None where it has none."""
        return None if self.limit is None else self.keeps_to(self.limit, by_mean=self.by_mean)

    def keeps_to(self, limit: float, *, by_mean: bool = False) -> bool:
        """Return whether it costs no more than a limit on fresh samples."""
        return rounded(self.drop if by_mean else self.upper_end) <= rounded(limit)


@dataclass(frozen=True)
class NotVerified:
    """A dataset on which nothing could be verified, and why.

    Attributes:
        num_samples: fresh ones that there are, fewer than `FEWEST_FRESH`; None for another reason.
        reason: that other reason, in a sentence; empty where it was not tried.
    """

    dataset: str
    num_samples: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Verified:
    """What was measured again on fresh samples.

    Attributes:
        removals: those that are recommended first, then what they are compared with.
        datasets: names of those that could be verified.
        missing: the other datasets.
    """

    removals: tuple[VerifiedRemoval, ...]
    datasets: tuple[str, ...]
    missing: tuple[NotVerified, ...]

    def of(self, removal: Removal) -> VerifiedRemoval | None:
        """Return a removal as it was verified; None where it was not."""
        return next((one for one in self.removals if one.removal == removal), None)


Roles = dict[Removal, tuple[VerifiedRole, ...]]


def removals_to_verify(found: Recommended) -> Roles:
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


def one_shot_removal(found: Recommended, number: int) -> Removal | None:
    """Return so many blocks that cost least alone; None where not so many were measured alone."""
    ranks = found.single_ranks
    ranked = sorted(ranks, key=lambda block: (rounded(ranks[block]), block))
    return tuple(sorted(ranked[:number])) if number <= len(ranked) else None


def verified(found: Recommended, results: ResultSet, *, seed: int = 0) -> Verified | None:
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
    found: Recommended,
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


def _limit(found: Recommended, roles: Sequence[VerifiedRole]) -> tuple[float | None, bool]:
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


def _runner_up(found: Recommended) -> Removal | None:
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


ChoiceRule = TargetKind | Literal["conservative", "asked"]

_TARGETS: tuple[TargetKind, ...] = ("max_drop", "speedup", "params")


@dataclass(frozen=True)
class Choice:
    """A removal, and by which rule it was chosen.

    Attributes:
        combination: with its drop, interval, n and coverage.
        rule: the target that it meets, `conservative`, or `asked` (the best of a number that was
            asked for).
        refused: what came before it by the same rule, but costs too much on fresh samples.
    """

    combination: Combination
    rule: ChoiceRule
    refused: tuple[Removal, ...] = ()


def choose(found: Recommended) -> Choice | None:
    """Return the removal to carry out when nobody says which: the one that every report names.

    What meets a target, where one was asked for and can be met: the largest drop before the
    speed-up before the parameters. Else the last conservative one. What fresh samples did not
    confirm gives way to the next smaller one; None where none is left, see `refused`.
    """
    gone = refused(found)
    kept = (one for one in _in_order(found) if one.combination.removal not in gone)
    choice = next(kept, None)
    return None if choice is None else replace(choice, refused=gone)


def choose_first(found: Recommended) -> Choice | None:
    """Return what `choose` would, had nothing been verified."""
    return next(_in_order(found), None)


def refused(found: Recommended) -> tuple[Removal, ...]:
    """Return what would be carried out, had fresh samples confirmed it; most blocks first."""
    gone: list[Removal] = []
    for choice in _in_order(found):
        removal = choice.combination.removal
        known = None if found.verified is None else found.verified.of(removal)
        limit, by_mean = _limit(found, () if choice.rule == "asked" else (choice.rule,))
        if known is None or limit is None or known.keeps_to(limit, by_mean=by_mean):
            break
        gone.append(removal)
    return tuple(gone)


def _in_order(found: Recommended) -> Iterator[Choice]:
    """Yield what may be carried out: what is recommended, then the next smaller ones."""
    met = {one.kind: one for one in found.targets if one.combination is not None}
    kind = next((kind for kind in _TARGETS if kind in met), None)
    if kind is not None:
        target = met[kind]
        assert target.combination is not None
        yield Choice(target.combination, kind)
        if kind == "max_drop":
            for number in sorted(found.independent, reverse=True):
                for one in found.independent[number].combinations[:1]:
                    fewer = number < len(target.combination.removal)
                    if fewer and rounded(one.mean) <= rounded(target.value):
                        yield Choice(one, kind)
        return
    for one in reversed(conservative_steps(found.candidates, found.limit.drop)):
        yield Choice(one, "conservative")


def choose_number(found: Recommended, removed: int) -> Choice | None:
    """Return the removal of so many blocks to carry out; None where none is ranked.

    The step of the stepwise path; where that ends, the robust best, and else the independent best,
    none of which removes a block that must stay.
    """
    steps = (step.combination for step in found.stepwise.steps)
    essential = {one.combination.removal[0] for one in found.essential}
    nothing = RankedCombinations((), 0, 0)
    ranked = (
        one
        for rankings in (found.robust, found.independent)
        for one in rankings.get(removed, nothing).combinations[:1]
        if essential.isdisjoint(one.removal)
    )
    of_number = (one for one in (*steps, *ranked) if len(one.removal) == removed)
    return next((Choice(one, "asked") for one in of_number), None)
