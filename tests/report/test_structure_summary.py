"""The summary of many models as text, table, Markdown, CSV, JSON and workbook."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from depthprune.base.errors import FileError, MissingDependencyError
from depthprune.base.language import language
from depthprune.base.terminal import shown
from depthprune.report.formatting import as_text
from depthprune.report.render.text import sections_parts
from depthprune.report.sections.structure_words import remarks
from depthprune.report.structure_summary import (
    FORMATS,
    summary_csv,
    summary_markdown,
    summary_sections,
    summary_text,
    summary_value,
    summary_workbook,
    without_shared_folders,
    write_summary,
)
from depthprune.structure.anatomy import Anatomy, Attention, Layer, Mlp
from depthprune.structure.comparison import CountChange, LayerComparison, ModelComparison
from depthprune.structure.summaries import (
    ModelFacts,
    ModelSummaries,
    ModelSummary,
    facts_of,
    summarize,
)

COPIES = Path(__file__).parents[1] / "structure" / "pruned_models"
OLD_TEXT = (COPIES / "models_structure_summary.txt").read_text(encoding="utf-8")
TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def compared(
    name: str, pruned: int, layers: tuple[LayerComparison, ...] = (), missing: int = 0
) -> ModelSummary:
    comparison = ModelComparison(
        "base",
        name,
        CountChange(8030261248, pruned),
        CountChange(0, 0),
        layers,
        missing_layers=missing,
    )
    return ModelSummary(name, Path(name), comparison=comparison)


def layer(index: int, attention: int = 40, mlp: int = 60, *, removed: bool = False) -> Any:
    return LayerComparison(
        index,
        None if removed else index,
        CountChange(100, attention + mlp),
        CountChange(40, attention),
        CountChange(60, mlp),
    )


def told(summary: ModelSummaries, width: int = 100) -> str:
    """Return what the terminal shows."""
    return as_text(sections_parts(summary_sections(summary), width), width)


def whole(number: int) -> tuple[LayerComparison, ...]:
    return tuple(layer(index) for index in range(number))


OLD = ModelSummaries(
    ("baselines",),
    (
        compared("baselines/Wanda_2000", 6424219648, whole(32)),
        compared("baselines/ShortGPT_remove_7", 6503477248, whole(25), missing=7),
        compared("baselines/Magnitude_2000", 6424219648, whole(32)),
    ),
)
HURT = ModelSummaries(
    ("r",),
    (
        compared(
            "r/a",
            10**9,
            (layer(0, 0), layer(1, 40, 0), layer(2, 0, 0), layer(3, 0, 0, removed=True)),
        ),
        ModelSummary("r/b", Path("r/b"), mend="depthprune structure analyze"),
        ModelSummary("r/c", Path("r/c"), problems=("r/c: cannot read",)),
    ),
)
SHOWN = summarize([COPIES / "baselines", COPIES / "results"])


def test_the_chinese_text_begins_with_that_of_the_old_script_to_the_byte() -> None:
    with language("zh"):
        text = summary_text(OLD)
    assert text.startswith(OLD_TEXT)
    rest = text.removeprefix(OLD_TEXT).splitlines()
    told = "baselines/ShortGPT_remove_7: 缺少 7 层，文件未说明是哪些层"
    assert rest == ["", "", "层的说明", "-" * 80, told]


def test_the_text_of_models_without_remarks_ends_where_the_old_one_does() -> None:
    only = ModelSummaries((), (compared("m", 7, whole(2)),))
    assert summary_text(only).endswith("=" * 80)


def test_the_columns_of_the_english_text_stand_below_their_headings() -> None:
    lines = summary_text(OLD).splitlines()
    assert lines[4].split("  ")[0] == "Model"
    assert len({len(line) for line in (lines[4], *lines[6:9])}) == 1


def test_wide_names_do_not_move_the_columns() -> None:
    models = (compared("结果/幅值剪枝_2000", 7, whole(1)), compared("r/magnitude", 7, whole(1)))
    lines = summary_text(ModelSummaries((), models)).splitlines()[6:8]
    assert len({cell_len(line) for line in lines}) == 1
    assert len({len(line) for line in lines}) == 2


def test_a_long_name_widens_its_column() -> None:
    models = (compared("r/" + "x" * 60, 7, whole(1)), compared("r/y", 7, whole(1)))
    heading, _, *lines = summary_text(ModelSummaries((), models)).splitlines()[4:8]
    assert len({len(line) for line in (heading, *lines)}) == 1


def test_the_statistics_are_those_of_the_models() -> None:
    lines = summary_text(OLD).splitlines()
    assert "Models: 3" in lines
    assert [line for line in lines if line.startswith("  m")] == [
        "  min: 6,424,219,648",
        "  max: 6,503,477,248",
        "  mean: 6,450,638,848",
        "  min: 19.01%",
        "  max: 20.00%",
        "  mean: 19.67%",
    ]


def test_nothing_analysed_has_no_statistics() -> None:
    text = summary_text(ModelSummaries((), HURT.models[1:]))
    assert "Models: 0" in text
    assert text.count("N/A") == 6


def test_an_unknown_ratio_is_told_and_stands_last() -> None:
    anatomy = Anatomy("m", 5, 0, 0, (Layer(0, 5, Attention(2), Mlp(3)),))
    alone = ModelSummary("a", Path("a"), anatomy=anatomy)
    lines = summary_text(ModelSummaries((), (alone, *OLD.models))).splitlines()
    assert lines[9].split() == ["a", "5", "N/A", "1", "0"]


def test_the_least_pruned_model_stands_first_and_equals_are_in_order_of_name() -> None:
    lines = summary_text(OLD).splitlines()[6:9]
    assert [line.split()[0].partition("/")[2] for line in lines] == [
        "ShortGPT_remove_7",
        "Magnitude_2000",
        "Wanda_2000",
    ]


def test_removed_and_empty_layers_are_counted_and_named() -> None:
    lines = summary_text(HURT).splitlines()
    assert lines[6].split() == ["r/a", "1,000,000,000", "87.55%", "3", "2"]
    assert lines[lines.index("Remarks on layers") + 2 :][:4] == [
        "r/a: removed layers: 3",
        "r/a: zero layers: 2",
        "r/a: attention removed in layer 0",
        "r/a: MLP removed in layer 1",
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ModelFacts(1, 2, 0.5, 1, 2, missing=1), "1 layer missing, which one the files do not say"),
        (
            ModelFacts(1, 2, 0.5, 1, 2, missing=7),
            "7 layers missing, which ones the files do not say",
        ),
        (
            ModelFacts(1, 2, 0.5, 1, 2, no_attention=(11, 12, 25)),
            "attention removed in layers 11, 12, 25",
        ),
        (ModelFacts(1, 2, 0.5, 1, 2, no_mlp=(1, 2)), "MLP removed in layers 1, 2"),
        (ModelFacts(1, 2, 0.5, 1, 2, emptied=(4,)), "zero layers: 4"),
    ],
)
def test_what_happened_to_layers_is_said_in_words(facts: ModelFacts, expected: str) -> None:
    assert remarks(facts) == [expected]
    with language("zh"):
        assert remarks(facts) != [expected]


def test_the_real_models_say_what_they_lost() -> None:
    lines = told(SHOWN).splitlines()
    assert "baselines/ShortGPT_remove_7: 7 layers missing, which ones the files do not say" in lines
    assert "results/HGSP_2000: attention removed in layers 11, 12, 25" in lines


def test_models_without_analysis_and_broken_files_follow() -> None:
    for text in (told(HURT), summary_text(HURT), summary_markdown(HURT)):
        assert "depthprune structure analyze" in text
        assert "r/c: cannot read" in text


def test_only_models_without_analysis_make_no_table() -> None:
    (section,) = summary_sections(ModelSummaries((), HURT.models[1:2]))
    assert section.name == "without"


def test_the_csv_has_raw_numbers() -> None:
    first, second = csv.DictReader(StringIO(summary_csv(SHOWN))), summary_csv(HURT)
    rows = {row["model"]: row for row in first}
    hgsp = rows["results/HGSP_2000"]
    assert hgsp["total_params"] == "6424219648"
    assert float(hgsp["pruning_ratio"]) == 0.199998673816496
    assert hgsp["attention_removed"] == "11 12 25"
    assert rows["baselines/ShortGPT_remove_7"]["missing_layers"] == "7"
    assert second.splitlines()[1].split(",")[-2:] == ["", "r/a"]


def test_a_name_in_csv_is_no_formula() -> None:
    text = summary_csv(ModelSummaries((), (compared("=1+1/m", 7, whole(1)),)))
    assert text.splitlines()[1].startswith("'=1+1/m,")


def test_the_markdown_is_one_table() -> None:
    lines = summary_markdown(SHOWN).splitlines()
    assert lines[2].count("|") == lines[4].count("|") == 7
    assert "| results/HGSP_2000 | 6,424,219,648 | 20.00 | 32 | 0 | attention removed" in lines[5]


def test_names_cannot_break_a_table() -> None:
    evil = ModelSummaries((), (compared("r/a|b*\n=1+1\x1b", 7, whole(1)),))
    plain = ModelSummaries((), (compared("r/a", 7, whole(1)),))
    assert summary_text(evil).count("\n") == summary_text(plain).count("\n")
    assert r"r/a\|b\*\\n=1+1\\x1b" in summary_markdown(evil)
    assert len(summary_csv(evil).splitlines()) == 2


def test_what_cannot_be_printed_is_escaped() -> None:
    assert shown("a\nb\udc80c") == "a\\nb\\udc80c"
    assert shown("剪枝 é") == "剪枝 é"


def test_the_json_has_the_documented_fields() -> None:
    value = summary_value(SHOWN, TIME)
    assert value["timestamp"] == "2026-01-02T03:04:05+00:00"
    assert value["total_models"] == 3
    short = value["models"][0]
    assert short["name"] == "baselines/ShortGPT_remove_7"
    assert short["params"]["total"] == 6503477248
    assert short["params"]["embedding"] == 525336576
    assert short["pruning"]["reduction_ratio"] == 0.19012880812318
    assert (short["zero_layers"], short["removed_layers"], short["missing_layers"]) == ([], [], 7)
    hgsp = value["models"][1]
    assert hgsp["attention_removed"] == [11, 12, 25]
    assert hgsp["layer_pruning"][11]["pruning_ratio"] == 0.9547230046948357
    assert [one["layer_idx"] for one in hgsp["layer_pruning"]] == list(range(32))
    assert "NaN" in value["problems"][0]


def test_the_json_tells_models_without_analysis_apart() -> None:
    value = summary_value(HURT, TIME)
    assert [one["name"] for one in value["models"]] == ["r/a"]
    assert [one["name"] for one in value["without_analysis"]] == ["r/b", "r/c"]
    assert value["models"][0]["removed_layers"] == [3]
    assert value["models"][0]["params"]["layers"] == 0


def test_a_model_of_unknown_origin_has_no_pruning_in_json() -> None:
    anatomy = Anatomy("m", 5, 0, 0, (Layer(0, 5, Attention(2), Mlp(3)),))
    model = ModelSummary("a", Path("a"), anatomy=anatomy)
    value = summary_value(ModelSummaries((), (model,)), TIME)["models"][0]
    assert (value["pruning"], value["layer_pruning"]) == (None, [])
    assert value["params"]["layers"] == 5


def test_the_workbook_has_real_numbers_and_frozen_headings() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(BytesIO(summary_workbook(SHOWN)))
    models, layers, problems = book.worksheets
    assert (models.title, layers.title) == ("Models", "Pruning ratio of layers")
    assert [cell.value for cell in models[3]][:6] == [
        *("results/HGSP_2000", 6424219648, 8030261248, 0.199998673816496, 32, 0)
    ]
    assert (models["B3"].number_format, models["D3"].number_format) == ("#,##0", "0.00%")
    assert (models.freeze_panes, layers.freeze_panes) == ("B2", "B2")
    assert layers["M3"].value == 0.9547230046948357
    assert (models["G1"].value, models["G3"].value) == ("strategy", "non-uniform")
    assert layers.conditional_formatting
    assert "NaN" in problems["B2"].value


def test_the_workbook_gives_no_ratio_to_layers_that_no_file_locates() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    sheet = openpyxl.load_workbook(BytesIO(summary_workbook(SHOWN))).worksheets[1]
    assert sheet["A2"].value == "baselines/ShortGPT_remove_7"
    assert [cell.value for cell in sheet[2]][1:] == ["?"] * 32
    assert sheet["A6"].value.startswith("?: layers are missing")


def test_the_json_calls_the_same_layers_zero_everywhere() -> None:
    value = summary_value(HURT, TIME)["models"][0]
    flagged = [one["layer_idx"] for one in value["layer_pruning"] if one["is_zero_layer"]]
    assert flagged == value["zero_layers"] == [2]


def test_a_name_in_a_workbook_is_no_formula() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    evil = ModelSummaries((), (compared("=1+1\x07", 7, whole(1)),))
    book = openpyxl.load_workbook(BytesIO(summary_workbook(evil)))
    assert book.worksheets[0]["A2"].value == "=1+1\\x07"
    assert book.worksheets[0]["A2"].data_type == "s"


def test_layer_numbers_without_bound_make_no_wide_sheet() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    far = ModelSummaries((), (compared("m", 7, (layer(0), layer(2**50))),))
    book = openpyxl.load_workbook(BytesIO(summary_workbook(far)))
    assert book.worksheets[1].max_column == 3


def test_models_without_comparison_leave_the_sheet_of_layers_empty() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(BytesIO(summary_workbook(ModelSummaries((), HURT.models[1:]))))
    assert book.worksheets[1].max_column == 1
    assert book.worksheets[2]["B2"].value == "depthprune structure analyze"


def test_without_openpyxl_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingDependencyError, match="openpyxl") as raised:
        summary_workbook(OLD)
    assert raised.value.mend == "pip install 'depthprune[report]'"


def test_every_format_is_written_with_its_ending(tmp_path: Path) -> None:
    for package in ("openpyxl", "jinja2"):
        pytest.importorskip(package)
    files = write_summary(SHOWN, tmp_path / "sub" / "all_0.2", FORMATS, time=TIME)
    assert [file.name for file in files] == [f"all_0.2.{ending}" for ending in FORMATS]
    assert all(file.stat().st_size > 500 for file in files)
    assert json.loads(files[1].read_text(encoding="utf-8"))["total_models"] == 3


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["r/a", "r/b"], ["a", "b"]),
        (["/x/a/r/m", "/x/b/r/m"], ["a/r/m", "b/r/m"]),
        (["r/a", "r/a/b"], ["a", "a/b"]),
        (["r", "r/a"], ["r", "r/a"]),
        (["m"], ["m"]),
        ([], []),
    ],
)
def test_folders_that_all_names_share_may_be_left_out(
    names: list[str], expected: list[str]
) -> None:
    assert without_shared_folders(names) == expected


@pytest.mark.parametrize("output", [".", "", "/", ".."])
def test_a_name_that_is_none_is_told(output: str) -> None:
    with pytest.raises(FileError, match="names no file"):
        write_summary(OLD, Path(output), ["txt"], time=TIME)


def test_one_long_name_does_not_break_the_others() -> None:
    names = ("results/layerwise_pruning_20_seed_1", "r/" + 60 * "x")
    mixed = ModelSummaries((), tuple(compared(name, 7, whole(1)) for name in names))
    lines = told(mixed, 80).splitlines()
    assert any(names[0][:32] in line for line in lines)
    headings = " ".join(lines[:4]).split()
    assert {"pruning", "ratio", "removed", "emptied"} <= set(headings)
    assert max(map(len, lines[:9])) <= 80


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "all.txt").mkdir()
    with pytest.raises(FileError, match="a folder has this name"):
        write_summary(OLD, tmp_path / "all", ["txt"], time=TIME)


def test_a_comparison_counts_more_than_an_anatomy() -> None:
    anatomy = Anatomy("m", 5, 0, 0, ())
    both = ModelSummary("a", Path("a"), anatomy, OLD.models[0].comparison)
    assert facts_of(both).params == 6424219648
