"""The one removal that is carried out, out of all that are recommended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.recommendations import Recommendations, TargetKind
from depthprune.analysis.strategies import conservative_steps
from depthprune.base.removal import Removal, settled

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


def choose(found: Recommendations) -> Choice | None:
    """Return the removal to carry out when nobody says which: the one that every report names.

    What meets a target, where one was asked for and can be met: the largest drop before the
    speed-up before the parameters. Else the last conservative one. What fresh samples did not
    confirm gives way to the next smaller one; None where none is left, see `refused`.
    """
    gone = refused(found)
    kept = (one for one in _in_order(found) if one.combination.removal not in gone)
    choice = next(kept, None)
    return None if choice is None else replace(choice, refused=gone)


def choose_first(found: Recommendations) -> Choice | None:
    """Return what `choose` would, had nothing been verified."""
    return next(_in_order(found), None)


def refused(found: Recommendations) -> tuple[Removal, ...]:
    """Return what would be carried out, had fresh samples confirmed it; most blocks first."""
    gone: list[Removal] = []
    for choice in _in_order(found):
        removal = choice.combination.removal
        known = None if found.verified is None else found.verified.of(removal)
        limit = _limit(found, choice.rule)
        by_mean = choice.rule == "max_drop"
        if known is None or limit is None or known.keeps_to(limit, by_mean=by_mean):
            break
        gone.append(removal)
    return tuple(gone)


def _in_order(found: Recommendations) -> Iterator[Choice]:
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
                    if fewer and settled(one.mean) <= settled(target.value):
                        yield Choice(one, kind)
        return
    for one in reversed(conservative_steps(found.candidates, found.limit.drop)):
        yield Choice(one, "conservative")


def _limit(found: Recommendations, rule: ChoiceRule) -> float | None:
    if rule == "max_drop":
        return next(one.value for one in found.targets if one.kind == rule)
    return found.limit.drop if rule == "conservative" else None


def choose_number(found: Recommendations, removed: int) -> Choice | None:
    """Return the removal of so many blocks to carry out; None where none is ranked.

    The step of the stepwise path; where that ends, the robust best, and else the independent best,
    none of which removes a block that must stay.
    """
    steps = (step.combination for step in found.stepwise.steps)
    essential = {one.combination.removal[0] for one in found.essential}
    nothing = Ranking((), 0, 0)
    ranked = (
        one
        for rankings in (found.robust, found.independent)
        for one in rankings.get(removed, nothing).combinations[:1]
        if essential.isdisjoint(one.removal)
    )
    of_number = (one for one in (*steps, *ranked) if len(one.removal) == removed)
    return next((Choice(one, "asked") for one in of_number), None)
