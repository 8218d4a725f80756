"""The page of an analysis: which blocks can go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from depthprune.analysis.combinations import Combination
from depthprune.analysis.findings import Analysis
from depthprune.analysis.verified import choose
from depthprune.base.files import write_text
from depthprune.base.language import filled, t
from depthprune.report.formatting import interval_note
from depthprune.report.html.data import page_data
from depthprune.report.render.html import Parts, block_list, render
from depthprune.report.sections import choice as sections
from depthprune.report.sections.choice import lead, strategy_names, strategy_reason
from depthprune.report.sections.evidence import cost
from depthprune.report.sections.findings import findings
from depthprune.report.sections.recommendations import (
    must_stay,
    notes,
    reached,
    rules_table,
    target_name,
    warnings,
)
from depthprune.report.table import Section, Table


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
    evidence: Sequence[str]
    cards: Sequence[Card]
    never: Sequence[str]
    tables: Sequence[Table]
    warnings: Sequence[str]


def answer(analysis: Analysis) -> Answer:
    """Return the head of the page."""
    results, found = analysis.results, analysis.recommendations
    scope = t(
        "{blocks} {blocks:block|blocks} · {datasets} {datasets:dataset|datasets} · "
        "{removals} {removals:removal|removals} measured · split: {split}"
    )
    choice = choose(found)
    section = sections.answer(found, choice)
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
        evidence=section.sentences,
        cards=list(_cards(analysis)),
        never=must_stay(found).sentences if found.essential else (),
        tables=[*section.tables, rules_table(found)],
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


PARTS = Parts(
    template="analysis",
    styles=("page", "analysis"),
    scripts=(
        "basics",
        "tip",
        "sorting",
        "paper",
        "analysis/combinations",
        "analysis/what_if",
        "analysis/front",
        "analysis/table",
        "analysis/heatmap",
        "analysis/start",
    ),
)


OPEN = ("task-types", "positions", "synergy")
"""Sections whose tables are seen at once."""


def write_report(analysis: Analysis, path: Path) -> Path:
    """Write the interactive report of an analysis as one HTML file, and return its path.

    The file needs no network and no other file; the same analysis gives the same bytes.

    Args:
        analysis: of one model.
        path: of the file.

    Raises:
        FileError: the file cannot be written.
        MissingDependencyError: jinja2 is not installed.
    """
    write_text(path, render_report(analysis))
    return path


def render_report(analysis: Analysis) -> str:
    """Return the report of an analysis as HTML.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    return render(
        PARTS,
        page_data(analysis),
        interval_note=interval_note(),
        answer=answer(analysis),
        sections=_sections(analysis),
        open=OPEN,
    )


def _sections(analysis: Analysis) -> list[Section]:
    """Return the findings that have tables, and what was wrong in the files."""
    found = [one for one in findings(analysis) if one.tables]
    if problems := analysis.results.problems:
        title = t("Problems in what was read ({n})").format(n=len(problems))
        found.append(Section("problems", title, notes=problems))
    return found
