"""What is ranked when results are analyzed, and which targets are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from depthprune.base.options import Options, Refusal

TargetKind = Literal["max_drop", "speedup", "params"]

_SMALLEST = Refusal(
    "{name} must be a fraction from -1 to 1, not {value}",
    "leave it out: then nothing is too small",
)
_LARGEST = Refusal(
    "{name} must be a fraction from 0 to 1, not {value}", "0.05 stands for five points"
)
_FASTER = Refusal("{name} must be a ratio above 1, not {value}", "1.2 stands for a fifth faster")
_SHARE = Refusal(
    "{name} must be a share between 0 and 1, not {value}",
    "0.85 stands for 85 % of the parameters that stay",
)


@dataclass(frozen=True)
class Ranking(Options):
    """What is ranked."""

    split: str | None = None
    """Split to analyze; without it the one that most datasets have."""

    min_coverage: Annotated[int, Ge(1)] = 2
    """Minimum number of datasets that a ranked combination was measured on."""

    min_drop: Annotated[float, Ge(-1), Le(1), _SMALLEST] | None = None
    """Smallest mean drop that is ranked, a fraction; without it there is no limit."""

    robust_coverage: Annotated[int, Ge(1)] = 3
    """Minimum number of datasets that a robust combination was measured on."""


@dataclass(frozen=True)
class Targets(Options):
    """Targets instead of a number of blocks."""

    max_drop: Annotated[float, Ge(0), Le(1), _LARGEST] | None = None
    """Largest mean drop, a fraction (0.05 for five points): the most blocks within it go."""

    speedup: Annotated[float, Gt(1), _FASTER] | None = None
    """Smallest estimated speed-up (1.2 for a fifth faster): the fewest blocks that reach it go."""

    params: Annotated[float, Gt(0), Lt(1), _SHARE] | None = None
    """Largest share of the parameters that stays (0.85): the fewest blocks that reach it go."""
