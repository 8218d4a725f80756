"""Writes the table of models in the format that the name of a file asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from depthprune.base.errors import FileError
from depthprune.base.files import write_bytes
from depthprune.base.language import t
from depthprune.report.model_table.paper import model_latex
from depthprune.report.model_table.plain import model_csv, model_markdown
from depthprune.report.model_table.workbook import model_workbook
from depthprune.report.render.page import table_page
from depthprune.report.sections.models import model_grid
from depthprune.structure.model_table import ModelTable

Format = Literal["xlsx", "csv", "md", "html", "latex"]

ENDINGS: Mapping[str, Format] = MappingProxyType(
    {
        ".xlsx": "xlsx",
        ".csv": "csv",
        ".md": "md",
        ".markdown": "md",
        ".html": "html",
        ".htm": "html",
        ".tex": "latex",
        ".latex": "latex",
    }
)


def format_of(path: Path) -> Format:
    """Return the format that a file's ending asks for.

    Raises:
        FileError: none does.
    """
    found = ENDINGS.get(path.suffix.lower())
    if found is None:
        raise FileError(
            f"the ending {path.suffix!r} says no format of a table",
            where=str(path),
            mend=f"end the name with {', '.join(ENDINGS)}, or choose with --format",
        )
    return found


def model_table_bytes(table: ModelTable, kind: Format) -> bytes:
    """Return the table as the content of a file; CSV and LaTeX in English only.

    Raises:
        MissingDependencyError: a workbook needs openpyxl.
    """
    match kind:
        case "xlsx":
            return model_workbook(table)
        case "csv":
            text = model_csv(table)
        case "md":
            text = model_markdown(table)
        case "html":
            text = table_page(t("Pruned models"), model_grid(table))
        case "latex":
            text = model_latex(table)
    return text.encode("utf-8", "backslashreplace")


def write_model_table(table: ModelTable, path: Path, kind: Format | None = None) -> Path:
    """Write the table, whole or not at all, and return the path.

    Args:
        table: of models.
        path: of the file.
        kind: its format; None chooses by the ending.

    Raises:
        FileError: no format is known by the ending, or the file cannot be written.
        MissingDependencyError: a workbook needs openpyxl.
    """
    write_bytes(path, model_table_bytes(table, kind or format_of(path)))
    return path
