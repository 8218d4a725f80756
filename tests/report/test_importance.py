"""Specification of what `compare`, `merge` and `select` show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depthprune.base.language import Lang
from depthprune.importance.compare import compare_splits
from depthprune.importance.merge import merge_scores
from depthprune.importance.score_files import ScoreFile
from depthprune.importance.select import check_expected, make_selection
from depthprune.importance.sources import DatasetScores, SplitImportance
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections import selection as report
from depthprune.report.sections.importance import comparison, comparison_value, merged
from depthprune.report.sections.selection import selection_value

NAMES = (
    *("demo_coco_2014_vqa", "demo_okvqa", "demo_text_vqa", "demo_st_qa", "demo_doc_qa"),
    *("demo_tally_qa", "demo_science_qa_img", "demo_coco_caption", "demo_mmmu"),
)
BLOCKS = range(32)
LANGUAGES: tuple[Lang, ...] = ("en", "zh")


def nine_datasets() -> list[DatasetScores]:
    first = {block: (block * 7 % 32) / 32 for block in BLOCKS}
    second = {block: -score for block, score in first.items()}
    splits = (SplitImportance("train", first, 1000), SplitImportance("validation", second, 999))
    return [DatasetScores(name, splits, Path(name)) for name in NAMES]


@pytest.mark.parametrize("lang", LANGUAGES, indirect=True)
def test_nine_datasets_fit_80_columns(lang: Lang) -> None:
    datasets = nine_datasets()
    compared = section_parts(comparison(compare_splits(datasets), [], 0.9))
    for parts in (compared, section_parts(merged(merge_scores(datasets)))):
        text = as_text(parts, width=80)
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text
    # Names stand on one line where they are rows.
    assert all(name in as_text(compared, width=80) for name in NAMES)


def test_every_drop_comes_with_the_number_of_samples() -> None:
    datasets = nine_datasets()
    for parts in (
        section_parts(comparison(compare_splits(datasets), [], 0.9)),
        section_parts(merged(merge_scores(datasets))),
    ):
        text = as_text(parts)
        assert sum("1000/999" in line for line in text.splitlines()) == len(NAMES)


def test_every_dataset_has_a_column_of_the_ranking() -> None:
    (first, *others) = nine_datasets()
    far = DatasetScores("far", (SplitImportance("train", dict.fromkeys(BLOCKS, 0.77)),), Path())
    text = as_text(section_parts(merged(merge_scores([first, *others[:-1], far]))), width=80)
    assert text.count("77.00") == len(BLOCKS)


def test_the_values_for_scripts_are_plain_json() -> None:
    datasets = nine_datasets()
    scores = datasets[0].splits[0].scores
    selection = make_selection(scores, 30)
    check = check_expected(scores, selection, [1, 2])
    found = ScoreFile(Path("scores.json"), None, scores)
    for value in (
        comparison_value(compare_splits(datasets), [], 0.9),
        selection_value(found, [selection], [check]),
    ):
        assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_a_dataset_without_an_order_has_dashes() -> None:
    flat = SplitImportance("train", {0: 0.1, 1: 0.1, 2: 0.1})
    one = DatasetScores("flat", (flat, SplitImportance("test", {0: 0.1, 1: 0.2, 2: 0.3})), Path())
    row = as_text(section_parts(comparison(compare_splits([one]), [], 0.9))).splitlines()
    assert next(line for line in row if "flat" in line).split() == [
        *("flat", "-", "-", "-", "-", "3/3", "3/3")
    ]


def test_a_selection_of_nothing_says_none() -> None:
    scores = {0: 0.1, 1: 0.2, 2: 0.3}
    found = ScoreFile(Path("scores.json"), None, scores)
    selection = make_selection(scores, 3, ())
    check = check_expected(scores, selection, [])
    text = as_text(section_parts(report.selection(found, [selection], [check])))
    assert "scores.json (nothing but scores), 3 blocks; protected: none" in text
    assert "exactly none go with 3 active" in text


def test_a_block_without_a_score_that_should_go_has_a_dash() -> None:
    scores = {0: 0.1, 1: 0.2}
    selection = make_selection(scores, 2, [2], num_blocks=3)
    check = check_expected(scores, selection, [2])
    found = ScoreFile(Path("s"), None, scores)
    text = as_text(section_parts(report.selection(found, [selection], [check])))
    row = next(line for line in text.splitlines() if "protected" in line and "stays" in line)
    assert row.split()[:2] == ["2", "-"]
