"""Every tutorial runs as it stands, from top to bottom, in an empty folder (slow)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_documentation import ROOT, page_id

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


def steps(page: Path) -> list[tuple[str, str]]:
    """Return what a reader types, in its order: commands of the shell, and Python."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [(language, body) for language, body in found if language in ("bash", "python")]


@pytest.mark.parametrize("page", TUTORIALS, ids=page_id)
def test_a_tutorial_can_be_typed(page: Path) -> None:
    assert steps(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=page_id)
def test_a_tutorial_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    if page.name == "cluster.md":
        pytest.importorskip("ray")
    program = tmp_path / "bin" / "depthprune"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m depthprune "$@"\n')
    program.chmod(0o755)
    place = tmp_path / "empty"
    place.mkdir()
    environment = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    for language, body in steps(page):
        command = ["bash", "-e"] if language == "bash" else [sys.executable, "-"]
        done = subprocess.run(
            command, input=body, cwd=place, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{body}\n{done.stdout}\n{done.stderr}"


def test_every_page_is_in_the_index_and_in_the_site() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = (page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md"))
    for page in pages:
        assert page == "index.md" or f"]({page})" in index, page
        assert f"- {page}" in site, page
