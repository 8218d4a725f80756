"""CONTRIBUTING.md says of every dependency and extra why it is one, and names files that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_dependency_and_extra_has_its_line_and_no_other() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)]
    names = {re.split(r"[\[<>=~!;]", one)[0] for one in wanted} - {"depthprune"}
    rows = re.findall(r"^\|([^|]*)\|([^|]*)\|[^|]*\|$", TEXT, re.MULTILINE)
    packages = [name for _, cell in rows for name in re.findall(r"`([^`]+)`", cell)]
    assert sorted(packages) == sorted(names)
    explained = TEXT.partition("## Dependencies")[2]
    assert all(f"`{extra}`" in explained for extra in extras)


def test_the_files_it_names_exist() -> None:
    named = re.findall(r"`((?:src|tests|docs)/[^`]+)`", TEXT)
    assert named
    assert [one for one in named if not (ROOT / one).exists()] == []
