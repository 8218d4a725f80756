"""How a model was pruned on the whole, in words, and the numbers that say so."""

from __future__ import annotations

from dataclasses import replace

from depthprune.report.html.text import points
from depthprune.report.language import Translate
from depthprune.structure.comparison import Comparison
from depthprune.structure.labels import strategy_of
from depthprune.structure.summary import ModelSummary, Summary


def with_strategies(summary: Summary) -> Summary:
    """Return the summary with a strategy for every comparison whose file names none."""
    return replace(summary, models=tuple(map(_with_strategy, summary.models)))


def _with_strategy(model: ModelSummary) -> ModelSummary:
    found = model.comparison
    if found is None or found.strategy != "unchanged" or found.evidence:
        return model
    strategy, evidence = strategy_of(found)
    return replace(model, comparison=replace(found, strategy=strategy, evidence=evidence))


def strategy_names(t: Translate) -> dict[str, str]:
    """Return what the strategies of a comparison are called."""
    return {
        "unchanged": t("unchanged"),
        "uniform": t("uniform"),
        "non-uniform": t("non-uniform"),
        "layer removal": t("layer removal"),
        "unstructured": t("unstructured"),
        "sliced": t("sliced"),
    }


def strategy_reason(comparison: Comparison, t: Translate) -> str:
    """Return the numbers that led to the strategy; empty where they are not known."""
    known = comparison.evidence
    texts = {
        "layer removal": t("{removed} of {layers} layers removed, {emptied} emptied")
        if known.get("layers_emptied")
        else t("{removed} of {layers} layers removed"),
        "uniform": t("{smaller} of {layers} layers smaller, by {least} to {most} %"),
        "non-uniform": t("{smaller} of {layers} layers smaller, by {least} to {most} %"),
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
    values |= {name: points(known[key]) for name, key in shares.items() if key in known}
    try:
        return texts.get(comparison.strategy, "").format(**values)
    except KeyError:
        return ""
