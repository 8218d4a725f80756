"""Specification of the renderers: the same table in every format."""

from __future__ import annotations

from io import BytesIO

import pytest
from rich.cells import cell_len

from depthprune.report.formatting import as_text
from depthprune.report.render.html import page_cell, table_page
from depthprune.report.render.latex import latex_table
from depthprune.report.render.markdown import table_lines
from depthprune.report.render.plain import table_csv
from depthprune.report.render.text import section_parts, table_parts
from depthprune.report.render.xlsx import Sheet, workbook
from depthprune.report.table import Cell, Column, Section, Table, table_of, with_columns

TABLE = Table(
    [
        Column("blocks", "blocks", key="removed_blocks"),
        Column("drop (points)", "points", key="drop"),
        Column("samples", "samples", key="num_samples"),
        Column("note", key="note"),
    ],
    [
        [(4, 13), Cell(-0.0123, mark=1, is_best=True), 1000, "a|b"],
        [(4,), None, 0, "=1+1"],
    ],
    title="Best:",
    notes=["Read it so."],
    marked=["measured otherwise"],
)


def test_a_section_is_text_with_the_unit_below_the_name() -> None:
    lines = as_text(section_parts(Section("best", "Best removals", ["All is well."], [TABLE])))
    title, sentence, heading = [line.strip() for line in lines.splitlines() if line.strip()][:3]
    assert (title, sentence, heading) == ("== Best removals ==", "All is well.", "Best:")
    assert [line.split() for line in lines.splitlines()[5:10]] == [
        ["drop"],
        ["blocks", "points", "samples", "note"],
        ["─" * 32],
        ["4,", "13", "-1.23", "[1]", "1000", "a|b"],
        ["4", "-", "-", "=1+1"],
    ]
    assert lines.endswith("[1] measured otherwise\nRead it so.\n")


def test_markdown_marks_the_best_and_text_is_nothing_but_text() -> None:
    assert table_lines(TABLE) == [
        "| blocks | drop (points) | samples | note |",
        "|---|--:|--:|---|",
        r"| 4, 13 | **-1.23** [1] | 1000 | a\|b |",
        "| 4 | - | - | =1+1 |",
    ]


def test_csv_has_the_keys_the_values_and_no_formula() -> None:
    flat = table_of([("a", 0.5), ("=b", None)], [
        (Column("Name", key="name"), lambda row: row[0]),
        (Column("drop (points)", "points", key="drop"), lambda row: row[1]),
    ])  # fmt: skip
    assert table_csv(flat, "N/A") == "name,drop\na,0.5\n'=b,N/A\n"


def test_latex_escapes_text_and_marks_the_best() -> None:
    text = latex_table(TABLE, "Caption.", "tab:best")
    assert r"4, 13 & \textbf{$-$1.23}$^{1}$ & 1000 & a\textbar{}b \\" in text
    assert r"4 & -- & -- & =1+1 \\" in text
    assert r"\begin{tabular}{lrrl}" in text


def test_html_has_real_minus_signs_and_thousands() -> None:
    cells = [
        [page_cell(*one) for one in zip(TABLE.columns, row, strict=True)] for row in TABLE.rows
    ]
    assert cells == [
        ["4, 13", "\N{MINUS SIGN}1.23 [1]", "1,000", "a|b"],
        ["4", "–", "–", "=1+1"],
    ]
    page = table_page("<Best>", TABLE)
    assert "<h1>&lt;Best&gt;</h1>" in page
    assert '<td class="apart best">-1.23 <sup>1</sup></td>' in page


def test_a_workbook_has_numbers_that_are_not_rounded() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    sheet = openpyxl.load_workbook(BytesIO(workbook([Sheet("Best", TABLE)]))).worksheets[0]
    assert (sheet["B2"].value, sheet["B2"].number_format) == (-0.0123, '0.00%" [1]"')
    assert (sheet["A2"].value, sheet["D3"].value, sheet["D3"].data_type) == ("4, 13", "=1+1", "s")
    assert sheet["B3"].value == "-"


WIDE = Table(
    [
        Column("model", room=12),
        Column("mean accuracy (points)", "points"),
        Column("结果（百分点）", "points"),
        Column("layers that keep little", "list", room=12),
    ],
    [
        ["a", 0.5, 0.25, "1, 2"],
        ["a name of many words, and of more", 0.125, None, "1, 2, 3, 4, 5, 6, 7"],
    ],
    names=1,
)


@pytest.mark.parametrize("width", range(34, 120))
def test_a_table_goes_on_in_another_one_where_it_is_too_wide(width: int) -> None:
    lines = as_text(table_parts(WIDE, width), width).splitlines()
    assert max(map(cell_len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert {"accuracy", "50.00", "25.00", "12.50", "结果", "百分点"} <= words
    assert not any("…" in line for line in lines)


def test_rows_without_headings_stand_alone() -> None:
    lines = as_text([Table([Column(""), Column("")], [["model", "demo"]])]).splitlines()
    assert [line.split() for line in lines] == [["model", "demo"]]


def test_columns_are_chosen_by_their_keys() -> None:
    chosen = with_columns(TABLE, ["drop", "removed_blocks"])
    assert [column.name for column in chosen.columns] == ["drop (points)", "blocks"]
    assert [row[1] for row in chosen.rows] == [(4, 13), (4,)]
