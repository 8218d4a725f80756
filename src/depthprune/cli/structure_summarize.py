"""`depthprune structure summarize`: one table of many models, from their analysis files."""

from __future__ import annotations

import json as json_module
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from depthprune.base.errors import AnalysisError, LayoutError
from depthprune.base.language import counted, set_language
from depthprune.cli.output import AsJson, Language, show_sections
from depthprune.report.structure_summary import (
    FORMATS,
    Format,
    summary_sections,
    summary_value,
    write_summary,
)
from depthprune.structure.finding import find_model_folders, parse_ratio
from depthprune.structure.summarize import summarize as summarize_models

DEFAULT = (FORMATS[0], FORMATS[1])
"""What is written when no format is named: .txt and .json, as the old script did."""


def summarize(
    *,
    dirs: Annotated[tuple[Path, ...], Parameter(show_default=False)] = (),
    output: Path = Path("models_structure_summary"),
    format: Annotated[tuple[Format, ...], Parameter(show_default=False)] = (),
    method: str | None = None,
    ratio: str | None = None,
    json: AsJson = False,
    lang: Language = "en",
) -> None:
    """Summarise many models: parameters, pruning ratio, layers, and which of them are empty.

    Reads only files in `analysis/` folders, made by `structure analyze` and `batch` or by the old
    scripts, at any depth; no model is opened. A model without analysis is listed with the command
    that makes one; a file that is broken is named, and the others of its folder count.

    For example:

        depthprune structure summarize --dirs baselines results
        depthprune structure summarize --dirs results --output summary --format xlsx html
        depthprune structure summarize --dirs results --output summary.csv
        depthprune structure summarize --dirs baselines --method wanda --ratio 20
        depthprune structure summarize --dirs baselines results --lang zh

    Parameters
    ----------
    dirs
        Folders to search; the current one when not given.
    output
        Name of the files; their endings are added. With an ending of its own, that format only.
    format
        Of the files: txt, json, csv, md, html, xlsx; txt and json when not given.
    method
        Only models with this in their name, e.g. magnitude, h-gsp, or a pattern: 'wanda_*'.
    ratio
        Only models that lost about this much, or whose name ends with it: 0.2, 20, 20% and 2000
        all mean a fifth. Measured ratios count as equal within 1.5 points.

    """
    set_language(lang)
    dirs = dirs or (Path(),)
    wanted = None if ratio is None else parse_ratio(ratio)
    summary = summarize_models(dirs, method=method, ratio=wanted)
    if not summary.models:
        raise _nothing_found(dirs, method, ratio)
    given = output.suffix.removeprefix(".")
    formats = format
    if not formats:
        formats = tuple(known for known in FORMATS if known == given) or DEFAULT
    # `summary.csv --format csv md` means summary.csv and summary.md.
    stem = output.with_suffix("") if given in formats else output
    time = datetime.now().astimezone()
    files = write_summary(summary, stem, formats, time=time)
    if json:
        value = summary_value(summary, time) | {"files": list(map(str, files))}
        print(json_module.dumps(value, indent=1))
        return
    show_sections(summary_sections(summary), files)


def _nothing_found(
    dirs: tuple[Path, ...], method: str | None, ratio: str | None
) -> AnalysisError | LayoutError:
    where = ", ".join(map(str, dirs))
    number = len(find_model_folders(dirs))
    if number == 0:
        return LayoutError(
            "no model and no analysis here",
            where=where,
            mend="name folders that hold models with analysis/, or analyse some: "
            "depthprune structure batch --models_dir D --base_model B --output_dir O",
        )
    options = [
        f"--{name} {value}" for name, value in (("method", method), ("ratio", ratio)) if value
    ]
    return AnalysisError(
        f"none of the {counted(number, 'model')} fits {' '.join(options)}",
        where=where,
        mend="leave the option out to see what there is",
    )
