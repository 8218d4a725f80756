"""`Table`: rows under named columns."""

from __future__ import annotations

import sys

import pytest

from depthprune import DepthpruneError, Table

TABLE = Table(("removal", "drop", "low"), (((4,), 0.25, None), ((4, 13), 0.5, 0.125)))


def test_it_iterates_rows_and_indexes_by_column() -> None:
    assert [row["drop"] for row in TABLE] == [0.25, 0.5]
    assert TABLE["removal"] == [(4,), (4, 13)]
    assert len(TABLE) == 2
    assert TABLE.to_dicts()[1] == {"removal": (4, 13), "drop": 0.5, "low": 0.125}


def test_an_unknown_column_names_those_that_there_are() -> None:
    with pytest.raises(KeyError, match="removal, drop, low"):
        TABLE["accuracy"]


def test_pandas_has_the_same_rows_and_columns() -> None:
    pandas = pytest.importorskip("pandas")
    frame = TABLE.to_pandas()
    assert list(frame.columns) == ["removal", "drop", "low"]
    assert list(frame["removal"]) == [(4,), (4, 13)]
    assert pandas.isna(frame["low"][0])
    assert list(Table(("a",), ()).to_pandas().columns) == ["a"]


def test_without_pandas_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(DepthpruneError, match="to_dicts"):
        TABLE.to_pandas()


def test_it_is_shown_aligned_and_escaped() -> None:
    assert repr(TABLE).splitlines() == [
        "removal  drop    low",
        "(4,)     0.2500",
        "(4, 13)  0.5000  0.1250",
    ]
    many = Table(("a",), tuple((number,) for number in range(25)))
    assert repr(many).endswith("... and 5 more rows")
    assert "<td>&lt;b&gt;</td>" in Table(("a",), (("<b>",),))._repr_html_()
