"""The text reports: everything, and the comparison of the datasets."""

from __future__ import annotations

from rich.console import RenderableType

from depthprune.analysis.whole import Analysis
from depthprune.base.language import t
from depthprune.report.inputs import input_table, problem_lines, scope_line
from depthprune.report.render.text import section_parts
from depthprune.report.sections.combinations import ranking_table, reading_note
from depthprune.report.sections.datasets import pairs, responses, specific_best
from depthprune.report.sections.findings import distributions, findings
from depthprune.report.sections.recommendations import notes, recommendations
from depthprune.report.tables import as_text

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
