"""A pruned model beside its original, layer by layer."""

from __future__ import annotations

from dataclasses import replace

from depthprune.base.language import Note
from depthprune.structure.align import Alignment
from depthprune.structure.anatomy import Anatomy, Layer
from depthprune.structure.comparison import AddedLayer, Change, Comparison, LayerComparison
from depthprune.structure.labels import strategy_of
from depthprune.structure.notes import Sentence


def compare(original: Anatomy, pruned: Anatomy, alignment: Alignment) -> Comparison:
    """Return what every layer of the original lost, and how the model was pruned on the whole.

    A removed layer has nothing left, ratio 1 and its index in the original. Where nothing tells
    which layers were removed, the first ones stand beside each other and the rest are
    `missing_layers`. The sums are of all layers in any case.

    Args:
        original: before.
        pruned: after.
        alignment: of their layers, see `align`.
    """
    found = [layer for layer in pruned.layers if layer.index not in alignment.added]
    places = dict(zip(alignment.indices, found, strict=True))
    listed = original.layers if alignment.known else original.layers[: len(found)]
    told = pruned.knows_layers
    if not told:
        listed = ()  # no layer was found: that is not to say that all are gone
    comparison = Comparison(
        original_name=original.name,
        pruned_name=pruned.name,
        total=Change(original.total, pruned.total),
        layer_params=Change(original.layer_params, pruned.layer_params),
        layers=tuple(
            _compare_layer(before, places.get(place)) for place, before in enumerate(listed)
        ),
        aligned_by=alignment.by,
        added_layers=tuple(
            AddedLayer(layer.index, layer.total, alignment.added[layer.index])
            for layer in pruned.layers
            if layer.index in alignment.added
        ),
        missing_layers=len(original.layers) - len(listed) if told else 0,
        notes=tuple(map(str, alignment.doubts)),
        unknown=(
            *(Note(Sentence.OF_ORIGINAL, why=why) for why in original.unknown),
            *pruned.unknown,
        ),
    )
    sizes = _both(original.hidden_size, pruned.hidden_size)
    strategy, evidence = strategy_of(
        comparison, sliced=_is_sliced(original, pruned), hidden_size=sizes
    )
    return replace(comparison, strategy=strategy, evidence=evidence)


def _compare_layer(before: Layer, after: Layer | None) -> LayerComparison:
    if after is None:
        inner = before.mlp.intermediate_size
        return LayerComparison(
            index=before.index,
            pruned_index=None,
            total=Change(before.total, 0),
            attention=Change(before.attention.total, 0),
            mlp=Change(before.mlp.total, 0),
            intermediate_size=_both(inner, 0),
            experts=_both(before.mlp.num_experts or None, 0),
            is_zero=True,
        )
    left = after.mlp.intermediate_size
    if left is None and after.mlp.total == 0:
        left = 0
    return LayerComparison(
        index=before.index,
        pruned_index=after.index,
        total=Change(before.total, after.total),
        attention=Change(before.attention.total, after.attention.total),
        mlp=Change(before.mlp.total, after.mlp.total),
        intermediate_size=_both(before.mlp.intermediate_size, left),
        experts=_both(
            before.mlp.num_experts or None,
            None if after.mlp.total is None else after.mlp.num_experts,
        ),
        is_zero=after.is_zero or after.total == 0,
        sparsity=None if after.sparsity is None else after.sparsity.ratio,
    )


def _both(before: int | None, after: int | None) -> Change | None:
    return None if before is None or after is None else Change(before, after)


def _is_sliced(original: Anatomy, pruned: Anatomy) -> bool:
    """Return whether all layers have the marks of SliceGPT: no norms, but shortcuts."""
    had_norms = any(layer.norm for layer in original.layers)
    shortcuts = [bool(layer.other) and layer.norm == 0 for layer in pruned.layers]
    return had_norms and bool(shortcuts) and all(shortcuts)
