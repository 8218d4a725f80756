"""How a model was pruned: every layer beside that of the original, and a word for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import fsum, sqrt

from depthprune.base.language import Note
from depthprune.structure.align import Alignment
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp
from depthprune.structure.comparison import (
    HEAVY,
    LIGHT,
    AddedLayer,
    CountChange,
    Label,
    LayerComparison,
    ModelComparison,
    Strategy,
)
from depthprune.structure.notes import Sentence

SPARSE = 0.01
"""Share of zeros from which they are taken for pruning; dense weights have far fewer."""

UNIFORM_SPREAD = 0.05
"""How far the ratios of the layers that lost something may lie apart in a uniform pruning."""

Evidence = dict[str, float]


def lost(layer: LayerComparison) -> float | None:
    """Return the share of a layer that is gone or zero: 0..1, negative when it has grown.

    None where a count is not known.

    Zeros count where they were counted and are `SPARSE` or more of what is left.
    """
    zeros = _pruned_share(layer)
    before, after = layer.total.original, layer.total.pruned
    if before is None or after is None:
        return None
    return (before - after + after * zeros) / before if before else 0.0


def label_of(layer: LayerComparison) -> Label:
    """Return in a word what a layer lost, see `Label`."""
    if layer.removed:
        return "removed"
    if is_emptied(layer):
        return "zero"
    share = lost(layer)
    if share is None:
        return "unknown"
    if share > HEAVY:
        return "heavy"
    if share >= LIGHT:
        return "moderate"
    return "light" if share > 0 else "unchanged"


def is_emptied(layer: LayerComparison) -> bool:
    """Return whether a layer is there, but does nothing: no attention and no MLP, or only zeros."""
    if layer.removed:
        return False
    if layer.is_zero or (layer.total.original and layer.total.pruned == 0):
        return True
    attention, mlp = layer.attention.pruned, layer.mlp.pruned
    if attention is None or mlp is None:
        return False
    if attention + mlp == 0:
        # A layer with a mixer of another kind has lost little with its MLP.
        had = bool(layer.attention.original or layer.mlp.original)
        return had and (layer.total.ratio or 0.0) > HEAVY
    if not layer.sparsity or layer.total.pruned is None:
        return False
    return layer.sparsity * layer.total.pruned >= attention + mlp - 0.5


def known(count: int | None) -> int:
    """Return a count of a comparison all of whose counts are known."""
    assert count is not None
    return count


def is_known(comparison: ModelComparison) -> bool:
    """Return whether the counts of the model and of all layers that are left are known."""
    changes = [comparison.total, comparison.layer_params]
    changes += [layer.total for layer in comparison.layers]
    return all(change.original is not None and change.pruned is not None for change in changes)


def strategy_of(
    comparison: ModelComparison, *, sliced: bool = False, hidden_size: CountChange | None = None
) -> tuple[Strategy, Evidence]:
    """Return how a model was pruned on the whole, and the numbers that say so.

    Sliced, when the hidden size is smaller. Otherwise by what took most of the layers' parameters:
    layers that are gone or empty (layer removal), zeros among the weights (unstructured), or layers
    that are smaller: uniform when at least half of the layers that are left are, by shares that lie
    within `UNIFORM_SPREAD`, else non-uniform. A model that lost only what lies outside its layers
    is non-uniform, one that lost nothing unchanged. Unknown, when a count is.

    Args:
        comparison: its layers, sums and `missing_layers`.
        sliced: whether the checkpoint has the marks of SliceGPT.
        hidden_size: before and after, where it is known.

    Returns:
        The strategy and its evidence: counts of layers, ratios over all layers of the original
        (of a removed one 1) with their population standard deviation, shares of the original's
        layers that were lost in each way.
    """
    if not is_known(comparison):
        return "unknown", _counts(comparison)
    layers, missing = comparison.layers, comparison.missing_layers
    left = [layer for layer in layers if not layer.removed and not is_emptied(layer)]
    gone = fsum(
        known(layer.total.reduced) + known(layer.total.pruned) * (layer.sparsity or 0.0)
        for layer in layers
        if layer.removed or is_emptied(layer)
    )
    if missing:
        listed = sum(known(layer.total.original) for layer in layers)
        gone += known(comparison.layer_params.original) - listed
    smaller = sum(max(0, known(layer.total.reduced)) for layer in left)
    zeros = fsum(known(layer.total.pruned) * _pruned_share(layer) for layer in left)
    # Shares that are gone of the layers that are smaller.
    ratios = [layer.total.ratio or 0.0 for layer in left if known(layer.total.reduced) > 0]
    whole = known(comparison.layer_params.original)
    outside = known(comparison.total.reduced) - known(comparison.layer_params.reduced)
    there = [layer for layer in layers if not layer.removed]
    evidence: Evidence = {
        **_counts(comparison),
        "layers_smaller": len(ratios),
        "attention_removed": sum(layer.attention_removed for layer in there),
        "mlp_removed": sum(layer.mlp_removed for layer in there),
        **_spread([layer.total.ratio or 0.0 for layer in layers], missing),
        "lost_by_removal": _share(gone, whole),
        "lost_by_smaller_layers": _share(smaller, whole),
        "lost_outside_layers": _share(outside, known(comparison.total.original)),
    }
    if ratios:
        evidence |= {"smaller_ratio_min": min(ratios), "smaller_ratio_max": max(ratios)}
    if any(layer.sparsity is not None for layer in layers):
        evidence["lost_by_zeros"] = _share(zeros, whole)
    if hidden_size is not None:
        evidence |= {
            "hidden_size_original": known(hidden_size.original),
            "hidden_size_pruned": known(hidden_size.pruned),
        }
    most = max(gone, smaller, zeros)
    if sliced or (hidden_size is not None and known(hidden_size.reduced) > 0):
        strategy: Strategy = "sliced"
    elif not most:
        strategy = "non-uniform" if outside > 0 else "unchanged"
    elif gone == most:
        strategy = "layer removal"
    elif zeros == most:
        strategy = "unstructured"
    else:
        is_uniform = max(ratios) - min(ratios) <= UNIFORM_SPREAD
        strategy = "uniform" if 2 * len(ratios) >= len(left) and is_uniform else "non-uniform"
    return strategy, evidence


def _pruned_share(layer: LayerComparison) -> float:
    """Return the share of zeros of a layer; 0 where they are too few to be of a pruning."""
    return layer.sparsity if layer.sparsity is not None and layer.sparsity >= SPARSE else 0.0


def _counts(comparison: ModelComparison) -> Evidence:
    layers, missing = comparison.layers, comparison.missing_layers
    found: Evidence = {
        "layers": len(layers) + missing,
        "layers_removed": sum(layer.removed for layer in layers) + missing,
        "layers_emptied": sum(map(is_emptied, layers)),
    }
    if comparison.added_layers:
        found["layers_added"] = len(comparison.added_layers)
    experts = [layer.experts for layer in layers if layer.experts is not None]
    if any(change.reduced for change in experts):
        found["experts_original"] = sum(known(change.original) for change in experts)
        found["experts_pruned"] = sum(known(change.pruned) for change in experts)
    return found


def _spread(ratios: Sequence[float], missing: int) -> Evidence:
    """Return how the ratios spread, with 1 for every missing layer."""
    number = len(ratios) + missing
    if not number:
        return {}
    # A broken file may tell of any number of missing layers: they are not listed.
    mean = (fsum(ratios) + missing) / number
    variance = (fsum((one - mean) ** 2 for one in ratios) + missing * (1 - mean) ** 2) / number
    known = [*ratios, 1.0] if missing else ratios
    return {
        "ratio_mean": mean,
        "ratio_std": sqrt(variance),
        "ratio_min": min(known),
        "ratio_max": max(known),
    }


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0


def compare(original: Anatomy, pruned: Anatomy, alignment: Alignment) -> ModelComparison:
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
    if not pruned.knows_layers:
        listed = ()  # no layer was found: that is not to say that all are gone
    comparison = ModelComparison(
        original_name=original.name,
        pruned_name=pruned.name,
        total=CountChange(original.total, pruned.total),
        layer_params=CountChange(original.layer_params, pruned.layer_params),
        layers=tuple(
            _compare_layer(before, places.get(place)) for place, before in enumerate(listed)
        ),
        aligned_by=alignment.by,
        added_layers=tuple(
            AddedLayer(layer.index, layer.total, alignment.added[layer.index])
            for layer in pruned.layers
            if layer.index in alignment.added
        ),
        missing_layers=len(original.layers) - len(listed) if pruned.knows_layers else 0,
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
        nothing = Mlp(0, intermediate_size=0)
        after = Layer(before.index, 0, Attention(0), nothing, is_zero=True)
        return replace(_compare_layer(before, after), pruned_index=None)
    left = after.mlp.intermediate_size
    if left is None and after.mlp.total == 0:
        left = 0
    return LayerComparison(
        index=before.index,
        pruned_index=after.index,
        total=CountChange(before.total, after.total),
        attention=CountChange(before.attention.total, after.attention.total),
        mlp=CountChange(before.mlp.total, after.mlp.total),
        intermediate_size=_both(before.mlp.intermediate_size, left),
        experts=_both(
            before.mlp.num_experts or None,
            None if after.mlp.total is None else after.mlp.num_experts,
        ),
        is_zero=after.is_zero or after.total == 0,
        sparsity=None if after.sparsity is None else after.sparsity.ratio,
    )


def _both(before: int | None, after: int | None) -> CountChange | None:
    return None if before is None or after is None else CountChange(before, after)


def _is_sliced(original: Anatomy, pruned: Anatomy) -> bool:
    """Return whether all layers have the marks of SliceGPT: no norms, but shortcuts."""
    had_norms = any(layer.norm for layer in original.layers)
    shortcuts = [bool(layer.other) and layer.norm == 0 for layer in pruned.layers]
    return had_norms and bool(shortcuts) and all(shortcuts)
