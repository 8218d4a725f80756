"""The words for an anatomy: what became of a layer and of a model, and how layers were found."""

from __future__ import annotations

from depthprune.base.language import filled, t
from depthprune.report.structure_counts import count_text
from depthprune.report.tables import percent
from depthprune.structure.align import Alignment, Doubt, DoubtKind
from depthprune.structure.anatomy import Attention
from depthprune.structure.anatomy import added as summed
from depthprune.structure.comparison import (
    AddedLayer,
    AlignedBy,
    Comparison,
    Label,
    LayerComparison,
    Strategy,
)
from depthprune.structure.labels import label_of


def label_words() -> dict[Label, str]:
    """Return what the labels are called; what is gone stands out without colour, too."""
    return {
        "removed": t("REMOVED"),
        "zero": t("EMPTY"),
        "heavy": t("HEAVY"),
        "moderate": t("moderate"),
        "light": t("light"),
        "unchanged": t("as it was"),
        "unknown": t("unknown"),
    }


def what_happened(layer: LayerComparison) -> str:
    """Return a layer's label, and which of its parts is gone where the other is left."""
    label = label_of(layer)
    words = [label_words()[label]]
    if label not in ("removed", "zero"):
        words += [t("NO ATTENTION")] if layer.attention_removed else []
        words += [t("NO MLP")] if layer.mlp_removed else []
        words += _fewer_experts(layer)
    return t(", ").join(words)


def _fewer_experts(layer: LayerComparison) -> list[str]:
    experts = layer.experts
    if experts is None or not experts.reduced or layer.mlp_removed:
        return []
    return [t("{n} of {all} {all:expert|experts}", n=experts.pruned, all=experts.original)]


def tower_words() -> dict[str, str]:
    """Return what the parts beside the text decoder are called."""
    return {
        "vision": t("vision"),
        "projector": t("projector"),
        "audio": t("audio"),
        "encoder": t("encoder"),
        "prediction": t("prediction"),
        "depth decoder": t("depth decoder"),
    }


def strategy_lines(comparison: Comparison) -> list[str]:
    """Return how the model was pruned on the whole, with the numbers that say so."""
    known = comparison.evidence
    is_outside = not known.get("layers_smaller") and known.get("lost_outside_layers", 0) > 0
    if comparison.strategy == "non-uniform" and is_outside:
        text = t("Strategy: non-uniform: {share} % of the model went, all of it outside the layers")
        return [filled(text, share=percent(known["lost_outside_layers"]))]
    texts: dict[Strategy, str] = {
        "unchanged": t("Strategy: none, nothing was taken from any layer"),
        "uniform": t(
            "Strategy: uniform: {smaller} of {layers} {layers:layer|layers} lost {low} to {high} %"
        ),
        "non-uniform": t(
            "Strategy: non-uniform: {smaller} of {layers} {layers:layer|layers} lost {low} "
            "to {high} %"
        ),
        "layer removal": t(
            "Strategy: layer removal: {removed} of {layers} {layers:layer|layers} "
            "{removed:is|are} gone, {emptied} {emptied:is|are} empty"
        ),
        "unstructured": t("Strategy: unstructured: {zeros} % of the layers' parameters are zeros"),
        "sliced": t("Strategy: sliced: the hidden size went from {wide} to {narrow}")
        if "hidden_size_original" in known
        else t("Strategy: sliced: all layers have shortcuts instead of norms"),
        "unknown": t("Strategy: unknown, for counts are"),
    }
    values = {
        name: f"{known.get(key, 0):.0f}"
        for name, key in {
            "smaller": "layers_smaller",
            "layers": "layers",
            "removed": "layers_removed",
            "emptied": "layers_emptied",
            "wide": "hidden_size_original",
            "narrow": "hidden_size_pruned",
        }.items()
    }
    shares = {
        "low": "smaller_ratio_min",
        "high": "smaller_ratio_max",
        "zeros": "lost_by_zeros",
        "removal": "lost_by_removal",
        "less": "lost_by_smaller_layers",
        "std": "ratio_std",
        "mean": "ratio_mean",
    }
    values |= {name: percent(known.get(key, 0)) for name, key in shares.items()}
    lines = [filled(texts[comparison.strategy], **values)]
    lines += _experts_and_added(comparison)
    if comparison.strategy in ("unchanged", "unknown"):
        return lines
    spread = t("  lost per layer: {mean} % on average, standard deviation {std} points")
    ways = [t("  of the layers' parameters, {removal} % went with layers, {less} % within layers")]
    if "lost_by_zeros" in known and comparison.strategy != "unstructured":
        ways.append(t("  {zeros} % are zeros"))
    return [*lines, *(filled(line, **values) for line in (spread, *ways))]


def _experts_and_added(comparison: Comparison) -> list[str]:
    known, added = comparison.evidence, comparison.added_layers
    lines = []
    if "experts_original" in known:
        text = t("  experts of all layers: {left} of {all} are left")
        left, every = (f"{known[key]:,.0f}" for key in ("experts_pruned", "experts_original"))
        lines.append(filled(text, left=left, all=every))
    if added:
        total = count_text(summed(layer.total for layer in added))
        text = t("  added layers: {layers}; together {n} {n:parameter|parameters}")
        lines.append(filled(text, layers=", ".join(_added(layer) for layer in added), n=total))
    return lines


def _added(layer: AddedLayer) -> str:
    if layer.copy_of is None:
        return str(layer.index)
    return t("{layer} (a copy of {original})").format(layer=layer.index, original=layer.copy_of)


def aligned_line(comparison: Comparison) -> str:
    """Return how layers of the model were found in its original."""
    if comparison.unknown and not comparison.layers:
        return t("Layers were not found.")
    texts: dict[AlignedBy, str] = {
        "provenance": t("Layers were found by what the checkpoint says of its origin."),
        "content": t("Layers were found by equal weights."),
        "config": t("Layers were found by what config.json says."),
        "best match": t("Layers were found by the least differences, in the same order."),
        "position": t("Layers were found by their position."),
    }
    return texts[comparison.aligned_by]


def doubt_lines(alignment: Alignment | None) -> list[str]:
    """Return what a reader should know of how the layers were found."""
    return [] if alignment is None else [_doubt(doubt) for doubt in alignment.doubts]


def _doubt(doubt: Doubt) -> str:
    texts: dict[DoubtKind, str] = {
        "no original weights": t(
            "Note: of the original only counts are known, no weights to know layers by."
        ),
        "weights alike": t(
            "Note: the weights do not tell the layers apart: all alike, or none comparable."
        ),
        "record unfit": t(
            "Note: what the checkpoint says of removed layers does not fit these two models."
        ),
        "record contradicted": t(
            "Note: what the checkpoint says of removed layers is not true of its weights, which "
            "were followed."
        ),
        "reordered": t("Note: the layers stand in another order than in the original."),
        "copies": t("Note: these layers hold the weights of another layer: {layers}."),
        "could be others": t(
            "Note: these layers of the pruned model could be others as well: {layers}."
        ),
        "unknown": t(
            "Note: {number} {number:layer was|layers were} removed, but nothing tells "
            "WHICH: layer i is set beside layer i, and the rest is missing."
        ),
        "added": t(
            "Note: the model has {number} {number:layer|layers} more than the original, "
            "and nothing tells WHICH: the last {number:one is|ones are} taken for them."
        ),
        "grown": t(
            "Note: these layers hold more than in the original, which may be another model: "
            "{layers}."
        ),
    }
    return doubt.told(texts[doubt.kind])


def heads(attention: Attention) -> str:
    """Return the heads of a layer as `32/8`: all, and those of keys and values; `-` if unknown."""
    if attention.num_heads is None:
        return "-"
    if attention.num_kv_heads in (None, attention.num_heads):
        return str(attention.num_heads)
    return f"{attention.num_heads}/{attention.num_kv_heads}"


def before_after(before: str, after: str) -> str:
    """Return two cells as one; what did not change stands once."""
    return before if before == after else f"{before} > {after}"
