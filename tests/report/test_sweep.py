"""Specification of the files, tables and the figure of a sweep."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthprune.analysis.sweep import compare_points
from depthprune.base.errors import LayoutError, TaskError
from depthprune.base.files import write_json
from depthprune.base.language import language
from depthprune.benchmark.sweep import Failure, SweepReport
from depthprune.report.documents.sweep import (
    AGGREGATE_STATS,
    LATENCY,
    PROVENANCE,
    SAMPLE,
    SAMPLE_TIMES,
    STAGES,
    SWEEP_FILE,
    TIMES,
    known_latency,
    latency_of,
    read_sweep_file,
    sweep_file_name,
    sweep_file_value,
    sweep_summary_value,
)
from depthprune.report.figures import figure_bytes
from depthprune.report.figures.style import BLUE, GREY
from depthprune.report.figures.tradeoffs import pareto_accuracy_latency
from depthprune.report.formatting import as_text
from depthprune.report.render.text import sections_parts
from depthprune.report.sections.sweep import failure_lines, report_lines, sweep_sections
from tests.sweeps import MODEL, latency, measured, point, task_points

DOCUMENT = Path(__file__).parents[2] / "docs" / "sweep.md"


def file_value(**more: Any) -> dict[str, Any]:
    one = measured((1, 2), (1, 0, 0, 1), **more)
    return sweep_file_value(point(one, (1, 2)), one, MODEL, "scores.json")


def test_a_file_is_json_and_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / sweep_file_name("okvqa", 2)
    write_json(path, file_value())
    assert path.name == "okvqa_blocks2.json"
    assert json.loads(path.read_text()) == file_value()
    assert read_sweep_file(path).num_active == 2


def test_the_latency_in_a_file_is_the_one_that_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "okvqa_blocks2.json"
    write_json(path, file_value())
    assert latency_of(read_sweep_file(path)) == latency((1, 2))
    assert known_latency(tmp_path, "okvqa", 2) == latency((1, 2))


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "depthprune-sweep-1"}'])
def test_a_file_that_cannot_be_read_holds_no_latency(tmp_path: Path, content: str) -> None:
    (tmp_path / "okvqa_blocks2.json").write_text(content)
    assert known_latency(tmp_path, "okvqa", 2) is None
    assert known_latency(tmp_path, "okvqa", 3) is None


def test_every_sample_has_score_and_answer_and_those_timed_their_stages() -> None:
    samples = file_value()["per_sample_results"]
    assert [one["score"] for one in samples] == [1, 0, 0, 1]
    assert [one["baseline_score"] for one in samples] == [1, 1, 0, 1]
    assert [one["latency"] is None for one in samples] == [False, False, True, True]
    assert samples[0]["latency"]["decode_steps_ms"] == [1.0, 3.0]


def test_a_file_says_whether_the_blocks_are_the_recommended_ones() -> None:
    one = measured((1, 2), (1, 0, 0, 1))
    for recommended, expected in (((1, 2), True), ((1, 3), False), (None, None)):
        value = sweep_file_value(point(one, recommended), one, MODEL, "x")
        assert value["is_recommended"] is expected


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("aggregate_stats", "accuracy"), None),
        (("aggregate_stats", "latency", "total_ms", "mean"), -1.0),
        (("provenance", "latency", "samples"), "2"),
        (("per_sample_results",), {}),
        (("provenance", "latency", "batch_size"), 4),
        (("provenance", "latency", "threads"), 0),
        (("num_active_blocks",), 0),
        (("format",), "other"),
    ],
)
def test_a_file_of_another_layout_is_refused_by_field(
    tmp_path: Path, place: tuple[str, ...], wrong: Any
) -> None:
    value = file_value()
    inner = value
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = wrong
    path = tmp_path / "file.json"
    write_json(path, value)
    with pytest.raises(LayoutError) as raised:
        read_sweep_file(path)
    assert ".".join(place) in str(raised.value)


def test_every_field_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    layouts = (
        SWEEP_FILE, AGGREGATE_STATS, STAGES, TIMES, SAMPLE, SAMPLE_TIMES, PROVENANCE, LATENCY
    )  # fmt: skip
    fields = {field.name for layout in layouts for field in layout.fields}
    assert {name for name in fields if f"`{name}`" not in text} == set()


def test_the_example_in_the_documentation_is_a_valid_file() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert SWEEP_FILE.read(json.loads(example)).is_recommended


def test_the_summary_has_a_row_for_each_file() -> None:
    value = sweep_summary_value(task_points(), {"doc_qa": "no data"}, "scores.json")
    rows = value["configurations"]
    names = ["okvqa_blocks2.json", "okvqa_blocks3.json", "okvqa_blocks4.json"]
    assert [row["file"] for row in rows] == names
    assert [row["is_recommended"] for row in rows] == [True, False, True]
    assert [row["dominated"] for row in rows] == [False, True, False]
    assert value["failures"] == {"doc_qa": "no data"}
    json.dumps(value, allow_nan=False)


def text_of(*points: Any, lang: Any = "en") -> str:
    with language(lang):
        return as_text(sections_parts(sweep_sections(points)))


def test_the_table_shows_accuracy_drop_and_speed_up_with_intervals() -> None:
    row = next(line for line in text_of(*task_points()).splitlines() if "1, 2" in line)
    assert row.split() == [
        *("2", "1,", "2", "25.00", "50.00", "-", "2.00x", "[2.00,", "2.00]"),
    ]


def test_the_tables_fit_a_terminal_of_eighty_columns() -> None:
    text = as_text(sections_parts(sweep_sections(task_points())), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_blocks_that_are_not_the_recommended_ones_are_marked() -> None:
    text = text_of(*task_points())
    assert re.search(r"\b3 +3 \*", text)
    assert "* not the blocks that are recommended for 3 active: 1" in text


def test_recommended_blocks_are_said_to_be() -> None:
    text = text_of(point(measured((1,), (1, 0, 0, 1)), (1,)))
    assert "The blocks removed are the recommended ones." in text


def test_a_number_without_recommendation_is_told() -> None:
    text = text_of(point(measured((1,), (1, 0, 0, 1))))
    assert "No blocks are recommended in the study for 3 active." in text


def test_without_the_unpruned_model_it_is_said_how_to_get_a_speed_up() -> None:
    assert "add 4 to --num_active_blocks" in text_of(point(measured((1,), (1, 0, 0, 1))))


def test_a_speed_up_between_two_runs_says_so() -> None:
    unpruned, *others = task_points()
    apart = compare_points([unpruned, *(replace(one, timed_at="2027-01-01") for one in others)])
    assert "Timed in another run" in text_of(*apart)
    assert "Timed in another run" not in text_of(*task_points())


def test_stages_that_there_are_not_are_dashes() -> None:
    one = measured((1,), (1, 0, 0, 1), timed=latency((1,), vision=None, decode=()))
    assert re.search(r"3 +- +3\.0 +- +12\.0", text_of(point(one)))


def test_unknown_memory_is_not_shown() -> None:
    one = measured((1,), (1, 0, 0, 1), timed=latency((1,), peak_memory=None))
    assert "Peak memory" not in text_of(point(one))


def test_several_tasks_have_a_mean() -> None:
    text = text_of(*task_points("okvqa"), *task_points("doc_qa"))
    assert "Mean over 2 tasks" in text
    assert re.search(r"3 +0\.00 +10\.0 +1\.40x +yes", text)


def test_reports_are_in_chinese_too() -> None:
    assert "预填充" in text_of(*task_points(), lang="zh")


def test_nothing_measured_anew_is_said() -> None:
    (line,) = report_lines(SweepReport(0, 6, 0, 4))
    assert line == "Nothing was measured anew: 6 accuracies and 4 latencies were there."
    assert report_lines(SweepReport(1, 5, 2, 2))[0].startswith("Measured 1 accuracy (5 were")


def test_every_task_can_be_left_out_where_there_is_a_mean() -> None:
    points = [*task_points("okvqa"), *task_points("doc_qa")]
    text = as_text(sections_parts(sweep_sections(points, each_task=False)))
    assert "Mean over 2 tasks" in text
    assert "okvqa" not in text
    assert "okvqa" in as_text(sections_parts(sweep_sections(task_points("okvqa"), each_task=False)))


def test_failures_name_task_and_configuration() -> None:
    error = TaskError("no data")
    assert failure_lines([Failure("okvqa", None, error), Failure("doc_qa", 3, error)]) == [
        "Not measured: okvqa: no data",
        "Not measured: doc_qa with 3 active blocks: no data",
    ]


def test_the_figure_greys_what_is_dominated() -> None:
    figure = pareto_accuracy_latency(task_points())
    (panel,) = figure.axes
    colours = {text.get_text(): text.get_color() for text in panel.texts}
    assert colours == {"2": BLUE, "3": GREY, "4": BLUE}


def test_the_figure_has_a_panel_for_each_task_and_one_for_the_mean() -> None:
    figure = pareto_accuracy_latency([*task_points("okvqa"), *task_points("doc_qa")])
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles[:3] == ["mean over 2 tasks", "okvqa (n = 4)", "doc_qa (n = 4)"]


def test_the_figure_is_a_picture() -> None:
    assert figure_bytes(pareto_accuracy_latency(task_points()), dpi=40).startswith(b"\x89PNG")
