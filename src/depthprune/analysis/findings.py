"""What a result set shows beyond its rankings: types of the findings, all plain values.

Drops are fractions. Arrays follow the order of the `DropTable` they were computed from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from depthprune.base.removal import Removal


@dataclass(frozen=True)
class Distribution:
    """Drops in numbers; std is the population's.

    Attributes:
        values: the drops themselves, ascending.
    """

    count: int
    mean: float
    std: float
    minimum: float
    median: float
    maximum: float
    values: NDArray[np.float64]


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
            that drop and its coverage among them.
    """

    task_type: str
    datasets: tuple[str, ...]
    drops: Distribution
    single_drops: Distribution | None
    block_ranking: tuple[tuple[int, float], ...]
    best: Mapping[int, tuple[Removal, float, int]]


@dataclass(frozen=True)
class Position:
    """Single-block drops of one part of the stack.

    Attributes:
        name: `early`, `middle` or `late`: thirds of the stack (for 16 blocks 0-4, 5-10, 11-15).
        blocks: that belong to it, measured or not.
        drops: of the mean single drops of these blocks; None where none was measured.
    """

    name: Literal["early", "middle", "late"]
    blocks: tuple[int, ...]
    drops: Distribution | None


@dataclass(frozen=True)
class Synergy:
    """Actual drop of a combination minus the sum of its single-block drops.

    Both means are over the same datasets: those that measured the combination and all its singles.

    Attributes:
        actual: mean drop of the combination.
        expected: mean of the summed single drops.
        synergy: actual minus expected; negative = better together than expected.
        coverage: datasets behind it.
    """

    removal: Removal
    actual: float
    expected: float
    synergy: float
    coverage: int


@dataclass(frozen=True)
class Consistency:
    """How alike a combination's drops are over the datasets.

    Attributes:
        variation: coefficient of variation, std divided by |mean|; None where the mean is 0.
    """

    removal: Removal
    mean: float
    std: float
    coverage: int
    variation: float | None


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
    """

    dataset: str
    task_type: str
    baseline: float
    sensitivity: float | None
    drops: Distribution
    best: Mapping[int, tuple[Removal, float]]
    specific_scores: Mapping[int, float]
    generic_agreement: float | None


@dataclass(frozen=True)
class Pair:
    """How alike two datasets respond, over the combinations that both measured.

    Attributes:
        pearson, spearman: None below the fewest common combinations, or where one is constant.
        difference: mean of first minus second over the common combinations; None without any.
        same_type: whether both have the same (known) task type.
    """

    first: str
    second: str
    common: int
    pearson: float | None
    spearman: float | None
    difference: float | None
    same_type: bool


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
