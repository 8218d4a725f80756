"""docs/api.md is what the code says, and has every public name."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import depthprune as dp

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """Return the script that writes the page."""
    spec = spec_from_file_location("make_api", DOCS / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_code_says(maker: ModuleType) -> None:
    assert (DOCS / "api.md").read_text(encoding="utf-8") == maker.page(), (
        "python docs/make_api.py writes it anew"
    )


def test_every_public_name_has_one_place(maker: ModuleType) -> None:
    placed = [name for names in maker.sections().values() for name in names]
    assert sorted(placed) == sorted({*dp.__all__} - {"__version__"})
    promised = {name for names in maker.SECTIONS.values() for name in names}
    assert promised == set(placed)


def test_every_function_says_its_arguments_and_errors(maker: ModuleType) -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", page, re.M | re.S))
    for name in ("load_model", "search", "cut", "write_report", "analyze"):
        assert f"{name}(" in entries[name]
        assert "**Arguments**" in entries[name]
        assert "**Raises**" in entries[name]
