"""The words for an anatomy: what became of a layer and of a model, and how layers were found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

from depthprune.base.language import Note, filled, t
from depthprune.base.terminal import shown
from depthprune.report.formatting import percent
from depthprune.structure.align import DOUBTS, Alignment
from depthprune.structure.anatomy import added as summed
from depthprune.structure.compare import label_of
from depthprune.structure.comparison import (
    AddedLayer,
    AlignedBy,
    Label,
    LayerComparison,
    ModelComparison,
)
from depthprune.structure.summaries import ModelFacts


def count_text(count: int | None) -> str:
    """Return a count with commas; the word where it is not known."""
    return t("unknown") if count is None else f"{count:,}"


def share_text(share: float | None) -> str:
    """Return a share 0..1 in percent, without a sign; the word where it is not known."""
    return t("unknown") if share is None else percent(share)


def not_known(reasons: Iterable[Note]) -> list[str]:
    """Return why counts are not known."""
    return [t("Not known: {why}", why=shown(why.translated())) for why in reasons]


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
        if (some := layer.experts) is not None and some.reduced and not layer.mlp_removed:
            words.append(t("{n} of {all} {all:expert|experts}", n=some.pruned, all=some.original))
    return t(", ").join(words)


def remarks(facts: ModelFacts) -> list[str]:
    """Return in words what happened to single layers of a model."""
    found = []
    if facts.removed:
        found.append(t("removed layers: {layers}", layers=_listed(facts.removed)))
    if facts.missing:
        text = t("{n} {n:layer|layers} missing, which {n:one|ones} the files do not say")
        found.append(filled(text, n=facts.missing))
    if facts.emptied:
        found.append(t("zero layers: {layers}", layers=_listed(facts.emptied)))
    found += not_known(facts.unknown)
    for layers, text in (
        (facts.no_attention, t("attention removed in {n:layer|layers} {layers}")),
        (facts.no_mlp, t("MLP removed in {n:layer|layers} {layers}")),
    ):
        if layers:
            found.append(filled(text, n=len(layers), layers=_listed(layers)))
    return found


def strategy_names() -> dict[str, str]:
    """Return what the strategies of a comparison are called."""
    return {
        "unchanged": t("unchanged"),
        "uniform": t("uniform"),
        "non-uniform": t("non-uniform"),
        "layer removal": t("layer removal"),
        "unstructured": t("unstructured"),
        "sliced": t("sliced"),
        "unknown": t("unknown"),
    }


def strategy_reason(comparison: ModelComparison) -> str:
    """Return the numbers that led to the strategy; empty where they are not known."""
    known = comparison.evidence
    within = t(
        "{layers_smaller} of {layers} {layers:layer|layers} smaller, by {smaller_ratio_min} to "
        "{smaller_ratio_max} %"
    )
    outside = t("{lost_outside_layers} % of the model went, all of it outside the layers")
    is_outside = not known.get("layers_smaller") and known.get("lost_outside_layers", 0) > 0
    texts = {
        "layer removal": t(
            "{layers_removed} of {layers} {layers:layer|layers} removed, {layers_emptied} emptied"
        )
        if known.get("layers_emptied")
        else t("{layers_removed} of {layers} {layers:layer|layers} removed"),
        "uniform": within,
        "non-uniform": outside if is_outside else within,
        "unstructured": t("{lost_by_zeros} % of the layers' parameters are zeros"),
        "sliced": t("hidden size {hidden_size_original}, now {hidden_size_pruned}")
        if "hidden_size_original" in known
        else t("all layers have shortcuts instead of norms"),
    }
    try:
        return filled(texts.get(comparison.strategy, ""), **_numbers(comparison))
    except KeyError:
        return ""


def strategy_lines(comparison: ModelComparison) -> list[str]:
    """Return how the model was pruned on the whole, with the numbers that say so."""
    known, added = _numbers(comparison), comparison.added_layers
    text = t("Strategy: {name}")
    if reason := strategy_reason(comparison):
        text = t("Strategy: {name}: {reason}")
    lines = [filled(text, name=strategy_names()[comparison.strategy], reason=reason)]
    if "experts_original" in known:
        text = t("  experts of all layers: {experts_pruned} of {experts_original} are left")
        lines.append(filled(text, **known))
    if added:
        total = count_text(summed(layer.total for layer in added))
        text = t("  added layers: {layers}; together {n} {n:parameter|parameters}")
        lines.append(filled(text, layers=", ".join(map(_added, added)), n=total))
    if comparison.strategy in ("unchanged", "unknown"):
        return lines
    spread = [
        t("  lost per layer: {ratio_mean} % on average, standard deviation {ratio_std} points"),
        t(
            "  of the layers' parameters, {lost_by_removal} % went with layers, "
            "{lost_by_smaller_layers} % within layers"
        ),
    ]
    if "lost_by_zeros" in known and comparison.strategy != "unstructured":
        spread.append(t("  {lost_by_zeros} % are zeros"))
    values = dict.fromkeys(_shares(), percent(0)) | known
    return lines + [filled(line, **values) for line in spread]


def _added(layer: AddedLayer) -> str:
    if layer.copy_of is None:
        return str(layer.index)
    return t("{layer} (a copy of {original})", layer=layer.index, original=layer.copy_of)


def _counts() -> dict[str, str]:
    """Return what the counts of the evidence are called."""
    return {
        "layers": t("layers of the original"),
        "layers_removed": t("removed layers"),
        "layers_emptied": t("emptied layers"),
        "layers_smaller": t("layers that are smaller"),
        "attention_removed": t("layers without attention"),
        "mlp_removed": t("layers without MLP"),
        "hidden_size_original": t("hidden size of the original"),
        "hidden_size_pruned": t("hidden size now"),
        "layers_added": t("added layers"),
        "experts_original": t("experts of the original"),
        "experts_pruned": t("experts that are left"),
    }


def _shares() -> dict[str, str]:
    """Return what the shares of the evidence are called."""
    return {
        "ratio_mean": t("gone per layer of the original: mean %"),
        "ratio_std": t("gone per layer of the original: standard deviation, points"),
        "ratio_min": t("gone per layer of the original: min %"),
        "ratio_max": t("gone per layer of the original: max %"),
        "smaller_ratio_min": t("gone of the layers that are smaller: min %"),
        "smaller_ratio_max": t("gone of the layers that are smaller: max %"),
        "lost_by_removal": t("of the layers' parameters, gone with whole layers %"),
        "lost_by_smaller_layers": t("of the layers' parameters, gone within layers %"),
        "lost_by_zeros": t("of the layers' parameters, zeros %"),
        "lost_outside_layers": t("of all parameters, gone outside the layers %"),
    }


def _numbers(comparison: ModelComparison) -> dict[str, str]:
    """Return the evidence as text, shares in percent."""
    counts, shares = _counts(), _shares()

    def text(name: str, value: float) -> str:
        if name in shares:
            return percent(value)
        return f"{value:,.0f}" if name in counts else f"{value:.6g}"

    known = comparison.evidence.items()
    return {name: text(name, value) for name, value in known if isfinite(value)}


def evidence_texts(comparison: ModelComparison) -> list[tuple[str, str]]:
    """Return the numbers that led to the strategy, each with what it is, in words.

    Shares are in percent; a name that only the file knows stays as it is.
    """
    names = _counts() | _shares()
    return [(names.get(name, name), text) for name, text in _numbers(comparison).items()]


def ways() -> dict[AlignedBy, str]:
    """Return by what layers of a model are found in its original."""
    return {
        "provenance": t("what the checkpoint says of its origin"),
        "content": t("equal weights"),
        "config": t("what config.json says"),
        "best match": t("the least differences, in the same order"),
        "position": t("their position"),
    }


def aligned_lines(comparison: ModelComparison, alignment: Alignment | None) -> list[str]:
    """Return how layers of the model were found in its original, and what to know of that."""
    if comparison.unknown and not comparison.layers:
        lines = [t("Layers were not found.")]
    else:
        lines = [t("Layers were found by {way}.", way=ways()[comparison.aligned_by])]
    for doubt in () if alignment is None else alignment.doubts:
        note = Note(DOUBTS[doubt.kind], layers=_listed(doubt.layers), number=doubt.number)
        lines.append(t("Note: {text}", text=note.translated()))
    return lines


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
