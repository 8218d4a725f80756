"""The summary of many models for programs: CSV and JSON, the same in every language."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from depthprune.report.render.csv import plain_text, table_csv
from depthprune.report.structure_summary import (
    num_emptied,
    summary_rows,
    without_analysis,
)
from depthprune.report.table import Column, Table
from depthprune.structure.comparison import Comparison
from depthprune.structure.facts import ModelFacts
from depthprune.structure.labels import is_emptied
from depthprune.structure.summary import ModelSummary, Summary

_CSV_COLUMNS = (
    "model", "total_params", "original_params", "pruning_ratio", "num_layers",
    "original_num_layers", "num_emptied_layers", "zero_layers", "removed_layers", "missing_layers",
    "attention_removed", "mlp_removed", "strategy", "embedding_params", "lm_head_params", "folder",
)  # fmt: skip


def summary_csv(summary: Summary) -> str:
    """Return one line for each analysed model, for programs; what is not known is empty."""
    rows = [
        [
            plain_text(one.name),
            facts.params,
            facts.original,
            facts.ratio,
            facts.num_layers,
            facts.of_layers,
            num_emptied(facts),
            _spaced(facts.emptied),
            _spaced(facts.removed),
            facts.missing,
            _spaced(facts.no_attention),
            _spaced(facts.no_mlp),
            facts.strategy,
            one.anatomy and one.anatomy.embedding,
            one.anatomy and one.anatomy.lm_head,
            plain_text(str(one.folder)),
        ]
        for one, facts in summary_rows(summary)
    ]
    return table_csv(Table(list(map(Column, _CSV_COLUMNS)), rows))


def summary_value(summary: Summary, time: datetime) -> dict[str, Any]:
    """Return the summary as JSON data; counts are parameters, ratios 0..1.

    Args:
        summary: of models.
        time: when it was made.
    """
    rows = summary_rows(summary)
    return {
        "timestamp": time.isoformat(timespec="seconds"),
        "total_models": len(rows),
        "models": [_model_value(one, facts) for one, facts in rows],
        "dirs": list(summary.dirs),
        "without_analysis": [
            {"name": one.name, "folder": str(one.folder), "mend": one.mend}
            for one in without_analysis(summary)
        ],
        "problems": [problem for one in summary.models for problem in one.problems],
    }


def _model_value(one: ModelSummary, facts: ModelFacts) -> dict[str, Any]:
    anatomy, comparison = one.anatomy, one.comparison
    params: dict[str, Any] = {"total": facts.params, "num_layers": facts.num_layers}
    if anatomy is not None:
        params |= {
            "embedding": anatomy.embedding,
            "lm_head": anatomy.lm_head,
            "layers": anatomy.layer_params,
            "norm": anatomy.norm,
            "other": anatomy.other,
            "towers": dict(anatomy.towers),
        }
    elif comparison is not None:
        params["layers"] = comparison.layer_params.pruned
    pruning = None
    if facts.original is not None and facts.params is not None:
        pruning = {
            "original": facts.original,
            "pruned": facts.params,
            "reduced": facts.original - facts.params,
            "reduction_ratio": facts.ratio,
            "strategy": facts.strategy,
        }
    return {
        "name": one.name,
        "folder": str(one.folder),
        "original_name": None if comparison is None else comparison.original_name,
        "params": params,
        "pruning": pruning,
        "num_layers": facts.num_layers,
        "original_num_layers": facts.of_layers,
        "zero_layers": list(facts.emptied),
        "removed_layers": list(facts.removed),
        "missing_layers": facts.missing,
        "attention_removed": list(facts.no_attention),
        "mlp_removed": list(facts.no_mlp),
        "layer_pruning": [] if comparison is None else _layer_values(comparison),
        "problems": list(one.problems),
        "unknown": list(facts.unknown),
    }


def _layer_values(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "layer_idx": layer.index,
            "original": layer.total.original,
            "pruned": layer.total.pruned,
            "pruning_ratio": layer.total.ratio,
            "reduction_ratio": layer.total.ratio,
            "attention_ratio": layer.attention.ratio,
            "mlp_ratio": layer.mlp.ratio,
            "removed": layer.removed,
            "is_zero_layer": layer.is_zero or is_emptied(layer),
            "is_zero": layer.is_zero or is_emptied(layer),
        }
        for layer in comparison.layers
    ]


def _spaced(layers: Sequence[int]) -> str:
    return " ".join(map(str, layers))
