"""The one removal that is carried out, out of all that are recommended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from depthprune.analysis.combinations import Combination, Ranking
from depthprune.analysis.recommendations import LevelName, Recommendations, TargetKind

ChoiceRule = LevelName | TargetKind | Literal["first", "asked"]

_TARGETS: tuple[TargetKind, ...] = ("max_drop", "speedup", "params")
_LEVELS: tuple[LevelName, ...] = ("balanced", "conservative", "aggressive")


@dataclass(frozen=True)
class Choice:
    """A removal, and by which rule it was chosen.

    Attributes:
        combination: with its drop, interval, n and coverage.
        rule: the target that it meets, the level that it is, `first` (the best of the fewest
            blocks) or `asked` (the best of a number that was asked for).
    """

    combination: Combination
    rule: ChoiceRule


def choose(found: Recommendations) -> Choice | None:
    """Return the removal to carry out when nobody says which; None where nothing is ranked.

    What meets a target, where one was asked for and can be met: the largest drop before the
    speed-up before the parameters. Else the balanced level, where there is none the conservative,
    the aggressive one, and at last the best combination of the fewest blocks.
    """
    by_rule: dict[ChoiceRule, Combination | None] = {
        one.kind: one.combination for one in found.targets
    }
    by_rule |= {one.name: one.combination for one in found.levels}
    by_rule["first"] = next(
        (one.combinations[0] for _, one in sorted(found.independent.items()) if one.combinations),
        None,
    )
    order: tuple[ChoiceRule, ...] = (*_TARGETS, *_LEVELS, "first")
    return next(
        (Choice(one, rule) for rule in order if (one := by_rule.get(rule)) is not None), None
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
