"""How messages name an option: Python users read its field, users of the program its flag."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import depthprune
from depthprune.base.errors import DepthpruneError, TaskError, option, spelled
from depthprune.cli.flags import flag

SOURCE = Path(depthprune.__file__).parent

SHELL = {
    "cutting/model_card.py": "an argument of llama.cpp, the command that made the model",
    "blocks/processors.py": "what pip is told, in messages of others",
    "report/documents/texts.py": "a command to type",
    "structure/summaries.py": "a command to type",
    "study/database.py": "an option of pip",
    "workflow/cutting.py": "the command that made the model",
}
"""Where a flag is part of a command line for a shell."""

REPORT = "report"
"""Sentences of reports are not named by `option` yet."""


def test_an_option_is_named_by_its_field() -> None:
    assert option("max_drop") == "max_drop"
    assert option("dtype", "float32") == "dtype=float32"


def test_the_command_line_names_the_flag_that_sets_it() -> None:
    with spelled(flag):
        assert option("max_drop") == "--max-drop"
        assert option("dtype", "float32") == "--dtype float32"
        assert option("batch_size", 0) == "--batch-size 0"
        assert option("tasks") == "--task"
        assert option("num_active_blocks", 12) == "--num_active_blocks 12"
    assert option("max_drop") == "max_drop"


def test_an_error_names_its_option_where_it_names_no_place() -> None:
    error = TaskError("it is too large", option="max_drop")
    assert str(error) == "it is too large\n  where: max_drop"
    with spelled(flag):
        assert str(error) == "it is too large\n  where: --max-drop"
    placed = error.but(where="study.yaml, line 3", mend="give less")
    assert str(placed) == "it is too large\n  where: study.yaml, line 3\n  mend:  give less"
    assert (type(placed), placed.option) == (TaskError, "max_drop")


def test_an_error_names_several_options() -> None:
    error = DepthpruneError("they do not fit", option=("window", "stride"))
    with spelled(flag):
        assert str(error) == "they do not fit\n  where: --window, --stride"


def test_an_error_from_another_process_is_the_same() -> None:
    error = TaskError("no", where="here", mend="so", option="seed")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), vars(copy), str(copy)) == (TaskError, vars(error), str(error))


def test_nothing_below_the_command_line_names_a_flag() -> None:
    found = [place for path in sorted(SOURCE.rglob("*.py")) for place in flags_in(path)]
    assert not found, "name the option by depthprune.base.errors.option: " + ", ".join(found)


@pytest.mark.parametrize("path", sorted(SHELL))
def test_every_exception_is_one(path: str) -> None:
    assert list(literals_with_flags(SOURCE / path)), f"{path} names no flag any more"


def flags_in(path: Path) -> Iterator[str]:
    name = path.relative_to(SOURCE).as_posix()
    if name.partition("/")[0] not in ("cli", REPORT) and name not in SHELL:
        for literal in literals_with_flags(path):
            yield f"{name}:{literal.lineno}"


def literals_with_flags(path: Path) -> Iterator[ast.Constant]:
    """Yield the texts in the code of a file, not its docstrings, in which a flag stands."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and node not in docstrings
            and isinstance(node.value, str)
            and re.search(r"--[a-z]", node.value)
        ):
            yield node
