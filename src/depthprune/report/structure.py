"""What `depthprune structure analyze` shows: the parts of a model, and what its layers lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from depthprune.base.files import format_size
from depthprune.base.language import filled, t
from depthprune.base.shown import shown
from depthprune.report.structure_counts import count_text, share_text
from depthprune.report.structure_words import (
    aligned_line,
    doubt_lines,
    heads,
    strategy_lines,
    tower_words,
    what_happened,
)
from depthprune.report.tables import percent
from depthprune.structure.analyses import Analysis
from depthprune.structure.anatomy import Anatomy, Layer, Sparsity, added
from depthprune.structure.comparison import (
    Change,
    Comparison,
    Label,
    LayerComparison,
)
from depthprune.structure.documents import anatomy_document, comparison_document
from depthprune.structure.labels import label_of

_STYLES: dict[Label, str] = {
    "removed": "bold red",
    "zero": "bold red",
    "heavy": "red",
    "moderate": "yellow",
    "light": "",
    "unchanged": "dim",
    "unknown": "magenta",
}


def analysis_parts(analysis: Analysis) -> list[RenderableType]:
    """Return sums, parts and layers; beside an original, what each lost. Fits 80 columns."""
    parts: list[RenderableType] = [_headline(analysis.anatomy)]
    if analysis.comparison is not None and analysis.original is not None:
        parts += [
            _original_line(analysis.comparison),
            _compared_parts(analysis.original, analysis.anatomy),
            _compared_layers(analysis),
            *strategy_lines(analysis.comparison),
            aligned_line(analysis.comparison),
            *doubt_lines(analysis.alignment),
        ]
    else:
        parts += [_part_table(analysis.anatomy), _layer_table(analysis.anatomy)]
    if analysis.anatomy.sparsity is not None:
        parts.append(_zeros_line(analysis.anatomy.sparsity))
    unknown = (
        analysis.anatomy.unknown if analysis.comparison is None else analysis.comparison.unknown
    )
    parts += [t("Not known: {why}").format(why=shown(why.translated())) for why in unknown]
    notes = [note.translated() for note in analysis.anatomy.notes]
    parts += [t("Note: {text}").format(text=shown(note)) for note in notes]
    if analysis.files:
        folder = analysis.files[0].parent
        parts.append(t("Written to {path}:").format(path=shown(str(folder))))
        parts += [f"  {path.name}" for path in analysis.files]
    return parts


def analysis_value(analysis: Analysis) -> dict[str, Any]:
    """Return the analysis as plain JSON data: the documents, and the files that were written."""
    original, comparison = analysis.original, analysis.comparison
    return {
        "model": anatomy_document(analysis.anatomy),
        "original": None if original is None else anatomy_document(original),
        "comparison": None if comparison is None else comparison_document(comparison),
        "files": [str(path) for path in analysis.files],
    }


def _headline(anatomy: Anatomy) -> str:
    if anatomy.total is None:
        text = t("{name}: an unknown number of parameters in {layers} {layers:layer|layers}")
    else:
        text = t("{name}: {n} {n:parameter|parameters} in {layers} {layers:layer|layers}")
    told = anatomy.knows_layers
    line = filled(
        text,
        name=shown(anatomy.name),
        n=count_text(anatomy.total),
        layers=len(anatomy.layers) if told else t("unknown"),
    )
    if anatomy.bytes:
        line += t("; {more}", more=format_size(anatomy.bytes))
    return f"{line} ({shown(', '.join(anatomy.dtypes))})" if anatomy.dtypes else line


def _original_line(comparison: Comparison) -> str:
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
    pattern = t("pattern {pattern}").format(pattern=shown(sparsity.pattern))
    return line + t("; {more}").format(more=pattern)


def _counts(anatomy: Anatomy) -> dict[str, int | None]:
    """Return the parameters of each part by name; the indented add up to the layers."""
    layers, towers = anatomy.layers, tower_words()
    counts = {
        t("Embedding"): anatomy.embedding,
        t("Decoder layers"): anatomy.layer_params,
        t("  attention"): _of_layers(anatomy, (layer.attention.total for layer in layers)),
        t("  MLP"): _of_layers(anatomy, (layer.mlp.total for layer in layers)),
        t("  norms"): _of_layers(anatomy, (layer.norm for layer in layers)),
        t("  other"): _of_layers(anatomy, (layer.other for layer in layers)),
        t("Final norm"): anatomy.norm,
        t("LM head (tied)") if anatomy.tied else t("LM head"): anatomy.lm_head,
        **{towers.get(name, shown(name)): count for name, count in anatomy.towers.items()},
        t("Other"): anatomy.other,
        t("Total"): anatomy.total,
    }
    optional = {t("  other"), t("Final norm"), t("Other")}
    return {name: count for name, count in counts.items() if count != 0 or name not in optional}


def _of_layers(anatomy: Anatomy, counts: Iterable[int | None]) -> int | None:
    return added(counts) if anatomy.knows_layers else None


def _part_table(anatomy: Anatomy) -> Table:
    table = _table(t("Part"))
    for heading in (t("Parameters"), t("share %")):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, count in _counts(anatomy).items():
        known = bool(anatomy.total) and count is not None
        share = percent((count or 0) / (anatomy.total or 1)) if known else "-"
        table.add_row(name, count_text(count), share)
    return table


def _compared_parts(original: Anatomy, pruned: Anatomy) -> Table:
    table = _table(t("Part"))
    for heading in (t("Original"), t("Pruned"), t("lost %")):
        table.add_column(heading, justify="right", no_wrap=True)
    # Older files do not tell it apart; a sliced model has none.
    if any(one.norm == 0 and one.other for one in (original, pruned)):
        original, pruned = _without_norm(original), _without_norm(pruned)
    before, after = _counts(original), _counts(pruned)
    for name in _in_order(before, after):
        change = Change(before.get(name, 0), after.get(name, 0))
        share = "-" if change.original == 0 else share_text(change.ratio)
        table.add_row(name, count_text(change.original), count_text(change.pruned), share)
    return table


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


def _layer_table(anatomy: Anatomy) -> Table:
    counted = any(layer.sparsity for layer in anatomy.layers)
    table = _table(t("Layer"))
    headings = [t("Parameters"), t("Attention"), t("Heads"), t("MLP"), t("Inner size")]
    for heading in [*headings, *([t("zeros %")] if counted else [])]:
        table.add_column(heading, justify="right", no_wrap=True)

    def cells(layer: Layer) -> tuple[str, ...]:
        inner = layer.mlp.intermediate_size
        zeros = [percent(layer.sparsity.ratio) if layer.sparsity else "-"] if counted else []
        return (
            count_text(layer.total),
            t("NONE") if layer.attention.total == 0 else count_text(layer.attention.total),
            heads(layer.attention),
            t("NONE") if layer.mlp.total == 0 else count_text(layer.mlp.total),
            "-" if inner is None else _with_experts(inner, layer.mlp.num_experts),
            *zeros,
        )

    for indices, row in _runs((layer.index, cells(layer)) for layer in anatomy.layers):
        table.add_row(indices, *row)
    return table


def _with_experts(inner: int, experts: int) -> str:
    return f"{experts} x {inner}" if experts else str(inner)


def _compared_layers(analysis: Analysis) -> Table:
    comparison = analysis.comparison
    assert comparison is not None
    counted = any(layer.sparsity is not None for layer in comparison.layers)
    table = _table(t("Layer"))
    headings = [t("kept"), t("lost %"), t("attn %"), t("MLP %"), t("Inner size")]
    for heading in [*headings, *([t("zeros %")] if counted else [])]:
        table.add_column(heading, justify="right", no_wrap=heading == t("kept"))
    table.add_column(t("What happened"), overflow="fold")  # Chinese has no spaces to break at

    def cells(layer: LayerComparison) -> tuple[str, ...]:
        inner = layer.intermediate_size
        zeros = ["-" if layer.sparsity is None else percent(layer.sparsity)] if counted else []
        return (
            count_text(layer.total.pruned),
            share_text(layer.total.ratio),
            share_text(layer.attention.ratio),
            share_text(layer.mlp.ratio),
            "-" if inner is None else str(inner.pruned),
            *zeros,
            what_happened(layer),
        )

    styles = {what_happened(layer): _STYLES[label_of(layer)] for layer in comparison.layers}
    for indices, row in _runs((layer.index, cells(layer)) for layer in comparison.layers):
        table.add_row(indices, *row[:-1], Text(row[-1], styles[row[-1]]))
    if comparison.missing_layers:
        missing = t("{n} missing, which ones is unknown").format(n=comparison.missing_layers)
        table.add_row("?", *[""] * (len(headings) + counted), Text(missing, _STYLES["removed"]))
    return table


def _runs(rows: Iterable[tuple[int, Sequence[str]]]) -> Iterable[tuple[str, Sequence[str]]]:
    """Put equal rows of neighbouring layers together, as `3-30`."""
    numbered = ((index - place, index, row) for place, (index, row) in enumerate(rows))
    for (_, row), run in groupby(numbered, key=lambda one: (one[0], one[2])):
        indices = [index for _, index, _ in run]
        yield str(indices[0]) if len(indices) == 1 else f"{indices[0]}-{indices[-1]}", row


def _table(first: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    return table
