"""How a model was pruned on the whole, in words, and the numbers that say so."""

from __future__ import annotations

from math import isfinite

from depthprune.base.language import filled, t
from depthprune.report.tables import percent
from depthprune.structure.comparison import Comparison


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


def strategy_reason(comparison: Comparison) -> str:
    """Return the numbers that led to the strategy; empty where they are not known."""
    known = comparison.evidence
    texts = {
        "layer removal": t("{removed} of {layers} {layers:layer|layers} removed, {emptied} emptied")
        if known.get("layers_emptied")
        else t("{removed} of {layers} {layers:layer|layers} removed"),
        "uniform": t("{smaller} of {layers} {layers:layer|layers} smaller, by {least} to {most} %"),
        "non-uniform": t(
            "{smaller} of {layers} {layers:layer|layers} smaller, by {least} to {most} %"
        ),
        "unstructured": t("{zeros} % of the layers' parameters are zeros"),
        "sliced": t("hidden size {before}, now {after}"),
    }
    numbers = {
        "removed": "layers_removed",
        "emptied": "layers_emptied",
        "layers": "layers",
        "smaller": "layers_smaller",
        "before": "hidden_size_original",
        "after": "hidden_size_pruned",
    }
    shares = {"least": "smaller_ratio_min", "most": "smaller_ratio_max", "zeros": "lost_by_zeros"}
    values = {name: f"{known[key]:,.0f}" for name, key in numbers.items() if key in known}
    values |= {name: percent(known[key]) for name, key in shares.items() if key in known}
    try:
        return filled(texts.get(comparison.strategy, ""), **values)
    except KeyError:
        return ""


def evidence_texts(comparison: Comparison) -> list[tuple[str, str]]:
    """Return the numbers that led to the strategy, each with what it is, in words.

    Shares are in percent; a name that only the file knows stays as it is.
    """
    counts, shares = _count_names(), _share_names()
    found = []
    for name, value in comparison.evidence.items():
        if not isfinite(value):
            continue
        if name in counts:
            found.append((counts[name], f"{value:,.0f}"))
        elif name in shares:
            found.append((shares[name], percent(value)))
        else:
            found.append((name, f"{value:.6g}"))
    return found


def _count_names() -> dict[str, str]:
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


def _share_names() -> dict[str, str]:
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
