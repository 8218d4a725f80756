"""A page as one file: template, style sheets, scripts and data put together."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from depthprune.base.errors import MissingDependencyError
from depthprune.base.language import TAGS, Note, current_language, t


@dataclass(frozen=True)
class Parts:
    """The files of a kind of page, by their names without ending.

    Attributes:
        template: in `template/`; it extends `shell.html`.
        styles: in `style/`; a later one may say otherwise than an earlier one.
        scripts: in `script/`, in the order in which they need each other.
    """

    template: str
    styles: Sequence[str]
    scripts: Sequence[str]


def render(parts: Parts, data: dict[str, Any], **values: Any) -> str:
    """Return a page that needs no network and no other file.

    Args:
        parts: of this kind of page.
        data: for the script; JSON without NaN.
        values: for the template.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    style = "".join(_file(f"style/{name}.css") for name in parts.styles)
    script = _script(tuple(parts.scripts))
    words = {text: Note(text).translated() for text in shown_texts(script)}
    page: str = _template(f"{parts.template}.html").render(
        lang=TAGS[current_language()],
        policy=_policy(style, script),
        style=style,
        script=script,
        data=embedded_json(data | {"words": words}),
        **values,
    )
    return page


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
    environment.globals["t"] = t
    return environment.get_template(name)
