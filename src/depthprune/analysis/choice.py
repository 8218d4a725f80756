"""The one removal that is carried out, out of all that are recommended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.recommendations import Recommendations, TargetKind

ChoiceRule = TargetKind | Literal["conservative", "asked"]

_TARGETS: tuple[TargetKind, ...] = ("max_drop", "speedup", "params")


@dataclass(frozen=True)
class Choice:
    """A removal, and by which rule it was chosen.

    Attributes:
        combination: with its drop, interval, n and coverage.
        rule: the target that it meets, `conservative`, or `asked` (the best of a number that was
            asked for).
    """

    combination: Combination
    rule: ChoiceRule


def choose(found: Recommendations) -> Choice | None:
    """Return the removal to carry out when nobody says which: the one that every report names.

    What meets a target, where one was asked for and can be met: the largest drop before the
    speed-up before the parameters. Else the last conservative one; None where there is none.
    """
    met = {one.kind: one.combination for one in found.targets}
    for kind in _TARGETS:
        if (target := met.get(kind)) is not None:
            return Choice(target, kind)
    (conservative,) = (one for one in found.strategies if one.name == "conservative")
    return (
        Choice(conservative.combinations[-1], "conservative") if conservative.combinations else None
    )


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
