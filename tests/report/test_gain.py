"""Specification of what people read about the gain of a search."""

from __future__ import annotations

import json
import re

import pytest

from depthprune.analysis.study_summary import Gain, search_gains
from depthprune.base.language import Lang, language
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.search import gains, gains_value
from tests.measurements import dataset

KNOWN = Gain(
    number=4,
    active=12,
    best=(2, 4, 10, 13),
    best_drop=0.1234,
    candidates=130,
    one_shot=(4, 9, 12, 13),
    one_shot_drop=0.1734,
    gain=0.05,
    held_out=-0.0041,
    num_samples=8000,
    num_datasets=8,
)
UNKNOWN = Gain(3, 13, (4, 10, 13), 0.05, 7, (4, 9, 13), None, None, None, 8000, 8)


def row(gain: Gain) -> list[str]:
    cells = as_text(section_parts(gains([gain])), width=120).splitlines()[5]
    return re.split(r" {2,}", cells.strip())


def test_a_row_shows_both_removals_their_gain_and_the_one_held_out() -> None:
    cells = ["4", "2, 4, 10, 13 (12.34)", "4, 9, 12, 13 (17.34)", "5.00", "-0.41"]
    assert row(KNOWN) == [*cells, "130", "8000"]


def test_what_was_not_measured_is_a_dash() -> None:
    assert row(UNKNOWN) == ["3", "4, 10, 13 (5.00)", "4, 9, 13 (-)", "-", "-", "7", "8000"]
    nothing = Gain(3, 13, (4, 10, 13), 0.05, 7, None, None, None, None, 8000, 8)
    assert row(nothing)[2:4] == ["-", "-"]


@pytest.mark.parametrize("lang", ["en", "zh"], indirect=True)
def test_it_fits_a_terminal_of_80_columns(lang: Lang) -> None:
    text = as_text(section_parts(gains([UNKNOWN, KNOWN])), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count(" 8000") == 2


def test_the_note_warns_that_the_choice_flatters() -> None:
    (table,) = gains([KNOWN]).tables
    assert "better than it is" in table.notes[0]
    with language("zh"):
        text = as_text(section_parts(gains([KNOWN])))
        assert "留出收益" in text
        assert not re.search("[a-m]", text)


def test_scripts_get_fractions_as_plain_json() -> None:
    known, unknown = json.loads(json.dumps(gains_value([KNOWN, UNKNOWN])))
    assert known["best"] == [2, 4, 10, 13]
    assert known["gain"] == 0.05
    assert (known["held_out_gain"], known["num_removed"], known["num_active"]) == (-0.0041, 4, 12)
    assert (unknown["one_shot"], unknown["one_shot_drop"]) == ([4, 9, 13], None)


def test_what_the_analysis_finds_can_be_written_as_json() -> None:
    scores = {(1, 2): [0, 0, 1], (0, 3): [1, 0, 1]}
    found = search_gains([dataset("okvqa", [1, 1, 1], scores)], 16, {2: (1, 2)})
    assert json.loads(json.dumps(gains_value(found)))[0]["best"] == [0, 3]
