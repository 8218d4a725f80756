"""Recommended strategies: a conservative, a balanced and an aggressive one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from math import ceil, inf

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.essential import baseline_of, costs_too_much
from depthprune.analysis.intervals import FEWEST
from depthprune.analysis.recommendations import Candidates, StepwisePath, Strategy
from depthprune.base.removal import settled

SHARE = 0.1
"""Of the mean baseline accuracy: the drop that a conservative or balanced removal may cost."""

COVERED = 0.75
"""Of the datasets, that must have measured a conservative removal."""

STEPS = 2
"""Steps of the path that are conservative: the last ones within the limit."""

Rankings = Mapping[int, Ranking]


def conservative_coverage(num_datasets: int) -> int:
    """Return the fewest datasets that must have measured a conservative removal."""
    return ceil(COVERED * num_datasets)


def find_candidates(
    independent: Rankings,
    robust: Rankings,
    path: StepwisePath,
    baselines: Mapping[str, float],
    essential: Collection[int] = (),
) -> Candidates:
    """Return what the strategies choose among: nothing that removes an essential block.

    Args:
        independent: rankings by number removed.
        robust: the same with robust coverage.
        path: the stepwise path.
        baselines: accuracy of the unpruned model on every dataset; NaN where unknown.
        essential: blocks that must never go.
    """
    least = conservative_coverage(len(baselines))
    spared, robust_spared = _sparing(independent, essential), _sparing(robust, essential)
    bold: list[tuple[Combination, ...]] = []
    for number in sorted(spared, reverse=True):
        best = _first_to_keep_half(spared[number], baselines)
        best_robust = _first_to_keep_half(robust_spared.get(number, ()), baselines)
        if best is None:
            continue
        other = best_robust is not None and best_robust.removal != best.removal
        bold.append((best, best_robust) if best_robust is not None and other else (best,))
    return Candidates(
        steps=tuple(
            _in_place_of(step.combination, spared, essential)
            for step in path.steps
            if step.combination.coverage >= least
        ),
        robust=tuple(ones[0] for _, ones in sorted(robust_spared.items(), reverse=True) if ones),
        bold=tuple(bold),
    )


def choose_strategies(candidates: Candidates, limit: float) -> tuple[Strategy, ...]:
    """Return the conservative, the balanced and the aggressive strategy.

    Conservative: the last `STEPS` steps of the stepwise path that were measured on at least three
    quarters of the datasets and whose `upper_end` is within `limit`. A better removal of as many
    blocks, measured on as many datasets, takes a step's place. Balanced: the most blocks whose best
    robust removal is within `limit`. Aggressive: of the most blocks of which a removal keeps half
    of the baseline accuracy, the best, and beside it the best robust one. Where the whole model
    scores nothing (a limit of 0), a removal can cost nothing either: all three are empty.

    Args:
        candidates: see `find_candidates`.
        limit: the largest drop of a conservative or balanced removal, a fraction.
    """
    if limit <= 0:
        candidates = Candidates((), (), ())
    careful = conservative_steps(candidates, limit)[-STEPS:]
    balanced = [one for one in candidates.robust if is_within(one, limit)][:1]
    aggressive = candidates.bold[0] if candidates.bold else ()
    return (
        Strategy("conservative", tuple(careful)),
        Strategy("balanced", tuple(balanced)),
        Strategy("aggressive", aggressive),
    )


def conservative_steps(candidates: Candidates, limit: float) -> list[Combination]:
    """Return what stands for each step of the path that is within the limit, fewest blocks first.

    Of these the last `STEPS` are recommended; what fresh samples do not confirm gives way to the
    one before.
    """
    if limit <= 0:
        return []
    within = (
        next((one for one in ones if is_within(one, limit)), None) for ones in candidates.steps
    )
    return [one for one in within if one is not None]


def upper_end(combination: Combination) -> float:
    """Return the drop that must be within the limit: the end of the interval, else the mean.

    Too few samples for an interval could hide any drop: it is infinite then. An unknown number of
    samples, as in files of old results, is none too few.
    """
    if combination.interval is not None:
        return combination.interval.high
    return inf if 0 < combination.num_samples < FEWEST else combination.mean


def is_within(combination: Combination, limit: float) -> bool:
    """Return whether a combination certainly costs no more than the limit."""
    return settled(upper_end(combination)) <= settled(limit)


def _sparing(rankings: Rankings, essential: Collection[int]) -> dict[int, list[Combination]]:
    gone = set(essential)
    return {
        number: [one for one in ranking.combinations if gone.isdisjoint(one.removal)]
        for number, ranking in rankings.items()
    }


def _in_place_of(
    step: Combination, spared: Mapping[int, list[Combination]], essential: Collection[int]
) -> tuple[Combination, ...]:
    """Return the best removal of as many blocks on as many datasets, and the step itself."""
    best = next(
        (one for one in spared.get(len(step.removal), ()) if one.coverage >= step.coverage), None
    )
    itself = () if set(essential) & set(step.removal) else (step,)
    if best is None or (itself and settled(best.mean) >= settled(step.mean)):
        return itself
    return (best, *itself)


def _first_to_keep_half(
    ranked: Iterable[Combination], baselines: Mapping[str, float]
) -> Combination | None:
    """Return the first that leaves half of the baseline accuracy on its datasets."""
    return next(
        (one for one in ranked if not costs_too_much(one.mean, baseline_of(one, baselines))), None
    )
