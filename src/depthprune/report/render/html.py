"""A page as one HTML file: template, style sheets, scripts and data put together."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import isnan
from typing import Any

from depthprune.base.errors import MissingDependencyError
from depthprune.base.language import TAGS, Note, current_language, t
from depthprune.report.formatting import percent
from depthprune.report.render.text import cell_text, plain_cell
from depthprune.report.table import Cell, Column, Table, all_notes, cell_of

NOTHING = "–"

LONG = 8
"""Blocks that are listed one by one; of more, runs are drawn together."""


def points(fraction: float | None, decimals: int = 2) -> str:
    """Return a fraction in percentage points, with a minus sign; a dash where nothing is known."""
    if fraction is None or isnan(fraction):
        return NOTHING
    return percent(fraction, decimals).replace("-", "\N{MINUS SIGN}")


def block_list(blocks: Sequence[int]) -> str:
    """Return blocks as a list; in a long one runs stand as `3–7`. The script does the same."""
    if len(blocks) <= LONG:
        return ", ".join(map(str, blocks))
    runs: list[list[int]] = []
    for block in blocks:
        if runs and block == runs[-1][-1] + 1:
            runs[-1].append(block)
        else:
            runs.append([block])
    return ", ".join(
        f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
    )


MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class PageFiles:
    """The files of a kind of page, by their names without ending.

    Attributes:
        template: Name of the template in `template/`.
        styles: Style sheets in `style/`; a later one overrides an earlier one.
        scripts: Scripts in `script/`, in the order in which they need each other.
    """

    template: str
    styles: Sequence[str]
    scripts: Sequence[str]


def render(page: PageFiles, data: dict[str, Any], **values: Any) -> str:
    """Return a page that needs no network and no other file.

    Args:
        page: Files of this kind of page.
        data: Data for the script; JSON without NaN.
        values: Values for the template.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    style = "".join(_file(f"style/{name}.css") for name in page.styles)
    script = _script(tuple(page.scripts))
    words = {text: Note(text).translated() for text in shown_texts(script)}
    text: str = _template(f"{page.template}.html").render(
        lang=TAGS[current_language()],
        policy=_policy(style, script),
        style=style,
        script=script,
        data=embedded_json(data | {"words": words}),
        **values,
    )
    return text


def shown_texts(source: str) -> list[str]:
    """Return the texts that a template or a script shows: `t("English text")`."""
    return list(dict.fromkeys(re.findall(r'\bt\("([^"]+)"', source)))


def embedded_json(value: Any) -> str:
    """Return JSON that may stand in a script element: nothing in it ends that element.

    Raises:
        ValueError: the value holds NaN or infinity.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, script: str) -> str:
    """Return a content security policy under which nothing runs or loads but this file's own."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


TABLE_PAGE = PageFiles(template="table", styles=("table",), scripts=())


def table_page(title: str, table: Table) -> str:
    """Return a table as a page without scripts; text is text, whatever it holds.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    return render(TABLE_PAGE, {}, title=title, table=table)


def page_cell(column: Column, value: Any) -> str:
    """Return a value as a page shows it: with real minus signs, and commas in large counts."""
    cell = cell_of(value)
    if isinstance(cell.value, tuple) and column.kind == "blocks":
        text = block_list(cell.value)
    elif cell.value and column.kind in ("count", "samples") and isinstance(cell.value, int):
        text = f"{cell.value:,}"
    elif (text := plain_cell(column, cell)) == "-":
        text = NOTHING
    elif column.kind not in ("text", "list"):
        text = text.replace("-", MINUS)
    return cell_text(column, Cell(None, text, cell.mark))


@cache
def _script(names: tuple[str, ...]) -> str:
    parts = (_file(f"script/{name}.js") for name in names)
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();\n"


@cache
def _file(name: str) -> str:
    return files("depthprune.report.html").joinpath(name).read_text(encoding="utf-8")


def _template(name: str) -> Any:
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError(
            "the HTML report needs jinja2", mend='install it: pip install "depthprune[report]"'
        ) from error
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(lambda name: _file(f"template/{name}")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"t": t, "cell": page_cell, "cell_of": cell_of, "plain_cell": plain_cell}
    environment.filters["notes"] = all_notes
    return environment.get_template(name)
