"""Folders of pruned models: copies of real files, and comparisons made up for a test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from depthprune.structure.comparison import Change, Comparison, LayerComparison
from depthprune.structure.model_row import ALL_TASKS, STANDARD, Conditions, Measured, ModelRow

HERE = Path(__file__).parent
SHARED = Path("/work/shared/pruned_models")

ATTENTION, MLP = 40, 60


def real_models(folder: Path) -> Path:
    """Put copies of real analyses and evaluations into a folder and return it."""
    for copies in ("pruned_models", "evaluations"):
        shutil.copytree(HERE / copies, folder, dirs_exist_ok=True)
    return folder


def put(folder: Path, content: Any, place: str = "evaluation/evaluation_results.json") -> Path:
    """Write JSON into the folder of a model and return the path."""
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def layer(index: int, attention: int = ATTENTION, mlp: int = MLP) -> LayerComparison:
    return LayerComparison(
        index,
        index,
        Change(ATTENTION + MLP, attention + mlp),
        Change(ATTENTION, attention),
        Change(MLP, mlp),
    )


def removed(index: int) -> LayerComparison:
    whole = ATTENTION + MLP
    return LayerComparison(index, None, Change(whole, 0), Change(ATTENTION, 0), Change(MLP, 0))


def compared(layers: Sequence[LayerComparison], missing: int = 0) -> Comparison:
    """Return a comparison of these layers and some that no file names; 1000 parameters besides."""
    before = sum(one.total.original for one in layers) + missing * (ATTENTION + MLP)
    after = sum(one.total.pruned for one in layers)
    return Comparison(
        "original",
        "pruned",
        Change(before + 1000, after + 1000),
        Change(before, after),
        tuple(layers),
        missing_layers=missing,
    )


def row(name: str, comparison: Comparison | None = None, **numbers: float | Measured) -> ModelRow:
    """Return a row with these numbers, measured in the usual way."""
    usual: Mapping[str, Conditions] = {
        "ppl_wikitext2": Conditions(STANDARD),
        "ppl_ptb": Conditions(STANDARD),
        "mean_accuracy": Conditions(ALL_TASKS),
    }
    return ModelRow(
        name,
        {
            key: one if isinstance(one, Measured) else Measured(one, usual.get(key, Conditions()))
            for key, one in numbers.items()
        },
        comparison,
    )
