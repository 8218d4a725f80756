"""The Python of every page in docs/ runs as it stands there, from top to bottom."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from depthprune.cutting.execute import execute_cut
from depthprune.cutting.plan import plan_cut
from depthprune.importance.proxies import PROXIES
from depthprune.tasks.demo import MODEL_PATH
from tests.docs.test_documentation import ROOT, blocks

PAGES = ["cut.md", "engine.md", "extending.md", "search.md", "structure.md", "study.md", "tasks.md",
         "widths.md"]  # fmt: skip
MODELS = ("model", "Qwen2.5-VL-3B-Instruct", "Llama-3-8B")
"""What pages call a model; here each is the demo model."""

DEFINITION = """
task: my_task
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{gold}}"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, in which everything that pages name is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in MODELS:
        (tmp_path / name).symlink_to(MODEL_PATH)
    cut = tmp_path / "ShortGPT_remove_7"
    execute_cut(plan_cut(MODEL_PATH, (7,)), cut)
    for folder in ("baselines", "results"):
        shutil.copytree(cut, tmp_path / folder / "removed7")
    return tmp_path


def prepare(place: Path, page: str) -> None:
    if page == "extending.md":
        (search,) = blocks(ROOT / "docs" / "search.md", "python")
        (place / "my_search.py").write_text(search)
    if page == "tasks.md":
        pytest.importorskip("lm_eval")
        rows = [{"question": f"{n} + {n} =", "choices": ["2", "4"], "gold": 0} for n in range(3)]
        data = place / "test.jsonl"
        data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        (place / "my_definitions").mkdir()
        definition = DEFINITION.replace("DATA", str(data))
        (place / "my_definitions" / "my_task.yaml").write_text(definition)


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(place, page)
    module = ModuleType("snippets")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # dataclasses look it up
    try:
        for number, code in enumerate(blocks(ROOT / "docs" / page, "python")):
            exec(compile(code, f"{page}, snippet {number + 1}", "exec"), vars(module))
    finally:
        PROXIES.forget("depth")


def test_no_page_is_left_out() -> None:
    """The API's page is written from the code, and has signatures only."""
    found = [one.name for one in (ROOT / "docs").glob("*.md") if list(blocks(one, "python"))]
    assert sorted(found) == sorted([*PAGES, "api.md"])


def test_what_a_page_says_a_call_returns_is_what_it_returns() -> None:
    checked = 0
    for page in PAGES:
        for code in blocks(ROOT / "docs" / page, "python"):
            for call, value in re.findall(r"^(depthprune\.\S.*)  # ([\d.]+)$", code, re.M):
                names: dict[str, object] = {}
                exec("import depthprune", names)
                assert eval(call, names) == float(value), call
                checked += 1
    assert checked >= 2
