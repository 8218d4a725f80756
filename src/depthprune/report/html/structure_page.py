"""The page of a summary: many pruned models, and what each lost where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import fsum
from typing import Any

from depthprune.base.language import t
from depthprune.base.shown import shown
from depthprune.report.html.document import Parts, render
from depthprune.report.html.structure_data import structure_data
from depthprune.report.html.structure_words import page_words, script_words
from depthprune.report.render.html import page_table, points
from depthprune.report.sections.structure_models import (
    Row,
    models_table,
    rows_of,
    without_analysis,
)
from depthprune.report.sections.structure_words import strategy_names
from depthprune.structure.facts import ModelFacts
from depthprune.structure.summary import ModelSummary, Summary

PARTS = Parts(
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


def render_structure_page(summary: Summary) -> str:
    """Return the summary of pruned models as one HTML file: a table, and bars for every layer.

    The file needs no network and no other file; the same summary gives the same bytes.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    summary = _printable(summary)
    return render(
        PARTS,
        structure_data(summary) | {"words": script_words()},
        words=page_words(),
        overview=overview(summary),
    )


def _printable(summary: Summary) -> Summary:
    """Return the summary without letters in its names that turn or hide what stands beside them."""

    def printable(model: ModelSummary) -> ModelSummary:
        return replace(
            model,
            name=shown(model.name),
            problems=tuple(map(shown, model.problems)),
            mend=None if model.mend is None else shown(model.mend),
        )

    return Summary(tuple(map(shown, summary.dirs)), tuple(map(printable, summary.models)))


def overview(summary: Summary) -> dict[str, Any]:
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
        "table": page_table(models_table(rows), t("All models")),
    }


def _lead(summary: Summary, known: Sequence[Row]) -> str:
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


def _cards(known: Sequence[Row]) -> dict[str, list[Line]]:
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
