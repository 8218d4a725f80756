"""Specification of the report of a race: who was stopped, when, how surely, and what it saved."""

from __future__ import annotations

import json

from depthprune.base.language import language
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.search import race_line, races, races_value
from depthprune.strategies.racing import RaceReport

ALONE = RaceReport(("okvqa",), "train", 0.95, 1000, 60, {(4, 13): 128, (2,): 64, (0, 1): 64}, 10)
JOINT = RaceReport(("okvqa", "doc_qa"), "train", 0.99, 1200, 10, {(1, 2): 600}, 0)
NOBODY = RaceReport(("tally_qa",), "train", 0.95, 1000, 60, {}, 0)


def test_a_line_says_how_many_were_stopped_and_what_that_saved() -> None:
    assert race_line(ALONE) == (
        "Racing, okvqa: 3 of 60 removals were stopped at 95% confidence, which saved 2,744 of "
        "60,000 sample evaluations (5%)."
    )
    assert "Racing, 2 datasets jointly: 1 of 10 removals" in race_line(JOINT)
    assert "0 of 60 removals were stopped" in race_line(NOBODY)


def test_the_table_names_every_stopped_removal_after_how_many_samples() -> None:
    lines = [line.split() for line in as_text(section_parts(races([ALONE, JOINT]))).splitlines()]
    assert ["okvqa", "64", "of", "1000", "2", "0-1"] in lines
    assert ["okvqa", "128", "of", "1000", "4-13"] in lines
    assert ["2", "datasets", "jointly", "600", "of", "1200", "1-2"] in lines


def test_where_nobody_was_stopped_there_is_no_table_and_without_races_nothing() -> None:
    assert section_parts(races([NOBODY])) == [race_line(NOBODY)]
    assert section_parts(races([])) == []


def test_the_value_is_plain_json() -> None:
    (value,) = json.loads(json.dumps(races_value([ALONE])))
    assert value == {
        "tasks": ["okvqa"],
        "confidence": 0.95,
        "num_samples": 1000,
        "num_removals": 60,
        "stopped": [
            {"removed_block_indices": [2], "num_samples_seen": 64},
            {"removed_block_indices": [0, 1], "num_samples_seen": 64},
            {"removed_block_indices": [4, 13], "num_samples_seen": 128},
        ],
        "evaluations_saved": 2744,
        "evaluations_without_racing": 60000,
    }


def test_in_chinese() -> None:
    with language("zh"):
        text = as_text(section_parts(races([ALONE, JOINT])))
    assert "60 个移除方案中有 3 个以 95% 的置信度被提前停止" in text
    assert "联合 2 个数据集" in text
    assert "64 / 1000" in text
    assert "Racing" not in text
    assert "stopped" not in text
