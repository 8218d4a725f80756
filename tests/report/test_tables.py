"""Specification of what people read."""

from __future__ import annotations

import json
import math

import pytest
from rich.cells import cell_len
from rich.console import RenderableType

from depthprune.analysis.intervals import Interval
from depthprune.analysis.study_summary import StudySummary, summarize_study
from depthprune.base.language import catalogue, language
from depthprune.importance.compare import RankAgreement
from depthprune.report import formatting as tables
from depthprune.report.formatting import as_text, blocks, interval_text, percent
from depthprune.report.render.text import section_parts
from depthprune.report.sections import search as sections
from depthprune.report.sections.search import agreements, summary_section, summary_value
from depthprune.report.sections.tasks import task_table
from depthprune.report.table import Column, Table
from depthprune.tasks.registry import list_tasks
from tests.measurements import dataset

NAMES = [f"demo_{name}" for name in ("coco_2014_vqa", "okvqa", "science_qa_img", "coco_caption")]


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0309, "3.09"), (-0.0309, "-3.09"), (0.0, "0.00"), (-1e-9, "0.00"), (1.0, "100.00")],
)
def test_a_fraction_is_shown_in_percentage_points(fraction: float, text: str) -> None:
    assert percent(fraction) == text


def test_a_removal_and_an_interval_fit_a_cell() -> None:
    assert blocks((2, 4, 10)) == "2, 4, 10"
    assert blocks(()) == "none"
    assert interval_text(Interval(-0.012, 0.034)) == "[-1.2, 3.4]"
    assert interval_text(None) == "-"


def eight_datasets():  # type: ignore[no-untyped-def]
    scores = {(block,): [1, 1, 0, 0.5 * (block % 2)] for block in range(16)}
    scores |= {(block, block + 1): [1, 0, 0, 0.0] for block in range(14)}
    return [dataset(name + half, [1, 1, 0, 1], scores) for name in NAMES for half in ("", "_b")]


def test_eight_datasets_fit_a_terminal_of_80_columns() -> None:
    text = as_text(summary_parts(summarize_study(eight_datasets(), 16)), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "demo_coco_2014_vqa" in text


def test_no_table_shows_a_drop_without_the_number_of_samples() -> None:
    summary = summarize_study(eight_datasets(), 16)
    ranked = (sections.importance(summary), sections.combinations(summary))
    for table in ranked:
        lines = as_text([table]).splitlines()
        assert "n" in lines[2].split()
        assert "32" in lines[4].split()
    assert "n=4" in as_text([sections.matrix(summary)])
    best = as_text([sections.best(summary)]).splitlines()
    assert "n" in best[1].split()
    assert best[3].split()[1] == "4"


def test_a_deviation_over_one_dataset_is_none() -> None:
    alone = [dataset("okvqa", 0.5, {(0,): 0.4, (1,): 0.4, (0, 1): 0.3})]
    line = as_text([sections.combinations(summarize_study(alone, 3))]).splitlines()[4]
    assert line.split()[-3] == "-"


def test_what_is_left_out_is_counted() -> None:
    better = {(0,): 0.9, (1,): 0.4, (0, 1): 0.3}
    datasets = [dataset("okvqa", 0.5, better), dataset("doc_qa", 0.5, {(0,): 0.9, (1,): 0.4})]
    text = " ".join(as_text(summary_parts(summarize_study(datasets, 3))).split())
    assert "1 measured on fewer than 2 datasets" in text
    assert "below --min-drop" not in text
    assert "-40.00" in text.partition("Best combinations over the datasets")[2]
    text = " ".join(as_text(summary_parts(summarize_study(datasets, 3, min_drop=0.0))).split())
    assert "1 with a mean drop below --min-drop." in text


def test_a_cell_that_was_not_measured_is_a_dash() -> None:
    datasets = [dataset("okvqa", 0.5, {(0,): 0.4, (1,): 0.3}), dataset("doc_qa", 0.5, {(0,): 0.4})]
    lines = as_text(summary_parts(summarize_study(datasets, 3))).splitlines()
    matrix = lines[next(i for i, line in enumerate(lines) if "on each dataset" in line) :]
    row = next(line for line in matrix if line.split()[:1] == ["1"])
    assert row.split() == ["1", "20.0", "-"]


def test_the_value_for_scripts_is_plain_json() -> None:
    value = summary_value(summarize_study(eight_datasets(), 16))
    again = json.loads(json.dumps(value, allow_nan=False))
    assert again == value
    assert value["importance"][0]["num_datasets"] == 8
    assert math.isclose(value["datasets"][0]["baseline_accuracy"], 0.75)


def test_an_agreement_without_order_is_a_dash() -> None:
    found = {"a": RankAgreement(0.98824, 8.11e-13), "b": RankAgreement(None, None)}
    text = as_text([agreements(found)])
    assert "0.9882" in text
    assert "8.11e-13" in text
    assert "-" in text.splitlines()[-2]


def test_every_task_is_listed() -> None:
    text = as_text([task_table(list_tasks())], width=200)
    assert all(task.name in text for task in list_tasks())


def summary_parts(summary: StudySummary) -> list[RenderableType]:
    return section_parts(summary_section(summary))


def chinese_summary(width: int) -> list[str]:
    with language("zh"):
        return as_text(summary_parts(summarize_study(eight_datasets(), 16)), width).splitlines()


def test_chinese_tables_fit_and_align() -> None:
    lines = chinese_summary(tables.MAX_WIDTH)
    assert max(map(cell_len, lines)) <= tables.MAX_WIDTH
    start = next(number for number, line in enumerate(lines) if "受影响最大的数据集" in line)
    header, rule, *rows = lines[start : start + 18]
    assert {cell_len(header), cell_len(rule)} == {cell_len(row) for row in rows}
    place = cell_len(header[: header.index("数据集数") + len("数据集数")])
    assert {_until(row, place)[-1] for row in rows} == {"8"}


def test_no_cell_of_a_chinese_summary_is_cut_off_at_100_columns() -> None:
    text = "\n".join(chinese_summary(tables.MAX_WIDTH))
    assert "…" not in text
    assert text.count("demo_coco_2014_vqa") >= 2


def test_a_chinese_summary_holds_no_english_text() -> None:
    text = "\n".join(chinese_summary(400))
    sentences = [english for english in catalogue() if len(english.split()) > 1]
    assert [english for english in sentences if english in text] == []


def _until(line: str, cells: int) -> str:
    """Return the beginning of a line that takes this many terminal cells."""
    while cell_len(line) > cells:
        line = line[:-1]
    return line


@pytest.mark.parametrize("is_spaced", [True, False])
@pytest.mark.parametrize("width", [80, 76, 70])
def test_a_table_that_is_too_wide_loses_nothing_and_breaks_no_word(
    width: int, is_spaced: bool
) -> None:
    columns = [Column("dataset"), Column("n", "count")]
    columns += [Column(f"{number} removed") for number in range(1, 5)]
    rows = [
        ["demo_coco_2014_vqa", 4, "2 (0.00)", "1,4 (0.00)", "2,4,5 (0.00)", "2,4,5,7 (0.04)"],
        ["demo_science_qa_img", 4, "2 (-18.75)", "2,4 (9.75)", "2,4,6 (8.75)", "2,4,7,8 (-1.75)"],
    ]
    text = as_text([Table(columns, rows, is_spaced=is_spaced)], width=width)
    words = {word for row in rows for cell in row[2:] for word in str(cell).split()}
    assert words <= set(text.split())
