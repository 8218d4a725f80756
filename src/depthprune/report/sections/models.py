"""The models side by side: sizes, accuracies, speed, and what is left of their layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from depthprune.base.language import filled, t
from depthprune.base.terminal import shown
from depthprune.report.render.text import value_text
from depthprune.report.sections.structure_words import remarks
from depthprune.report.structure_summary import without_shared_folders
from depthprune.report.table import Cell, Column, Kind, Table
from depthprune.structure.comparison import (
    ModelComparison,
    is_located,
    layers_below,
    num_layers,
    share_kept,
    shares_kept,
)
from depthprune.structure.model_row import COLUMNS, ModelColumn, ModelRow, NumberConditions
from depthprune.structure.model_table import ModelTable

UNKNOWN = "N/A"

TEXT_NAMES = {"wikitext2": "WikiText-2", "ptb": "PTB"}


KINDS: Mapping[str, tuple[Kind, int]] = MappingProxyType(
    {
        "name": ("text", 0),
        "gigabytes": ("size", 2),
        "billions": ("size", 3),
        "ppl": ("perplexity", 2),
        "accuracy": ("points", 2),
        "rate": ("number", 2),
        "time": ("number", 2),
        "megabytes": ("amount", 0),
        "spread": ("number", 4),
        "layers": ("list", 0),
    }
)
"""How numbers are shown, with how many digits."""

ROOM: Mapping[str, int] = MappingProxyType({"name": 32, "layers": 24})
"""Letters in one line of a cell; what is longer is folded."""

MOST_LAYERS = 1000
"""No model has so many; a broken file may tell of any number."""


def model_grid(table: ModelTable) -> Table:
    """Return the cells of a table with what stands above and below them."""
    marks: dict[str, int] = {}
    columns = [
        Column(
            _heading(one, table),
            *KINDS[one.kind],
            key=one.key,
            better=one.better,
            room=ROOM.get(one.kind, 0),
        )
        for one in COLUMNS
    ]
    rows = [
        [_cell(table, place, *of, marks) for of in zip(COLUMNS, columns, strict=True)]
        for place in range(len(table.rows))
    ]
    references = (place for place, row in enumerate(table.rows) if row.is_reference)
    return Table(
        columns, rows, notes=_notes(table), marked=list(marks), reference=next(references, None)
    )


def with_windows(grid: Table, table: ModelTable) -> Table:
    """Return the table with the window of each perplexity behind its other columns."""
    texts = [one for one in grid.columns if one.kind == "perplexity"]
    name = t("window of {column}")
    columns = [
        Column(name.format(column=one.name.partition(" (")[0]), key=f"{one.key}_window")
        for one in texts
    ]
    rows = [
        [*cells, *(_window(row, one.key) for one in texts)]
        for row, cells in zip(table.rows, grid.rows, strict=True)
    ]
    return replace(grid, columns=[*grid.columns, *columns], rows=rows)


def kept_layers(table: ModelTable) -> Table:
    """Return the share that every layer of every original keeps, as far as files tell.

    A mark says what is gone: the attention, the MLP, or all of the layer.
    """
    counts = [
        min(MOST_LAYERS, num_layers(row.comparison)) if row.comparison is not None else 0
        for row in table.rows
    ]
    most = max(counts, default=0)
    rows = []
    for row, count in zip(table.rows, counts, strict=True):
        cells = [Cell(None, UNKNOWN)] if row.comparison is None else _kept(row.comparison, count)
        rows.append([shown(row.name), *cells, *[Cell(None, "")] * (most - len(cells))][: most + 1])
    return Table([Column(t("model")), *(Column(str(at), "share") for at in range(most))], rows)


def _kept(comparison: ModelComparison, count: int) -> list[Cell]:
    shares = shares_kept(comparison)
    marks = {
        layer.index: mark
        for layer in comparison.layers
        for mark, is_gone in (
            ("×", layer.removed),
            ("A", layer.attention_removed and not layer.mlp_removed),
            ("M", layer.mlp_removed and not layer.attention_removed),
        )
        if is_gone
    }
    return [
        Cell(shares[at], mark=marks.get(at)) if at in shares else Cell(None, "?")
        for at in range(count)
    ]


def _window(row: ModelRow, key: str) -> str:
    """Return the window of a perplexity that a model has."""
    return row.numbers[key].under.basis or t("not stated") if key in row.numbers else UNKNOWN


def own_names(table: ModelTable) -> list[str]:
    """Return the names of the models' own folders; where two have the same, more of the path."""
    own = [row.name.rpartition("/")[2] for row in table.rows]
    number = Counter(own)
    longer = without_shared_folders([row.name for row in table.rows])
    names = [short if number[short] == 1 else long for short, long in zip(own, longer, strict=True)]
    return list(map(shown, names))


def _heading(column: ModelColumn, table: ModelTable) -> str:
    texts = {
        "model": t("model"),
        "size_gb": t("size (GB)"),
        "parameters_b": t("parameters (B)"),
        "mean_accuracy": t("mean accuracy %"),
        "peak_memory_mb": t("peak memory (MB)"),
        "keep_ratio_std": t("std of keep ratios"),
        "keep_ratio_variance": t("variance of keep ratios"),
        "ppl": t("PPL {name}"),
        "accuracy": t("{name} %"),
        "rate": t("tokens/s, batch {name}"),
        "time": t("ms/token, batch {name}"),
        "layers": t("layers that keep < {name}%"),
    }
    text, usual = texts.get(column.key) or texts[column.kind], table.compared.get(column.key)
    if column.kind == "ppl" and usual is not None:
        text = t("PPL {name} ({window})") if usual.basis else t("PPL {name} (window not stated)")
    window = usual.basis if usual is not None else None
    return filled(text, name=TEXT_NAMES.get(column.of, column.of), window=window)


_COUNTED = ("parameters_b", "keep_ratio_std", "keep_ratio_variance")
"""Columns that follow from counts."""


def _cell(
    table: ModelTable,
    place: int,
    asked: ModelColumn,
    column: Column,
    marks: dict[str, int],
) -> Cell:
    row, key = table.rows[place], column.key
    if asked.kind == "name":
        return Cell(row.name, shown(row.name))
    if asked.kind == "layers":
        return _layers_cell(row, int(asked.of))
    if key not in row.numbers:
        counted = key in _COUNTED and row.facts is not None and bool(row.facts.unknown)
        return Cell(None, t("unknown") if counted else UNKNOWN)
    found, mark = row.numbers[key], None
    if place in table.apart.get(key, ()):
        reason = _reason(asked, found.under, table.compared[key])
        mark = marks.setdefault(reason, len(marks) + 1)
    text = value_text(column, found.value)
    return Cell(found.value, text, mark, _is_best(table, place, column, text))


def _is_best(table: ModelTable, place: int, column: Column, text: str) -> bool:
    """Return whether a number is the best of its column, or looks the same."""
    key, family = column.key, table.families[place]
    best = [one for one in table.best.get(key, ()) if table.families[one] == family]
    if not best or table.rows[place].is_reference or place in table.apart[key]:
        return False
    return text == value_text(column, table.rows[best[0]].numbers[key].value)


def _layers_cell(row: ModelRow, percentage: int) -> Cell:
    if row.comparison is None or not (row.comparison.layers or row.comparison.missing_layers):
        is_unknown = row.comparison is not None and bool(row.comparison.unknown)
        return Cell(None, t("unknown") if is_unknown else UNKNOWN)
    if any(share_kept(layer) is None for layer in row.comparison.layers):
        return Cell(None, t("unknown"))
    parts = [", ".join(map(str, layers_below(row.comparison, percentage)))]
    if not is_located(row.comparison):
        parts.append(t("{n} unknown", n=row.comparison.missing_layers))
    text = ", ".join(filter(None, parts)) or t("none")
    return Cell(text, text)


def _reason(column: ModelColumn, found: NumberConditions, usual: NumberConditions) -> str:
    """Return why a number is not compared with the others of its column."""
    if column.kind == "ppl" and found.basis is None:
        return t("window not stated in the file: not compared with the others")
    if column.kind == "ppl" and found.basis != usual.basis:
        return t("window {window}: not compared with the others", window=found.basis)
    if found.basis != usual.basis:
        return t("mean of {tasks} alone: not compared with the others", tasks=found.basis)
    if column.kind == "ppl":
        return t("another text of this name: not compared with the others")
    return t(
        "measured otherwise ({condition}): not compared with the others",
        condition=shown(found.details or ""),
    )


def _notes(table: ModelTable) -> list[str]:
    notes = [
        t(
            "Best of each column in bold, where at least two of one family compete. {unknown}: no "
            "file says it. "
            "GB and MB: 2^30 and 2^20 bytes.",
            unknown=UNKNOWN,
        ),
    ]
    origin = t("{model}: the model that the others were pruned from; it does not compete.")
    notes += [origin.format(model=shown(row.name)) for row in table.rows if row.is_reference]
    notes += [
        t("{model}: not known: {why}", model=shown(row.name), why=why.translated())
        for row in table.rows
        for why in (row.facts.unknown if row.facts is not None else ())
    ]
    if any(column.kind == "ppl" and column.key in table.compared for column in COLUMNS):
        notes.append(
            t(
                "PPL: perplexity; in brackets the tokens of a window and from one to the next "
                "(one number: without overlap). Numbers of different windows never compare."
            )
        )
    if any(row.comparison is not None for row in table.rows):
        notes.append(
            t(
                "Keep ratio: share of its parameters that a layer of the original keeps, 0 when "
                "it was removed; std and variance over the layers of the original (population)."
            )
        )
    if any(row.comparison is not None and row.comparison.missing_layers for row in table.rows):
        notes.append(
            t(
                "Missing layers count as 0 in std and variance; of no single layer of such a model "
                "is known how much it keeps."
            )
        )
    for row in table.rows:
        found = remarks(row.facts) if row.facts is not None else []
        found += [t("no analysis; {command} makes one", command=row.mend)] * bool(row.mend)
        notes += [f"{shown(row.name)}: {shown(text)}" for text in (*found, *row.notes)]
    return notes
