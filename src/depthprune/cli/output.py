"""The options of every command that prints; they import nothing that takes time."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from depthprune.base.language import Lang

Language = Annotated[
    Lang, Parameter(name="--lang", help="Language of what is printed: en or zh (Chinese).")
]

AsJson = Annotated[
    bool, Parameter(name="--json", help="Print one JSON object on stdout, for scripts.")
]
