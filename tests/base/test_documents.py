"""Specification of how what does not fit in a JSON file is told."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from depthprune.base import documents
from depthprune.base.documents import (
    COUNT,
    FLAG,
    LAYOUTS,
    NUMBER,
    TEXT,
    TEXTS,
    Field,
    Kind,
    Layout,
    WrongFieldError,
    each,
    named,
    object_at,
    one_of,
    read_document,
    read_value,
)
from depthprune.base.errors import FileError, LayoutError


def total(value: Any) -> int:
    """Read the total of the first layer."""
    try:
        found = value["layers"][0]["total"]
    except (KeyError, IndexError, TypeError):
        raise WrongFieldError("there are no layers", mend="name another file") from None
    if not isinstance(found, int):
        raise WrongFieldError(f"{found!r} is not a count", "total").within("layers", 0)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


def test_what_fits_is_read(path: Path) -> None:
    path.write_text('{"layers": [{"total": 3}]}')
    assert read_document(path, total) == 3


def test_what_does_not_fit_is_told_with_file_place_and_mend(path: Path) -> None:
    path.write_text('{"layers": [{"total": "many"}]}')
    with pytest.raises(LayoutError) as raised:
        read_document(path, total, mend="write it again")
    error = raised.value
    assert (error.what, error.where, error.mend) == (
        "'many' is not a count",
        f"{path}, layers[0].total",
        "write it again",
    )


def test_a_reader_may_know_a_better_way_to_mend_it(path: Path) -> None:
    path.write_text("[]")
    with pytest.raises(LayoutError) as raised:
        read_document(path, total, mend="write it again")
    assert (raised.value.where, raised.value.mend) == (str(path), "name another file")


@pytest.mark.parametrize(
    ("text", "number", "place"),
    [
        ('{"notes": {"2": NaN, "3": Infinity}}', "NaN", ', notes["2"]'),
        ('{"layers": [{"total": -Infinity}]}', "-Infinity", ", layers[0].total"),
        ("NaN", "NaN", ""),
    ],
)
def test_a_number_that_json_lacks_is_told_with_its_place(
    text: str, number: str, place: str, path: Path
) -> None:
    path.write_text(text)
    for read in (read_value, lambda file: read_document(file, total, unique_keys=True)):
        with pytest.raises(LayoutError, match=f"^{number} is not a JSON number") as raised:
            read(path)
        assert raised.value.where == f"{path}{place}"


def test_a_key_twice_is_refused_where_keys_must_be_unique(path: Path) -> None:
    path.write_text('{"layers": [], "layers": [{"total": 3}]}')
    assert read_document(path, total) == 3
    with pytest.raises(FileError, match="'layers' occurs twice"):
        read_document(path, total, unique_keys=True)


def test_what_is_no_json_is_told_with_its_line(path: Path) -> None:
    path.write_text('{"layers":\n [')
    with pytest.raises(FileError) as raised:
        read_document(path, total)
    assert raised.value.where == f"{path}, line 2, column 3"


@pytest.mark.parametrize("holder", [None, [], 3, {}, {"model": None}, {"model": [1]}])
def test_where_there_is_no_object_under_a_key_an_empty_one_is(holder: Any) -> None:
    assert object_at(holder, "model") == {}
    assert object_at({"model": {"name": "a"}}, "model") == {"name": "a"}


PART = Layout(dict, Field("n", COUNT, required=True), Field("half", NUMBER, derived=True))
WHOLE = Layout(
    dict,
    Field("name", TEXT, omit=True),
    Field("parts", each(PART), "pieces", required=True),
    Field("first", PART, lambda whole: whole.pieces[0], derived=True),
    Field("depth", COUNT, "inner.depth", null=True),
    Field("sizes", named(NUMBER)),
    Field("kind", one_of(("a", "b"))),
    Field("tied", FLAG),
    Field("notes", TEXTS),
)


def test_a_layout_reads_what_a_file_says_by_attribute_and_passes_over_the_rest() -> None:
    value = {
        "parts": [{"n": 2.0, "half": "?", "more": 1}],
        "kind": "b",
        "sizes": {"x": 1, "y": None},
    }
    assert WHOLE.read(value) == {"pieces": ({"n": 2},), "kind": "b", "sizes": {"x": 1.0}}
    assert WHOLE.read({"parts": [], "depth": None, "name": None}) == {"pieces": (), "depth": None}


def test_a_layout_writes_its_fields_in_their_order() -> None:
    part = SimpleNamespace(n=3, half=1.5)
    whole = SimpleNamespace(
        name=None, pieces=[part], inner=SimpleNamespace(depth=None), sizes={}, kind="a",
        tied=True, notes=("it is",),
    )  # fmt: skip
    assert list(WHOLE.write(whole).items()) == [
        ("parts", [{"n": 3, "half": 1.5}]),
        ("first", {"n": 3, "half": 1.5}),
        ("depth", None),
        ("sizes", {}),
        ("kind", "a"),
        ("tied", True),
        ("notes", ["it is"]),
    ]


@pytest.mark.parametrize(
    ("value", "what", "steps"),
    [
        ([], "a JSON object was expected, not a list", []),
        ({}, "a list is missing", ["parts"]),
        ({"parts": {}}, "a list was expected, not an object", ["parts"]),
        ({"parts": [{"n": 1}, {}]}, "a count is missing", ["parts", 1, "n"]),
        ({"parts": [{"n": True}]}, "a count was expected, not true or false", ["parts", 0, "n"]),
        ({"parts": [{"n": -1}]}, "-1 is not a count", ["parts", 0, "n"]),
        ({"parts": [], "depth": 1.5}, "1.5 is not a whole number", ["depth"]),
        ({"parts": [], "sizes": {"\ud800": "2"}}, 'expected, not "2"', ["sizes", "\ud800"]),
        ({"parts": [], "kind": "c"}, "'c' is not one of a, b", ["kind"]),
        ({"parts": [], "tied": 1}, "true or false was expected, not 1", ["tied"]),
        ({"parts": [], "notes": ["a", 1]}, "a list of texts was expected", ["notes"]),
        ({"parts": [], "name": 10**400}, "a text was expected, not 1000", ["name"]),
    ],
)
def test_what_a_layout_refuses_is_told_with_the_way_to_it(
    value: Any, what: str, steps: list[str | int]
) -> None:
    with pytest.raises(WrongFieldError) as raised:
        WHOLE.read(value)
    assert what in raised.value.what
    assert raised.value.steps == steps


SOURCE = Path(documents.__file__).parents[1]


@pytest.mark.parametrize(("file", "place"), LAYOUTS.items())
def test_the_layout_of_each_file_is_where_the_list_says(file: str, place: str) -> None:
    module, name = place.split(":")
    assert isinstance(getattr(import_module(f"depthprune.{module}"), name), Kind)


def test_every_module_that_declares_layouts_is_in_the_list() -> None:
    declaring = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCE.rglob("*.py")
        if re.search(r"(?m)^[A-Z_]+ = Layout\(", path.read_text())
    }
    assert declaring <= {place.split(":")[0] for place in LAYOUTS.values()}
