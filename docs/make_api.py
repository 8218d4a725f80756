"""Write docs/api.md from the code: `python docs/make_api.py`. A test holds it up to date."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import depthprune as dp
from depthprune.strategies.options import default_of, field_docs

PAGE = Path(__file__).with_name("api.md")

SECTIONS = {
    "Models and tasks": (
        *("load_model", "Model", "load_tasks", "TaskSplit", "Task", "Sample", "metric", "Metric"),
        *("find_stack", "Stack", "skip"),
    ),
    "Measuring": (
        *("profile", "search", "Beam", "Greedy", "Exhaustive", "Evolutionary", "Workers"),
        *("verify", "sweep", "evaluate", "Evaluation"),
    ),
    "What was measured": ("open_study", "Study", "Table"),
    "Deciding": (
        *("analyze", "Ranking", "Findings", "recommend", "Recommendations", "Recommendation"),
        *("write_report", "merge", "Scores", "compare", "select"),
    ),
    "The smaller model": ("cut", "prune", "LinearMap", "CutReport"),
    "Structure of checkpoints": ("structure",),
    "A study file": ("run", "Outcome"),
    "Errors, and small things": ("DepthpruneError", "Removal"),
}
"""The public names, in the order in which they are explained."""

INTRODUCTION = """# The Python API

```python
import depthprune as dp
```

This page is written from the code (`python docs/make_api.py`). Importing is quick: nothing heavy
is loaded before it is used, and what reads results needs no torch. Calls print nothing but a
progress bar (`progress=False` silences it) and return values; warnings go to the logger
`depthprune`. Paths are `str` or `Path`, drops and accuracies are fractions (0.05 is five points),
blocks count from 0 in the whole model. What a user can mend is raised as `dp.DepthpruneError`,
with `.what`, `.where`, `.mend` and `.option`, the argument concerned.
"""

_HEADINGS = ("Args", "Attributes", "Returns", "Raises", "Yields")


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION, "\n".join(contents())]
    for title, names in sections().items():
        parts.append(f"## {title}")
        parts += [entry for name in names for entry in described(name)]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def sections() -> dict[str, list[str]]:
    """Return the public names that there are, by section."""
    return {
        title: [name for name in names if name in dp.__all__] for title, names in SECTIONS.items()
    }


def contents() -> Iterator[str]:
    """Yield the table of all names."""
    yield from ("| name | what it is |", "|---|---|")
    for names in sections().values():
        for name in names:
            text = summary(getattr(dp, name)) if name != "Removal" else REMOVAL
            yield f"| [`{name}`](#{name.lower()}) | {text} |".replace("\n", " ")


REMOVAL = "Block indices, ascending, each once: `tuple[int, ...]`; `()` is the whole model."


def described(name: str) -> Iterator[str]:
    """Yield what is said about a public name."""
    public = getattr(dp, name)
    yield f"### {name}"
    if name == "Removal":
        yield REMOVAL
    elif inspect.ismodule(public):
        yield text_of(public)
        for function in public.__all__:
            yield f"#### {name}.{function}"
            yield from function_entry(getattr(public, function), f"{name}.{function}")
    elif inspect.isclass(public):
        yield from class_entry(public, name)
    else:
        yield from function_entry(public, name)


def function_entry(function: Any, name: str) -> Iterator[str]:
    """Yield signature and text of a function."""
    yield f"```python\n{signature(function, name)}\n```"
    yield text_of(function)


def class_entry(kind: type, name: str) -> Iterator[str]:
    """Yield what is said about a class, its properties and its methods."""
    yield text_of(kind)
    if options := list(options_of(kind)):
        yield "\n".join(("| option | default | what it is |", "|---|---|---|", *options))
    members = [one for one in dir(kind) if not one.startswith("_") and is_ours(kind, one)]
    found = {one: inspect.getattr_static(kind, one) for one in members}
    properties = {one: it for one, it in found.items() if is_property(it)}
    if properties:
        rows = (f"| `.{one}` | {summary(it)} |" for one, it in properties.items())
        yield "\n".join(("| property | what it is |", "|---|---|", *rows))
    for one, it in found.items():
        function = it.__func__ if isinstance(it, classmethod | staticmethod) else it
        if inspect.isfunction(function):
            yield f"#### {name}.{one}"
            yield from function_entry(function, one)


def options_of(kind: type) -> Iterator[str]:
    """Yield a row for each field of a dataclass that a docstring explains."""
    said: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if is_dataclass(owner):
            said |= field_docs(owner)
    for one in fields(kind) if is_dataclass(kind) else ():
        if one.name in said:
            yield f"| `{one.name}` | {_default(default_of(one))} | {said[one.name]} |"


def is_ours(kind: type, member: str) -> bool:
    """Return whether a member is explained by a class of this package."""
    owners = [one for one in kind.__mro__ if member in vars(one)]
    value = inspect.getattr_static(kind, member)
    explained = inspect.isfunction(value) or isinstance(value, classmethod) or is_property(value)
    return explained and owners[0].__module__.startswith("depthprune")


def is_property(value: object) -> bool:
    """Return whether a member is read without being called."""
    return isinstance(value, property) or type(value).__name__ == "cached_property"


def signature(function: Any, name: str) -> str:
    """Return the call of a function with types and defaults, on one line or on several."""
    found = inspect.signature(function)
    parts: list[str] = []
    starred = False
    for one in found.parameters.values():
        if one.name in ("self", "cls"):
            continue
        if one.kind is one.VAR_POSITIONAL:
            starred = True
        if one.kind is one.KEYWORD_ONLY and not starred:
            starred = True
            parts.append("*")
        mark = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        default = "" if one.default is one.empty else f" = {_default(one.default)}"
        parts.append(f"{mark}{one.name}: {one.annotation}{default}")
    end = f") -> {found.return_annotation}"
    line = f"{name}({', '.join(parts)}{end}"
    if len(line) <= 100:
        return line
    return "\n".join((f"{name}(", *(f"    {part}," for part in parts), end))


def _default(value: Any) -> str:
    if type(value).__module__.startswith("depthprune"):
        return f"{type(value).__name__}()"
    return repr(value)


def summary(public: Any) -> str:
    """Return the first paragraph of what is said about something."""
    return " ".join((inspect.getdoc(public) or "").partition("\n\n")[0].split())


def text_of(public: Any) -> str:
    """Return a docstring as Markdown: arguments, attributes and errors as lists."""
    lines: list[str] = []
    heading = False
    for line in (inspect.getdoc(public) or "").splitlines():
        title = line.removesuffix(":")
        entry = re.fullmatch(r"    (\S[^:]*): (.*)", line)
        if title in _HEADINGS and line.endswith(":"):
            heading = title not in ("Returns", "Yields")
            lines += [f"**{'Arguments' if title == 'Args' else title}**", ""]
        elif heading and entry:
            names = ", ".join(f"`{one.strip()}`" for one in entry[1].split(","))
            lines.append(f"- {names}: {entry[2]}")
        else:
            heading = heading and (not line or line.startswith(" "))
            lines.append(f"  {line.strip()}" if heading and line else line.strip())
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
