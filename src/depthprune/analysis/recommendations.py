"""Which blocks to remove: recommendations with the evidence behind each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from depthprune.analysis.bootstrap import Interval
from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.selection import Selection
from depthprune.base.removal import Removal, settled
from depthprune.tasks.weak import WeakBaseline

StrategyName = Literal["conservative", "balanced", "aggressive"]
TargetKind = Literal["max_drop", "speedup", "params"]
VerifiedRole = StrategyName | TargetKind | Literal["smaller", "runner_up", "one_shot"]
"""What a removal is beside being verified: recommended by a strategy or for a target; a smaller one
that may take its place; the second best of as many blocks; the one-shot removal of as many."""


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
class Strategy:
    """One way to choose removals: see `strategies.choose_strategies`.

    Attributes:
        name: conservative, balanced or aggressive.
        combinations: one or two removals; none where nothing fulfils the condition. The last
            conservative one is what is carried out where nobody says otherwise.
    """

    name: StrategyName
    combinations: tuple[Combination, ...]


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


@dataclass(frozen=True)
class Disagreement:
    """For one number removed, plain means and dataset-adjusted drops name different winners."""

    number: int
    plain: Combination
    adjusted: Combination
    plain_adjusted_drop: float
    adjusted_adjusted_drop: float


@dataclass(frozen=True)
class Target:
    """What a user asked for instead of a number of blocks.

    Attributes:
        kind: `max_drop` (fraction), `speedup` (ratio above 1) or `params` (share that stays, 0..1).
        value: as asked.
        number: blocks to be removed: the most that keep to a `max_drop`, the fewest that reach a
            `speedup` or `params`; None where the target cannot be met with what was measured.
        combination: the best one of that number that meets it; None likewise.
        reached: the drop, the estimated speed-up or the share of parameters of `combination`.
        exact: False for speed-ups (estimated, see `targets`) and where the parameters per block
            are unknown.
    """

    kind: TargetKind
    value: float
    number: int | None
    combination: Combination | None
    reached: float | None
    exact: bool


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
        return settled(self.drop if by_mean else self.upper_end) <= settled(limit)


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


@dataclass(frozen=True)
class Recommendations:
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
    independent: Mapping[int, Ranking]
    robust: Mapping[int, Ranking]
    stepwise: StepwisePath
    strategies: tuple[Strategy, ...]
    limit: Limit
    candidates: Candidates
    essential: tuple[Essential, ...]
    adjusted: Mapping[tuple[int, ...], float]
    disagreements: tuple[Disagreement, ...]
    targets: tuple[Target, ...] = ()
    singles: Mapping[int, float] = field(default_factory=dict)
    num_judged: int = 0
    weak: tuple[WeakBaseline, ...] = ()
    verified: Verified | None = None
    selections: Mapping[Removal, Selection] = field(default_factory=dict)

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
