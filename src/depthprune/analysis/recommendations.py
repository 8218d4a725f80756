"""Which blocks to remove: recommendations with the evidence behind each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from depthprune.analysis.bootstrap import Interval
from depthprune.analysis.combinations import Combination, Ranking
from depthprune.tasks.weak import WeakBaseline

StrategyName = Literal["conservative", "balanced", "aggressive"]
TargetKind = Literal["max_drop", "speedup", "params"]


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

    @property
    def is_weak(self) -> bool:
        """Whether nothing can be recommended because of a baseline."""
        return any(one.weakness.is_certain for one in self.weak)

    @property
    def num_datasets(self) -> int:
        """Return how many datasets were measured."""
        return len(self.datasets)

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
