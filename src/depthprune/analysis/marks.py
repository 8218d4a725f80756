"""What an interval says about a drop in words: nothing lost, or nothing known."""

from __future__ import annotations

from typing import Literal

from depthprune.analysis.combinations import Combination
from depthprune.analysis.selection import Selection
from depthprune.base.removal import settled

Mark = Literal["no_measurable_cost", "not_separable_from_0"]

SMALL = 0.02
"""An interval that reaches 0 and ends below these two points leaves room for no real cost."""


def mark(one: Combination, chosen: Selection | None = None) -> Mark | None:
    """Return what the interval of a combination says about its drop; None without an interval.

    No measurable cost: it reaches 0 (or lies below) and ends below `SMALL`. Not separable from 0:
    it holds 0 and is wider, so that too few samples were measured to tell. Of a removal that was
    chosen for its drop, the interval that is corrected for the choice says it, where it is known.
    """
    interval = one.interval if chosen is None or chosen.interval is None else chosen.interval
    if interval is None or settled(interval.low) > 0:
        return None
    if settled(interval.high) < SMALL:
        return "no_measurable_cost"
    return "not_separable_from_0"
