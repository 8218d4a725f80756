"""How much of each layer a pruned model keeps, and how unevenly."""

from __future__ import annotations

from math import fsum, sqrt

from depthprune.structure.comparison import Comparison, LayerComparison


def share_kept(layer: LayerComparison) -> float | None:
    """Return the share of its parameters that a layer keeps: 0 when it was removed.

    None where a count is not known.
    """
    before, after = layer.total.original, layer.total.pruned
    if layer.removed:
        return 0.0
    if before is None or after is None:
        return None
    return after / before if before else 1.0


def num_layers(comparison: Comparison) -> int:
    """Return how many layers the original has, as far as the files tell."""
    listed = max((layer.index + 1 for layer in comparison.layers), default=0)
    return max(listed, len(comparison.layers) + comparison.missing_layers)


def is_located(comparison: Comparison) -> bool:
    """Return whether each share belongs to a known layer of the original.

    A file of the old scripts compares layer i with layer i: where layers are missing, nothing can
    be said of any single one.
    """
    return not comparison.missing_layers


def shares_kept(comparison: Comparison) -> dict[int, float]:
    """Return the share that each layer of the original keeps, as far as that is known."""
    if not is_located(comparison):
        return {}
    shares = ((layer.index, share_kept(layer)) for layer in comparison.layers)
    return {index: share for index, share in shares if share is not None}


def variance_kept(comparison: Comparison) -> float | None:
    """Return the population variance of the shares; None without layers, or where one is unknown.

    A missing layer keeps nothing, whichever it is: the order does not change the variance.
    """
    found = [share_kept(layer) for layer in comparison.layers]
    shares = [share for share in found if share is not None]
    missing = comparison.missing_layers
    count = len(shares) + missing
    if not count or len(shares) < len(found):
        return None
    mean = fsum(shares) / count
    # A broken file may tell of any number of missing layers: they are not listed.
    return (fsum((share - mean) ** 2 for share in shares) + missing * mean**2) / count


def std_kept(comparison: Comparison) -> float | None:
    """Return the population standard deviation of the shares; None where there are no layers."""
    variance = variance_kept(comparison)
    return None if variance is None else sqrt(variance)


def layers_below(comparison: Comparison, percent: float) -> tuple[int, ...]:
    """Return the layers of the original that keep less than this percentage, as far as known.

    Those that are missing (`Comparison.missing_layers`) are not among them.
    """
    shares = shares_kept(comparison)
    return tuple(layer for layer in sorted(shares) if 100 * shares[layer] < percent)
