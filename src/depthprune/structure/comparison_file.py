"""`model_comparison.json`, field by field, and what follows where an older script left some out.

The documented fields come first, in their order; ours follow them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, get_args

from depthprune.base.documents import (
    ANY,
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    TEXTS,
    Field,
    Json,
    Layout,
    WrongFieldError,
    each,
    named,
    one_of,
)
from depthprune.structure.anatomy_file import INDEX, NOTES, numbered
from depthprune.structure.comparison import (
    AddedLayer,
    AlignedBy,
    Change,
    Comparison,
    LayerComparison,
    Strategy,
)
from depthprune.structure.labels import label_of, strategy_of


def _change(original: int | None, pruned: int | None, reduced: Any = ...) -> Change:
    change = Change(original, pruned)
    if reduced is not ... and reduced != (expected := change.reduced):
        raise WrongFieldError(f"{original} - {pruned} is {expected}, not {reduced}", "reduced")
    return change


def _size_change(original: int | None = None, pruned: int | None = None) -> Change | None:
    return None if original is None or pruned is None else Change(original, pruned)


def _mlp_change(
    intermediate_size: Change | None = None, experts: Change | None = None, **change: Any
) -> tuple[Change, Change | None, Change | None]:
    return _change(**change), intermediate_size, experts


def _layer(
    index: int,
    total: Change,
    attention: Change,
    mlp: tuple[Change, Change | None, Change | None],
    is_zero: bool | None = None,
    **found: Any,
) -> LayerComparison:
    pruned_index = found.get("pruned_index", index)
    is_zero = total.pruned == 0 if is_zero is None else is_zero
    sparsity = found.get("sparsity")
    return LayerComparison(index, pruned_index, total, attention, *mlp, is_zero, sparsity)


def _comparison(
    layer_params: Change,
    layers: tuple[LayerComparison, ...],
    missing_layers: int | None = None,
    **found: Any,
) -> Comparison:
    missing = _missing(layer_params, layers) if missing_layers is None else missing_layers
    absent: Json = {"original_name": "", "pruned_name": "", "missing_layers": missing}
    comparison = Comparison(layer_params=layer_params, layers=layers, **absent | found)
    if "strategy" in found:
        return comparison
    strategy, evidence = strategy_of(comparison)
    return replace(comparison, strategy=strategy, evidence=evidence)


def _removed(comparison: Comparison) -> list[int]:
    return [layer.index for layer in comparison.layers if layer.removed]


def _missing(layer_params: Change, layers: tuple[LayerComparison, ...]) -> int:
    """Return how many layers of the original are not listed, by what their listed sum lacks."""
    sizes = Counter(layer.total.original or 0 for layer in layers)
    lacking = (layer_params.original or 0) - sum(layer.total.original or 0 for layer in layers)
    usual = sizes.most_common(1)[0][0] if sizes else 0
    return max(1, round(lacking / usual)) if lacking > 0 and usual else 0


def _change_fields(of: str = "") -> tuple[Field, ...]:
    return (
        Field("original", COUNT, f"{of}original", required=True, null=True),
        Field("pruned", COUNT, f"{of}pruned", required=True, null=True),
        Field("reduced", ANY, f"{of}reduced", null=True),
        Field("reduction_ratio", NUMBER, f"{of}ratio", told=True),
    )


CHANGE = Layout(_change, *_change_fields())
SIZES = Layout(_size_change, Field("original", COUNT), Field("pruned", COUNT))
MLP = Layout(
    _mlp_change,
    *_change_fields("mlp."),
    Field("intermediate_size", SIZES, omit=True),
    Field("num_experts", SIZES, "experts", omit=True),
)
LAYER = Layout(
    _layer,
    INDEX,
    Field("total", CHANGE, required=True),
    Field("attention", CHANGE, required=True),
    Field("mlp", MLP, ".", required=True),
    Field("is_zero_layer", FLAG, "is_zero"),
    Field("pruned_layer_idx", COUNT, "pruned_index", null=True),
    Field("removed", FLAG, told=True),
    Field("attention_removed", FLAG, told=True),
    Field("mlp_removed", FLAG, told=True),
    Field("label", TEXT, label_of, told=True),
    Field("sparsity", NUMBER, omit=True),
)
ADDED = Layout(
    AddedLayer,
    INDEX,
    Field("total", COUNT),
    Field("copy_of", COUNT),
)
COMPARISON = Layout(
    _comparison,
    Field("original_name", TEXT),
    Field("pruned_name", TEXT),
    Field("total_params", CHANGE, "total", required=True),
    Field("layer_params", CHANGE, required=True),
    Field("layers", numbered(LAYER), required=True),
    Field("aligned_by", one_of(get_args(AlignedBy))),
    Field("removed_layers", each(COUNT), _removed, told=True),
    Field("missing_layers", COUNT),
    Field("added_layers", numbered(ADDED)),
    Field("strategy", one_of(get_args(Strategy))),
    Field("evidence", named(NUMBER)),
    Field("notes", TEXTS),
    Field("unknown", NOTES),
)
"""Of `model_comparison.json` and `pruning_comparison.json`."""
