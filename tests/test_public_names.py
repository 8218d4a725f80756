"""What `import depthprune` offers, and what it does not cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

import depthprune

HEAVY = ("torch", "numpy", "pydantic", "matplotlib", "transformers")


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import depthprune, sys; dir(depthprune)\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", depthprune.__all__)
def test_every_public_name_is_there_twice(name: str) -> None:
    assert getattr(depthprune, name) is getattr(depthprune, name)
    assert name in dir(depthprune)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        depthprune.nothing  # noqa: B018


def test_importing_every_module_leaves_the_public_names_alone() -> None:
    code = (
        "import depthprune.tasks.metrics, depthprune\n"
        "import depthprune.tasks.metrics.exact_match\n"
        "assert callable(depthprune.metric)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
