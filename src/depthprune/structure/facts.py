"""What is known of a pruned model in a few numbers, whichever of its files exist."""

from __future__ import annotations

from dataclasses import dataclass, replace

from depthprune.base.language import Note
from depthprune.structure.anatomy import Anatomy
from depthprune.structure.comparison import Change, Comparison
from depthprune.structure.labels import is_emptied
from depthprune.structure.summary import ModelSummary


@dataclass(frozen=True)
class ModelFacts:
    """A model in a few numbers; None where nothing tells.

    Attributes:
        params, original: parameters of the pruned model and of its original.
        ratio: share of the parameters that is gone, 0..1; negative when there are more.
        num_layers, of_layers: that stay, and that the original has.
        removed: layers of the original that are gone.
        missing: further layers that are gone; no file says which they are.
        emptied: layers that are there with nothing in them, or that a file calls zero.
        no_attention, no_mlp: layers that lost this part only.
        strategy: of the comparison.
        unknown: why counts are not known; empty where all are exact, or no file tells any.
    """

    params: int | None
    original: int | None
    ratio: float | None
    num_layers: int | None
    of_layers: int | None
    removed: tuple[int, ...] = ()
    missing: int = 0
    emptied: tuple[int, ...] = ()
    no_attention: tuple[int, ...] = ()
    no_mlp: tuple[int, ...] = ()
    strategy: str | None = None
    unknown: tuple[Note, ...] = ()

    @property
    def num_removed(self) -> int:
        """Layers that are gone, known or not."""
        return len(self.removed) + self.missing


def facts_of(model: ModelSummary) -> ModelFacts:
    """Return what is known of a model; where both tell, its comparison counts."""
    if model.comparison is not None:
        return _compared(model.comparison)
    if model.anatomy is None:
        return ModelFacts(None, model.original, None, None, None, model.removed)
    return replace(_alone(model.anatomy, model.original), removed=model.removed)


def _alone(anatomy: Anatomy, original: int | None) -> ModelFacts:
    filled = [layer for layer in anatomy.layers if not layer.is_zero]
    return ModelFacts(
        params=anatomy.total,
        original=original,
        ratio=Change(original, anatomy.total).ratio if original else None,
        num_layers=len(anatomy.layers) if anatomy.knows_layers else None,
        of_layers=None,
        emptied=tuple(layer.index for layer in anatomy.layers if layer.is_zero),
        # A model may have layers without attention from birth; a class of this name says better.
        no_attention=tuple(at.index for at in filled if _is_zeroed(at.attention.type)),
        no_mlp=tuple(at.index for at in filled if _is_zeroed(at.mlp.type)),
        unknown=anatomy.unknown,
    )


def _is_zeroed(type_name: str | None) -> bool:
    return type_name is not None and type_name.startswith("Zero")


def _compared(found: Comparison) -> ModelFacts:
    stay = [layer for layer in found.layers if not layer.removed]
    is_told = bool(found.layers) or not found.unknown
    emptied = [layer.index for layer in stay if is_emptied(layer)]
    filled = [layer for layer in stay if layer.index not in emptied]
    return ModelFacts(
        params=found.total.pruned,
        original=found.total.original,
        ratio=found.total.ratio,
        num_layers=len(stay) if is_told else None,
        of_layers=len(found.layers) + found.missing_layers if is_told else None,
        removed=tuple(layer.index for layer in found.layers if layer.removed),
        missing=found.missing_layers,
        emptied=tuple(emptied),
        no_attention=tuple(layer.index for layer in filled if layer.attention_removed),
        no_mlp=tuple(layer.index for layer in filled if layer.mlp_removed),
        strategy=found.strategy,
        unknown=found.unknown,
    )
