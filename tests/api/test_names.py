"""What `import depthprune` offers, what each name says of itself, and what importing costs."""

from __future__ import annotations

import ast
import inspect
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import depthprune as dp

PACKAGE = Path(dp.__file__).parent
HEAVY = ("torch", "numpy", "pydantic", "matplotlib", "transformers")
NAMES = [name for name in dp.__all__ if name != "__version__"]
PROMISED = (
    *("Model", "load_model", "TaskSplit", "load_tasks", "Metric", "metric", "Sample", "Task"),
    *("Study", "open_study", "Table", "Ranking", "Findings", "Recommendations"),
    *("analyze", "recommend", "write_report", "merge", "compare", "select", "Scores"),
    *("find_stack", "Stack", "skip", "cut", "CutReport", "structure", "DepthpruneError"),
)
"""Names that users were told."""


def run(code: str) -> str:
    """Return what a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_it_imports_nothing_heavy() -> None:
    found = run(
        "import depthprune, sys; dir(depthprune); depthprune.__all__\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert found == "[]"


def test_importing_it_takes_no_time() -> None:
    measured = (
        "import time; start = time.process_time(); import depthprune; dir(depthprune)\n"
        "print(time.process_time() - start)"
    )
    # The least of a few: the machine is busy with other tests.
    assert min(float(run(measured)) for _ in range(3)) < 0.05


@pytest.mark.parametrize("name", PROMISED)
def test_what_users_were_told_is_there(name: str) -> None:
    assert name in dp.__all__


@pytest.mark.parametrize("name", dp.__all__)
def test_every_public_name_is_there_twice(name: str) -> None:
    assert getattr(dp, name) is getattr(dp, name)
    assert name in dir(dp)


def test_a_type_checker_sees_the_same_names() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [one for one in tree.body if isinstance(one, ast.If)]
    imports = [one for one in block.body if isinstance(one, ast.ImportFrom)]
    seen = {
        alias.name: (one.module or "").removeprefix("depthprune").removeprefix(".")
        for one in imports
        for alias in one.names
        if one.module != "typing"
    }
    assert seen | {"structure": "structure"} == dp._HOMES
    assert sorted(dp.__all__) == sorted({*seen, "__version__"})


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_explained(name: str) -> None:
    public = getattr(dp, name)
    if name == "Removal":  # a type alias cannot have a docstring
        return
    text = inspect.getdoc(public) or ""
    assert text and text[0].isupper() and "." in text, f"{name} has no docstring"
    assert not text.startswith(f"{name}("), "the docstring that dataclasses make up"
    if inspect.isfunction(public):
        signature = inspect.signature(public)
        assert signature.return_annotation is not inspect.Signature.empty
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty
            assert f"{parameter.name}" in text.partition("Args:")[2], f"{name}({parameter.name})"
        assert "Raises:" in text, f"{name} says no errors"


@pytest.mark.parametrize(
    ("name", "member"),
    [
        (name, member)
        for name in NAMES
        if inspect.isclass(getattr(dp, name)) and name != "DepthpruneError"
        for member, value in vars(getattr(dp, name)).items()
        if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
    ],
)
def test_every_public_member_is_explained(name: str, member: str) -> None:
    value = inspect.getattr_static(getattr(dp, name), member)
    assert inspect.getdoc(value), f"{name}.{member} has no docstring"


def test_structure_is_a_module_of_functions() -> None:
    assert isinstance(dp.structure, ModuleType)
    for name in ("analyze", "batch", "summarize", "table"):
        assert callable(getattr(dp.structure, name))
        assert name in dir(dp.structure)


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dp.nothing  # noqa: B018


def test_no_package_has_the_name_of_a_function() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages & set(NAMES) == {"structure"}


def submodules() -> list[str]:
    """Name every module of the package, but for the command line that importing would run."""
    paths = sorted(PACKAGE.rglob("*.py"))
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


def test_importing_every_module_leaves_the_public_names_alone() -> None:
    modules = submodules()
    assert len(modules) > 150
    shuffled = random.Random(16).sample(modules, len(modules))
    # What others wrote is imported once; each order then has a process of its own.
    run(
        "import importlib, os, types\n"
        "import matplotlib.pyplot, torch, transformers.models.auto.modeling_auto\n"
        "def check(order):\n"
        "    import depthprune as dp\n"
        "    for name in order:\n"
        "        importlib.import_module(name)\n"
        "    kinds = {name: type(getattr(dp, name)) for name in dp.__all__}\n"
        "    found = [name for name, kind in kinds.items() if issubclass(kind, types.ModuleType)]\n"
        "    assert found == ['structure'], found\n"
        "    names = [name for name in dp.__all__ if name not in ('structure', '__version__')]\n"
        "    assert all(callable(getattr(dp, name)) for name in names)\n"
        "    s = dp.structure\n"
        "    assert all(map(callable, (s.analyze, s.batch, s.summarize, s.table)))\n"
        f"for order in ({modules!r}, {modules[::-1]!r}, {shuffled!r}):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        check(order)\n"
        "        os._exit(0)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, order\n"
    )
