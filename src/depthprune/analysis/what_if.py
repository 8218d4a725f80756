"""What would a removal that nobody measured cost? An estimate, and how far such estimates are off.

The estimate of a removal is the sum of the mean drops of its blocks alone, plus the mean synergy of
every pair of its blocks that was measured. How far off it may be is judged on the combinations of
the same size that were measured: each is estimated as if it had not been, and compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import fsum, sqrt

from depthprune.analysis.findings import Synergy
from depthprune.base.removal import Removal, settled

Pair = tuple[int, int]


@dataclass(frozen=True)
class EstimateError:
    """How far estimates of one size were off where the truth is known.

    Attributes:
        spread: root mean square of actual minus estimated drop, a fraction.
        count: measured combinations behind it.
    """

    spread: float
    count: int


@dataclass(frozen=True)
class Estimator:
    """What estimates are made from; drops are fractions, rounded as `settled` does.

    Attributes:
        singles: mean drop of each block alone, by block.
        synergies: mean synergy of each measured pair, by its blocks in ascending order.
        errors: by number of blocks removed; numbers that were never measured are missing.
    """

    singles: Mapping[int, float]
    synergies: Mapping[Pair, float]
    errors: Mapping[int, EstimateError]


@dataclass(frozen=True)
class Estimate:
    """The drop that a removal may be expected to cost.

    Attributes:
        drop: a fraction: `singles` plus `synergy`.
        singles: sum of the single drops.
        synergy: sum of the known pairwise synergies.
        pairs: how many pairwise synergies are known, of those that the removal contains.
        error: how far off it may be; None where no combination of that size lets one judge.
    """

    drop: float
    singles: float
    synergy: float
    pairs: int
    error: EstimateError | None


def estimator(singles: Mapping[int, float], synergies: Sequence[Synergy]) -> Estimator:
    """Return what estimates are made from.

    Args:
        singles: mean drop of each block alone, as `Recommendations.singles`.
        synergies: of the measured combinations, as `Findings.synergies`; both sides of each are
            means over the same datasets.
    """
    pairs = {
        (one.removal[0], one.removal[1]): settled(one.synergy)
        for one in synergies
        if len(one.removal) == 2
    }
    misses: dict[int, list[float]] = {}
    for one in synergies:
        misses.setdefault(len(one.removal), []).append(_miss(one, pairs))
    return Estimator(
        singles={block: settled(drop) for block, drop in sorted(singles.items())},
        synergies=dict(sorted(pairs.items())),
        errors={
            number: EstimateError(sqrt(fsum(miss**2 for miss in those) / len(those)), len(those))
            for number, those in sorted(misses.items())
        },
    )


def estimate(known: Estimator, removal: Removal) -> Estimate | None:
    """Return the drop that `removal` may be expected to cost.

    None where one of its blocks was never measured alone. The baseline costs nothing, for certain.
    """
    if not removal:
        return Estimate(0.0, 0.0, 0.0, 0, EstimateError(0.0, 0))
    if any(block not in known.singles for block in removal):
        return None
    singles = fsum(known.singles[block] for block in removal)
    found = _synergies_within(removal, known.synergies)
    synergy = fsum(found)
    return Estimate(
        drop=singles + synergy,
        singles=singles,
        synergy=synergy,
        pairs=len(found),
        error=known.errors.get(len(removal)),
    )


def _miss(one: Synergy, pairs: Mapping[Pair, float]) -> float:
    """Return actual minus estimate of a measured combination, itself left out of the estimate.

    Its synergy is actual minus summed singles already; of a pair, that is all there is without it.
    """
    if len(one.removal) == 2:
        return one.synergy
    return one.synergy - fsum(_synergies_within(one.removal, pairs))


def _synergies_within(removal: Removal, synergies: Mapping[Pair, float]) -> list[float]:
    return [synergies[pair] for pair in combinations(removal, 2) if pair in synergies]
