"""How large the library is, floor by floor, and through how many of its files a call goes.

    python benchmarks/size.py [--walk]

Code lines are lines of neither docstring nor comment nor nothing. Classes are counted however they
are made: by `class`, `namedtuple`, `make_dataclass`, `NewType`, `type(name, bases, body)`. Public
names are the functions, classes and constants of a module without a leading underscore.

`--walk` runs a small search on the demo model up to its page, and cuts that model, and names the
files of the package whose functions (not only whose imports) were executed.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = Path(str(importlib.util.find_spec("depthprune").origin)).parent  # type: ignore[union-attr]
MAKERS = ("namedtuple", "NamedTuple", "make_dataclass", "NewType", "TypedDict", "Enum")
FLOORS = (
    "base", "checkpoint", "blocks", "tasks", "study", "cutting", "engine", "importance", "healing",
    "strategies", "benchmark", "structure", "widths", "analysis", "report", "workflow", "testing",
    "cli", "",
)  # fmt: skip
"""From the lowest to the highest; the last is the package's own files."""


@dataclass
class Size:
    """What one floor, or all of them, consists of."""

    files: int = 0
    lines: int = 0
    code: int = 0
    classes: list[str] = field(default_factory=list)
    public: int = 0

    def add(self, path: Path) -> None:
        """Count one module."""
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        self.files += 1
        self.lines += len(text.splitlines())
        self.code += len(code_lines(text, tree))
        self.classes += class_names(tree)
        self.public += sum(not name.startswith("_") for name in module_names(tree))


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that are neither empty, comment nor docstring."""
    described: set[int] = set()
    for node in ast.walk(tree):
        alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if alone and isinstance(node.value.value, str):
            described |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return {
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#") and number not in described
    }


def class_names(tree: ast.Module) -> list[str]:
    """Return the names of all classes of a module, also of those made by a call."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Call):
            function = node.func
            called = getattr(function, "id", getattr(function, "attr", ""))
            if called in MAKERS or (called == "type" and len(node.args) == 3):
                first = node.args[0] if node.args else None
                names.append(str(first.value) if isinstance(first, ast.Constant) else called)
    return names


def module_names(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module defines at its top."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def print_sizes() -> None:
    """Print a line for each floor, what they are together, and class names used twice."""
    floors = {floor: Size() for floor in FLOORS}
    whole = Size()
    for path in sorted(PACKAGE.rglob("*.py")):
        inside = path.relative_to(PACKAGE).parts
        floors[inside[0] if len(inside) > 1 else ""].add(path)
        whole.add(path)
    print(f"{'floor':14}{'files':>7}{'lines':>8}{'code':>8}{'classes':>9}{'public':>8}")
    for name, size in [*floors.items(), ("all", whole)]:
        print(
            f"{name or 'depthprune':14}{size.files:>7,}{size.lines:>8,}{size.code:>8,}"
            f"{len(size.classes):>9,}{size.public:>8,}"
        )
    twice = [f"{name} ({n})" for name, n in sorted(Counter(whole.classes).items()) if n > 1]
    print(f"class names used more than once: {', '.join(twice) or 'none'}")


@contextmanager
def executed() -> Iterator[dict[str, set[str]]]:
    """Collect, by file of the package, the functions that are executed inside the block."""
    found: dict[str, set[str]] = {}
    prefix = f"{PACKAGE}/"

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        # Bodies of modules and classes run at import.
        function = code.co_flags & 2 and code.co_name != "<module>"
        if event == "call" and function and code.co_filename.startswith(prefix):
            found.setdefault(code.co_filename.removeprefix(prefix), set()).add(code.co_name)

    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def search_to_page(folder: Path) -> None:
    """Search one demo dataset, analyze the study, write the page."""
    import depthprune as dp

    model = dp.load_model("demo")
    tasks = dp.load_tasks("demo_okvqa", num_samples=8)
    study = dp.search(
        model, tasks, folder=folder / "study", strategy=dp.Beam(width=2, max_removed=2),
        progress=False,
    )  # fmt: skip
    dp.write_report(dp.analyze(study), folder / "report", formats=("html",))


def cut_a_model(folder: Path) -> None:
    """Write the demo model without two blocks."""
    import depthprune as dp

    dp.cut("demo", (5, 9), folder / "smaller")


def print_walk(name: str, walk: Callable[[Path], None]) -> None:
    """Print the files that a call goes through, floor by floor."""
    with tempfile.TemporaryDirectory() as folder, executed() as found:
        walk(Path(folder))
    print(f"\n{name}: {len(found)} files, {sum(map(len, found.values()))} functions")
    floor = {path: FLOORS.index(path.split("/")[0] if "/" in path else "") for path in found}
    for path in sorted(found, key=lambda path: (floor[path], path)):
        print(f"  {path:44}{len(found[path]):>4} functions")


def main() -> None:
    """Print the sizes, and with `--walk` the ways."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--walk", action="store_true", help="also run a search and a cut")
    walk = parser.parse_args().walk
    print_sizes()
    if walk:
        print_walk("dp.search to the page", search_to_page)
        print_walk("dp.cut", cut_a_model)


if __name__ == "__main__":
    main()
