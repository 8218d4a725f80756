"""Folders of pruned models: copies of real files, and comparisons made up for a test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from depthprune.structure.comparison import CountChange, LayerComparison, ModelComparison
from depthprune.structure.model_row import (
    ALL_TASKS,
    STANDARD,
    ModelNumber,
    ModelRow,
    NumberConditions,
)

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
        CountChange(ATTENTION + MLP, attention + mlp),
        CountChange(ATTENTION, attention),
        CountChange(MLP, mlp),
    )


def removed(index: int) -> LayerComparison:
    whole = ATTENTION + MLP
    return LayerComparison(
        index, None, CountChange(whole, 0), CountChange(ATTENTION, 0), CountChange(MLP, 0)
    )


def compared(layers: Sequence[LayerComparison], missing: int = 0) -> ModelComparison:
    """Return a comparison of these layers and some that no file names; 1000 parameters besides."""
    before = sum(one.total.original for one in layers) + missing * (ATTENTION + MLP)
    after = sum(one.total.pruned for one in layers)
    return ModelComparison(
        "original",
        "pruned",
        CountChange(before + 1000, after + 1000),
        CountChange(before, after),
        tuple(layers),
        missing_layers=missing,
    )


def row(
    name: str, comparison: ModelComparison | None = None, **numbers: float | ModelNumber
) -> ModelRow:
    """Return a row with these numbers, measured in the usual way."""
    usual: Mapping[str, NumberConditions] = {
        "ppl_wikitext2": NumberConditions(STANDARD),
        "ppl_ptb": NumberConditions(STANDARD),
        "mean_accuracy": NumberConditions(ALL_TASKS),
    }
    return ModelRow(
        name,
        {
            key: one
            if isinstance(one, ModelNumber)
            else ModelNumber(one, usual.get(key, NumberConditions()))
            for key, one in numbers.items()
        },
        comparison,
    )
