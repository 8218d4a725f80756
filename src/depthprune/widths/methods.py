"""Pruning methods side by side: what is compared, and the file that keeps what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from types import SimpleNamespace
from typing import Annotated

from annotated_types import Ge, Gt, Lt, MinLen

from depthprune.base.documents import COUNT, NUMBER, TEXT, Field, Layout, each, named
from depthprune.base.errors import DepthpruneError
from depthprune.base.options import Options
from depthprune.widths import PruneOptions, Widths

WHOLE, DEPTH = "whole", "shortgpt"
"""The model itself, and the method that removes blocks."""


@dataclass(frozen=True)
class MethodOptions(Options):
    """Methods and sizes."""

    methods: Annotated[tuple[str, ...], MinLen(1)] = (DEPTH, "magnitude", "wanda", "taylor")
    """Methods of `depthprune prune` to compare."""

    ratios: Annotated[tuple[float, ...], MinLen(1)] = (0.1, 0.2, 0.3)
    """Shares of the model's parameters to remove."""

    widths: Annotated[tuple[Widths, ...], MinLen(1)] = ("uniform", "global")
    """How many units each block keeps, see `depthprune prune`."""

    keep_at_least: Annotated[float, Ge(0), Lt(1)] = 0.1
    """Share of its groups and channels that every block keeps with global widths."""

    calibration_split: str = "train"
    """Split of the same tasks whose samples the methods read; none of those that are scored."""

    calibration_samples: Annotated[int, Gt(0)] = 128
    """Number of samples of each task that the methods read."""

    num_samples: Annotated[int, Ge(0)] = 0
    """Number of samples of each task to score, drawn at random; 0 means all."""

    speed: bool = False
    """Measure the speed of generation too, and a removal of blocks that is as fast as the best
    narrower model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for ratio in self.ratios:
            PruneOptions(ratio=ratio)
        for method in self.methods:
            if method in ("hgsp", "llm-pruner"):
                raise DepthpruneError(
                    f"{method} needs a study or has one size of its own",
                    option="methods",
                    mend="compare it with `prune` and `evaluate`",
                )
            PruneOptions(method=method)


@dataclass(frozen=True)
class MethodResult:
    """What one model scores.

    Attributes:
        method: that made it; `whole` for the model itself.
        widths: uniform or global; empty where blocks were removed, or nothing.
        ratio: share of the parameters that was to go; 0 for the whole model.
        parameters: of the model.
        scores: accuracy by task, fractions.
        blocks: that it has.
        removed: blocks that are to go where speed decides it; else 0.
        tokens_per_second: of one sequence; None where that was not measured.
        as_fast_as: the model whose speed decided how many blocks were removed; else empty.
    """

    method: str
    widths: str
    ratio: float
    parameters: int
    scores: Mapping[str, float]
    blocks: int = 0
    removed: int = 0
    tokens_per_second: float | None = None
    as_fast_as: str = ""

    @property
    def name(self) -> str:
        """What it is called in tables, files and figures."""
        return " ".join(filter(None, (self.method, self.widths)))

    @property
    def mean(self) -> float:
        """Mean accuracy over the tasks."""
        return fmean(self.scores.values())


_RESULT = Layout(
    MethodResult,
    Field("method", TEXT, required=True),
    Field("widths", TEXT, required=True),
    Field("ratio", NUMBER, required=True),
    Field("num_blocks", COUNT, "blocks", required=True),
    Field("parameters", COUNT, required=True),
    Field("scores", named(NUMBER), required=True),
    Field("tokens_per_second", NUMBER, omit=True),
    Field("as_fast_as", TEXT, required=True),
    Field("mean_accuracy", NUMBER, "mean", derived=True),
)
METHODS_FILE = Layout(
    SimpleNamespace,
    Field("model", TEXT, required=True),
    Field("settings", TEXT, required=True),
    Field("results", each(_RESULT), required=True),
)
"""Of `methods.json`; `settings` tells comparisons apart that cannot share results."""
