"""The table of models in every format: the same numbers, marked, and names that stay text."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.cells import cell_len
from rich.table import Table as RichTable

from depthprune.base.errors import FileError, MissingDependencyError
from depthprune.base.language import Lang, Note, language
from depthprune.report.formatting import as_text
from depthprune.report.model_table import (
    Format,
    format_of,
    model_csv,
    model_latex,
    model_parts,
    model_table_bytes,
    model_value,
    model_workbook,
    write_model_table,
)
from depthprune.report.render.markdown import table_text
from depthprune.report.sections.models import model_grid, own_names
from depthprune.report.table import Table, all_notes
from depthprune.structure.comparison import CountChange, ModelComparison
from depthprune.structure.model_row import (
    COLUMNS,
    QUICK,
    ModelNumber,
    ModelRow,
    NumberConditions,
    model_row,
)
from depthprune.structure.model_table import ModelTable, model_table
from depthprune.structure.summaries import ModelSummary, summarize
from tests.structure.models import compared, layer, real_models, removed, row

openpyxl = pytest.importorskip("openpyxl")

FORMATS: tuple[Format, ...] = get_args(Format)

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "#N/A",
    "<script>alert(1)</script>",
    "a|b`c`*d*[e](f)",
    r"a_b%c&d#e$f{g}h~i^j\k",
    "two\nlines\r\x1b[31m\x00",
    "\udcff surrogate",
    "模型 名",
    "",
)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> ModelTable:
    folder = real_models(tmp_path_factory.mktemp("models"))
    models = summarize([folder / "baselines", folder / "results"]).models
    return model_table([model_row(model) for model in models])


@pytest.fixture(scope="module")
def small() -> ModelTable:
    """A model with all sorts of layers, one whose layers are missing, and one that is apart."""
    cut = compared([layer(0), removed(1), layer(2, 0), layer(3, mlp=0), layer(4, 20, 30)])
    return model_table(
        [
            row("d/cut", cut, parameters_b=6.424219, ppl_wikitext2=12.0, boolq=0.625),
            row("d/near", parameters_b=6.424215, ppl_wikitext2=11.5, boolq=0.5),
            row("d/lost", compared([layer(0), layer(1)], missing=3), boolq=0.25),
            row("d/quick", ppl_wikitext2=ModelNumber(20_000.0, NumberConditions(QUICK))),
        ]
    )


@pytest.fixture(scope="module")
def hostile() -> ModelTable:
    return model_table([row(name, compared([layer(0)]), boolq=0.5) for name in HOSTILE])


def headings(grid: Table) -> list[str]:
    return [column.name for column in grid.columns]


def cell(grid: Table, name: str, key: str) -> Any:
    (cells,) = [cells for cells in grid.rows if cells[0].text.endswith(name)]
    return next(one for one, column in zip(cells, grid.columns, strict=True) if column.key == key)


# The cells


def test_what_no_file_says_is_not_known_and_never_zero(real: ModelTable) -> None:
    grid = model_grid(real)
    for key in ("size_gb", "ppl_ptb", "boolq", "mean_accuracy", "peak_memory_mb"):
        found = cell(grid, "ShortGPT_remove_7", key)
        assert (found.text, found.value) == ("N/A", None)
    assert cell(grid, "base", "layers_below_5").value is None
    assert cell(grid, "base", "keep_ratio_std").value is None


def test_layers_are_listed_and_what_is_not_known_of_them_is_said(real: ModelTable) -> None:
    grid = model_grid(real)
    assert cell(grid, "HGSP_2000", "layers_below_5").text == "11, 12, 25"
    assert cell(grid, "layerwise_20", "layers_below_20").text == "none"
    assert cell(grid, "ShortGPT_remove_7", "layers_below_5").text == "7 unknown"


def test_headings_and_marks_say_the_window_of_each_perplexity(real: ModelTable) -> None:
    grid = model_grid(real)
    assert "PPL WikiText-2 (2048/512)" in headings(grid)
    found = cell(grid, "HGSP_2000", "ppl_wikitext2")
    assert (found.text, found.mark) == ("39.87", 1)
    assert "window not stated" in grid.marked[0]
    assert cell(grid, "base", "ppl_wikitext2").mark is None


def test_a_heading_says_where_no_window_is_stated() -> None:
    grid = model_grid(model_table([row("a", ppl_ptb=ModelNumber(3.0))]))
    assert "PPL PTB (window not stated)" in headings(grid)
    assert "PPL WikiText-2" in headings(grid)


@pytest.mark.parametrize(
    ("usual", "other", "told"),
    [
        ("ppl_ptb", NumberConditions(QUICK), "window 128"),
        ("ppl_ptb", NumberConditions("2048/512", "other"), "another text of this name"),
        ("mean_accuracy", NumberConditions("boolq"), "mean of boolq alone"),
        ("boolq", NumberConditions(details="acc of 7"), "measured otherwise (acc of 7)"),
    ],
)
def test_a_mark_says_why_a_number_does_not_compare(
    usual: str, other: NumberConditions, told: str
) -> None:
    details = {
        "ppl_ptb": NumberConditions("2048/512", "text"),
        "boolq": NumberConditions(details="acc of 9"),
    }
    common = ModelNumber(0.5, details.get(usual, NumberConditions("boolq, piqa")))
    rows = [row("a", **{usual: common}), row("b", **{usual: common})]
    rows.append(row("other", **{usual: ModelNumber(0.7, other)}))
    grid = model_grid(model_table(rows))
    assert cell(grid, "other", usual).mark == 1
    assert told in grid.marked[0]


def test_equal_digits_are_equally_good(small: ModelTable) -> None:
    grid = model_grid(small)
    assert cell(grid, "near", "parameters_b").is_best
    assert cell(grid, "cut", "parameters_b").is_best
    assert not cell(grid, "cut", "ppl_wikitext2").is_best
    assert not cell(grid, "quick", "ppl_wikitext2").is_best


def test_equal_digits_of_the_original_or_of_another_window_are_not_best() -> None:
    rows = [row("low", ppl_ptb=3.0), row("high", ppl_ptb=4.0), row("whole", ppl_ptb=3.0)]
    rows.append(row("quick", ppl_ptb=ModelNumber(3.0, NumberConditions(QUICK))))
    grid = model_grid(model_table(rows, reference="whole"))
    best = {cells[0].text for cells in grid.rows if cell(grid, cells[0].text, "ppl_ptb").is_best}
    assert best == {"low"}


def test_a_huge_perplexity_is_short(small: ModelTable) -> None:
    assert cell(model_grid(small), "quick", "ppl_wikitext2").text == "2e+04"


def test_a_small_model_has_a_size() -> None:
    table = model_table([row("a", size_gb=0.0054846, parameters_b=0.00147216)])
    grid = model_grid(table)
    assert cell(grid, "a", "size_gb").text == "0.00548"
    assert cell(grid, "a", "parameters_b").text == "0.00147"
    assert opened(table).worksheets[0]["B2"].number_format == "0.00000"


def test_notes_name_the_original_what_is_missing_and_how_to_mend(real: ModelTable) -> None:
    notes = "\n".join(all_notes(model_grid(real)))
    assert "[1] window not stated" in notes
    assert "results/base: the model that the others were pruned from" in notes
    assert "ShortGPT_remove_7: 7 layers missing" in notes
    assert "HGSP_2000: attention removed in layers 11, 12, 25" in notes
    assert 'layer_importance_similarity.json, ["2"]: NaN' in notes
    assert "SliceGPT_2000: no analysis; depthprune structure analyze" in notes


def test_all_is_said_in_chinese_too(real: ModelTable) -> None:
    with language("zh"):
        grid = model_grid(real)
    assert headings(grid)[0] == "模型"
    assert "保留不足 5% 的层" in headings(grid)
    assert cell(grid, "ShortGPT_remove_7", "layers_below_5").text == "7 层不明"


def test_names_of_folders_are_enough_where_they_differ() -> None:
    table = model_table([row("a/x"), row("b/x"), row("b/y")])
    assert own_names(table) == ["a/x", "b/x", "y"]


# Text


def test_csv_has_24_columns_unrounded_and_the_windows_behind_them(real: ModelTable) -> None:
    heading, *lines = csv.reader(StringIO(model_csv(real)))
    assert heading[:24] == [column.key for column in COLUMNS]
    assert heading[24:] == ["ppl_wikitext2_window", "ppl_ptb_window"]
    found = {line[0]: dict(zip(heading, line, strict=True)) for line in lines}
    assert found["results/HGSP_2000"]["ppl_wikitext2"] == "39.87115478515625"
    assert found["results/HGSP_2000"]["ppl_wikitext2_window"] == "not stated"
    assert found["results/base"]["ppl_ptb_window"] == "2048/512"
    assert found["results/layerwise_20"]["ppl_ptb_window"] == "N/A"
    assert found["results/base"]["boolq"] == "0.8308868501529052"


def test_csv_holds_no_formula_and_every_name(hostile: ModelTable) -> None:
    text = model_table_bytes(hostile, "csv").decode("utf-8")
    names = [line[0] for line in csv.reader(StringIO(text, newline=""))][1:]
    assert len(names) == len(HOSTILE)
    assert not [name for name in names if name.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert "'=cmd|' /C calc'!A0" in names


def test_markdown_has_as_many_cells_in_every_line(hostile: ModelTable, real: ModelTable) -> None:
    for table in (hostile, real):
        lines = [
            line for line in table_text(model_grid(table)).splitlines() if line.startswith("|")
        ]
        assert len(lines) == 2 + len(table.rows)
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {25}


def test_markdown_marks_the_best_and_what_stands_apart(real: ModelTable) -> None:
    text = table_text(model_grid(real))
    assert "| **58.32** |" in text
    assert "| 39.87 [1] |" in text
    assert "\n- [1] window not stated" in text


def test_markdown_runs_no_html(hostile: ModelTable) -> None:
    assert "<script" not in table_text(model_grid(hostile)).replace(r"\<", "")


def test_json_has_what_programs_need(real: ModelTable, small: ModelTable) -> None:
    value = json.loads(json.dumps(model_value(real), allow_nan=False))
    found = {model["model"]: model for model in value["models"]}
    assert found["results/HGSP_2000"]["ppl_ptb"] == 70.00041961669922
    assert found["results/HGSP_2000"]["layers_below_5"] == [11, 12, 25]
    assert found["results/base"]["conditions"]["ppl_ptb"]["basis"] == "2048/512"
    assert found["results/base"]["is_reference"]
    assert found["results/base"]["keep_ratios"] is None
    assert found["baselines/ShortGPT_remove_7"]["missing_layers"] == 7
    assert found["baselines/ShortGPT_remove_7"]["layers_below_5"] is None
    assert value["apart"]["ppl_ptb"] == ["results/HGSP_2000"]
    assert value["best"]["winogrande"] == ["baselines/SliceGPT_2000"]
    shares = model_value(small)["models"][0]["keep_ratios"]
    assert shares == {0: 1.0, 1: 0.0, 2: 0.6, 3: 0.4, 4: 0.5}


def test_the_terminal_shows_groups_of_which_something_is_known(small: ModelTable) -> None:
    text = as_text(model_parts(small), 140)
    assert "boolq" in text
    assert "20000" in text or "2e+04 [1]" in text
    assert "tokens/s" not in text


def test_the_terminal_shows_as_many_models_and_notes_as_are_wanted(real: ModelTable) -> None:
    text = as_text(model_parts(real, most=2, width=140), 140)
    assert text.count("\n ShortGPT_remove_7 ") == 4
    assert "layerwise_20" not in text
    assert "Shown: 2 of 5 models, 2 of " in text
    assert "Shown" not in as_text(model_parts(real, most=50))


@pytest.mark.parametrize("lang", ["en", "zh"], indirect=True)
@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_column_is_cut_off_and_no_number_broken(
    real: ModelTable, width: int, lang: Lang
) -> None:
    tables = [part for part in model_parts(real, width=width) if isinstance(part, RichTable)]
    text = as_text(tables, width)
    words = {word for line in text.splitlines() for word in line.split()}
    grid = model_grid(real)
    for cells in grid.rows:
        numbers = [
            one.text for one, column in zip(cells, grid.columns, strict=True)
            if column.is_number
        ]  # fmt: skip
        assert set(numbers) <= words
    assert {word for heading in headings(grid) for word in heading.split()} <= words
    assert max(map(cell_len, text.splitlines())) <= width
    assert "…" not in text


# The workbook


def opened(table: ModelTable, **options: Any) -> Any:
    return openpyxl.load_workbook(BytesIO(model_workbook(table, **options)))


def line_of(sheet: Any, name: str) -> int:
    return next(
        line for line in range(2, sheet.max_row + 1) if sheet.cell(line, 1).value.endswith(name)
    )


def column_of(sheet: Any, heading: str) -> int:
    return next(at for at in range(1, sheet.max_column + 1) if sheet.cell(1, at).value == heading)


def test_the_workbook_has_numbers_under_a_frozen_heading(real: ModelTable) -> None:
    sheet, layers, notes = opened(real).worksheets
    assert sheet.freeze_panes == layers.freeze_panes == "B2"
    assert sheet.auto_filter.ref == sheet.dimensions == "A1:Z6"
    found = sheet.cell(line_of(sheet, "base"), column_of(sheet, "boolq %"))
    assert (found.value, found.number_format) == (0.8308868501529052, "0.00%")
    unknown = sheet.cell(line_of(sheet, "layerwise_20"), column_of(sheet, "boolq %"))
    assert (unknown.value, unknown.data_type) == ("N/A", "s")
    assert notes.max_row == len(all_notes(model_grid(real)))


def test_a_perplexity_that_stands_apart_is_a_number_with_a_mark_and_its_window(
    real: ModelTable,
) -> None:
    sheet = opened(real).worksheets[0]
    line = line_of(sheet, "HGSP_2000")
    found = sheet.cell(line, column_of(sheet, "PPL PTB (2048/512)"))
    assert found.value == 70.00041961669922
    assert found.number_format == '0.00" [1]"'
    assert sheet.cell(line, column_of(sheet, "window of PPL PTB")).value == "not stated"


def test_colours_compare_only_what_compares(real: ModelTable) -> None:
    sheet = opened(real).worksheets[0]
    place = openpyxl.utils.get_column_letter(column_of(sheet, "PPL PTB (2048/512)"))
    areas = [str(area.sqref) for area in sheet.conditional_formatting]
    (coloured,) = [area for area in areas if area.startswith(place)]
    MultiCellRange = openpyxl.worksheet.cell_range.MultiCellRange
    lines = {line_of(sheet, name) for name in ("base", "SliceGPT_2000")}
    assert {one.coord for one in MultiCellRange(coloured)} == {f"{place}{line}" for line in lines}


def test_neighbours_are_coloured_as_one_area() -> None:
    rows = [row(f"m{at}", **({} if at == 3 else {"boolq": 0.5 + at / 10})) for at in range(5)]
    sheet = opened(model_table(rows)).worksheets[0]
    place = openpyxl.utils.get_column_letter(column_of(sheet, "boolq %"))
    (area,) = sheet.conditional_formatting
    assert str(area.sqref) == f"{place}2:{place}4 {place}6"


def test_the_best_of_a_column_is_bold(real: ModelTable) -> None:
    sheet = opened(real).worksheets[0]
    at = column_of(sheet, "winogrande %")
    bold = [line for line in range(2, 8) if sheet.cell(line, at).font.bold]
    assert bold == [line_of(sheet, "SliceGPT_2000")]


def test_the_second_sheet_has_the_share_that_each_layer_keeps(small: ModelTable) -> None:
    sheet = opened(small).worksheets[1]
    line = line_of(sheet, "cut")
    assert [sheet.cell(line, at).value for at in range(2, 7)] == [1, 0, 0.6, 0.4, 0.5]
    formats = [sheet.cell(line, at).number_format for at in range(2, 7)]
    assert formats == ["0%", '0%" ×"', '0%" A"', '0%" M"', "0%"]
    lost = line_of(sheet, "lost")
    assert [sheet.cell(lost, at).value for at in range(2, 8)] == ["?"] * 5 + [None]
    assert sheet.cell(line_of(sheet, "near"), 2).value == "N/A"
    (area,) = sheet.conditional_formatting
    assert str(area.sqref) == "B2:F5"


def test_a_broken_file_with_any_number_of_layers_makes_no_endless_sheet() -> None:
    rows = [row("a", compared([layer(2**40)])), row("b", compared([layer(0)], missing=2**62))]
    assert opened(model_table(rows)).worksheets[1].max_column == 1001


def test_every_text_of_a_workbook_is_text(hostile: ModelTable) -> None:
    book = opened(hostile)
    cells = [one for sheet in book.worksheets for line in sheet.iter_rows() for one in line]
    assert {one.data_type for one in cells if isinstance(one.value, str)} == {"s"}
    names = [one.value for one in book.worksheets[0]["A"][1:]]
    assert "=cmd|' /C calc'!A0" in names
    assert "#N/A" in names
    formula = next(one for one in book.worksheets[0]["A"] if one.value == "+1+1")
    assert formula.quotePrefix


def test_a_workbook_in_chinese_and_one_without_models() -> None:
    with language("zh"):
        assert opened(model_table([])).sheetnames == ["模型一览", "各层保留比例", "说明"]


def test_without_openpyxl_it_is_said_what_to_install(
    small: ModelTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingDependencyError, match=r"depthprune\[report\]"):
        model_workbook(small)


# HTML


class Page(HTMLParser):
    """Collects the tags of a page and the texts in its table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and self.tags[-1] in ("td", "th", "sup"):
            self.rows[-1][-1] += data.strip("\n")


def test_the_page_has_every_cell_and_runs_nothing(hostile: ModelTable, real: ModelTable) -> None:
    for table in (hostile, real):
        page = Page(model_table_bytes(table, "html").decode("utf-8"))
        assert {len(cells) for cells in page.rows} == {24}
        assert len(page.rows) == 1 + len(table.rows)
        assert "script" not in page.tags
    assert "39.87 1" in {text for cells in page.rows for text in cells}


def test_the_page_shows_what_is_best_and_apart_and_forbids_all_else(real: ModelTable) -> None:
    with language("zh"):
        text = model_table_bytes(real, "html").decode("utf-8")
    assert '<html lang="zh-Hans">' in text
    assert '<td class="best">58.32</td>' in text
    assert '<td class="apart">39.87 <sup>1</sup></td>' in text
    assert '<tr class="reference">' in text
    assert "default-src 'none'; style-src 'sha256-" in unescape(text)


# LaTeX


def test_latex_has_four_tables_with_all_columns(real: ModelTable) -> None:
    text = model_latex(real)
    rows = [line for line in text.splitlines() if line.startswith("HGSP\\_2000 & ")]
    assert sum(line.count(" & ") for line in rows) == 23
    assert r"39.87$^{1}$" in text
    assert r"\textbf{58.32}" in text
    assert "$^{1}$ window not stated" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_compiles_and_fits_the_page(real: ModelTable, tmp_path: Path) -> None:
    done = compiled(model_latex(real), tmp_path)
    assert "Overfull" not in done
    assert (tmp_path / "paper.pdf").exists()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
def test_latex_prints_any_name(tmp_path: Path) -> None:
    # What pdflatex has no letters for is the document's affair.
    rows = [row(name, compared([layer(0)])) for name in HOSTILE if name.isascii()]
    compiled(model_latex(model_table(rows * 5)), tmp_path)
    assert (tmp_path / "paper.pdf").exists()


def compiled(text: str, folder: Path) -> str:
    packages = "".join(rf"\usepackage{{{name}}}" for name in ("booktabs", "longtable", "array"))
    (folder / "table.tex").write_text(text)
    (folder / "paper.tex").write_text(
        rf"\documentclass{{article}}{packages}\usepackage[T1]{{fontenc}}"
        r"\begin{document}\input{table.tex}\end{document}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


# Files


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.xlsx", "xlsx"),
        ("a.b.CSV", "csv"),
        ("a.md", "md"),
        ("a.markdown", "md"),
        ("a.html", "html"),
        ("a.htm", "html"),
        ("a.tex", "latex"),
        ("a.latex", "latex"),
    ],
)
def test_the_ending_says_the_format(name: str, kind: Format) -> None:
    assert format_of(Path(name)) == kind


@pytest.mark.parametrize("name", ["a", "a.txt", "a.xls", ".csv"])
def test_an_ending_that_says_none_is_refused(name: str) -> None:
    with pytest.raises(FileError, match="--format"):
        format_of(Path(name))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_written_whatever_is_known(
    kind: Format, tmp_path: Path, real: ModelTable, hostile: ModelTable
) -> None:
    nothing = model_table([ModelRow("only")])
    for number, table in enumerate((real, hostile, nothing, model_table([]))):
        path = write_model_table(table, tmp_path / f"{number}.any", kind)
        assert path.stat().st_size > 0


def test_what_is_unknown_is_called_so_and_the_reason_is_told() -> None:
    unknown = "1 of 2 ranks: the others hold the rest of every tensor"
    comparison = ModelComparison(
        "base", "rank", CountChange(100, None), CountChange(80, None), (), strategy="unknown",
        unknown=(Note(unknown),),
    )  # fmt: skip
    model = ModelSummary("rank", Path("rank"), comparison=comparison, original=100)
    grid = model_grid(model_table([model_row(model)]))
    cells = dict(zip((column.key for column in grid.columns), grid.rows[0], strict=True))
    for key in ("parameters_b", "keep_ratio_std", "layers_below_5"):
        assert cells[key].text == "unknown"
    assert cells["size_gb"].text == "N/A"
    assert f"rank: not known: {unknown}" in grid.notes
