"""The page of an analysis: which blocks can go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from depthprune.analysis.combinations import Combination
from depthprune.analysis.findings import Analysis
from depthprune.analysis.recommend import Recommended
from depthprune.analysis.verified import Choice, choose
from depthprune.base.files import write_text
from depthprune.base.language import t
from depthprune.report.formatting import interval_note
from depthprune.report.html.data import page_data
from depthprune.report.render.html import PageFiles, block_list, render
from depthprune.report.sections.choice import answer, lead, strategy_names, strategy_reason
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
from depthprune.report.table import Section

PARTS = PageFiles(
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
        answer=_answer(analysis),
        sections=_sections(analysis),
        open=OPEN,
    )


def _answer(analysis: Analysis) -> dict[str, Any]:
    """Return the head of the page: the answer, and what to know before relying on it."""
    results, found = analysis.results, analysis.recommendations
    choice = choose(found)
    section = answer(found, choice)
    return {
        "model": results.model,
        "scope": t(
            "{blocks} {blocks:block|blocks} · {datasets} {datasets:dataset|datasets} · "
            "{removals} {removals:removal|removals} measured · split: {split}",
            blocks=found.num_blocks,
            datasets=found.num_datasets,
            removals=f"{len(analysis.table.removals):,}",
            split=", ".join(sorted(set(results.splits.values()))),
        ),
        "lead": lead(found, choice),
        "evidence": section.sentences,
        "cards": list(_cards(found, choice)),
        "never": must_stay(found).sentences if found.essential else (),
        "tables": [*section.tables, rules_table(found)],
        "warnings": [*warnings(found), *notes(found)],
    }


def _cards(found: Recommended, choice: Choice | None) -> Iterator[dict[str, str]]:
    for target in found.targets:
        yield _card(found, target_name(target), target.combination, reached(target))
    for strategy in found.strategies:
        reason = strategy_reason(found, strategy)
        for one in strategy.combinations or (None,):
            name = strategy_names()[strategy.name]
            if choice is not None and choice.rule == strategy.name and choice.combination is one:
                name = t("{strategy} · recommended", strategy=name)
            yield _card(found, name, one, reason)


def _card(found: Recommended, name: str, one: Combination | None, reason: str) -> dict[str, str]:
    """Return the card of a strategy or a target; `removal` is for the what-if strip."""
    card = {"name": name[:1].upper() + name[1:], "reason": reason[:1].upper() + reason[1:]}
    if one is None:
        nothing = dict.fromkeys(("removal", "drop", "facts"), "")
        return card | nothing | {"blocks": t("none that is ranked")}
    drop, facts = cost(found, one)
    removal = ",".join(map(str, one.removal))
    return card | {
        "blocks": block_list(one.removal),
        "removal": removal,
        "drop": drop,
        "facts": facts,
    }


def _sections(analysis: Analysis) -> list[Section]:
    """Return the findings that have tables, and what was wrong in the files."""
    found = [one for one in findings(analysis) if one.tables]
    if problems := analysis.results.problems:
        title = t("Problems in what was read ({n})", n=len(problems))
        found.append(Section("problems", title, notes=problems))
    return found
