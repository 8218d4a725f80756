"""Many models: what became of each, what it lost, what could not be read; in every format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple, get_args

from rich.cells import cell_len

from depthprune.base.errors import FileError
from depthprune.base.files import check_can_make, write_bytes, write_json, write_text
from depthprune.base.language import filled, t
from depthprune.base.terminal import shown
from depthprune.report.formatting import percent
from depthprune.report.render.markdown import table_lines
from depthprune.report.render.plain import table_csv
from depthprune.report.render.text import plain_cell
from depthprune.report.render.xlsx import LOST, Sheet, workbook
from depthprune.report.sections.structure_words import remarks, strategy_names
from depthprune.report.table import Cell, Column, Kind, Section, Table, table_of
from depthprune.structure.batches import BatchOutcome, BatchResult
from depthprune.structure.compare import is_emptied
from depthprune.structure.comparison import ModelComparison, is_located, num_layers
from depthprune.structure.summaries import ModelFacts, ModelSummaries, ModelSummary, facts_of

UNKNOWN = "N/A"

LONGEST_NAME = 32
"""Letters of a name that fits 80 columns beside the numbers."""

MOST_LAYERS = 10_000
"""A sheet has 16,384 columns."""

NUMBERS = ("total_params", "pruning_ratio", "num_layers")
SHORT = ("model", *NUMBERS, "num_emptied_layers")
LONG = ("model", "total_params", "original_params", *SHORT[2:], "strategy", "remarks")
CSV = (
    "model", "total_params", "original_params", "pruning_ratio", "num_layers",
    "original_num_layers", "num_emptied_layers", "zero_layers", "removed_layers", "missing_layers",
    "attention_removed", "mlp_removed", "strategy", "embedding_params", "lm_head_params", "folder",
)  # fmt: skip
"""Columns of the tables by their keys."""


class SummaryRow(NamedTuple):
    """A model, and what is known of it."""

    model: ModelSummary
    facts: ModelFacts


def rows_of(models: Iterable[ModelSummary]) -> list[SummaryRow]:
    """Return the models that were analysed, the least pruned first, unknown ratios last."""
    rows = [SummaryRow(one, facts_of(one)) for one in models if one.anatomy or one.comparison]
    return sorted(
        rows,
        key=lambda row: (row.facts.ratio is None, round(row.facts.ratio or 0, 4), row.model.name),
    )


def without_analysis(summary: ModelSummaries) -> list[ModelSummary]:
    """Return the models that are not analysed."""
    return [one for one in summary.models if not (one.anatomy or one.comparison)]


def num_emptied(facts: ModelFacts) -> int:
    """Return how many layers are removed or hold nothing, of those that the files name."""
    return len(facts.emptied) + len(facts.removed)


def models_table(rows: Iterable[SummaryRow], keys: Sequence[str] = LONG, **options: Any) -> Table:
    """Return a row for each model, with the columns of these keys.

    What no file tells is `UNKNOWN`; what a file says to be unknown is called so.
    """
    return table_of(rows, [_column(key) for key in keys], **options)


def _column(key: str) -> tuple[Column, Callable[[SummaryRow], Any]]:
    name, kind, of = _columns()[key]
    return Column(name, kind, key=key, room=LONGEST_NAME if key == "model" else 0), of


def _columns() -> dict[str, tuple[str, Kind, Callable[[SummaryRow], Any]]]:
    strategies = strategy_names()

    def count(of: Callable[[ModelFacts], float | None]) -> Callable[[SummaryRow], Any]:
        def known(row: SummaryRow) -> Any:
            if (value := of(row.facts)) is not None:
                return value
            return Cell(None, t("unknown") if row.facts.unknown else UNKNOWN)

        return known

    def part(name: str) -> Callable[[SummaryRow], Any]:
        return lambda row: getattr(row.model.anatomy, name, None)

    def strategy(row: SummaryRow) -> Cell:
        return Cell(row.facts.strategy, strategies.get(row.facts.strategy or "", UNKNOWN))

    return {
        "model": (t("model"), "text", lambda row: shown(row.model.name)),
        "total_params": (t("parameters"), "amount", count(lambda one: one.params)),
        "original_params": (t("original parameters"), "amount", count(lambda one: one.original)),
        "pruning_ratio": (t("pruning ratio %"), "points", count(lambda one: one.ratio)),
        "num_layers": (t("layers"), "count", count(lambda one: one.num_layers)),
        "original_num_layers": ("", "count", lambda row: row.facts.of_layers),
        "num_emptied_layers": (
            t("removed or emptied"), "count", lambda row: num_emptied(row.facts)
        ),
        "zero_layers": ("", "blocks", lambda row: row.facts.emptied),
        "removed_layers": ("", "blocks", lambda row: row.facts.removed),
        "missing_layers": ("", "count", lambda row: row.facts.missing),
        "attention_removed": ("", "blocks", lambda row: row.facts.no_attention),
        "mlp_removed": ("", "blocks", lambda row: row.facts.no_mlp),
        "strategy": (t("strategy"), "text", strategy),
        "embedding_params": ("", "amount", part("embedding")),
        "lm_head_params": ("", "amount", part("lm_head")),
        "folder": ("", "text", lambda row: shown(str(row.model.folder))),
        "remarks": (t("Remarks on layers"), "text", lambda row: "; ".join(remarks(row.facts))),
    }  # fmt: skip


def summary_sections(summary: ModelSummaries) -> list[Section]:
    """Return the table of all models, then remarks, models without analysis, and broken files."""
    rows = rows_of(summary.models)
    names = [shown(row.model.name) for row in rows]
    if max(map(cell_len, names), default=0) > LONGEST_NAME:
        names = without_shared_folders(names)
    table = models_table(rows, SHORT, names=1, is_spaced=True)
    named = [[Cell(name), *row[1:]] for name, row in zip(names, table.rows, strict=True)]
    sections = [Section("models", "", tables=[replace(table, rows=named)])] if rows else []
    return [*sections, *remarks_sections(rows), *further_sections(summary)]


def remarks_sections(rows: Sequence[SummaryRow]) -> list[Section]:
    """Return what happened to single layers of the models, if anything did."""
    lines = [f"{shown(row.model.name)}: {one}" for row in rows for one in remarks(row.facts)]
    return [Section("remarks", t("Remarks on layers"), lines)] if lines else []


def further_sections(summary: ModelSummaries) -> list[Section]:
    """Return models that are not analysed, and what could not be read, where there are such."""
    lacking = [
        line
        for one in without_analysis(summary)
        if one.mend is not None
        for line in (shown(one.name), f"  {shown(one.mend)}")
    ]
    problems = [shown(problem) for one in summary.models for problem in one.problems]
    sections = [
        Section("without", t("Without analysis"), lacking),
        Section("problems", t("Problems in files"), problems),
    ]
    return [section for section in sections if section.sentences]


def batch_sections(outcome: BatchOutcome, summary: ModelSummaries) -> list[Section]:
    """Return the table of all models, what happened to their layers, and what went wrong.

    Args:
        outcome: Outcome of the run.
        summary: Summary of its models, see `BatchOutcome.summary`.
    """
    found = {one.name: SummaryRow(one, facts_of(one)) for one in summary.models}

    def number(key: str) -> tuple[Column, Callable[[BatchResult], Any]]:
        column, of = _column(key)
        return column, lambda one: of(found[one.name]) if one.status == "success" else ""

    table = table_of(
        outcome.results,
        [
            # Names are folded where 80 columns are too few; nothing else is.
            (Column(t("model"), room=18), lambda one: shown(one.name)),
            (Column(t("format")), lambda one: one.kind),
            *map(number, NUMBERS),
            (Column(t("outcome")), _outcome),
        ],
        names=1,
    )
    notes = [
        t("Note: {text}", text=f"{shown(one.name)}: {shown(note.translated())}")
        for one in summary.models
        if one.anatomy is not None
        for note in one.anatomy.notes
    ]
    failed = outcome.with_status("failed")
    for result in failed:
        error = "\n".join(map(shown, (result.error or "").splitlines()))
        notes.append(t("Failed: {part}: {error}", part=shown(result.name), error=error))
    reused = sum(one.reused for one in outcome.results)
    counts = t("Analysed: {done}; unchanged since an earlier run: {reused}; failed: {failed}")
    done = len(outcome.with_status("success")) - reused
    return [
        Section("models", "", tables=[table]),
        *remarks_sections(list(found.values())),
        Section("run", "", [*notes, filled(counts, done=done, reused=reused, failed=len(failed))]),
    ]


def _outcome(one: BatchResult) -> str:
    if one.reused:
        return t("unchanged")
    return {"success": t("analysed"), "failed": t("FAILED"), "no model": t("no model")}[one.status]


def lost_table(rows: Iterable[SummaryRow]) -> Table:
    """Return the share that each layer of the originals lost.

    Where layers are missing and no file says which, no layer's share is known: `?`.
    """
    compared = [(row.model.name, row.model.comparison) for row in rows if row.model.comparison]
    ratios = [_lost(comparison) for _, comparison in compared]
    indices = sorted({index for found in ratios for index in found})[:MOST_LAYERS]
    table = [
        [shown(name), *(found.get(at, Cell(None, UNKNOWN)) for at in indices)]
        for (name, _), found in zip(compared, ratios, strict=True)
    ]
    note = t("?: layers are missing, and no file says which; nothing is known of a single one.")
    is_missing = not all(is_located(comparison) for _, comparison in compared)
    columns = [Column(t("model")), *(Column(str(at), "share") for at in indices)]
    return Table(columns, table, notes=[note] * is_missing)


def _lost(comparison: ModelComparison) -> dict[int, Any]:
    unlocated = Cell(None, "?")
    if not is_located(comparison):
        return dict.fromkeys(range(min(num_layers(comparison), MOST_LAYERS)), unlocated)
    known = ((layer.index, layer.total.ratio) for layer in comparison.layers)
    return {at: unlocated if ratio is None else ratio for at, ratio in known}


def without_shared_folders(names: Sequence[str]) -> list[str]:
    """Return names of models without the folders in front that all of them share."""
    parts = [name.split("/") for name in names]
    shared = 0
    while parts and all(len(one) > shared + 1 for one in parts):
        if len({one[shared] for one in parts}) > 1:
            break
        shared += 1
    return ["/".join(one[shared:]) for one in parts]


Format = Literal["txt", "json", "csv", "md", "html", "xlsx"]

FORMATS: tuple[Format, ...] = get_args(Format)

RULE, STATISTICS_RULE = 120, 80
WIDTHS = (40, 15, 10, 6, 12)
"""Columns of the documented text, which has one space between them."""


def write_summary(
    summary: ModelSummaries, output: Path, formats: Iterable[Format], *, time: datetime
) -> list[Path]:
    """Write `output` with the ending of each format and return the paths.

    Args:
        summary: Summary of the models.
        output: Path without ending; one of its own stays a part of the name (`summary_0.2`).
        formats: Formats; each is written once.
        time: Time at which the summary was made, for the JSON file.

    Raises:
        FileError: a file cannot be written, or the name is none or that of a folder.
        MissingDependencyError: html and xlsx need packages of the extra `report`.
    """
    written = []
    if not output.name.strip("."):
        raise FileError(
            "this names no file",
            where=str(output),
            mend="name the files without their endings: models_structure_summary",
        )
    check_can_make(output.parent)
    for form in dict.fromkeys(formats):
        path = output.with_name(f"{output.name}.{form}")
        if path.is_dir():
            raise FileError("a folder has this name", where=str(path), mend="choose another name")
        _write(summary, path, form, time)
        written.append(path)
    return written


def _write(summary: ModelSummaries, path: Path, form: Format, time: datetime) -> None:
    match form:
        case "txt":
            write_text(path, summary_text(summary))
        case "json":
            write_json(path, summary_value(summary, time))
        case "csv":
            write_text(path, summary_csv(summary))
        case "md":
            write_text(path, summary_markdown(summary))
        case "xlsx":
            write_bytes(path, summary_workbook(summary))
        case "html":
            from depthprune.report.html.structure_page import render_structure_page

            write_text(path, render_structure_page(summary))


def summary_text(summary: ModelSummaries) -> str:
    """Return the summary in the documented layout; in Chinese, to the byte that of the old script.

    What that layout has no place for follows behind it: remarks on layers, models without analysis,
    files that could not be read.
    """
    rows = rows_of(summary.models)
    headings = (
        t("Model"), t("Total parameters"), t("Pruning ratio"), t("Layers"), t("Removed or emptied")
    )  # fmt: skip
    table = models_table(rows, SHORT)
    cells = [list(map(plain_cell, table.columns, row)) for row in table.rows]
    for row, cell in zip(rows, cells, strict=True):
        cell[2] += "%" * (row.facts.ratio is not None)
    # The old script counted characters, not columns: its Chinese headings stand a bit to the left.
    widths = [max(width, len(text)) for width, text in zip(WIDTHS, headings, strict=True)]
    widths[0] = max(widths[0], *(cell_len(name) for name, *_ in cells), 0)
    lines = [
        "=" * RULE,
        t("Summary of the structure of models"),
        "=" * RULE,
        "",
        headings[0].ljust(widths[0]) + _right(headings[1:], widths[1:]),
        "-" * RULE,
        *(
            name + " " * (widths[0] - cell_len(name)) + _right(numbers, widths[1:])
            for name, *numbers in cells
        ),
        *("", "=" * RULE, "", ""),
        *_statistics(rows),
        *("", "=" * STATISTICS_RULE),
    ]
    for section in [*remarks_sections(rows), *further_sections(summary)]:
        lines += ["", section.title, "-" * STATISTICS_RULE, *section.sentences]
    return "\n".join(lines)


def _right(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f" {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _statistics(rows: Sequence[SummaryRow]) -> list[str]:
    counts = [row.facts.params for row in rows if row.facts.params is not None]
    ratios = [row.facts.ratio for row in rows if row.facts.ratio is not None]
    return [
        "=" * STATISTICS_RULE,
        t("Statistics"),
        "=" * STATISTICS_RULE,
        "",
        t("Models: {n}", n=len(rows)),
        "",
        t("Number of parameters:"),
        *_extremes(counts, lambda value: format(value, ",.0f")),
        "",
        t("Pruning ratios:"),
        *_extremes(ratios, lambda value: f"{percent(value)}%"),
    ]


def _extremes(values: Sequence[float], form: Callable[[float], str]) -> list[str]:
    texts = (t("  min: {value}"), t("  max: {value}"), t("  mean: {value}"))
    found = map(form, (min(values), max(values), fmean(values))) if values else [UNKNOWN] * 3
    return [text.format(value=value) for text, value in zip(texts, found, strict=True)]


def summary_markdown(summary: ModelSummaries) -> str:
    """Return the summary as a document in Markdown."""
    table = models_table(rows_of(summary.models), (*SHORT, "remarks"))
    lines = [f"# {t('Summary of the structure of models')}", "", *table_lines(table)]
    for section in further_sections(summary):
        lines += ["", f"## {section.title}", "", *(f"    {line}" for line in section.sentences)]
    return "\n".join(lines) + "\n"


def summary_csv(summary: ModelSummaries) -> str:
    """Return one line for each analysed model, for programs; what is not known is empty."""
    return table_csv(models_table(rows_of(summary.models), CSV))


def summary_workbook(summary: ModelSummaries) -> bytes:
    """Return the content of an xlsx file: models, ratios layer by layer, and what is missing.

    Raises:
        MissingDependencyError: openpyxl is not installed.
    """
    rows = rows_of(summary.models)
    lacking = [[shown(one.name), shown(one.mend or "")] for one in without_analysis(summary)]
    problems = [[shown(one.name), text] for one in summary.models for text in one.problems]
    sheets = [
        Sheet(t("Models"), models_table(rows, LONG)),
        Sheet(t("Pruning ratio of layers"), lost_table(rows), LOST),
    ]
    for title, lines in ((t("Without analysis"), lacking), (t("Problems in files"), problems)):
        if lines:
            sheets.append(Sheet(title, Table([Column(t("model")), Column("")], lines)))
    return workbook(sheets)


def summary_value(summary: ModelSummaries, time: datetime) -> dict[str, Any]:
    """Return the summary as JSON data; counts are parameters, ratios 0..1.

    Args:
        summary: Summary of the models.
        time: Time at which it was made.
    """
    rows = rows_of(summary.models)
    return {
        "timestamp": time.isoformat(timespec="seconds"),
        "total_models": len(rows),
        "models": list(map(_model_value, rows)),
        "dirs": list(summary.dirs),
        "without_analysis": [
            {"name": one.name, "folder": str(one.folder), "mend": one.mend}
            for one in without_analysis(summary)
        ],
        "problems": [problem for one in summary.models for problem in one.problems],
    }


def _model_value(row: SummaryRow) -> dict[str, Any]:
    one, facts = row
    anatomy, comparison = one.anatomy, one.comparison
    params: dict[str, Any] = {"total": facts.params, "num_layers": facts.num_layers}
    if anatomy is not None:
        params |= {
            "embedding": anatomy.embedding,
            "lm_head": anatomy.lm_head,
            "layers": anatomy.layer_params,
            "norm": anatomy.norm,
            "other": anatomy.other,
            "towers": dict(anatomy.towers),
        }
    elif comparison is not None:
        params["layers"] = comparison.layer_params.pruned
    pruning = None
    if facts.original is not None and facts.params is not None:
        pruning = {
            "original": facts.original,
            "pruned": facts.params,
            "reduced": facts.original - facts.params,
            "reduction_ratio": facts.ratio,
            "strategy": facts.strategy,
        }
    return {
        "name": one.name,
        "folder": str(one.folder),
        "original_name": None if comparison is None else comparison.original_name,
        "params": params,
        "pruning": pruning,
        "num_layers": facts.num_layers,
        "original_num_layers": facts.of_layers,
        "zero_layers": list(facts.emptied),
        "removed_layers": list(facts.removed),
        "missing_layers": facts.missing,
        "attention_removed": list(facts.no_attention),
        "mlp_removed": list(facts.no_mlp),
        "layer_pruning": [] if comparison is None else _layer_values(comparison),
        "problems": list(one.problems),
        "unknown": list(facts.unknown),
    }


def _layer_values(comparison: ModelComparison) -> list[dict[str, Any]]:
    return [
        {
            "layer_idx": layer.index,
            "original": layer.total.original,
            "pruned": layer.total.pruned,
            "pruning_ratio": layer.total.ratio,
            "reduction_ratio": layer.total.ratio,
            "attention_ratio": layer.attention.ratio,
            "mlp_ratio": layer.mlp.ratio,
            "removed": layer.removed,
            "is_zero_layer": layer.is_zero or is_emptied(layer),
            "is_zero": layer.is_zero or is_emptied(layer),
        }
        for layer in comparison.layers
    ]
