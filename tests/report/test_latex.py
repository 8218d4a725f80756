"""The LaTeX tables say what was found, and compile."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from depthprune.analysis.drop_table import drop_table
from depthprune.analysis.findings import Analysis, find
from depthprune.analysis.recommend import recommend
from depthprune.analysis.result_set import ResultSet, SplitAgreement, split_agreement
from depthprune.base.errors import FileError
from depthprune.report.papers import (
    CONSISTENCY_TABLE,
    IMPORTANCE_TABLE,
    block_importance_table,
    consistency_table,
    escape,
    is_consistent,
    write_latex,
)
from tests.measurements import dataset

HOSTILE = r"a_b%c&d#e$f{g}h~i^j\k<l>|m"


def analysis(num_blocks: int = 4, names: tuple[str, ...] = ("okvqa", HOSTILE)) -> Analysis:
    """Return an analysis in which block b costs b points on every dataset; the last is missing."""
    sets = tuple(
        dataset(name, 0.9, {(b,): 0.9 - b / 100 for b in range(num_blocks - (name == names[-1]))})
        for name in names
    )
    scores = {block: block / 100 for block in range(num_blocks)}
    results = ResultSet(
        "tiny",
        num_blocks,
        sets,
        dict.fromkeys(names, "validation"),
        tuple(split_agreement(name, scores, scores) for name in names),
    )
    return Analysis(results, drop_table(sets, num_blocks), find(results), recommend(results))


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of a table's rows, the heading among them."""
    lines = [line for line in text.splitlines() if line.endswith("\\\\") and "caption" not in line]
    return [re.split(r"(?<!\\) & ", line.removesuffix(" \\\\")) for line in lines]


def faults(text: str) -> list[str]:
    """Name unbalanced braces and environments, and rows that do not fit their columns."""
    found = []
    # A command of one letter is no brace; comments are nothing.
    plain = re.sub(r"(?<!\\)%.*", "", text)
    plain = re.sub(r"\\[{}%&$#_\\]", "", plain)
    depth = 0
    for letter in plain:
        depth += (letter == "{") - (letter == "}")
        if depth < 0:
            break
    if depth:
        found.append("braces")
    open_environments: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            open_environments.append(name)
        elif not open_environments or open_environments.pop() != name:
            found.append(f"end of {name}")
    found += [f"no end of {name}" for name in open_environments]
    for columns, body in re.findall(
        r"\\begin\{(?:tabular|longtable)\}\{(\w+)\}(.*?)\\end\{(?:tabular|longtable)\}", text, re.S
    ):
        found += [str(row) for row in rows_of(body) if len(row) != len(columns)]
    if plain.count("$") % 2:
        found.append("dollars")
    return found


@pytest.mark.parametrize("name", ["*a", "[1cm]a"])
def test_a_name_behind_the_end_of_a_row_is_no_argument_of_it(name: str) -> None:
    assert escape(name).startswith("{")


def test_special_characters_are_printed_as_they_stand() -> None:
    assert escape("a_b %&#$ {c}") == r"a\_b \%\&\#\$ \{c\}"
    assert escape("~^\\") == r"\textasciitilde{}\textasciicircum{}\textbackslash{}"
    assert escape("two\nlines\x00") == "two lines"


@pytest.mark.parametrize(
    ("num_blocks", "names"),
    [
        (4, ("okvqa", HOSTILE)),
        (80, ("okvqa", HOSTILE)),
        (16, tuple(f"a_dataset_with_a_long_name_{number}" for number in range(50))),
        (2, ("okvqa",)),
    ],
    ids=["hostile name", "80 blocks", "50 datasets", "one dataset"],
)
def test_tables_are_balanced_and_their_rows_fit(num_blocks: int, names: tuple[str, ...]) -> None:
    found = analysis(num_blocks, names)
    assert faults(block_importance_table(found)) == []
    assert faults(consistency_table(found.findings.agreements)) == []


def test_a_broken_table_would_be_found() -> None:
    table = block_importance_table(analysis())
    assert faults(table.replace("\\end{table}", "")) == ["no end of table"]
    assert faults(table.replace(" & Std", "")) != []
    assert faults(table + "}") == ["braces"]


def test_blocks_have_mean_std_and_the_drop_on_each_dataset() -> None:
    heading, *rows = rows_of(block_importance_table(analysis(names=("okvqa", "doc_qa"))))
    assert heading == ["Block", "Mean", "Std", "Sets", "$n$", "okvqa", r"doc\_qa"]
    assert rows[2] == ["2", "2.00", "0.00", "2", "--", "2.00", "2.00"]


def test_what_was_not_measured_is_no_zero() -> None:
    rows = rows_of(block_importance_table(analysis()))
    assert rows[-1] == ["3", "3.00", "--", "1", "--", "3.00", "--"]


def test_a_block_that_nobody_measured_keeps_its_row() -> None:
    results = ResultSet("tiny", 2, (dataset("okvqa", 0.9, {(1,): 0.95}),), {"okvqa": "validation"})
    found = Analysis(results, drop_table(results.datasets, 2), find(results), recommend(results))
    assert rows_of(block_importance_table(found))[1:] == [
        ["0", "--", "--", "0", "--", "--"],
        ["1", "$-$5.00", "--", "1", "--", "$-$5.00"],
    ]


def test_a_block_has_its_n() -> None:
    results = ResultSet("tiny", 2, (dataset("okvqa", [1, 1], {(1,): [1, 0]}),), {"okvqa": "train"})
    found = Analysis(results, drop_table(results.datasets, 2), find(results), recommend(results))
    assert rows_of(block_importance_table(found))[2][:5] == ["1", "50.00", "--", "1", "2"]


def test_every_dataset_stands_in_one_part() -> None:
    names = tuple(f"a_dataset_with_a_long_name_{number}" for number in range(50))
    headings = [
        row for row in rows_of(block_importance_table(analysis(3, names))) if "Block" in row
    ]
    cells = [
        cell
        for row in headings
        for cell in row
        if cell not in ("Block", "Mean", "Std", "Sets", "$n$")
    ]
    assert len(cells) == len(set(cells)) == 50


def test_long_tables_break_across_pages() -> None:
    assert "longtable}" not in block_importance_table(analysis(16)).split("\\begin", 1)[1]
    assert "\\begin{longtable}" in block_importance_table(analysis(80))


def test_consistency_has_rho_p_and_a_verdict() -> None:
    same, mixed = {0: 0.1, 1: 0.2, 2: 0.3}, {0: 0.3, 1: 0.1, 2: 0.2}
    agreements = [
        SplitAgreement("okvqa", same, same, 1.0, 2.5e-7),
        SplitAgreement("doc_qa", same, mixed, -0.5, 0.667),
        SplitAgreement("st_qa", same, {}, None, None),
    ]
    assert rows_of(consistency_table(agreements))[1:] == [
        ["okvqa", "3", "1.000", r"$2.5 \times 10^{-7}$", "yes"],
        [r"doc\_qa", "3", "$-$0.500", "0.667", "no"],
        [r"st\_qa", "0", "--", "--", "--"],
    ]


def test_a_rho_of_exactly_the_threshold_is_consistent() -> None:
    assert is_consistent(0.9 - 1e-15)
    assert not is_consistent(0.899)


def test_files_are_written_where_there_are_rows_for_them(tmp_path: Path) -> None:
    written = write_latex(analysis(), tmp_path / "new")
    assert [path.name for path in written] == [CONSISTENCY_TABLE, IMPORTANCE_TABLE]
    results = ResultSet("tiny", 4, (dataset("okvqa", 0.9, {(1, 2): 0.8}),), {"okvqa": "test"})
    bare = Analysis(results, drop_table(results.datasets, 4), find(results), recommend(results))
    assert write_latex(bare, tmp_path) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot write"):
        write_latex(analysis(), tmp_path / "file")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("num_blocks", [4, 80])
def test_the_tables_compile_and_fit_on_the_page(tmp_path: Path, num_blocks: int) -> None:
    names = (HOSTILE, *(f"dataset_with_a_name_{number}" for number in range(12)))
    written = write_latex(analysis(num_blocks, names), tmp_path)
    inputs = "\n".join(rf"\input{{{path.name}}}" for path in written)
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage{longtable}\n"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    done = subprocess.run(
        ["pdflatex", "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
