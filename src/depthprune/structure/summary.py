"""What is known of many models, from the analysis files that lie in their folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from depthprune.structure.anatomy import Anatomy
from depthprune.structure.comparison import Comparison


@dataclass(frozen=True)
class ModelSummary:
    """One model among many.

    Attributes:
        name: its folder below the one that was searched, with that one's name in front, e.g.
            `baselines/ShortGPT_remove_7`.
        folder: where it lies (the one that holds `analysis/`).
        anatomy: of the pruned model; None where no file tells it.
        comparison: with its original; None where no file tells it.
        original: parameters of the original; None where nothing tells it.
        removed: layers that a list in its folder names as removed, where no comparison tells them.
        problems: what could not be read, each with file and place.
        mend: for a model without analysis, the command that makes one.
    """

    name: str
    folder: Path
    anatomy: Anatomy | None = None
    comparison: Comparison | None = None
    original: int | None = None
    removed: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()
    mend: str | None = None


@dataclass(frozen=True)
class Summary:
    """Models in order of name.

    Attributes:
        dirs: that were searched, as they were named.
        models: with analysis and without.
    """

    dirs: tuple[str, ...]
    models: tuple[ModelSummary, ...]
