"""Do the training and the validation split of a dataset order the blocks alike?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

from depthprune.analysis.findings import SplitAgreement
from depthprune.analysis.result_set import SplitScores
from depthprune.importance.compare import THRESHOLD, RankAgreement, rank_agreement

FEWEST_BLOCKS = 3
"""Below which two orders of blocks are not compared."""


def order_agreement(first: Mapping[int, float], second: Mapping[int, float]) -> RankAgreement:
    """Return Spearman's rho over the blocks that both scored, see `rank_agreement`.

    Undefined (None) below three common blocks, or where one side gives all the same score.
    """
    common = [
        block
        for block in sorted(first.keys() & second.keys())
        if not isnan(first[block]) and not isnan(second[block])
    ]
    if len(common) < FEWEST_BLOCKS:
        return RankAgreement(None, None)
    return rank_agreement(
        {block: first[block] for block in common}, {block: second[block] for block in common}
    )


def is_consistent(rho: float) -> bool:
    """Return whether two splits order the blocks alike: rho of at least 0.9."""
    # Rounded: the sum behind a rho of exactly 0.9 may end a digit below it.
    return round(rho, 12) >= THRESHOLD


def split_agreements(comparisons: Sequence[SplitScores]) -> tuple[SplitAgreement, ...]:
    """Return how well the training split predicts the validation split, ordered by dataset."""
    return tuple(_agreement(one) for one in sorted(comparisons, key=lambda one: one.dataset))


def _agreement(scores: SplitScores) -> SplitAgreement:
    found = order_agreement(scores.train, scores.validation)
    return SplitAgreement(
        dataset=scores.dataset,
        train_scores=scores.train,
        validation_scores=scores.validation,
        rho=found.rho,
        p_value=found.p_value,
    )
