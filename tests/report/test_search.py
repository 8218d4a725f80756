"""Specification of what people read about a search beside its measurements."""

from __future__ import annotations

import json

import pytest

from depthprune.analysis.study_summary import gains_by_dataset, mean_gains, search_gains
from depthprune.base.language import Lang
from depthprune.base.removal import Removal
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections import search as report
from depthprune.strategies.runner import Completion, RunReport
from tests.measurements import dataset

NUMBERS = range(2, 8)
ONE_SHOT: dict[int, Removal] = {number: tuple(range(number)) for number in NUMBERS}
NAMES = [f"a_dataset_with_a_long_name_{index}" for index in range(8)]
DATASETS = [
    dataset(
        name,
        [1.0] * 8,
        {removal: [0.0, 1.0] * 4 for removal in ONE_SHOT.values()}
        | {(*range(number - 1), 9): [0.0] + [1.0] * 7 for number in NUMBERS},
    )
    for name in NAMES
]
GAINS = gains_by_dataset(DATASETS, 16, dict.fromkeys(NAMES, ONE_SHOT))


@pytest.mark.parametrize("lang", ["en", "zh"], indirect=True)
def test_many_datasets_and_numbers_fit_a_page(lang: Lang) -> None:
    text = as_text(section_parts(report.dataset_gains(GAINS, mean_gains(GAINS))))
    assert max(map(len, text.splitlines())) <= 100
    assert all(text.count(name) == 2 for name in NAMES)  # in a table of four numbers and one of two
    assert text.count(" 37.5 ") == 6 * 9  # 50 minus 12.5, six numbers, eight datasets and the mean


def test_one_search_has_the_full_table() -> None:
    text = as_text(section_parts(report.gains(search_gains(DATASETS, 16, ONE_SHOT))))
    assert "What the search gained" in text
    assert "50.00" in text
    assert "37.50" in text


def test_without_gains_nothing_is_said() -> None:
    assert section_parts(report.gains([])) == []
    assert section_parts(report.dataset_gains({"okvqa": []}, [])) == []


def test_an_unknown_gain_is_a_dash() -> None:
    gains = {"okvqa": [], **GAINS}
    text = as_text(section_parts(report.dataset_gains(gains, mean_gains(gains))))
    (line, _) = [line for line in text.splitlines() if line.startswith(" okvqa")]
    assert line.split() == ["okvqa", "-", "-", "-", "-"]


def test_weights_are_told_where_they_differ() -> None:
    assert report.joint_note({"okvqa": 0.5, "doc_qa": 0.5}) == (
        "Joint search on the mean drop over 2 datasets."
    )
    assert "okvqa 0.67, doc_qa 0.33" in report.joint_note({"okvqa": 2 / 3, "doc_qa": 1 / 3})


def test_scripts_get_plain_values() -> None:
    value = report.dataset_gains_value(GAINS, mean_gains(GAINS))
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["mean"][0]["num_removed"] == 2
    completion = Completion(3, RunReport(7, 0, 1.0))
    assert "The best 3 combinations" in report.completion_note(completion)
