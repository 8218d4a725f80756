"""The texts of the page of many models that do not depend on them."""

from __future__ import annotations

from depthprune.base.language import t
from depthprune.report.sections.structure_words import strategy_names, ways


def page_words() -> dict[str, str]:
    """Return the texts of the template."""
    return {
        "title": t("What did pruning take away?"),
        "theme": t("Dark"),
        "skip": t("Skip to the answer"),
        "no_script": t("The interactive parts of this page need JavaScript; the tables do not."),
        "unread": t("Could not be read"),
        "without": t("Without analysis"),
        "mend": t("The command beside each makes one."),
        "models": t("All models"),
        "models_help": t(
            "Click a heading to sort: the pictures below follow. What is unknown stands last."
        ),
        "filter": t("Filter"),
        "filter_hint": t("name or strategy"),
        "more": t("Show all"),
        "layers": t("Layer by layer"),
        "layers_help": t(
            "One column for each layer of the original, at the same place for all models. Up from "
            "the middle: the share of the attention that is left; down: that of the MLP. Hover "
            "over a column, or move with the arrow keys, for its numbers."
        ),
        "compare": t("Two models side by side"),
        "compare_help": t(
            "Choose them here, or with A and B beside the pictures above. The lowest row is what "
            "is left in B minus what is left in A, in points of the layer's parameters."
        ),
        "evidence": t("What the strategies were told by"),
        "compare_rows": t("Every layer in numbers"),
        "made_by": t(
            "Made by depthprune. Pruning ratio: parameters that are gone, of those of the original."
        ),
    }


def script_words() -> dict[str, object]:
    """Return the texts of the script; it fills in what stands in braces."""
    return {
        "model": t("model"),
        "parameters": t("parameters"),
        "pruned": t("pruning ratio %"),
        "layers": t("layers"),
        "removedLayers": t("removed layers"),
        "emptiedLayers": t("emptied layers"),
        "noAttention": t("attention removed"),
        "noMlp": t("MLP removed"),
        "strategy": t("strategy"),
        "embedding": t("embedding"),
        "head": t("head"),
        "tied": t("tied"),
        "ofLayers": t("{n} of {total}"),
        "unsaid": t("{n}, which ones is not said"),
        "shown": t("{shown} of {total} {total:model|models}"),
        "noMatch": t("No model matches."),
        "byPosition": t("layers compared by position"),
        "ownScale": t("original unknown: bars relative to its own largest layer"),
        "removed": t("layer removed"),
        "lostPart": t("nothing left of it"),
        "missing": t("missing, which layer is not said"),
        "missingTip": t(
            "{n} {n:layer of the original is|layers of the original are} gone. The files "
            "compare layers by position and do not say which {n:it is|they are}."
        ),
        "lost": t("gone"),
        "attention": t("attention"),
        "mlp": t("MLP"),
        "layer": t("layer"),
        "layerNumber": t("Layer {layer}"),
        "percentLost": t("{share} % gone"),
        "original": t("original"),
        "left": t("left"),
        "lostPercent": t("gone %"),
        "rest": t("mixer, norms and others"),
        "unknown": t("unknown"),
        "size": t("intermediate size"),
        "heads": t("{heads} query {heads:head|heads}, {kv} key-value {kv:head|heads}"),
        "headsAlone": t("{heads} {heads:head|heads}"),
        "allZeros": t("zeros"),
        "legendZeros": t("zeros among what is left"),
        "zeros": t("{share} % of what is left are zeros"),
        "prunedIndex": t("layer {layer} of the pruned model"),
        "differenceOf": t("B − A"),
        "points": t("{drop} points"),
        "fullBar": t("full bar: {n} {n:point|points}"),
        "oneModel": t("The model in numbers"),
        "leftPercent": t("left %"),
        "noDifference": t(
            "No difference: the files of one of them do not say which layers of the original its "
            "layers are."
        ),
        "originalsDiffer": t(
            "They were not made of the same original: compare the shares, not the counts."
        ),
        "alignedBy": t("layers found by"),
        "bytes": t("bytes"),
        "numberTypes": t("number types"),
        "notes": t("notes"),
        "showAs": t("Show {model} as {side}"),
        "strategies": strategy_names(),
        "labels": {
            "removed": t("layer removed"),
            "zero": t("nothing left"),
            "heavy": t("heavily pruned"),
            "moderate": t("moderately pruned"),
            "light": t("lightly pruned"),
            "unchanged": t("unchanged"),
            "unknown": t("counts not known"),
        },
        "alignments": ways(),
    }
