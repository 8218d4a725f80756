"""One option, metric, strategy, proxy, finding or format more takes one file of source and a test.

All patches are applied to one copy of the tree. In it, one process runs their tests and those of
`known.py`, which use what the patches add as a user would.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PATCHES = sorted(HERE.glob("*.patch"))
KNOWN = re.findall(r"^def (test_\w+)", (HERE / "known.py").read_text(), re.M)


def touched(patch: Path) -> list[str]:
    return re.findall(r"^\+\+\+ b/(.*)", patch.read_text(), re.M)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return how each test ended in the copy, by its name, and all that pytest printed as ``."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("src", "docs"):
        shutil.copytree(ROOT / name, copy / name)  # with what is compiled
    subprocess.run(["git", "apply", "--unsafe-paths", *map(str, PATCHES)], cwd=copy, check=True)
    shutil.copy(HERE / "known.py", copy / "tests" / "test_known.py")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-vv",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "tests",
        ],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": f"{copy / 'src'}{os.pathsep}{ROOT}", "GIT_DIR": os.devnull},
        capture_output=True,
        text=True,
        timeout=300,
    )
    found = re.findall(r"^(tests/\S+)::(test_\w+) (PASSED|FAILED|ERROR)", done.stdout, re.M)
    ended = {f"{file}::{test}": how for file, test, how in found}
    return {"": done.stdout + done.stderr, **ended}


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_patch_touches_one_file_of_source_and_one_test(patch: Path) -> None:
    source, test = touched(patch)
    assert source.startswith("src/depthprune/")
    assert test.startswith("tests/")


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_the_test_of_a_patch_passes(patch: Path, outcomes: Mapping[str, str]) -> None:
    _, test = touched(patch)
    ended = {how for name, how in outcomes.items() if name.startswith(f"{test}::")}
    assert ended == {"PASSED"}, outcomes[""]


@pytest.mark.parametrize("test", KNOWN)
def test_what_a_patch_adds_is_known_everywhere(test: str, outcomes: Mapping[str, str]) -> None:
    assert outcomes.get(f"tests/test_known.py::{test}") == "PASSED", outcomes[""]
