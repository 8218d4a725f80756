"""What a result set shows beyond its rankings: types of the findings, all plain values.

Drops are fractions. Arrays follow the order of the `DropTable` they were computed from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthprune.base.removal import Removal

PartName = Literal["early", "middle", "late"]


@dataclass(frozen=True)
class Distribution:
    """Drops (or other values) in numbers; std is the population's.

    Attributes:
        count: of the values; 0 where nothing was measured, and every number is NaN then.
        values: the drops themselves, ascending.
    """

    count: int
    mean: float
    std: float
    minimum: float
    median: float
    maximum: float
    values: NDArray[np.float64]

    @property
    def quartiles(self) -> tuple[float, float]:
        """The values below which a quarter and three quarters lie, linearly interpolated."""
        if not self.count:
            return float("nan"), float("nan")
        lower, upper = np.quantile(self.values, [0.25, 0.75])
        return float(lower), float(upper)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of all values that are at most the value at the same place of `values`."""
        return np.searchsorted(self.values, self.values, side="right") / max(self.count, 1)


@dataclass(frozen=True)
class BlockDrop:
    """What removing one block alone costs, over some datasets.

    Attributes:
        std: population standard deviation over the datasets that measured it.
        coverage: how many of them measured it.
    """

    block: int
    mean: float
    std: float
    coverage: int


@dataclass(frozen=True)
class TaskTypeFinding:
    """How the datasets of one task type respond.

    Attributes:
        task_type: `Unknown` where results do not tell.
        datasets: of this type.
        drops: all measured cells of these datasets.
        single_drops: the cells of single blocks only: comparable between task types, because every
            dataset measured (nearly) the same removals.
        block_ranking: blocks with their mean drop over these datasets, least important first.
        best: by number removed, the removal with the smallest mean drop over these datasets, with
            that drop and its coverage among them. Only removals with the largest coverage that
            any removal of that number has among these datasets are compared, so that one that
            was measured on the easiest dataset alone cannot win.
        blocks: the same single-block drops with std and coverage, in the order of the stack.
        by_number: of the cells of these datasets, by number removed.
    """

    task_type: str
    datasets: tuple[str, ...]
    drops: Distribution
    single_drops: Distribution | None
    block_ranking: tuple[tuple[int, float], ...]
    best: Mapping[int, tuple[Removal, float, int]]
    blocks: tuple[BlockDrop, ...] = ()
    by_number: Mapping[int, Distribution] = field(default_factory=dict)


@dataclass(frozen=True)
class Position:
    """Single-block drops of one part of the stack.

    Attributes:
        name: `early`, `middle` or `late`: thirds of the stack (for 16 blocks 0-4, 5-10, 11-15).
        blocks: that belong to it, measured or not.
        drops: of the mean single drops of these blocks; None where none was measured.
        cells: of the single drops of these blocks on every dataset; None likewise.
    """

    name: PartName
    blocks: tuple[int, ...]
    drops: Distribution | None
    cells: Distribution | None = None


@dataclass(frozen=True)
class PositionByNumber:
    """Mean drops of the combinations of one size whose blocks lie in one part of the stack.

    Attributes:
        name: the part that all blocks of the combination lie in; `mixed` where they do not.
        number: of blocks removed.
        drops: of the mean drops of these combinations.
    """

    name: PartName | Literal["mixed"]
    number: int
    drops: Distribution


@dataclass(frozen=True)
class Synergy:
    """Actual drop of a combination minus the sum of its single-block drops.

    Both means are over the same datasets: those that measured the combination and all its singles.

    Attributes:
        actual: mean drop of the combination.
        expected: mean of the summed single drops.
        synergy: actual minus expected; negative = better together than expected.
        coverage: datasets behind it.
        std: population standard deviation of the synergy over these datasets.
        num_samples: of the combination on these datasets; 0 when one is unknown.
    """

    removal: Removal
    actual: float
    expected: float
    synergy: float
    coverage: int
    std: float = float("nan")
    num_samples: int = 0


@dataclass(frozen=True)
class Consistency:
    """How alike a combination's drops are over the datasets.

    Attributes:
        variation: coefficient of variation, std divided by |mean|; None where the mean is 0.
        ruinous: whether it costs more than half of the accuracy, see `essential.costs_too_much`:
            the datasets may agree about it, but that it is bad.
    """

    removal: Removal
    mean: float
    std: float
    coverage: int
    variation: float | None
    ruinous: bool = False


@dataclass(frozen=True)
class DatasetResponse:
    """How one dataset responds to removals.

    Attributes:
        sensitivity: mean single-block drop; None where no single block was measured.
        drops: all cells of this dataset.
        best: by number removed, the best removal measured on it, with its drop.
        specific_scores: its own single-block drops, by block.
        generic_agreement: Spearman's rho between its single-block drops and the mean of those of
            the other datasets; None where that is undefined.
        generic_scores: the mean single-block drop of the other datasets, by block; the blocks
            that both it and another dataset measured.
        by_number: of its cells, by number removed.
    """

    dataset: str
    task_type: str
    baseline: float
    sensitivity: float | None
    drops: Distribution
    best: Mapping[int, tuple[Removal, float]]
    specific_scores: Mapping[int, float]
    generic_agreement: float | None
    generic_scores: Mapping[int, float] = field(default_factory=dict)
    by_number: Mapping[int, Distribution] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """How alike two datasets respond, over the combinations that both measured.

    Attributes:
        pearson, spearman: None below the fewest common combinations, or where one is constant.
        difference: mean of first minus second over the common combinations; None without any.
        same_type: whether both have the same (known) task type.
        types_known: whether the task types of both are known.
    """

    first: str
    second: str
    common: int
    pearson: float | None
    spearman: float | None
    difference: float | None
    same_type: bool
    types_known: bool = True


@dataclass(frozen=True)
class PairGroup:
    """How alike the pairs of datasets of the same task type are, or those of different types.

    Pairs with an unknown task type are in neither group.

    Attributes:
        same_type: which of the two.
        count: of pairs, defined or not.
        pearson, spearman: of the pairs where it is defined; None where it is for none.
        difference: of the absolute mean differences; None likewise.
    """

    same_type: bool
    count: int
    pearson: Distribution | None
    spearman: Distribution | None
    difference: Distribution | None


@dataclass(frozen=True)
class SplitAgreement:
    """Train against validation single-block drops of one dataset."""

    dataset: str
    train_scores: Mapping[int, float]
    validation_scores: Mapping[int, float]
    rho: float | None
    p_value: float | None


@dataclass(frozen=True)
class Findings:
    """Everything that was found, beside the recommendations.

    Attributes:
        by_task_type: most sensitive first (by mean single drop, else by mean drop).
        positions: early, middle, late.
        synergies: every combination of two blocks or more that can be computed, the most
            synergistic (most negative) first; the top 10 of either end are its ends.
        consistency: combinations measured on two datasets or more, the most consistent first.
        responses: by dataset, most sensitive first.
        pairs: every pair of datasets, most alike first (by Pearson), undefined ones last.
        overall: of all cells.
        by_number: of the cells of each number removed.
        agreements: train against validation, by dataset.
        blocks: single-block drops over all datasets, in the order of the stack.
        positions_by_number: by number removed, then early, middle, late, mixed; only those that
            were measured.
        synergies_by_number: of the synergies (not the drops), by number removed.
        variation_by_coverage: of the coefficients of variation, by coverage.
        pair_groups: pairs of the same task type, then of different ones.
    """

    by_task_type: tuple[TaskTypeFinding, ...]
    positions: tuple[Position, ...]
    synergies: tuple[Synergy, ...]
    consistency: tuple[Consistency, ...]
    responses: tuple[DatasetResponse, ...]
    pairs: tuple[Pair, ...]
    overall: Distribution
    by_number: Mapping[int, Distribution]
    agreements: tuple[SplitAgreement, ...]
    blocks: tuple[BlockDrop, ...] = ()
    positions_by_number: tuple[PositionByNumber, ...] = ()
    synergies_by_number: Mapping[int, Distribution] = field(default_factory=dict)
    variation_by_coverage: Mapping[int, Distribution] = field(default_factory=dict)
    pair_groups: tuple[PairGroup, ...] = ()
