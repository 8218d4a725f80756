"""A module imports only from floors below its own, and old results need no GPU stack."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import depthprune

PACKAGE = Path(depthprune.__file__).parent
FLOORS = [
    {"base"},
    {"checkpoint"},
    {"blocks", "tasks"},
    {"study"},
    {"cutting"},
    {"engine"},
    {"importance"},
    {"healing"},
    {"strategies"},
    {"benchmark"},
    {"structure", "widths"},
    {"analysis"},
    {"report"},
    {"testing", "workflow"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
HEAVY = ("torch", "transformers", "datasets", "matplotlib", "pandas")


def imported_floors(path: Path) -> set[str]:
    """Name the floors that a module imports anywhere, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("depthprune.")}


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_floors_below_its_own(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0]
    for other in imported_floors(path) - {own}:
        assert LEVEL[other] < LEVEL[own], f"{path.name} on floor {own} imports {other}"


def test_every_floor_is_known() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == set(LEVEL)


@pytest.mark.parametrize(
    "statement",
    [
        "import depthprune",
        "import depthprune.study, depthprune.study.result_files, depthprune.study.reading",
        "import depthprune.analysis, depthprune.analysis.collect",
        "import depthprune.report.sections.search, depthprune.report.sections.tasks",
        "import depthprune.structure, depthprune.importance, depthprune.strategies",
        "import depthprune.tasks.task, depthprune.tasks.registry, depthprune.tasks.demo",
        "from depthprune.cli.app import app; app.help_print()",
    ],
)
def test_reading_results_needs_no_gpu_stack(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].strip() == "[]"
