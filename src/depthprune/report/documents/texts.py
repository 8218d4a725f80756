"""The texts of an analysis: the answer on one screen, the whole report, the datasets compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from shlex import quote

from rich.console import RenderableType

from depthprune.analysis.findings import Analysis
from depthprune.base.language import t
from depthprune.report.documents.values import SCORES
from depthprune.report.formatting import as_text
from depthprune.report.render.markdown import escape, item, section_lines
from depthprune.report.render.text import section_parts
from depthprune.report.sections.answers import recommended_warning
from depthprune.report.sections.datasets import pairs, responses, specific_best
from depthprune.report.sections.findings import distributions, findings
from depthprune.report.sections.inputs import input_table, problem_lines, scope_line
from depthprune.report.sections.recommendations import (
    adjusted,
    independent,
    notes,
    ranking_table,
    reading_note,
    recommendations,
    short,
)
from depthprune.report.table import Section

BEST = 10
"""Combinations of each number removed that the report over datasets lists."""


def comprehensive_report(analysis: Analysis) -> str:
    """Return the whole report: the input, the recommendations, every finding."""
    parts: list[RenderableType] = [
        t("Which blocks can go: the whole report"),
        "",
        *_input_parts(analysis),
        "",
        f"== {t('Recommendations')} ==",
        *notes(analysis.recommendations),
        *(
            part
            for one in recommendations(analysis.recommendations)
            for part in section_parts(one, is_part=True)
        ),
        *(part for one in findings(analysis) for part in section_parts(one)),
    ]
    return as_text(parts)


def cross_dataset_report(analysis: Analysis) -> str:
    """Return the report over the datasets: the best combinations, and those of each dataset."""
    found = analysis.recommendations
    parts: list[RenderableType] = [
        t("Combinations over the datasets"),
        "",
        *_input_parts(analysis),
        "",
        f"== {t('Best combinations over the datasets')} ==",
        ranking_table(found, found.independent, BEST),
        reading_note(),
    ]
    for section in (specific_best, responses, pairs, distributions):
        parts += section_parts(section(analysis))
    return as_text(parts)


def _input_parts(analysis: Analysis) -> list[RenderableType]:
    return [
        scope_line(analysis),
        input_table(analysis),
        *problem_lines(analysis.results, shown=None),
    ]


MOST_ROWS = 12
"""Numbers of removed blocks that a table of one screen shows."""


def quick_summary(analysis: Analysis) -> str:
    """Return the short answer as Markdown: what to remove, what it costs, how to go on."""
    found = analysis.recommendations
    lines = [f"# {t('Which blocks can go')}", "", escape(scope_line(analysis)), ""]
    lines += map(item, [*notes(found), *recommended_warning(analysis)])
    sections = short(found)
    if sections:
        sections += [independent(found, shown=1)]
        sections += [adjusted(found)] if found.disagreements else []
    lines += [line for one in sections for line in section_lines(_few(one))]
    if found.stepwise.steps:
        lines += ["", f"## {t('Next')}", "", "```bash", select_command(analysis), "```"]
    return "\n".join(_collapsed(lines)) + "\n"


def select_command(analysis: Analysis, scores: str = SCORES) -> str:
    """Return the command that selects exactly the steps of the path from the score file."""
    found = analysis.recommendations
    removed = (len(step.combination.removal) for step in found.stepwise.steps)
    active = " ".join(str(found.num_blocks - number) for number in removed)
    protect = " --protect none" if found.path_ends else ""
    return (
        f"depthprune select --importance_scores_file {quote(scores)} "
        f"--num_active_blocks {active}{protect}"
    )


def _few(section: Section) -> Section:
    """Return a section without reasons, further tables and further rows."""
    sentences = [one for one in section.sentences if not one.startswith(" ")]
    tables = []
    for table in section.tables[:1]:
        more = len(table.rows) - MOST_ROWS
        notes = [t("... and {n} more", n=more)] if more > 0 else []
        tables.append(replace(table, rows=table.rows[:MOST_ROWS], notes=[*notes, *table.notes]))
    return replace(section, sentences=sentences, tables=tables)


def _collapsed(lines: Sequence[str]) -> list[str]:
    """Return the lines without empty ones that follow each other."""
    return [line for before, line in zip(("", *lines), lines, strict=False) if line or before]
