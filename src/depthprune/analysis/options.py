"""What is ranked when results are analysed, and which targets are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from depthprune.base.options import Options, Refusal

TargetKind = Literal["max_drop", "speedup", "params"]

_SMALLEST = Refusal(
    "a smallest drop of {value} makes no sense",
    "give a fraction from -1 to 1, or leave it out: then nothing is too small",
)
_LARGEST = Refusal(
    "a largest drop of {value} makes no sense",
    "give a fraction from 0 to 1, such as 0.05 for five points",
)
_FASTER = Refusal(
    "a speed-up of {value} makes no sense", "give a ratio above 1, such as 1.2 for a fifth faster"
)
_SHARE = Refusal(
    "a share of {value} of the parameters makes no sense",
    "give the share that stays, between 0 and 1, such as 0.85",
)


@dataclass(frozen=True)
class Ranking(Options):
    """What is ranked."""

    split: str | None = None
    """The split that is analysed; the one that most datasets have when not given."""

    min_coverage: Annotated[int, Ge(1)] = 2
    """The fewest datasets that a ranked combination was measured on."""

    min_drop: Annotated[float, Ge(-1), Le(1), _SMALLEST] | None = None
    """The smallest mean drop that is ranked, a fraction; no limit when not given."""

    robust_coverage: Annotated[int, Ge(1)] = 3
    """The fewest datasets that a robust combination was measured on."""


@dataclass(frozen=True)
class Targets(Options):
    """Targets instead of a number of blocks."""

    max_drop: Annotated[float, Ge(0), Le(1), _LARGEST] | None = None
    """The most blocks that cost no more than this, a fraction: 0.05 for five points."""

    speedup: Annotated[float, Gt(1), _FASTER] | None = None
    """The fewest blocks that make it so many times as fast, estimated: 1.2."""

    params: Annotated[float, Gt(0), Lt(1), _SHARE] | None = None
    """The fewest blocks that leave at most this share of the parameters: 0.85."""
