"""The head of the page of many models: what was read, what they lost, what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum

from depthprune.base.language import t
from depthprune.report.html.text import NOTHING, Column, TextTable, block_list, points
from depthprune.report.strategy_text import strategy_names
from depthprune.structure.facts import ModelFacts, facts_of
from depthprune.structure.summary import ModelSummary, Summary


@dataclass(frozen=True)
class Card:
    """A few numbers.

    Attributes:
        lines: name, number, and of which model (empty where that says nothing).
    """

    name: str
    lines: Sequence[tuple[str, str, str]]


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a model, and the command that mends it (empty where there is none)."""

    model: str
    texts: Sequence[str]
    mend: str = ""


@dataclass(frozen=True)
class Overview:
    """What the head of the page says."""

    dirs: str
    scope: str
    lead: str
    cards: Sequence[Card]
    unread: Sequence[Trouble]
    without: Sequence[Trouble]
    table: TextTable


def overview(summary: Summary) -> Overview:
    """Return the head of the page."""
    facts = [facts_of(model) for model in summary.models]
    known = [
        (model.name, found)
        for model, found in zip(summary.models, facts, strict=True)
        if found.params is not None
    ]
    without = [model for model in summary.models if _unknown(model)]
    unread = [Trouble(one.name, one.problems) for one in summary.models if one.problems]
    scope = t("models: {models} · without analysis: {without} · problems: {problems}")
    return Overview(
        dirs=", ".join(summary.dirs),
        scope=scope.format(
            models=f"{len(summary.models):,}",
            without=f"{len(without):,}",
            problems=f"{sum(len(one.texts) for one in unread):,}",
        ),
        lead=_lead(summary, known),
        cards=_cards(known),
        unread=unread,
        without=[Trouble(one.name, [], one.mend or "") for one in without],
        table=plain_table(summary.models, facts),
    )


def plain_table(models: Sequence[ModelSummary], facts: Sequence[ModelFacts]) -> TextTable:
    """Return the models as a table that needs no script."""
    strategies = strategy_names()
    return TextTable(
        t("All models"),
        [
            Column(t("model"), number=False),
            Column(t("parameters")),
            Column(t("pruning ratio %")),
            Column(t("layers")),
            Column(t("removed layers"), number=False),
            Column(t("emptied layers"), number=False),
            Column(t("attention removed"), number=False),
            Column(t("MLP removed"), number=False),
            Column(t("strategy"), number=False),
            Column(t("embedding")),
            Column(t("head")),
        ],
        [
            [
                model.name,
                counted(found.params),
                points(found.ratio),
                counted(found.num_layers),
                removed_text(found),
                block_list(found.emptied),
                block_list(found.no_attention),
                block_list(found.no_mlp),
                strategies.get(found.strategy or "", NOTHING),
                counted(None if model.anatomy is None else model.anatomy.embedding),
                counted(None if model.anatomy is None else model.anatomy.lm_head),
            ]
            for model, found in zip(models, facts, strict=True)
        ],
    )


def counted(number: int | None) -> str:
    """Return a count; a dash where nothing is known."""
    return NOTHING if number is None else f"{number:,}"


def removed_text(found: ModelFacts) -> str:
    """Return which layers are gone, as far as the files say."""
    texts = [block_list(found.removed)] if found.removed else []
    if found.missing:
        texts.append(t("{n}, which ones is not said").format(n=found.missing))
    return "; ".join(texts)


def _unknown(model: ModelSummary) -> bool:
    return model.anatomy is None and model.comparison is None


def _lead(summary: Summary, known: Sequence[tuple[str, ModelFacts]]) -> str:
    ratios = [found.ratio for _, found in known if found.ratio is not None]
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


def _cards(known: Sequence[tuple[str, ModelFacts]]) -> list[Card]:
    if len(known) < 2:
        return []
    params = [(name, found.params) for name, found in known if found.params is not None]
    ratios = [(name, found.ratio) for name, found in known if found.ratio is not None]
    cards = [Card(t("Parameters"), _spread(params, lambda n: f"{round(n):,}"))]
    if ratios:
        cards.append(Card(t("Pruning ratio %"), _spread(ratios, points)))
    cards.append(Card(t("What is gone"), _gone([found for _, found in known])))
    strategies = Counter(found.strategy for _, found in known if found.strategy)
    if strategies:
        names = strategy_names()
        lines = [(names[name], f"{n:,}", "") for name, n in strategies.most_common()]
        cards.append(Card(t("Strategies"), lines))
    return cards


def _spread(
    values: Sequence[tuple[str, float]], text: Callable[[float], str]
) -> list[tuple[str, str, str]]:
    least, most = min(values, key=_value), max(values, key=_value)
    mean = fsum(map(_value, values)) / len(values)
    return [
        (t("min"), text(least[1]), least[0]),
        (t("mean"), text(mean), ""),
        (t("max"), text(most[1]), most[0]),
    ]


def _value(item: tuple[str, float]) -> float:
    return item[1]


def _gone(known: Sequence[ModelFacts]) -> list[tuple[str, str, str]]:
    return [
        (t("models that lost layers"), f"{sum(one.num_removed > 0 for one in known):,}", ""),
        (t("with emptied layers"), f"{sum(bool(one.emptied) for one in known):,}", ""),
        (t("with attention removed"), f"{sum(bool(one.no_attention) for one in known):,}", ""),
        (t("with MLP removed"), f"{sum(bool(one.no_mlp) for one in known):,}", ""),
    ]
