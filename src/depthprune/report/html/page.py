"""The page: template, style sheet, scripts and data put together in one file."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from depthprune.analysis.whole import Analysis
from depthprune.base.errors import MissingDependencyError
from depthprune.base.files import write_text
from depthprune.report.html.answer import answer
from depthprune.report.html.data import page_data
from depthprune.report.html.sections import sections
from depthprune.report.html.words import page_words, script_words
from depthprune.report.language import Lang, translator

SCRIPTS = ("basics", "tip", "what_if", "front", "table", "heatmap", "start")
"""Parts of the page's script, in the order in which they need each other."""


def write_report(analysis: Analysis, path: Path, lang: Lang = "en") -> Path:
    """Write the interactive report of an analysis as one HTML file, and return its path.

    The file needs no network and no other file; the same analysis gives the same bytes.

    Args:
        analysis: of one model.
        path: of the file.
        lang: of the texts.

    Raises:
        FileError: the file cannot be written.
        MissingDependencyError: jinja2 is not installed.
    """
    write_text(path, render_report(analysis, lang=lang))
    return path


def render_report(analysis: Analysis, *, lang: Lang = "en") -> str:
    """Return the report of an analysis as HTML.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    t = translator(lang)
    style, script = _part("page.css"), _script()
    data = page_data(analysis) | {"words": script_words(t)}
    page: str = _template().render(
        lang={"en": "en", "zh": "zh-Hans"}[lang],
        policy=_policy(style, script),
        style=style,
        script=script,
        data=embedded_json(data),
        words=page_words(t),
        answer=answer(analysis, lang),
        sections=sections(analysis, t),
    )
    return page


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


@cache
def _script() -> str:
    parts = (_part(f"script/{name}.js") for name in SCRIPTS)
    return '"use strict";\n(() => {\n' + "\n".join(parts) + "\n})();\n"


@cache
def _part(name: str) -> str:
    return files("depthprune.report.html").joinpath(name).read_text(encoding="utf-8")


def _template() -> Any:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError(
            "the HTML report needs jinja2", mend='install it: pip install "depthprune[report]"'
        ) from error
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_part("template.html"))
