"""The summary of many models for people: on the terminal, as text and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table as RichTable

from depthprune.base.language import filled, t
from depthprune.base.shown import shown
from depthprune.report.render.markdown import table_lines
from depthprune.report.table import Column, Table
from depthprune.report.tables import percent
from depthprune.structure.facts import ModelFacts, facts_of
from depthprune.structure.summary import ModelSummary, Summary

UNKNOWN = "N/A"

_RULE, _STATISTICS_RULE = 120, 80
_WIDTHS = (40, 15, 10, 6, 12)
"""Columns of the documented text, which has one space between them."""

_SHORT_NAME, _LONGEST_NAME = 18, 32
"""Letters of a name that fits beside headings of one line, and of one that fits 80 columns."""

Row = tuple[ModelSummary, ModelFacts]


def summary_rows(summary: Summary) -> list[Row]:
    """Return the models that were analysed, the least pruned first, unknown ratios last."""
    rows = [(one, facts_of(one)) for one in summary.models if one.anatomy or one.comparison]
    return sorted(
        rows, key=lambda row: (row[1].ratio is None, round(row[1].ratio or 0, 4), row[0].name)
    )


def without_analysis(summary: Summary) -> list[ModelSummary]:
    """Return the models that are not analysed."""
    return [one for one in summary.models if not (one.anatomy or one.comparison)]


def num_emptied(facts: ModelFacts) -> int:
    """Return how many layers are removed or hold nothing, of those that the files name."""
    return len(facts.emptied) + len(facts.removed)


def remarks(facts: ModelFacts) -> list[str]:
    """Return in words what happened to single layers."""
    found = []
    if facts.removed:
        found.append(t("removed layers: {layers}", layers=_listed(facts.removed)))
    if facts.missing == 1:
        found.append(t("1 layer missing, which one the files do not say"))
    elif facts.missing:
        text = t("{n} {n:layer|layers} missing, which {n:one|ones} the files do not say")
        found.append(filled(text, n=facts.missing))
    if facts.emptied:
        found.append(t("zero layers: {layers}", layers=_listed(facts.emptied)))
    found += [t("Not known: {why}", why=shown(why.translated())) for why in facts.unknown]
    for layers, one, several in (
        (
            facts.no_attention,
            t("attention removed in layer {layers}"),
            t("attention removed in layers {layers}"),
        ),
        (
            facts.no_mlp,
            t("MLP removed in layer {layers}"),
            t("MLP removed in layers {layers}"),
        ),
    ):
        if layers:
            found.append(filled(one if len(layers) == 1 else several, layers=_listed(layers)))
    return found


def summary_parts(summary: Summary) -> list[RenderableType]:
    """Return the table and the lines that the terminal shows."""
    rows = summary_rows(summary)
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    names = [shown(one.name) for one, _ in rows]
    if max(map(cell_len, names), default=0) > _LONGEST_NAME:
        names = without_shared_folders(names)
    longest = max(map(cell_len, names), default=0)
    table.add_column(t("model"), overflow="fold", no_wrap=longest <= _LONGEST_NAME)
    table.add_column(t("parameters"), justify="right", no_wrap=True)
    for heading in (t("pruning ratio %"), t("layers"), t("removed or emptied")):
        # Long names get the room of the headings, not the other way round.
        words = max(map(cell_len, heading.split())) if longest > _SHORT_NAME else None
        table.add_column(heading, justify="right", max_width=words)
    for name, (_, facts) in zip(names, rows, strict=True):
        numbers = (*count_cells(facts), str(num_emptied(facts)))
        table.add_row(name, *numbers)
    parts: list[RenderableType] = [table] if rows else []
    for heading, lines in _sections(summary):
        parts += [f"{heading}:", *(f"  {line}" for line in lines), ""]
    return parts


def summary_text(summary: Summary) -> str:
    """Return the summary in the documented layout; in Chinese, to the byte that of the old script.

    What that layout has no place for follows behind it: remarks on layers, models without analysis,
    files that could not be read.
    """
    rows = summary_rows(summary)
    headings = (
        t("Model"), t("Total parameters"), t("Pruning ratio"), t("Layers"), t("Removed or emptied")
    )  # fmt: skip
    names = [shown(one.name) for one, _ in rows]
    # The old script counted characters, not columns: its Chinese headings stand a bit to the left.
    widths = [max(width, len(text)) for width, text in zip(_WIDTHS, headings, strict=True)]
    widths[0] = max(widths[0], *map(cell_len, names), 0)
    lines = [
        "=" * _RULE,
        t("Summary of the structure of models"),
        "=" * _RULE,
        "",
        headings[0].ljust(widths[0]) + _right(headings[1:], widths[1:]),
        "-" * _RULE,
    ]
    for name, (_, facts) in zip(names, rows, strict=True):
        cells = (
            *count_cells(facts, "%"),
            str(num_emptied(facts)),
        )
        lines.append(name + " " * (widths[0] - cell_len(name)) + _right(cells, widths[1:]))
    lines += ["", "=" * _RULE, "", "", *_statistics(rows), "", "=" * _STATISTICS_RULE]
    told = [f"{shown(one.name)}: {remark}" for one, facts in rows for remark in remarks(facts)]
    sections = [(t("Remarks on layers"), told)] if told else []
    for heading, found in [*sections, *_further(summary)]:
        lines += ["", heading, "-" * _STATISTICS_RULE, *found]
    return "\n".join(lines)


def summary_markdown(summary: Summary) -> str:
    """Return the summary as a document in Markdown."""
    numbers = (
        t("Total parameters"), t("Pruning ratio"), t("Layers"), t("Removed or emptied")
    )  # fmt: skip
    table = Table(
        [
            Column(t("Model")),
            *(Column(one, "count") for one in numbers),
            Column(t("Remarks on layers")),
        ],
        [
            [
                shown(one.name),
                *count_cells(facts, "%"),
                num_emptied(facts),
                "; ".join(remarks(facts)),
            ]
            for one, facts in summary_rows(summary)
        ],
    )
    lines = [f"# {t('Summary of the structure of models')}", "", *table_lines(table)]
    for heading, found in _further(summary):
        lines += ["", f"## {heading}", "", *(f"    {line}" for line in found)]
    return "\n".join(lines) + "\n"


def without_shared_folders(names: Sequence[str]) -> list[str]:
    """Return names of models without the folders in front that all of them share."""
    parts = [name.split("/") for name in names]
    shared = 0
    while parts and all(len(one) > shared + 1 for one in parts):
        if len({one[shared] for one in parts}) > 1:
            break
        shared += 1
    return ["/".join(one[shared:]) for one in parts]


def _statistics(rows: Sequence[Row]) -> list[str]:
    counts = [facts.params for _, facts in rows if facts.params is not None]
    ratios = [facts.ratio for _, facts in rows if facts.ratio is not None]
    return [
        "=" * _STATISTICS_RULE,
        t("Statistics"),
        "=" * _STATISTICS_RULE,
        "",
        t("Models: {n}").format(n=len(rows)),
        "",
        t("Number of parameters:"),
        *_extremes(counts, lambda value: format(value, ",.0f")),
        "",
        t("Pruning ratios:"),
        *_extremes(ratios, _percentage),
    ]


def _extremes(values: Sequence[float], form: Callable[[float], str]) -> list[str]:
    found = (min(values), max(values), fmean(values)) if values else ()
    least, most, mean = map(form, found) if found else (UNKNOWN,) * 3
    return [
        t("  min: {value}").format(value=least),
        t("  max: {value}").format(value=most),
        t("  mean: {value}").format(value=mean),
    ]


def _sections(summary: Summary) -> list[tuple[str, list[str]]]:
    """Return sections of lines: remarks on layers, and what `_further` says."""
    told = [
        f"{shown(one.name)}: {remark}"
        for one, facts in summary_rows(summary)
        for remark in remarks(facts)
    ]
    return [*([(t("Remarks on layers"), told)] if told else []), *_further(summary)]


def _further(summary: Summary) -> list[tuple[str, list[str]]]:
    """Return sections of lines: models that are not analysed, and what could not be read."""
    lacking = [
        line
        for one in without_analysis(summary)
        if one.mend is not None
        for line in (shown(one.name), f"  {shown(one.mend)}")
    ]
    problems = [shown(problem) for one in summary.models for problem in one.problems]
    sections = ((t("Without analysis"), lacking), (t("Problems in files"), problems))
    return [(heading, lines) for heading, lines in sections if lines]


def _right(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f" {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def count_cells(facts: ModelFacts, unit: str = "") -> tuple[str, str, str]:
    """Return parameters, share that is gone and layers of a model.

    What no file tells is `UNKNOWN`; what a file says to be unknown is called so.
    """
    otherwise = t("unknown") if facts.unknown else UNKNOWN
    return (
        otherwise if facts.params is None else f"{facts.params:,}",
        otherwise if facts.ratio is None else f"{percent(facts.ratio)}{unit}",
        otherwise if facts.num_layers is None else f"{facts.num_layers:,}",
    )


def _percentage(value: float) -> str:
    return f"{percent(value)}%"


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
