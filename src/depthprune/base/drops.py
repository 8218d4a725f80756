"""When two drops are the same: scores are float32, so their last digits are rounding noise."""

from __future__ import annotations

DECIMALS = 6
"""Of a drop (a fraction) that mean something; one sample in 100,000 changes the fifth."""


def settled(drop: float) -> float:
    """Return a drop without rounding noise, so that equal drops compare as equal.

    A third of a point, as VQA accuracy gives, is no float32; means of such scores differ in the
    eighth decimal although they are the same.
    """
    return round(drop, DECIMALS) + 0.0
