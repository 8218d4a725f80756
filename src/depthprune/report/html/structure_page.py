"""The page of a summary: many pruned models, and what each lost where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum
from typing import Any

from depthprune.base.language import t
from depthprune.base.terminal import shown
from depthprune.report.render.html import PageFiles, points, render
from depthprune.report.sections.structure_words import (
    evidence_texts,
    not_known,
    strategy_names,
    strategy_reason,
    ways,
)
from depthprune.report.structure_summary import (
    SummaryRow,
    models_table,
    rows_of,
    without_analysis,
)
from depthprune.structure.anatomy import Anatomy, Layer
from depthprune.structure.compare import label_of
from depthprune.structure.comparison import ModelComparison
from depthprune.structure.summaries import ModelFacts, ModelSummaries, ModelSummary, facts_of

PARTS = PageFiles(
    template="structure",
    styles=("page", "structure"),
    scripts=(
        "basics",
        "tip",
        "sorting",
        "paper",
        "structure/models",
        "structure/layers",
        "structure/table",
        "structure/compare",
        "structure/start",
    ),
)

Line = tuple[str, str, str]
"""Name, number, and of which model (empty where that says nothing)."""


def render_structure_page(summary: ModelSummaries) -> str:
    """Return the summary of pruned models as one HTML file: a table, and bars for every layer.

    The file needs no network and no other file; the same summary gives the same bytes.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    summary = _printable(summary)
    return render(
        PARTS,
        structure_data(summary),
        overview=overview(summary),
    )


def _printable(summary: ModelSummaries) -> ModelSummaries:
    """Return the summary without letters in its names that turn or hide what stands beside them."""

    def printable(model: ModelSummary) -> ModelSummary:
        return replace(
            model,
            name=shown(model.name),
            problems=tuple(map(shown, model.problems)),
            mend=None if model.mend is None else shown(model.mend),
        )

    return ModelSummaries(tuple(map(shown, summary.dirs)), tuple(map(printable, summary.models)))


def overview(summary: ModelSummaries) -> dict[str, Any]:
    """Return the head of the page: what was read, what was lost, what could not be read."""
    rows = rows_of(summary.models)
    known = [row for row in rows if row.facts.params is not None]
    without, unread = without_analysis(summary), [one for one in summary.models if one.problems]
    scope = t("models: {models} · without analysis: {without} · problems: {problems}")
    return {
        "dirs": ", ".join(summary.dirs),
        "scope": scope.format(
            models=f"{len(summary.models):,}",
            without=f"{len(without):,}",
            problems=f"{sum(len(one.problems) for one in unread):,}",
        ),
        "lead": _lead(summary, known),
        "cards": _cards(known) if len(known) > 1 else {},
        "unread": [(one.name, one.problems, "") for one in unread],
        "without": [(one.name, (), one.mend or "") for one in without],
        "table": models_table(rows),
    }


def _lead(summary: ModelSummaries, known: Sequence[SummaryRow]) -> str:
    ratios = [row.facts.ratio for row in known if row.facts.ratio is not None]
    if not summary.models:
        return t("No model was found.")
    if not ratios:
        return t("Nothing tells how much these models lost.")
    if len(ratios) == 1:
        text = t("One model lost {most} % of its parameters.")
    elif points(min(ratios)) == points(max(ratios)):
        text = t("{n} models lost {most} % of their parameters each.")
    else:
        text = t("{n} models lost {least} % to {most} % of their parameters.")
    return text.format(n=f"{len(ratios):,}", least=points(min(ratios)), most=points(max(ratios)))


def _cards(known: Sequence[SummaryRow]) -> dict[str, list[Line]]:
    """Return a few numbers under the name of what they tell."""

    def spread(of: Callable[[ModelFacts], Any], text: Callable[[float], str]) -> list[Line]:
        values = [(of(row.facts), row.model.name) for row in known if of(row.facts) is not None]
        if not values:
            return []
        least, most = (choose(values, key=lambda one: one[0]) for choose in (min, max))
        mean = fsum(value for value, _ in values) / len(values)
        return [
            (t("min"), text(least[0]), least[1]),
            (t("mean"), text(mean), ""),
            (t("max"), text(most[0]), most[1]),
        ]

    def number(holds: Callable[[ModelFacts], Any]) -> str:
        return f"{sum(bool(holds(row.facts)) for row in known):,}"

    names = strategy_names()
    strategies = Counter(row.facts.strategy for row in known if row.facts.strategy)
    cards: dict[str, list[Line]] = {
        t("Parameters"): spread(lambda one: one.params, lambda n: f"{round(n):,}"),
        t("Pruning ratio %"): spread(lambda one: one.ratio, points),
        t("What is gone"): [
            (t("models that lost layers"), number(lambda one: one.num_removed), ""),
            (t("with emptied layers"), number(lambda one: one.emptied), ""),
            (t("with attention removed"), number(lambda one: one.no_attention), ""),
            (t("with MLP removed"), number(lambda one: one.no_mlp), ""),
        ],
        t("Strategies"): [(names[name], f"{n:,}", "") for name, n in strategies.most_common()],
    }
    return {name: lines for name, lines in cards.items() if lines}


MOST_LAYERS = 1000
"""Layers of a model that is drawn, so that one absurd file does not spoil the page of all models.

A model with more has a row in the table only; larger indices are drawn in the order of the file.
"""

Column = int | float | str | None | list[Any]
"""Of one number per layer; a single number where all are the same."""

Originals = dict[str, tuple[int, dict[str, Column]]]
"""The layers of each original, and its place among them."""


def structure_data(summary: ModelSummaries) -> dict[str, Any]:
    """Return what the page shows and computes with; counts are parameters, ratios 0..1."""
    originals: Originals = {}
    models = [_model(model, originals) for model in summary.models]
    return {
        "models": models,
        "originals": [columns for _, columns in originals.values()],
        "numLayers": max((_width(one["layers"]) for one in models if one["layers"]), default=0),
        "strategies": strategy_names(),
        "alignments": ways(),
    }


def _model(model: ModelSummary, originals: Originals) -> dict[str, Any]:
    found, anatomy, comparison = facts_of(model), model.anatomy, model.comparison
    notes = [*(anatomy.notes if anatomy else ()), *(comparison.notes if comparison else ())]
    entry: dict[str, Any] = {"name": model.name, **vars(found), "layers": None}
    entry["notes"] = [*notes, *not_known(found.unknown)]
    if anatomy is not None:
        zeros = anatomy.sparsity
        entry |= {
            "embedding": anatomy.embedding,
            "head": anatomy.lm_head,
            "tied": anatomy.tied,
            "bytes": anatomy.bytes,
            "dtypes": list(anatomy.dtypes),
            "towers": list(anatomy.towers.items()),
            "zeros": None if zeros is None else (zeros.ratio, zeros.pattern),
        }
        if comparison is None and len(anatomy.layers) <= MOST_LAYERS:
            entry["layers"] = _own_layers(anatomy)
    if comparison is not None:
        entry |= {
            "evidence": evidence_texts(comparison),
            "reason": strategy_reason(comparison),
            "alignedBy": comparison.aligned_by,
        }
        if len(comparison.layers) <= MOST_LAYERS:
            entry["layers"] = _compared_layers(comparison, anatomy, originals)
    return entry


def _compared_layers(
    comparison: ModelComparison, anatomy: Anatomy | None, originals: Originals
) -> dict[str, Any]:
    """Return the layers of a comparison; those of a new original are added to the originals."""
    layers = comparison.layers
    own = {layer.index: layer for layer in anatomy.layers} if anatomy is not None else {}
    changes = [(at.total, at.attention, at.mlp, at.intermediate_size) for at in layers]
    original, pruned = (
        _columns(
            [[None if one is None else getattr(one, side) for one in each] for each in changes]
        )
        for side in ("original", "pruned")
    )
    base, _ = originals.setdefault(repr(original), (len(originals), original))
    return {
        "base": base,
        "count": len(layers),
        "missing": min(comparison.missing_layers, MOST_LAYERS),
        "index": _places([layer.index for layer in layers]),
        "prunedIndex": _places([layer.pruned_index for layer in layers]),
        **pruned,
        "zeros": column(layer.sparsity for layer in layers),
        "label": column(label_of(layer) for layer in layers),
        **_heads([own.get(-1 if at.pruned_index is None else at.pruned_index) for at in layers]),
    }


def _own_layers(anatomy: Anatomy) -> dict[str, Any]:
    """Return the layers of a model whose original is not known."""
    layers = anatomy.layers
    counts = [
        (one.total, one.attention.total, one.mlp.total, one.mlp.intermediate_size) for one in layers
    ]
    return {
        "base": None,
        "count": len(layers),
        "missing": 0,
        "index": _places([layer.index for layer in layers]),
        "prunedIndex": None,
        **_columns(counts),
        "zeros": column(None if at.sparsity is None else at.sparsity.ratio for at in layers),
        "label": column("zero" if layer.is_zero else None for layer in layers),
        **_heads(layers),
    }


def _columns(layers: Sequence[Sequence[int | None]]) -> dict[str, Column]:
    """Return the parameters of each layer, of its attention and MLP, and the size of the latter."""
    return {
        name: column(layer[place] for layer in layers)
        for place, name in enumerate(("total", "attention", "mlp", "size"))
    }


def _heads(layers: Sequence[Layer | None]) -> dict[str, Column]:
    attentions = [None if layer is None else layer.attention for layer in layers]
    return {
        "heads": column(None if one is None else one.num_heads for one in attentions),
        "kvHeads": column(None if one is None else one.num_kv_heads for one in attentions),
    }


def column(values: Iterable[Any]) -> Column:
    """Return the values of all layers, or the one value that all of them have."""
    found = list(values)
    # Python takes True for 1 and 1.0 for 1: so does the script.
    return found[0] if found and all(value == found[0] for value in found) else found


def _places(indices: Sequence[int | None]) -> list[int | None] | None:
    """Return indices; None where they are simply 0, 1, 2, ..."""
    return None if list(indices) == list(range(len(indices))) else list(indices)


def _width(layers: Mapping[str, Any]) -> int:
    """Return how many columns the layers need."""
    last = max(layers["index"] or [layers["count"] - 1], default=-1)
    return int((last + 1 if last < MOST_LAYERS else layers["count"]) + layers["missing"])
