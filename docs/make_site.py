"""Copy the pages into a folder such that a site of them needs nothing beside it.

python docs/make_site.py build/docs

Links to BENCHMARKS.md, ... lead to copies; links to README and code lead to the repository.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
BESIDE = ("BENCHMARKS.md", "CONTRIBUTING.md", "CHANGELOG.md")


def main(target: Path) -> None:
    """Write every page and picture into `target`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sources = project["urls"]["Repository"] + "/blob/main"
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / name for name in BESIDE)]
    for page in pages:
        place = target / _place(page)
        place.parent.mkdir(parents=True, exist_ok=True)
        text = page.read_text(encoding="utf-8")
        place.write_text(_linked(text, page, place, target, sources), encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "pictures", target / "pictures")


def _place(page: Path) -> Path:
    """Return where a page or picture stands in the site."""
    inside = page.is_relative_to(ROOT / "docs")
    return page.relative_to(ROOT / "docs") if inside else page.relative_to(ROOT)


def _linked(text: str, page: Path, place: Path, target: Path, sources: str) -> str:
    def moved(found: re.Match[str]) -> str:
        name, anchor = found[1], found[2] or ""
        file = (page.parent / name).resolve()
        inside = file.is_relative_to(ROOT / "docs") and file.suffix in (".md", ".png")
        if inside or file in [ROOT / one for one in BESIDE]:
            up = "../" * (len(place.relative_to(target).parts) - 1)
            return f"]({up}{_place(file).as_posix()}{anchor})"
        return f"]({sources}/{file.relative_to(ROOT).as_posix()}{anchor})"

    return re.sub(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)", moved, text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
