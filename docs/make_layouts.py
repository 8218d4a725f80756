"""Write docs/layouts.md from the code: `python docs/make_layouts.py`. A test checks it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import depthprune
from depthprune.base.documents import LAYOUTS, Kind, Layout

SOURCES = Path(depthprune.__file__).parents[1]
PAGE = Path(__file__).with_name("layouts.md")

INTRODUCTION = """# The layouts of JSON files

This page is written from the code (`python docs/make_layouts.py`): every field of each JSON file,
and where its layout is declared. `a.b` is the field `b` of the object `a`, `a[].b` that of every
object in the list `a`, and `a.*` each value of an object whose names are blocks, tasks or the like.
A field that is not always there is left out where it has no value. Other fields are passed over
when a file is read. Drops and accuracies are fractions.
"""


def rows(kind: Kind, way: str = "") -> Iterator[str]:
    """Return a row for every field in a value of that kind, the outer one first."""
    if isinstance(kind, Layout):
        for one in kind.fields:
            name = f"{way}.{one.name}" if way else one.name
            yield f"| `{name}` | {noun(one.kind)} | {'no' if one.omit else 'yes'} |"
            yield from rows(one.kind, name)
    elif kind.inner is not None:
        yield from rows(kind.inner, way + ("[]" if kind.noun == "a list" else ".*"))


def noun(kind: Kind) -> str:
    """Return what a value is, of a list or an object also what is in it."""
    if kind.inner is None:
        return kind.noun
    return f"{kind.noun}, in it {noun(kind.inner)}"


def page() -> str:
    """Return the page."""
    places: dict[str, list[str]] = {}
    for file, place in LAYOUTS.items():
        places.setdefault(place, []).append(file)
    parts = [INTRODUCTION]
    for place, files in places.items():
        module, name = place.split(":")
        declaring = import_module(f"depthprune.{module}")
        kind: Kind = getattr(declaring, name)
        source = f"src/{Path(declaring.__file__ or '').relative_to(SOURCES).as_posix()}"
        parts.append("## " + ", ".join(f"`{file}`" for file in files) + "\n")
        parts.append(f"Declared as `{name}` in `{source}`.\n")
        if found := list(rows(kind)):
            head = ("| Field | Value | Always there |", "|---|---|---|")
            parts.append("\n".join((*head, *found, "")))
        else:
            parts.append(f"The file is {kind.noun}.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
