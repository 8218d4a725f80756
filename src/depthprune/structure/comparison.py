"""What a pruned model lost and kept, layer by layer of the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import fsum, sqrt
from typing import Literal

from depthprune.base.language import Note

Label = Literal["removed", "zero", "heavy", "moderate", "light", "unchanged", "unknown"]
"""removed: the layer is gone; zero: it is there, but empty (or a file says so); heavy: it lost more
than 80%; light: less than 20%; moderate: between; unchanged: nothing; unknown: a count of it is not
known."""

HEAVY = 0.8
LIGHT = 0.2

Strategy = Literal[
    "unchanged", "uniform", "non-uniform", "layer removal", "unstructured", "sliced", "unknown"
]

AlignedBy = Literal["provenance", "content", "config", "best match", "position"]
"""How a layer of the pruned model was found to be that layer of the original: what the checkpoint
says of itself; equal weights; `config.json`; the least different sizes or weights; its index."""


@dataclass(frozen=True, slots=True)
class CountChange:
    """A count before and after; None where it is not known, and then nothing follows from it."""

    original: int | None
    pruned: int | None

    @property
    def reduced(self) -> int | None:
        """How much is gone; negative when there is more."""
        if self.original is None or self.pruned is None:
            return None
        return self.original - self.pruned

    @property
    def ratio(self) -> float | None:
        """Share that is gone, 0..1; 0 where nothing was."""
        before, after = self.original, self.pruned
        if before is None or after is None:
            return None
        return (before - after) / before if before else 0.0


@dataclass(frozen=True, slots=True)
class LayerComparison:
    """One layer of the original and what is left of it.

    Attributes:
        index: in the original model.
        pruned_index: in the pruned model; None when the layer was removed.
        total, attention, mlp: parameters.
        intermediate_size: of the MLP; None where a file does not say.
        experts: of the MLP, where there are any in the original.
        is_zero: as a file says it, or nothing left.
        attention_removed, mlp_removed: there was one, and nothing is left of it.
        sparsity: share of zeros among what is left, where zeros were counted.
    """

    index: int
    pruned_index: int | None
    total: CountChange
    attention: CountChange
    mlp: CountChange
    intermediate_size: CountChange | None = None
    experts: CountChange | None = None
    is_zero: bool = False
    sparsity: float | None = None

    @property
    def removed(self) -> bool:
        return self.pruned_index is None

    @property
    def attention_removed(self) -> bool:
        return bool(self.attention.original) and self.attention.pruned == 0

    @property
    def mlp_removed(self) -> bool:
        return bool(self.mlp.original) and self.mlp.pruned == 0


@dataclass(frozen=True, slots=True)
class AddedLayer:
    """A layer of the pruned model that is none of the original's.

    Attributes:
        index: in the pruned model.
        total: parameters; None where they are not known.
        copy_of: the layer of the original with the same weights; None where it is new.
    """

    index: int
    total: int | None
    copy_of: int | None = None


@dataclass(frozen=True)
class ModelComparison:
    """A pruned model beside its original.

    Attributes:
        original_name, pruned_name: of the models.
        total: parameters of everything.
        layer_params: of all layers together.
        layers: of the original, ascending; of a file that compares by position, as it stands there.
        aligned_by: how layers were matched.
        added_layers: that the original does not have, or has only once.
        missing_layers: layers of the original that `layers` does not hold: a file that compares
            layer i with layer i says nothing of those at the end, only the sums tell their number.
        strategy: of the whole model.
        evidence: the numbers that led to it, by name.
        notes: what a reader should know of how the layers were matched.
        unknown: why counts are not known; empty where all are exact.
    """

    original_name: str
    pruned_name: str
    total: CountChange
    layer_params: CountChange
    layers: tuple[LayerComparison, ...]
    aligned_by: AlignedBy = "position"
    missing_layers: int = 0
    added_layers: tuple[AddedLayer, ...] = ()
    strategy: Strategy = "unchanged"
    evidence: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unknown: tuple[Note, ...] = ()


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


def num_layers(comparison: ModelComparison) -> int:
    """Return how many layers the original has, as far as the files tell."""
    listed = max((layer.index + 1 for layer in comparison.layers), default=0)
    return max(listed, len(comparison.layers) + comparison.missing_layers)


def is_located(comparison: ModelComparison) -> bool:
    """Return whether each share belongs to a known layer of the original.

    A file of the old scripts compares layer i with layer i: where layers are missing, nothing can
    be said of any single one.
    """
    return not comparison.missing_layers


def shares_kept(comparison: ModelComparison) -> dict[int, float]:
    """Return the share that each layer of the original keeps, as far as that is known."""
    if not is_located(comparison):
        return {}
    shares = ((layer.index, share_kept(layer)) for layer in comparison.layers)
    return {index: share for index, share in shares if share is not None}


def variance_kept(comparison: ModelComparison) -> float | None:
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


def std_kept(comparison: ModelComparison) -> float | None:
    """Return the population standard deviation of the shares; None where there are no layers."""
    variance = variance_kept(comparison)
    return None if variance is None else sqrt(variance)


def layers_below(comparison: ModelComparison, percent: float) -> tuple[int, ...]:
    """Return the layers of the original that keep less than this percentage, as far as known.

    Those that are missing (`ModelComparison.missing_layers`) are not among them.
    """
    shares = shares_kept(comparison)
    return tuple(layer for layer in sorted(shares) if 100 * shares[layer] < percent)
