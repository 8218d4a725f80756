"""The documents of an analysis: JSON for programs, text and Markdown for people.

Every file is whole or absent, and the same analysis gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from depthprune.analysis.whole import Analysis
from depthprune.base.files import make_folder, write_bytes, write_json, write_text
from depthprune.report.documents.cross_dataset import cross_dataset_pieces
from depthprune.report.documents.pairwise import pairwise_value
from depthprune.report.documents.quick import quick_summary, select_command
from depthprune.report.documents.recommended import (
    SCORES,
    block_configs_value,
    recommendations_value,
    scores_value,
)
from depthprune.report.documents.texts import comprehensive_report, cross_dataset_report

CROSS_DATASET = "cross_dataset_analysis.json"
RECOMMENDATIONS = "pruning_recommendations.json"
BLOCK_CONFIGS = "block_configs_for_core_exp.json"
PAIRWISE = "pairwise_dataset_stats.json"
COMPREHENSIVE_REPORT = "comprehensive_report.txt"
CROSS_DATASET_REPORT = "cross_dataset_report.txt"
QUICK_SUMMARY = "quick_summary.md"


def write_documents(
    analysis: Analysis,
    folder: Path,
    *,
    texts: bool = True,
    values: bool = True,
) -> list[Path]:
    """Write every document of an analysis into a folder and return their paths.

    Args:
        analysis: to be told.
        folder: is made if it is missing; files of these names are replaced.
        texts, values: whether texts for people are written, and JSON for programs.

    Raises:
        FileError: the folder cannot be written.
    """
    make_folder(folder)
    written = [*(_texts(analysis, folder) if texts else ())]
    return [*written, *(_values(analysis, folder) if values else ())]


def _values(analysis: Analysis, folder: Path) -> list[Path]:
    values = {
        RECOMMENDATIONS: recommendations_value(analysis),
        BLOCK_CONFIGS: block_configs_value(analysis),
        SCORES: scores_value(analysis),
        PAIRWISE: pairwise_value(analysis),
    }
    if analysis.recommendations.is_weak:
        # `select` would take any order of the blocks for a recommendation.
        del values[SCORES]
    for name, value in values.items():
        write_json(folder / name, value)
    write_bytes(folder / CROSS_DATASET, cross_dataset_pieces(analysis))
    names = (RECOMMENDATIONS, BLOCK_CONFIGS, SCORES, CROSS_DATASET, PAIRWISE)
    return [folder / name for name in names if name in {*values, CROSS_DATASET}]


def _texts(analysis: Analysis, folder: Path) -> list[Path]:
    texts = {
        QUICK_SUMMARY: quick_summary(analysis),
        COMPREHENSIVE_REPORT: comprehensive_report(analysis),
        CROSS_DATASET_REPORT: cross_dataset_report(analysis),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


__all__ = [
    "BLOCK_CONFIGS",
    "COMPREHENSIVE_REPORT",
    "CROSS_DATASET",
    "CROSS_DATASET_REPORT",
    "PAIRWISE",
    "QUICK_SUMMARY",
    "RECOMMENDATIONS",
    "SCORES",
    "block_configs_value",
    "quick_summary",
    "recommendations_value",
    "scores_value",
    "select_command",
    "write_documents",
]
