"""The analysis of one model as text files and as JSON data; see `sections/structure.py`."""

from __future__ import annotations

from typing import Any

from depthprune.base.language import t
from depthprune.base.shown import shown
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.structure import compared_layers, label_counts
from depthprune.report.sections.structure_words import (
    aligned_lines,
    count_text,
    not_known,
    strategy_lines,
)
from depthprune.report.table import Section
from depthprune.structure.analyses import Analysis
from depthprune.structure.documents import anatomy_document, comparison_document

SUMMARY_FILE = "structure_summary.txt"
LAYERS_FILE = "pruning_summary_by_layer.txt"

RULE = "=" * 80
WIDTH = 140
"""Columns of the text file of layers."""


def analysis_value(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as plain JSON data: the documents, and the files that were written."""
    original, comparison = analysis.original, analysis.comparison
    return {
        "model": anatomy_document(analysis.anatomy),
        "original": None if original is None else anatomy_document(original),
        "comparison": None if comparison is None else comparison_document(comparison),
        "files": [str(path) for path in analysis.files],
    }


def text_files(analysis: Analysis) -> dict[str, str]:
    """Return the texts by file name: the one of the layers only beside an original."""
    files = {SUMMARY_FILE: _summary(analysis)}
    if analysis.comparison is not None:
        files[LAYERS_FILE] = _by_layer(analysis)
    return files


def _summary(analysis: Analysis) -> str:
    """Return the documented summary; in Chinese its lines are those of the old scripts."""
    anatomy = analysis.anatomy
    lines = [
        t("Summary of the model's structure"),
        RULE,
        "",
        t("Model name: {name}", name=shown(anatomy.name)),
        t("Model path: {path}", path=shown(anatomy.path)),
        "",
        t("Total parameters: {n}", n=count_text(anatomy.total)),
        f"  - Embedding: {count_text(anatomy.embedding)}",
        f"  - LM Head: {count_text(anatomy.lm_head)}",
        f"  - Decoder Layers: {count_text(anatomy.layer_params)}",
        t(
            "  - Number of layers: {n}",
            n=len(anatomy.layers) if anatomy.knows_layers else t("unknown"),
        ),
    ]
    if analysis.comparison is not None:
        change = analysis.comparison.total
        share = t("unknown") if change.ratio is None else f"{change.ratio:.2%}"
        lines += [
            "",
            t("Pruning:"),
            t("  - Original parameters: {n}", n=count_text(change.original)),
            t("  - Parameters after pruning: {n}", n=count_text(change.pruned)),
            t("  - Parameters removed: {n}", n=count_text(change.reduced)),
            t("  - Pruning ratio: {share}", share=share),
        ]
    if anatomy.unknown:
        lines += ["", *not_known(anatomy.unknown)]
    return "\n".join(lines) + "\n"


def _by_layer(analysis: Analysis) -> str:
    """Return what every layer of the original lost, and how the model was pruned on the whole."""
    comparison = analysis.comparison
    assert comparison is not None
    section = Section(
        "layers",
        "",
        [
            t("Pruning by layer"),
            RULE,
            "",
            t("Model name: {name}", name=shown(comparison.pruned_name)),
            t("Original model: {name}", name=shown(comparison.original_name)),
        ],
        [compared_layers(analysis)],
        [
            *label_counts(comparison),
            "",
            *strategy_lines(comparison),
            *aligned_lines(comparison, analysis.alignment),
            *not_known(comparison.unknown),
        ],
    )
    text = as_text(section_parts(section), WIDTH)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())
