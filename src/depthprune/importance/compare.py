"""Do two sets of importance scores order the blocks alike? Spearman's rank correlation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from depthprune.base.errors import DepthpruneError


@dataclass(frozen=True)
class RankAgreement:
    """Spearman's rho between two orders of the same blocks; NaN-free.

    Attributes:
        rho: from -1 to 1; None where one side gives every block the same score.
        p_value: two-sided; None where rho is.
    """

    rho: float | None
    p_value: float | None


def rank_agreement(first: Mapping[int, float], second: Mapping[int, float]) -> RankAgreement:
    """Return Spearman's rank correlation of two score sets, by block (Spearman, 1904).

    Raises:
        DepthpruneError: the two cover different blocks, or fewer than three.
    """
    if first.keys() != second.keys():
        differing = sorted(first.keys() ^ second.keys())
        raise DepthpruneError(
            f"the scores cover different blocks: {differing[:8]} are in one only",
            mend="compare scores of the same model, with every block measured on both splits",
        )
    if len(first) < 3:
        raise DepthpruneError(f"{len(first)} blocks are too few to compare two orders")
    from scipy.stats import spearmanr

    blocks = sorted(first)
    left, right = ([scores[block] for block in blocks] for scores in (first, second))
    if len(set(left)) == 1 or len(set(right)) == 1:
        return RankAgreement(None, None)
    result = spearmanr(left, right)
    return RankAgreement(float(result.statistic), float(result.pvalue))
