"""How a layer, and a whole model, was pruned: one word for each, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, sqrt

from depthprune.structure.comparison import (
    HEAVY,
    LIGHT,
    Change,
    Comparison,
    Label,
    LayerComparison,
    Strategy,
)

SPARSE = 0.01
"""Share of zeros from which they are taken for pruning; dense weights have far fewer."""

UNIFORM_SPREAD = 0.05
"""How far the ratios of the layers that lost something may lie apart in a uniform pruning."""

Evidence = dict[str, float]


def lost(layer: LayerComparison) -> float:
    """Return the share of a layer that is gone or zero: 0..1, negative when it has grown.

    Zeros count where they were counted and are `SPARSE` or more of what is left.
    """
    zeros = layer.sparsity if layer.sparsity is not None and layer.sparsity >= SPARSE else 0.0
    if not layer.total.original:
        return 0.0
    return 1.0 - layer.total.pruned * (1.0 - zeros) / layer.total.original


def label_of(layer: LayerComparison) -> Label:
    """Return in a word what a layer lost, see `Label`."""
    if layer.removed:
        return "removed"
    if is_emptied(layer):
        return "zero"
    share = lost(layer)
    if share > HEAVY:
        return "heavy"
    if share >= LIGHT:
        return "moderate"
    return "light" if share > 0 else "unchanged"


def is_emptied(layer: LayerComparison) -> bool:
    """Return whether a layer is there, but does nothing: no attention and no MLP, or only zeros."""
    if layer.removed:
        return False
    if layer.is_zero or (layer.total.original and not layer.total.pruned):
        return True
    working = layer.attention.pruned + layer.mlp.pruned
    if working == 0:
        # A layer with a mixer of another kind has lost little with its MLP.
        return layer.attention.original + layer.mlp.original > 0 and layer.total.ratio > HEAVY
    zeros = (layer.sparsity or 0.0) * layer.total.pruned
    return zeros >= working - 0.5


def strategy_of(
    comparison: Comparison, *, sliced: bool = False, hidden_size: Change | None = None
) -> tuple[Strategy, Evidence]:
    """Return how a model was pruned on the whole, and the numbers that say so.

    Sliced, when the hidden size is smaller. Otherwise by what took most of the layers' parameters:
    layers that are gone or empty (layer removal), zeros among the weights (unstructured), or layers
    that are smaller: uniform when at least half of the layers that are left are, by shares that lie
    within `UNIFORM_SPREAD`, else non-uniform. A model that lost only what lies outside its layers
    is non-uniform, one that lost nothing unchanged.

    Args:
        comparison: its layers, sums and `missing_layers`.
        sliced: whether the checkpoint has the marks of SliceGPT.
        hidden_size: before and after, where it is known.

    Returns:
        The strategy and its evidence: counts of layers, ratios over all layers of the original
        (of a removed one 1) with their population standard deviation, shares of the original's
        layers that were lost in each way.
    """
    layers = comparison.layers
    left = [layer for layer in layers if not layer.removed and not is_emptied(layer)]
    changed = [layer.total.ratio for layer in left if layer.total.reduced > 0]
    ratios = [layer.total.ratio for layer in layers] + [1.0] * comparison.missing_layers
    whole = comparison.layer_params.original
    missing = whole - sum(layer.total.original for layer in layers)
    gone = sum(layer.total.original for layer in layers if layer.removed or is_emptied(layer))
    smaller = sum(max(0, layer.total.reduced) for layer in left)
    zeros = fsum(
        layer.total.pruned * layer.sparsity
        for layer in left
        if layer.sparsity is not None and layer.sparsity >= SPARSE
    )
    if comparison.missing_layers:
        gone += missing
    evidence: Evidence = {
        "layers": len(layers) + comparison.missing_layers,
        "layers_removed": sum(layer.removed for layer in layers) + comparison.missing_layers,
        "layers_emptied": sum(map(is_emptied, layers)),
        "layers_smaller": len(changed),
        "attention_removed": sum(not layer.removed and layer.attention_removed for layer in layers),
        "mlp_removed": sum(not layer.removed and layer.mlp_removed for layer in layers),
        **_spread(ratios),
        "lost_by_removal": _share(gone, whole),
        "lost_by_smaller_layers": _share(smaller, whole),
        "lost_outside_layers": _share(
            comparison.total.reduced - comparison.layer_params.reduced, comparison.total.original
        ),
    }
    if changed:
        evidence |= {"smaller_ratio_min": min(changed), "smaller_ratio_max": max(changed)}
    if any(layer.sparsity is not None for layer in layers):
        evidence["lost_by_zeros"] = _share(zeros, whole)
    if hidden_size is not None:
        evidence |= {
            "hidden_size_original": hidden_size.original,
            "hidden_size_pruned": hidden_size.pruned,
        }
    if sliced or (hidden_size is not None and hidden_size.reduced > 0):
        return "sliced", evidence
    if not gone and not smaller and not zeros:
        outside = comparison.total.reduced > comparison.layer_params.reduced
        return "non-uniform" if outside else "unchanged", evidence
    if gone >= max(smaller, zeros):
        return "layer removal", evidence
    if zeros >= smaller:
        return "unstructured", evidence
    uniform = 2 * len(changed) >= len(left) and max(changed) - min(changed) <= UNIFORM_SPREAD
    return "uniform" if uniform else "non-uniform", evidence


def _spread(ratios: Sequence[float]) -> Evidence:
    if not ratios:
        return {}
    mean = fsum(ratios) / len(ratios)
    variance = fsum((ratio - mean) ** 2 for ratio in ratios) / len(ratios)
    return {
        "ratio_mean": mean,
        "ratio_std": sqrt(variance),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def _share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0
