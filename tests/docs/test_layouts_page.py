"""docs/layouts.md is what the code says of every JSON file."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from depthprune.base.documents import LAYOUTS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_code_says() -> None:
    spec = spec_from_file_location("make_layouts", DOCS / "make_layouts.py")
    assert spec is not None
    assert spec.loader is not None
    maker = module_from_spec(spec)
    spec.loader.exec_module(maker)
    text = (DOCS / "layouts.md").read_text(encoding="utf-8")
    assert text == maker.page(), "python docs/make_layouts.py writes it anew"
    assert [file for file in LAYOUTS if f"`{file}`" not in text] == []


def test_the_fields_within_lists_and_objects_are_listed_too() -> None:
    text = (DOCS / "layouts.md").read_text(encoding="utf-8")
    for field in (
        "samples[].sample_id",  # of a list
        "model.num_blocks",  # of an object
        "robust_best.*.best",  # of objects in one of any names
        "layers[].layer_idx",  # of a list whose items get what they leave out
    ):
        assert f"| `{field}` |" in text
