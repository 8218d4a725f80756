"""What is ranked when results are analyzed, and which targets are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from depthprune.base.options import Options, Refusal
from depthprune.base.removal import Objective

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
    """Ranking."""

    split: str | None = None
    """Split to analyze (default: the split that most datasets have)."""

    min_coverage: Annotated[int, Ge(1)] = 2
    """Minimum number of datasets on which a ranked combination was measured."""

    min_drop: Annotated[float, Ge(-1), Le(1), _SMALLEST] | None = None
    """Minimum mean drop of a ranked combination, as a fraction (default: no limit)."""

    objective: Objective | None = None
    """What removals are ranked by: loss, where the study holds it, or accuracy (default: as the
    study was searched)."""

    robust_coverage: Annotated[int, Ge(1)] = 3
    """Minimum number of datasets on which a robust combination was measured."""


@dataclass(frozen=True)
class Targets(Options):
    """Targets instead of a number of blocks."""

    max_drop: Annotated[float, Ge(0), Le(1), _LARGEST] | None = None
    """Maximum mean drop as a fraction (0.05 is 5 points): removes as many blocks as it allows."""

    speedup: Annotated[float, Gt(1), _FASTER] | None = None
    """Minimum estimated speed-up (1.2 is a fifth faster): removes as few blocks as reach it."""

    params: Annotated[float, Gt(0), Lt(1), _SHARE] | None = None
    """Maximum fraction of parameters to keep (e.g. 0.85): removes as few blocks as reach it."""
