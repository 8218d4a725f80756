"""One model: its parts, its layers, and beside an original what each of them lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from depthprune.base.files import format_size
from depthprune.base.language import filled, t
from depthprune.base.terminal import shown
from depthprune.report.formatting import as_text, percent
from depthprune.report.render.text import section_parts
from depthprune.report.sections.structure_words import (
    aligned_lines,
    count_text,
    label_words,
    not_known,
    share_text,
    strategy_lines,
    what_happened,
)
from depthprune.report.table import Cell, Column, Section, Table, table_of, with_columns
from depthprune.structure.analyses import ModelAnalysis
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Sparsity, added
from depthprune.structure.compare import label_of
from depthprune.structure.comparison import CountChange, Label, LayerComparison, ModelComparison
from depthprune.structure.layouts import anatomy_document, comparison_document

TONES: dict[Label, Any] = {
    "removed": "bad",
    "zero": "bad",
    "heavy": "bad",
    "moderate": "warn",
    "unchanged": "weak",
    "unknown": "warn",
}

BRIEF = ("layer", "pruned", "lost", "attention", "mlp", "inner", "zeros", "happened")
"""Columns that fit 80 letters."""


def analysis_section(analysis: ModelAnalysis) -> Section:
    """Return sums, parts and layers; beside an original, what each lost."""
    anatomy, comparison, original = analysis.anatomy, analysis.comparison, analysis.original
    sentences, notes = [_headline(anatomy)], list[str]()
    if comparison is not None and original is not None:
        sentences.append(_original_line(comparison))
        layers = compared_layers(analysis)
        keys = {column.key for column in layers.columns}
        brief = with_columns(layers, [key for key in BRIEF if key in keys])
        tables = [_compared_parts(original, anatomy), _joined(brief)]
        notes += strategy_lines(comparison)
        notes += aligned_lines(comparison, analysis.alignment)
    else:
        tables = [_parts(anatomy), _joined(_layers(anatomy))]
    if anatomy.sparsity is not None:
        notes.append(_zeros_line(anatomy.sparsity))
    notes += not_known(anatomy.unknown if comparison is None else comparison.unknown)
    notes += [t("Note: {text}", text=shown(one.translated())) for one in anatomy.notes]
    if analysis.files:
        folder = analysis.files[0].parent
        notes.append(t("Written to {path}:", path=shown(str(folder))))
        notes += [f"  {path.name}" for path in analysis.files]
    return Section("structure", "", sentences, tables, notes)


def compared_layers(analysis: ModelAnalysis) -> Table:
    """Return what every layer of the original lost."""
    comparison, original = analysis.comparison, analysis.original
    assert comparison is not None
    assert original is not None
    before = {layer.index: layer.attention for layer in original.layers}
    after: dict[int | None, Attention] = {
        layer.index: layer.attention for layer in analysis.anatomy.layers
    }

    def inner_size(layer: LayerComparison) -> str | None:
        size = layer.intermediate_size
        return None if size is None else _before_after(size.original, size.pruned)

    def heads_of(layer: LayerComparison) -> str | None:
        return _heads_before_after(before[layer.index], after.get(layer.pruned_index))

    def happened(layer: LayerComparison) -> Cell:
        return Cell(what_happened(layer), tone=TONES.get(label_of(layer)))

    columns: list[tuple[Column, Callable[[LayerComparison], Any]]] = [
        (Column(t("Layer"), key="layer"), lambda one: str(one.index)),
        (Column(t("Original"), "amount", key="original"), lambda one: _known(one.total.original)),
        (Column(t("kept"), "amount", key="pruned"), lambda one: _known(one.total.pruned)),
        (Column(t("lost %"), "points", key="lost"), lambda one: _known(one.total.ratio)),
        (Column(t("attn %"), "points", key="attention"), lambda one: _known(one.attention.ratio)),
        (Column(t("MLP %"), "points", key="mlp"), lambda one: _known(one.mlp.ratio)),
        (Column(t("Heads"), "shown", key="heads"), heads_of),
        (Column(t("Inner size"), "shown", key="inner"), inner_size),
        (Column(t("What happened"), key="happened"), happened),
    ]
    if any(layer.sparsity is not None for layer in comparison.layers):
        zeros = Column(t("zeros %"), "points", key="zeros")
        columns.insert(-1, (zeros, lambda layer: layer.sparsity))
    table = table_of(comparison.layers, columns)
    if not comparison.missing_layers:
        return table
    text = t("{n} missing, which {n:one is|ones are} unknown", n=comparison.missing_layers)
    missing = ["?", *[""] * (len(columns) - 2), Cell(text, tone="bad")]
    return replace(table, rows=[*table.rows, missing])


def label_counts(comparison: ModelComparison) -> list[str]:
    """Return how many layers have each label."""
    labels = [label_of(layer) for layer in comparison.layers]
    words = label_words()
    return [f"{words[one]}: {labels.count(one)}" for one in words if one in labels]


def _headline(anatomy: Anatomy) -> str:
    if anatomy.total is None:
        text = t("{name}: an unknown number of parameters in {layers} {layers:layer|layers}")
    else:
        text = t("{name}: {n} {n:parameter|parameters} in {layers} {layers:layer|layers}")
    line = filled(
        text,
        name=shown(anatomy.name),
        n=count_text(anatomy.total),
        layers=len(anatomy.layers) if anatomy.knows_layers else t("unknown"),
    )
    if anatomy.bytes:
        line += t("; {more}", more=format_size(anatomy.bytes))
    return f"{line} ({shown(', '.join(anatomy.dtypes))})" if anatomy.dtypes else line


def _original_line(comparison: ModelComparison) -> str:
    change = comparison.total
    if change.reduced is None:
        text = t("Original: {name}, {n} {n:parameter|parameters}; how many are gone is unknown")
    elif change.reduced < 0:
        text = t("Original: {name}, {n} {n:parameter|parameters}; the model has {more} MORE")
    else:
        text = t(
            "Original: {name}, {n} {n:parameter|parameters}; {gone} ({share} %) {gone:is|are} gone"
        )
    return filled(
        text,
        name=shown(comparison.original_name),
        n=count_text(change.original),
        gone=count_text(change.reduced),
        more=f"{-(change.reduced or 0):,}",
        share=share_text(change.ratio),
    )


def _zeros_line(sparsity: Sparsity) -> str:
    line = t(
        "Zeros: {zeros} of {numbers} {numbers:weight|weights} ({share} %)",
        zeros=f"{sparsity.zeros:,}",
        numbers=f"{sparsity.numbers:,}",
        share=percent(sparsity.ratio),
    )
    if sparsity.pattern is None:
        return line
    return line + t("; {more}", more=t("pattern {pattern}", pattern=shown(sparsity.pattern)))


def _counts(anatomy: Anatomy) -> dict[str, int | None]:
    """Return the parameters of each part by name; the indented add up to the layers."""

    def of_layers(counts: Iterable[int | None]) -> int | None:
        return added(counts) if anatomy.knows_layers else None

    layers = anatomy.layers
    towers = {
        "vision": t("vision"),
        "projector": t("projector"),
        "audio": t("audio"),
        "encoder": t("encoder"),
        "prediction": t("prediction"),
        "depth decoder": t("depth decoder"),
    }
    counts = {
        t("Embedding"): anatomy.embedding,
        t("Decoder layers"): anatomy.layer_params,
        t("  attention"): of_layers(layer.attention.total for layer in layers),
        t("  MLP"): of_layers(layer.mlp.total for layer in layers),
        t("  norms"): of_layers(layer.norm for layer in layers),
        t("  other"): of_layers(layer.other for layer in layers),
        t("Final norm"): anatomy.norm,
        t("LM head (tied)") if anatomy.tied else t("LM head"): anatomy.lm_head,
        **{towers.get(name, shown(name)): count for name, count in anatomy.towers.items()},
        t("Other"): anatomy.other,
        t("Total"): anatomy.total,
    }
    optional = {t("  other"), t("Final norm"), t("Other")}
    return {name: count for name, count in counts.items() if count != 0 or name not in optional}


def _parts(anatomy: Anatomy) -> Table:
    def share(count: int | None) -> float | None:
        return count / anatomy.total if anatomy.total and count is not None else None

    return table_of(
        _counts(anatomy).items(),
        [
            (Column(t("Part")), lambda part: part[0]),
            (Column(t("Parameters"), "amount"), lambda part: _known(part[1])),
            (Column(t("share %"), "points"), lambda part: share(part[1])),
        ],
    )


def _compared_parts(original: Anatomy, pruned: Anatomy) -> Table:
    # Older files do not tell it apart; a sliced model has none.
    if any(one.norm == 0 and one.other for one in (original, pruned)):
        original, pruned = _without_norm(original), _without_norm(pruned)
    before, after = _counts(original), _counts(pruned)
    names = _in_order(before, after)
    return table_of(
        [(name, CountChange(before.get(name, 0), after.get(name, 0))) for name in names],
        [
            (Column(t("Part")), lambda part: part[0]),
            (Column(t("Original"), "amount"), lambda part: _known(part[1].original)),
            (Column(t("Pruned"), "amount"), lambda part: _known(part[1].pruned)),
            (
                Column(t("lost %"), "points"),
                lambda part: _known(part[1].ratio) if part[1].original else None,
            ),
        ],
    )


def _in_order(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Return all names in their order; those that only stand in `after` follow their neighbours."""
    names, place = list(before), 0
    for name in after:
        if name not in names:
            names.insert(place, name)
        place = names.index(name) + 1
    return names


def _without_norm(anatomy: Anatomy) -> Anatomy:
    return replace(anatomy, norm=0, other=added((anatomy.norm, anatomy.other)))


def _layers(anatomy: Anatomy) -> Table:
    def inner_size(layer: Layer) -> str | None:
        inner, experts = layer.mlp.intermediate_size, layer.mlp.num_experts
        if inner is None:
            return None
        return f"{experts} x {inner}" if experts else str(inner)

    columns: list[tuple[Column, Callable[[Layer], Any]]] = [
        (Column(t("Layer")), lambda layer: str(layer.index)),
        (Column(t("Parameters"), "amount"), lambda layer: _known(layer.total)),
        (Column(t("Attention"), "amount"), lambda layer: _or_none(layer.attention.total)),
        (Column(t("Heads"), "shown"), lambda layer: heads(layer.attention)),
        (Column(t("MLP"), "amount"), lambda layer: _or_none(layer.mlp.total)),
        (Column(t("Inner size"), "shown"), inner_size),
    ]
    if any(layer.sparsity for layer in anatomy.layers):
        zeros = Column(t("zeros %"), "points")
        columns.append((zeros, lambda layer: layer.sparsity.ratio if layer.sparsity else None))
    return table_of(anatomy.layers, columns)


def _joined(table: Table) -> Table:
    """Put equal rows of neighbouring layers together, as `3-30`."""

    def place(numbered: tuple[int, Sequence[Any]]) -> tuple[Any, Sequence[Any]]:
        number, (layer, *cells) = numbered
        return int(layer) - number if layer.isdecimal() else layer, cells

    rows = []
    for (_, cells), run in groupby(enumerate(table.rows), key=place):
        layers = [row[0] for _, row in run]
        rows.append([layers[0] if len(layers) == 1 else f"{layers[0]}-{layers[-1]}", *cells])
    return replace(table, rows=rows)


def heads(attention: Attention) -> str | None:
    """Return the heads of a layer as `32/8`: all, and those of keys and values."""
    if attention.num_heads is None:
        return None
    if attention.num_kv_heads in (None, attention.num_heads):
        return str(attention.num_heads)
    return f"{attention.num_heads}/{attention.num_kv_heads}"


def _heads_before_after(before: Attention, after: Attention | None) -> str | None:
    """Return the heads before and after; no number is made up where a file does not say."""
    was = heads(before)
    if was is None:
        return None
    if after is None or after.total == 0:
        return _before_after(was, 0)
    now = heads(after) or (was if after.total == before.total else "?")
    return _before_after(was, now)


def _before_after(before: Any, after: Any) -> str:
    """Return two values as one text; what did not change stands once."""
    return str(before) if before == after else f"{before} > {after}"


def _known(value: float | None) -> Any:
    return Cell(None, t("unknown")) if value is None else value


def _or_none(count: int | None) -> Any:
    return Cell(0, t("NONE")) if count == 0 else _known(count)


SUMMARY_FILE = "structure_summary.txt"
LAYERS_FILE = "pruning_summary_by_layer.txt"

RULE = "=" * 80
WIDTH = 140
"""Columns of the text file of layers."""


def analysis_value(analysis: ModelAnalysis) -> dict[str, Any]:
    """Return the analysis as plain JSON data: the documents, and the files that were written."""
    original, comparison = analysis.original, analysis.comparison
    return {
        "model": anatomy_document(analysis.anatomy),
        "original": None if original is None else anatomy_document(original),
        "comparison": None if comparison is None else comparison_document(comparison),
        "files": [str(path) for path in analysis.files],
    }


def text_files(analysis: ModelAnalysis) -> dict[str, str]:
    """Return the texts by file name: the one of the layers only beside an original."""
    files = {SUMMARY_FILE: _summary(analysis)}
    if analysis.comparison is not None:
        files[LAYERS_FILE] = _by_layer(analysis)
    return files


def _summary(analysis: ModelAnalysis) -> str:
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


def _by_layer(analysis: ModelAnalysis) -> str:
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
