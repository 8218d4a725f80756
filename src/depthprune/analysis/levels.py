"""Three recommendations for three appetites: conservative, balanced, aggressive."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import takewhile

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.recommendations import Level, StepwisePath
from depthprune.base.drops import settled

SHARE = 0.1
"""Of the mean accuracy of the unpruned model that a conservative choice may cost at most."""


def choose_levels(
    robust: Mapping[int, Ranking],
    stepwise: StepwisePath,
    *,
    limit: float,
    candidates: int = 5,
    essential: Collection[int] = (),
    independent: Mapping[int, Ranking] | None = None,
) -> tuple[Level, ...]:
    """Return the conservative, the balanced and the aggressive recommendation.

    Conservative: the most blocks for which one of the first `candidates` of the robust ranking has
    its `upper_end` within `limit`. Balanced: the last step of the stepwise path before the first
    that jumps. Aggressive: the first of the robust ranking with the most blocks. None of them
    removes an essential block; the levels do not depend on each other.

    Args:
        robust: rankings with robust coverage, by number removed.
        stepwise: the path.
        limit: the largest drop of a conservative choice, a fraction.
        candidates: of each number removed that are considered, best first.
        essential: blocks that must stay.
        independent: rankings with less coverage, for what is cheaper on fewer datasets.
    """
    spared = {
        number: [one for one in ranking.combinations if _spares(one, essential)]
        for number, ranking in sorted(robust.items(), reverse=True)
    }
    careful = (
        one
        for ranked in spared.values()
        for one in ranked[:candidates]
        if settled(upper_end(one)) <= limit
    )
    before_jump = takewhile(
        lambda step: not step.jump and _spares(step.combination, essential), stepwise.steps
    )
    balanced = [step.combination for step in before_jump]
    boldest = (ranked[0] for ranked in spared.values() if ranked)
    conservative, aggressive = next(careful, None), next(boldest, None)
    rivals = independent or {}
    return (
        Level("conservative", conservative, limit, _cheaper(conservative, rivals, essential)),
        Level("balanced", balanced[-1] if balanced else None, None),
        Level("aggressive", aggressive, None, _cheaper(aggressive, rivals, essential)),
    )


def upper_end(combination: Combination) -> float:
    """Return the drop that a careful reader reckons with.

    The upper end of the bootstrap interval; the mean plus the standard deviation over the datasets
    where there is none.
    """
    if combination.interval is not None:
        return combination.interval.high
    return combination.mean + combination.std


def _cheaper(
    chosen: Combination | None, rankings: Mapping[int, Ranking], essential: Collection[int]
) -> Combination | None:
    """Return the best combination of as many blocks, if that is another one on fewer datasets."""
    if chosen is None or len(chosen.removal) not in rankings:
        return None
    ranked = rankings[len(chosen.removal)].combinations
    best = next((one for one in ranked if _spares(one, essential)), chosen)
    is_cheaper = settled(best.mean) < settled(chosen.mean) and best.coverage < chosen.coverage
    return best if is_cheaper else None


def _spares(combination: Combination, essential: Collection[int]) -> bool:
    return not any(block in essential for block in combination.removal)
