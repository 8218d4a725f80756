"""`depthprune table`: every pruned model in one table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from depthprune.base.errors import AnalysisError, FileError
from depthprune.base.files import check_can_make, together
from depthprune.base.language import set_language, t
from depthprune.base.terminal import terminal
from depthprune.cli.flags import AsJson, Language
from depthprune.cli.output import show, show_json
from depthprune.cli.structure import models_below
from depthprune.report.model_table import (
    Format,
    format_of,
    model_parts,
    model_table_bytes,
    model_value,
    write_model_table,
)
from depthprune.structure.model_row import STANDARD, model_row
from depthprune.structure.model_table import model_table

MOST_SHOWN = 50
"""Models on the terminal when all of them are in a file."""


def table(
    *,
    result_dir: Annotated[tuple[Path, ...], Parameter(name=("--result-dir", "--dirs"))] = (),
    output: Path | None = None,
    format: Format | None = None,
    sort_by: str = "model",
    reverse: bool = False,
    method: str | None = None,
    ratio: str | None = None,
    base: str | None = None,
    window: str = STANDARD,
    figures: Path | None = None,
    figure_formats: tuple[Literal["png", "svg", "pdf"], ...] = ("png",),
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Compare pruned models in one table: size, perplexity, accuracies, speed, layers.

    Reads `evaluation_results.json` (written by `evaluate` or by the old scripts) and the files in
    `analysis/` (written by `structure analyze`) at any depth; no model is opened. Unknown values
    are N/A. Perplexities are labelled with their windows, and those of different windows are never
    compared.

    For example:

        depthprune table --result_dir results
        depthprune table --result_dir baselines results --output summary.xlsx
        depthprune table --result_dir results --format md --sort_by mean_accuracy
        depthprune table --result_dir results --output summary.csv --method wanda --ratio 20
        depthprune table --result_dir results --output summary.html --figures figures --lang zh

    Parameters
    ----------
    result_dir
        Folders to search (default: the current one).
    output
        File for the table; its extension sets the format: .xlsx, .csv, .md, .html, .tex.
    format
        Format, regardless of the extension of the output: xlsx, csv, md, html or latex. Without an
        output file, the table is printed in this format.
    sort_by
        Column to sort by, named as in .csv files, e.g. model, size_gb, parameters_b, ppl_wikitext2,
        mean_accuracy, peak_memory_mb, layers_below_20. Best values first, unknown values last.
    reverse
        Sort the best values last.
    method
        Text that the names of listed models contain, e.g. magnitude, h-gsp, or a pattern:
        'wanda_*'.
    ratio
        Approximate pruning ratio of listed models, or the end of their names: 0.2, 20, 20% or 2000.
    base
        Unpruned model, which is not compared for the best values (default: found by its number of
        parameters).
    window
        Window of the perplexity to show for models that have several: 2048/512, or 128.
    figures
        Folder for the figures pruning_heatmap and size_performance.
    figure_formats
        Formats of the figures.

    """
    set_language(lang)
    if output is not None:
        format = _checked(output, format)
    elif format == "xlsx":
        raise FileError("a workbook is no text", option="format", mend="add --output summary.xlsx")
    if figures is not None:
        check_can_make(figures)
    summary = models_below(result_dir, method, ratio)
    known = _window(window)
    rows = [model_row(model, known) for model in summary.models]
    found = model_table(rows, window=known, reference=base, sort_by=sort_by, reverse=reverse)
    not_drawn: list[str] = []
    with together():
        written = [] if output is None else [write_model_table(found, output, format)]
        if figures is not None:
            from depthprune.report.figures.model_figures import write_model_figures

            written += write_model_figures(found, figures, figure_formats)
    if figures is not None:
        from depthprune.report.figures.model_figures import MODEL_FIGURES, drawable

        not_drawn = [name for name in MODEL_FIGURES if name not in drawable(found)]
    if json:
        show_json(model_value(found), written)
        return
    if output is None and format is not None:
        print(model_table_bytes(found, format).decode("utf-8"), end="")
        return
    most = None if output is None else MOST_SHOWN
    parts = model_parts(found, most=most, width=terminal().width)
    undrawn = t("Not drawn: {name}: the models lack what it shows.")
    parts += [undrawn.format(name=name) for name in not_drawn]
    if written:
        parts.append(t("Written: {files}").format(files=", ".join(map(str, written))))
    show(parts)


def _checked(output: Path, kind: Format | None) -> Format:
    """Return the format of a file that could be written; told before the work."""
    if output.is_dir():
        raise FileError("this is a folder", where=str(output), mend="name a file: summary.xlsx")
    check_can_make(output.parent)
    return kind or format_of(output)


def _window(text: str) -> str:
    """Return a window as tables name it: `128/128` is `128`."""
    found = re.fullmatch(r"(\d+)(?:/(\d+))?", text.strip())
    if found is None:
        raise AnalysisError(
            f"the window of a perplexity must be one or two numbers of tokens, not {text!r}",
            option="window",
            mend="write its tokens, and those from one window to the next: 2048/512, or 128",
        )
    tokens, stride = found.groups()
    return tokens if stride in (None, tokens) else f"{tokens}/{stride}"
