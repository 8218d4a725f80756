"""Writes the summary of many models, in every format it is wanted in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal, get_args

from depthprune.base.errors import FileError
from depthprune.base.files import check_can_make, write_bytes, write_json, write_text
from depthprune.report.structure_summary import (
    summary_markdown,
    summary_text,
)
from depthprune.report.structure_values import summary_csv, summary_value
from depthprune.structure.summary import Summary

Format = Literal["txt", "json", "csv", "md", "html", "xlsx"]

FORMATS: tuple[Format, ...] = get_args(Format)


def write_summary(
    summary: Summary,
    output: Path,
    formats: Iterable[Format],
    *,
    time: datetime,
) -> list[Path]:
    """Write `output` with the ending of each format and return the paths.

    Args:
        summary: of models.
        output: without ending; one of its own stays a part of the name (`summary_0.2`).
        formats: each is written once.
        time: when the summary was made; stands in the JSON file.

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


def _write(summary: Summary, path: Path, form: Format, time: datetime) -> None:
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
            from depthprune.report.structure_workbook import summary_workbook

            write_bytes(path, summary_workbook(summary))
        case "html":
            from depthprune.report.html.structure_page import write_structure_page

            write_structure_page(path, summary)
