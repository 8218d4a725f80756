"""What the page of many models embeds: the counts of each layer, a thousand models in 3 MB.

A column holds one number for each layer, or a single number where all layers have the same. The
layers of an original are embedded once for all models that were made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from depthprune.report.sections.structure_words import evidence_texts, not_known, strategy_reason
from depthprune.structure.anatomy import Anatomy, Layer, Sparsity
from depthprune.structure.comparison import Comparison, LayerComparison
from depthprune.structure.facts import facts_of
from depthprune.structure.labels import label_of
from depthprune.structure.summary import ModelSummary, Summary

MOST_LAYERS = 1000
"""Layers of a model that is drawn, so that one absurd file does not spoil the page of all models.

A model with more has a row in the table only; larger indices are drawn in the order of the file.
"""

Column = int | float | str | None | list[Any]
"""Of one number per layer; a single number where all are the same."""

Originals = dict[str, tuple[int, dict[str, Column]]]
"""The layers of each original, and its place among them."""


def structure_data(summary: Summary) -> dict[str, Any]:
    """Return what the page shows and computes with; counts are parameters, ratios 0..1."""
    originals: Originals = {}
    models = [_model(model, originals) for model in summary.models]
    return {
        "models": models,
        "originals": [columns for _, columns in originals.values()],
        "numLayers": max((_width(one["layers"]) for one in models if one["layers"]), default=0),
    }


def _model(model: ModelSummary, originals: Originals) -> dict[str, Any]:
    found, anatomy, comparison = facts_of(model), model.anatomy, model.comparison
    entry: dict[str, Any] = {
        "name": model.name,
        "params": found.params,
        "original": found.original,
        "ratio": found.ratio,
        "numLayers": found.num_layers,
        "ofLayers": found.of_layers,
        "removed": found.removed,
        "missing": found.missing,
        "emptied": found.emptied,
        "noAttention": found.no_attention,
        "noMlp": found.no_mlp,
        "strategy": found.strategy,
        "unknown": found.unknown,
        "layers": None,
    }
    if anatomy is not None:
        entry |= {
            "embedding": anatomy.embedding,
            "head": anatomy.lm_head,
            "tied": anatomy.tied,
            "bytes": anatomy.bytes,
            "dtypes": list(anatomy.dtypes),
            "towers": list(anatomy.towers.items()),
            "notes": [*anatomy.notes, *not_known(found.unknown)],
            "zeros": _zeros(anatomy.sparsity),
            "layers": _own_layers(anatomy) if len(anatomy.layers) <= MOST_LAYERS else None,
        }
    if comparison is not None:
        entry |= {
            "evidence": evidence_texts(comparison),
            "reason": strategy_reason(comparison),
            "alignedBy": comparison.aligned_by,
            "notes": [
                *(anatomy.notes if anatomy else ()),
                *comparison.notes,
                *not_known(found.unknown),
            ],
            "layers": None,
        }
        if len(comparison.layers) <= MOST_LAYERS:
            base = _shared(originals, _original(comparison.layers))
            entry["layers"] = _compared_layers(comparison, anatomy) | {"base": base}
    return entry


def _original(layers: Sequence[LayerComparison]) -> dict[str, Column]:
    sizes = [layer.intermediate_size for layer in layers]
    return {
        "total": column(layer.total.original for layer in layers),
        "attention": column(layer.attention.original for layer in layers),
        "mlp": column(layer.mlp.original for layer in layers),
        "size": column(None if size is None else size.original for size in sizes),
    }


def _shared(originals: Originals, columns: dict[str, Column]) -> int:
    """Return the place of these columns among those of all originals; new ones are added."""
    place, _ = originals.setdefault(repr(columns), (len(originals), columns))
    return place


def _compared_layers(comparison: Comparison, anatomy: Anatomy | None) -> dict[str, Any]:
    layers = comparison.layers
    own = {} if anatomy is None else {layer.index: layer for layer in anatomy.layers}
    sizes = [layer.intermediate_size for layer in layers]
    return {
        "count": len(layers),
        "missing": min(comparison.missing_layers, MOST_LAYERS),
        "index": _places([layer.index for layer in layers]),
        "prunedIndex": _places([layer.pruned_index for layer in layers]),
        "total": column(layer.total.pruned for layer in layers),
        "attention": column(layer.attention.pruned for layer in layers),
        "mlp": column(layer.mlp.pruned for layer in layers),
        "size": column(None if size is None else size.pruned for size in sizes),
        "zeros": column(layer.sparsity for layer in layers),
        "label": column(label_of(layer) for layer in layers),
        **_heads([own.get(-1 if at.pruned_index is None else at.pruned_index) for at in layers]),
    }


def _own_layers(anatomy: Anatomy) -> dict[str, Any]:
    """Return the layers of a model whose original is not known."""
    layers = anatomy.layers
    return {
        "base": None,
        "count": len(layers),
        "missing": 0,
        "index": _places([layer.index for layer in layers]),
        "prunedIndex": None,
        "total": column(layer.total for layer in layers),
        "attention": column(layer.attention.total for layer in layers),
        "mlp": column(layer.mlp.total for layer in layers),
        "size": column(layer.mlp.intermediate_size for layer in layers),
        "zeros": column(None if at.sparsity is None else at.sparsity.ratio for at in layers),
        "label": column("zero" if layer.is_zero else None for layer in layers),
        **_heads(layers),
    }


def _zeros(found: Sparsity | None) -> tuple[float, str | None] | None:
    return None if found is None else (found.ratio, found.pattern)


def _heads(layers: Sequence[Layer | None]) -> dict[str, Column]:
    attentions = [None if layer is None else layer.attention for layer in layers]
    return {
        "heads": column(None if one is None else one.num_heads for one in attentions),
        "kvHeads": column(None if one is None else one.num_kv_heads for one in attentions),
    }


def column(values: Iterable[Any]) -> Column:
    """Return the values of all layers, or the one value that all of them have."""
    found = list(values)
    # Python takes True for 1 and 1.0 for 1: so does the script.
    return found[0] if found and all(value == found[0] for value in found) else found


def _places(indices: Sequence[int | None]) -> list[int | None] | None:
    """Return indices; None where they are simply 0, 1, 2, ..."""
    return None if list(indices) == list(range(len(indices))) else list(indices)


def _width(layers: Mapping[str, Any]) -> int:
    """Return how many columns the layers need."""
    last = max(layers["index"] or [layers["count"] - 1], default=-1)
    return int((last + 1 if last < MOST_LAYERS else layers["count"]) + layers["missing"])
