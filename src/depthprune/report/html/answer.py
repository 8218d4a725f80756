"""The head of the page: the answer first, then what a reader must know before relying on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from depthprune.analysis.choice import choose
from depthprune.analysis.combinations import Combination
from depthprune.analysis.whole import Analysis
from depthprune.base.language import filled, t
from depthprune.report.evidence import cost
from depthprune.report.html.text import block_list
from depthprune.report.render.html import PageSection, PageTable, page_section, page_table
from depthprune.report.sections import verified as sections
from depthprune.report.sections.combinations import rules_table
from depthprune.report.sections.recommendations import (
    must_stay,
    notes,
    reached,
    target_name,
    warnings,
)
from depthprune.report.sections.strategies import lead, strategy_names, strategy_reason


@dataclass(frozen=True)
class Card:
    """A recommendation on a card.

    Attributes:
        name: a strategy, or a target.
        blocks: to be removed, as text; what stands in the way where there are none.
        removal: the same as numbers, for the what-if strip; empty where there is none.
        drop, facts: what it costs, and how sure that is; empty likewise.
        reason: why these.
    """

    name: str
    blocks: str
    removal: str
    drop: str
    facts: str
    reason: str


@dataclass(frozen=True)
class Answer:
    """What the head of the page says."""

    model: str
    scope: str
    lead: str
    section: PageSection
    cards: Sequence[Card]
    never: Sequence[str]
    table: PageTable
    warnings: Sequence[str]


def answer(analysis: Analysis) -> Answer:
    """Return the head of the page."""
    results, found = analysis.results, analysis.recommendations
    scope = t(
        "{blocks} {blocks:block|blocks} · {datasets} {datasets:dataset|datasets} · "
        "{removals} {removals:removal|removals} measured · split: {split}"
    )
    table, choice = rules_table(found), choose(found)
    return Answer(
        model=results.model,
        scope=filled(
            scope,
            blocks=found.num_blocks,
            datasets=found.num_datasets,
            removals=f"{len(analysis.table.removals):,}",
            split=", ".join(sorted(set(results.splits.values()))),
        ),
        lead=lead(found, choice),
        section=page_section(sections.answer(found, choice)),
        cards=list(_cards(analysis)),
        never=must_stay(found).sentences if found.essential else (),
        table=page_table(table, table.title),
        warnings=[*warnings(found), *notes(found)],
    )


def _cards(analysis: Analysis) -> Iterator[Card]:
    found = analysis.recommendations
    choice = choose(found)
    for target in found.targets:
        yield _card(analysis, target_name(target), target.combination, reached(target))
    for strategy in found.strategies:
        name, reason = strategy_names()[strategy.name], strategy_reason(found, strategy)
        for one in strategy.combinations or (None,):
            told = name
            if choice is not None and choice.rule == strategy.name and choice.combination is one:
                told = t("{strategy} · recommended", strategy=name)
            yield _card(analysis, told, one, reason)


def _card(analysis: Analysis, name: str, one: Combination | None, reason: str) -> Card:
    name, reason = (text[:1].upper() + text[1:] for text in (name, reason))
    if one is None:
        return Card(name, t("none that is ranked"), "", "", "", reason)
    drop, facts = cost(analysis.recommendations, one)
    return Card(
        name=name,
        blocks=block_list(one.removal),
        removal=",".join(map(str, one.removal)),
        drop=drop,
        facts=facts,
        reason=reason,
    )
