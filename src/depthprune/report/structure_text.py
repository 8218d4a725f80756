"""The two text files of an analysis: the documented summary, and what every layer lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len

from depthprune.base.language import Note, t
from depthprune.base.shown import shown
from depthprune.report.structure_counts import count_text
from depthprune.report.structure_words import (
    aligned_line,
    before_after,
    doubt_lines,
    heads,
    label_words,
    strategy_lines,
    what_happened,
)
from depthprune.structure.analyses import Analysis
from depthprune.structure.anatomy import Attention
from depthprune.structure.comparison import LayerComparison
from depthprune.structure.labels import label_of

SUMMARY_FILE = "structure_summary.txt"
LAYERS_FILE = "pruning_summary_by_layer.txt"

_RULE = "=" * 80
_GAP = "  "


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
        _RULE,
        "",
        t("Model name: {name}").format(name=shown(anatomy.name)),
        t("Model path: {path}").format(path=shown(anatomy.path)),
        "",
        t("Total parameters: {n}").format(n=count_text(anatomy.total)),
        f"  - Embedding: {count_text(anatomy.embedding)}",
        f"  - LM Head: {count_text(anatomy.lm_head)}",
        f"  - Decoder Layers: {count_text(anatomy.layer_params)}",
        t("  - Number of layers: {n}").format(
            n=len(anatomy.layers) if anatomy.knows_layers else t("unknown")
        ),
    ]
    if analysis.comparison is not None:
        change = analysis.comparison.total
        lines += [
            "",
            t("Pruning:"),
            t("  - Original parameters: {n}").format(n=count_text(change.original)),
            t("  - Parameters after pruning: {n}").format(n=count_text(change.pruned)),
            t("  - Parameters removed: {n}").format(n=count_text(change.reduced)),
            t("  - Pruning ratio: {share}").format(share=_percentage(change.ratio)),
        ]
    if anatomy.unknown:
        lines += ["", *_not_known(anatomy.unknown)]
    return "\n".join(lines) + "\n"


def _percentage(share: float | None) -> str:
    return t("unknown") if share is None else f"{share:.2%}"


def _not_known(reasons: Sequence[Note]) -> list[str]:
    return [t("Not known: {why}").format(why=shown(why.translated())) for why in reasons]


def _by_layer(analysis: Analysis) -> str:
    comparison, original = analysis.comparison, analysis.original
    assert comparison is not None
    assert original is not None
    before = {layer.index: layer.attention for layer in original.layers}
    after: dict[int | None, Attention] = {
        layer.index: layer.attention for layer in analysis.anatomy.layers
    }
    headings = [
        t("Layer"),
        t("Original"),
        t("Pruned"),
        t("Ratio"),
        t("Attention"),
        t("MLP"),
        t("Heads"),
        t("Inner size"),
        t("What happened"),
    ]
    rows = [
        _row(layer, before[layer.index], after.get(layer.pruned_index))
        for layer in comparison.layers
    ]
    counts = Counter(label_of(layer) for layer in comparison.layers)
    words = label_words()
    table = _aligned([headings, *rows])
    lines = [
        t("Pruning by layer"),
        _RULE,
        "",
        t("Model name: {name}").format(name=shown(comparison.pruned_name)),
        t("Original model: {name}").format(name=shown(comparison.original_name)),
        t("Pruning ratio of each layer, and of its attention and MLP:"),
        "",
        table[0],
        "-" * max(map(cell_len, table)),
        *table[1:],
        "",
    ]
    if comparison.missing_layers:
        text = t("{n} missing, which ones is unknown")
        lines.append(text.format(n=comparison.missing_layers))
    lines += [f"{words[label]}: {counts[label]}" for label in words if counts[label]]
    lines += ["", *strategy_lines(comparison), aligned_line(comparison)]
    lines += doubt_lines(analysis.alignment)
    lines += _not_known(comparison.unknown)
    return "\n".join(lines) + "\n"


def _row(layer: LayerComparison, before: Attention, after: Attention | None) -> list[str]:
    inner = layer.intermediate_size
    return [
        str(layer.index),
        count_text(layer.total.original),
        count_text(layer.total.pruned),
        _percentage(layer.total.ratio),
        _percentage(layer.attention.ratio),
        _percentage(layer.mlp.ratio),
        _heads(before, after),
        "-" if inner is None else before_after(str(inner.original), str(inner.pruned)),
        what_happened(layer),
    ]


def _heads(before: Attention, after: Attention | None) -> str:
    """Return the heads before and after; no number is made up where a file does not say."""
    was = heads(before)
    if was == "-":
        return was
    if after is None or after.total == 0:
        return before_after(was, "0")
    now = heads(after)
    if now == "-":
        now = was if after.total == before.total else "?"
    return before_after(was, now)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines; numbers stand right, the last column left, Chinese is twice as wide."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            " " * (width - cell_len(cell)) + cell
            for cell, width in zip(row[:-1], widths[:-1], strict=True)
        ]
        lines.append(_GAP.join([*cells, row[-1]]).rstrip())
    return lines
