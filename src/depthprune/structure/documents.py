"""The JSON files of an anatomy and of a comparison.

The documented fields come first, in their order; ours follow them. Files of the older scripts lack
ours, and some of the documented ones; `parsing` reads both.
"""

from __future__ import annotations

from depthprune.base.documents import Json
from depthprune.structure.anatomy import Anatomy, Layer, Sparsity
from depthprune.structure.comparison import Change, Comparison, LayerComparison
from depthprune.structure.labels import label_of
from depthprune.structure.parsing import read_anatomy, read_comparison

__all__ = [
    "ANATOMY_FILES",
    "COMPARISON_FILES",
    "FOLDER",
    "ORIGINAL_FILE",
    "anatomy_document",
    "comparison_document",
    "read_anatomy",
    "read_comparison",
]

ANATOMY_FILES = ("model_structure.json", "pruned_model_analysis.json")
"""The two names of the same file, of the pruned model."""

ORIGINAL_FILE = "original_model_analysis.json"

COMPARISON_FILES = ("pruning_comparison.json", "model_comparison.json")
"""The two names of the same file."""

FOLDER = "analysis"
"""The folder of these files, in that of the model."""


def anatomy_document(anatomy: Anatomy) -> Json:
    """Return the content of `model_structure.json`; what is not known is left out."""
    # A documented count that is not known is null, never a number.
    return {
        "model_name": anatomy.name,
        "total_params": anatomy.total,
        "embedding_params": anatomy.embedding,
        "lm_head_params": anatomy.lm_head,
        "layers": [_layer_document(layer) for layer in anatomy.layers],
        "layer_summary": {
            "num_layers": len(anatomy.layers),
            "total_layer_params": anatomy.layer_params,
        },
        "norm_params": anatomy.norm,
        "other_params": anatomy.other,
        "towers": dict(anatomy.towers),
        "dtypes": dict(anatomy.dtypes),
        "bytes": anatomy.bytes,
        "tied": anatomy.tied,
        **_known(hidden_size=anatomy.hidden_size),
        "path": anatomy.path,
        **_known(sparsity=_sparsity_document(anatomy.sparsity)),
        "notes": list(anatomy.notes),
        "unknown": list(anatomy.unknown),
    }


def comparison_document(comparison: Comparison) -> Json:
    """Return the content of `model_comparison.json`, one entry for each layer of the original."""
    return {
        "original_name": comparison.original_name,
        "pruned_name": comparison.pruned_name,
        "total_params": _change_document(comparison.total),
        "layer_params": _change_document(comparison.layer_params),
        "layers": [_layer_comparison_document(layer) for layer in comparison.layers],
        "aligned_by": comparison.aligned_by,
        "removed_layers": [layer.index for layer in comparison.layers if layer.removed],
        "missing_layers": comparison.missing_layers,
        "added_layers": [
            {"layer_idx": layer.index, "total": layer.total, "copy_of": layer.copy_of}
            for layer in comparison.added_layers
        ],
        "strategy": comparison.strategy,
        "evidence": dict(comparison.evidence),
        "notes": list(comparison.notes),
        "unknown": list(comparison.unknown),
    }


def _layer_document(layer: Layer) -> Json:
    attention, mlp = layer.attention, layer.mlp
    return {
        "layer_idx": layer.index,
        "total": layer.total,
        "attention": {
            **_known(
                type=attention.type,
                q_proj=attention.q,
                k_proj=attention.k,
                v_proj=attention.v,
                o_proj=attention.o,
            ),
            "total": attention.total,
            **_known(num_heads=attention.num_heads, num_kv_heads=attention.num_kv_heads),
        },
        "mlp": {
            **_known(type=mlp.type, gate_proj=mlp.gate, up_proj=mlp.up, down_proj=mlp.down),
            "total": mlp.total,
            **_known(intermediate_size=mlp.intermediate_size, num_experts=mlp.num_experts or None),
        },
        "norm": layer.norm,
        "is_zero_layer": layer.is_zero,
        "other": layer.other,
        "bytes": layer.bytes,
        **_known(sparsity=_sparsity_document(layer.sparsity)),
    }


def _layer_comparison_document(layer: LayerComparison) -> Json:
    sizes = layer.intermediate_size
    mlp = _change_document(layer.mlp)
    if sizes is not None:
        mlp["intermediate_size"] = {"original": sizes.original, "pruned": sizes.pruned}
    if layer.experts is not None:
        mlp["num_experts"] = {"original": layer.experts.original, "pruned": layer.experts.pruned}
    return {
        "layer_idx": layer.index,
        "total": _change_document(layer.total),
        "attention": _change_document(layer.attention),
        "mlp": mlp,
        "is_zero_layer": layer.is_zero,
        "pruned_layer_idx": layer.pruned_index,
        "removed": layer.removed,
        "attention_removed": layer.attention_removed,
        "mlp_removed": layer.mlp_removed,
        "label": label_of(layer),
        **_known(sparsity=layer.sparsity),
    }


def _change_document(change: Change) -> Json:
    return {
        "original": change.original,
        "pruned": change.pruned,
        "reduced": change.reduced,
        "reduction_ratio": change.ratio,
    }


def _sparsity_document(sparsity: Sparsity | None) -> Json | None:
    if sparsity is None:
        return None
    return {
        "zeros": sparsity.zeros,
        "numbers": sparsity.numbers,
        "ratio": sparsity.ratio,
        "pattern": sparsity.pattern,
    }


def _known(**values: object) -> Json:
    return {name: value for name, value in values.items() if value is not None}
