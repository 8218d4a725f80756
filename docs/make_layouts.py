"""Write docs/layouts.md from the code: `python docs/make_layouts.py`. A test checks it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import depthprune
from depthprune.base.documents import LAYOUTS, Kind, Layout

SOURCES = Path(depthprune.__file__).parents[1]
PAGE = Path(__file__).with_name("layouts.md")

INTRODUCTION = """# The layouts of JSON files

This page is written from the code (`python docs/make_layouts.py`): of each JSON file the fields of
its outermost declared object, and where it is declared. Fields in lists and objects are declared in
the same module. A field that is not always there is left out where it has no value. Other fields
are passed over when a file is read. Drops and accuracies are fractions.
"""


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
        if isinstance(kind, Layout):
            rows = (
                f"| `{one.name}` | {one.kind.noun} | {'no' if one.omit else 'yes'} |"
                for one in kind.fields
            )
            parts.append(
                "\n".join(("| Field | Value | Always there |", "|---|---|---|", *rows, ""))
            )
        else:
            parts.append(f"The file is {kind.noun}.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
