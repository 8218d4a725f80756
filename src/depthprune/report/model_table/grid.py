"""The cells of the table of models, ready for every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from depthprune.base.language import t
from depthprune.base.shown import shown
from depthprune.report.structure_summary import remarks, without_shared_folders
from depthprune.report.tables import percent
from depthprune.structure.kept import is_located, layers_below, share_kept
from depthprune.structure.model_columns import COLUMNS, Column
from depthprune.structure.model_row import ModelRow
from depthprune.structure.model_table import ModelTable
from depthprune.structure.performance import Conditions

UNKNOWN = "N/A"

TEXT_NAMES = {"wikitext2": "WikiText-2", "ptb": "PTB"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: as it is shown, without its mark.
        value: what a program reads: a number in the unit of the column, or text; None: not known.
        mark: number of the note that belongs to it.
        is_best: of its column, as far as the digits that are shown tell.
    """

    text: str
    value: float | str | None
    mark: int | None = None
    is_best: bool = False


@dataclass(frozen=True)
class Grid:
    """The table.

    Attributes:
        columns: of the table.
        headings: of the columns.
        rows: as wide as `columns`.
        reference: place of the row of the reference.
        marked: the notes that cells point to; the first is number 1.
        notes: how to read the table, and what could not be read.
    """

    columns: tuple[Column, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    reference: int | None
    marked: tuple[str, ...]
    notes: tuple[str, ...]


def model_grid(table: ModelTable) -> Grid:
    """Return the cells of a table with what stands above and below them."""
    marks: dict[str, int] = {}
    rows = tuple(
        tuple(_cell(table, place, column, marks) for column in COLUMNS)
        for place in range(len(table.rows))
    )
    references = (place for place, row in enumerate(table.rows) if row.is_reference)
    return Grid(
        columns=COLUMNS,
        headings=tuple(_heading(column, table) for column in COLUMNS),
        rows=rows,
        reference=next(references, None),
        marked=tuple(marks),
        notes=tuple(_notes(table)),
    )


def windows(row: ModelRow) -> dict[str, str]:
    """Return the window of each perplexity that a model has, by column."""
    return {
        column.key: row.numbers[column.key].under.basis or t("not stated")
        for column in COLUMNS
        if column.kind == "ppl" and column.key in row.numbers
    }


def own_names(table: ModelTable) -> list[str]:
    """Return the names of the models' own folders; where two have the same, more of the path."""
    own = [row.name.rpartition("/")[2] for row in table.rows]
    number = Counter(own)
    longer = without_shared_folders([row.name for row in table.rows])
    names = [short if number[short] == 1 else long for short, long in zip(own, longer, strict=True)]
    return list(map(shown, names))


def _heading(column: Column, table: ModelTable) -> str:
    if column.kind == "ppl":
        name, usual = TEXT_NAMES[column.of], table.compared.get(column.key)
        if usual is None:
            return t("PPL {text}").format(text=name)
        if usual.basis is None:
            return t("PPL {text} (window not stated)").format(text=name)
        return t("PPL {text} ({window})").format(text=name, window=usual.basis)
    if column.key in (plain := _plain_headings()):
        return plain[column.key]
    texts = {
        "accuracy": t("{name} %"),
        "rate": t("tokens/s, batch {name}"),
        "time": t("ms/token, batch {name}"),
        "layers": t("layers that keep < {name}%"),
    }
    return texts[column.kind].format(name=column.of)


def _plain_headings() -> dict[str, str]:
    return {
        "model": t("model"),
        "size_gb": t("size (GB)"),
        "parameters_b": t("parameters (B)"),
        "mean_accuracy": t("mean accuracy %"),
        "peak_memory_mb": t("peak memory (MB)"),
        "keep_ratio_std": t("std of keep ratios"),
        "keep_ratio_variance": t("variance of keep ratios"),
    }


_COUNTED = ("parameters_b", "keep_ratio_std", "keep_ratio_variance")
"""Columns that follow from counts."""


def _cell(table: ModelTable, place: int, column: Column, marks: dict[str, int]) -> Cell:
    row = table.rows[place]
    if column.kind == "name":
        return Cell(shown(row.name), row.name)
    if column.kind == "layers":
        return _layers_cell(row, int(column.of))
    if column.key not in row.numbers:
        counted = column.key in _COUNTED and row.facts is not None and bool(row.facts.unknown)
        return Cell(t("unknown") if counted else UNKNOWN, None)
    found, mark = row.numbers[column.key], None
    if place in table.apart.get(column.key, ()):
        reason = _reason(column, found.under, table.compared[column.key])
        mark = marks.setdefault(reason, len(marks) + 1)
    text = _number(column, found.value)
    return Cell(text, found.value, mark, _is_best(table, place, column, text))


def _is_best(table: ModelTable, place: int, column: Column, text: str) -> bool:
    """Return whether a number is the best of its column, or looks the same."""
    family = table.families[place]
    best = [one for one in table.best.get(column.key, ()) if table.families[one] == family]
    if not best or table.rows[place].is_reference or place in table.apart[column.key]:
        return False
    return text == _number(column, table.rows[best[0]].numbers[column.key].value)


def _layers_cell(row: ModelRow, percentage: int) -> Cell:
    if row.comparison is None or not (row.comparison.layers or row.comparison.missing_layers):
        told = row.comparison is not None and bool(row.comparison.unknown)
        return Cell(t("unknown") if told else UNKNOWN, None)
    if any(share_kept(layer) is None for layer in row.comparison.layers):
        return Cell(t("unknown"), None)
    parts = [", ".join(map(str, layers_below(row.comparison, percentage)))]
    if not is_located(row.comparison):
        parts.append(t("{n} unknown").format(n=row.comparison.missing_layers))
    text = ", ".join(filter(None, parts)) or t("none")
    return Cell(text, text)


def _number(column: Column, value: float) -> str:
    if column.kind == "accuracy":
        return percent(value)
    is_huge = column.kind == "ppl" and abs(value) >= 10_000
    if is_huge or (column.kind in SIZES and 1e-4 <= abs(value) < SMALL):
        return f"{value:.3g}"
    return f"{value:{NUMBER_FORMATS[column.kind]}}"


SIZES = ("gigabytes", "billions")
SMALL = 0.1
"""A size below it is shown with three digits, however small."""

NUMBER_FORMATS = {
    "gigabytes": ".2f",
    "billions": ".3f",
    "ppl": ".2f",
    "rate": ".2f",
    "time": ".2f",
    "megabytes": ",.0f",
    "spread": ".4f",
}


def _reason(column: Column, found: Conditions, usual: Conditions) -> str:
    """Return why a number is not compared with the others of its column."""
    if column.kind == "ppl" and found.basis is None:
        return t("window not stated in the file: not compared with the others")
    if column.kind == "ppl" and found.basis != usual.basis:
        return t("window {window}: not compared with the others").format(window=found.basis)
    if found.basis != usual.basis:
        return t("mean of {tasks} alone: not compared with the others").format(tasks=found.basis)
    if column.kind == "ppl":
        return t("another text of this name: not compared with the others")
    return t("measured otherwise ({condition}): not compared with the others").format(
        condition=shown(found.details or "")
    )


def _notes(table: ModelTable) -> list[str]:
    notes = [
        t(
            "Best of each column in bold, where at least two of one family compete. {unknown}: no "
            "file says it. "
            "GB and MB: 2^30 and 2^20 bytes."
        ).format(unknown=UNKNOWN),
    ]
    origin = t("{model}: the model that the others were pruned from; it does not compete.")
    notes += [origin.format(model=shown(row.name)) for row in table.rows if row.is_reference]
    notes += [
        t("{model}: not known: {why}").format(model=shown(row.name), why=why.translated())
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
        found += [t("no analysis; {command} makes one").format(command=row.mend)] * bool(row.mend)
        notes += [f"{shown(row.name)}: {shown(text)}" for text in (*found, *row.notes)]
    return notes


def all_notes(grid: Grid) -> Sequence[str]:
    """Return the notes of a table, those that cells point to first with their numbers."""
    return [f"[{number}] {text}" for number, text in enumerate(grid.marked, 1)] + list(grid.notes)
