"""The text reports: everything, and the comparison of the datasets."""

from __future__ import annotations

from rich.console import RenderableType

from depthprune.analysis.whole import Analysis
from depthprune.report.dataset_findings import pair_parts, response_parts, specific_best_parts
from depthprune.report.findings import distribution_parts, finding_parts
from depthprune.report.inputs import input_table, problem_lines, scope_line
from depthprune.report.language import Lang, translator
from depthprune.report.recommendation_tables import ranking_table
from depthprune.report.recommendations import (
    reading_note,
    recommendation_parts,
)
from depthprune.report.tables import as_text

BEST = 10
"""Combinations of each number removed that the report over datasets lists."""


def comprehensive_report(analysis: Analysis, *, lang: Lang = "en") -> str:
    """Return the whole report: the input, the recommendations, every finding."""
    t = translator(lang)
    parts: list[RenderableType] = [
        t("Which blocks can go: the whole report"),
        "",
        *_input_parts(analysis, lang),
        "",
        f"== {t('Recommendations')} ==",
        *recommendation_parts(analysis.recommendations, wide=True, lang=lang),
        *finding_parts(analysis, lang=lang),
    ]
    return as_text(parts)


def cross_dataset_report(analysis: Analysis, *, lang: Lang = "en") -> str:
    """Return the report over the datasets: the best combinations, and those of each dataset."""
    t = translator(lang)
    found = analysis.recommendations
    parts: list[RenderableType] = [
        t("Combinations over the datasets"),
        "",
        *_input_parts(analysis, lang),
        "",
        f"== {t('Best combinations over the datasets')} ==",
        ranking_table(found, found.independent, shown=BEST, wide=True, lang=lang),
        reading_note(lang=lang),
        "",
        f"== {t('Best removal on each dataset by itself: blocks (drop %)')} ==",
        *specific_best_parts(analysis, lang),
        "",
        f"== {t('How each dataset responds')} ==",
        *response_parts(analysis, lang),
        "",
        f"== {t('Datasets two by two')} ==",
        *pair_parts(analysis, lang),
        "",
        f"== {t('Distribution of the drops')} ==",
        *distribution_parts(analysis, lang),
    ]
    return as_text(parts)


def _input_parts(analysis: Analysis, lang: Lang) -> list[RenderableType]:
    return [
        scope_line(analysis, lang=lang),
        input_table(analysis, lang=lang),
        *problem_lines(analysis.results, shown=None, lang=lang),
    ]
