"""What a run ends with: the removal, its cost, the speed-up, the smaller model, the check."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthprune.analysis.findings import analyze_results
from depthprune.analysis.sweep import Speedup
from depthprune.analysis.verified import choose
from depthprune.base.language import Lang
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.run import (
    Ending,
    check_lines,
    ending_section,
    ending_value,
    is_exact,
)
from depthprune.strategies.verification import CutCheck
from depthprune.study import SplitRecord
from tests.analysis.results import results

SPEED = Speedup(1.25, 0.1, 1.1, 1.4, 2, 8)


def check(
    task: str, differing: int | None, settings: str = "greedy dtype=float32", cut: float = 0.5
) -> CutCheck:
    record = SplitRecord(task, "VQA", "validation", "f", ("a", "b", "c", "d"), "m")
    return CutCheck(record, settings, cut, None if differing is None else 0.5, differing)


@pytest.fixture
def ending() -> Ending:
    found = analyze_results(results({(1,): (0.02, 0.02), (1, 2): (0.03, 0.03)})).recommendations
    return Ending(
        recommendations=found,
        choice=choose(found),
        page=Path("study/report.html"),
        speedup=SPEED,
        parameters=(80, 100),
        cut=Path('study/cut/a "b"'),
        loader="AutoModelForCausalLM",
        checks=(check("okvqa", 0), check("doc_qa", 0)),
    )


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ("In short", "80 of 100 stay (80.0 %)", "1.25 times as fast", "datasets 2/2")),
        ("zh", ("小结", "保留 80 个，共 100 个（80.0 %）", "为原来的 1.25 倍", "推荐：")),
    ],
    indirect=["lang"],
)
def test_everything_stands_on_one_screen(
    ending: Ending, lang: Lang, words: tuple[str, ...]
) -> None:
    text = as_text(section_parts(ending_section(ending)))
    assert len(text.splitlines()) <= 24
    for word in (*words, "study/report.html", "AutoModelForCausalLM.from_pretrained("):
        assert word in text
    # A path with quotes in it is still a line of Python.
    assert r'"study/cut/a \"b\""' in text


def test_what_was_not_asked_for_is_not_told(ending: Ending) -> None:
    text = as_text(section_parts(ending_section(Ending(ending.recommendations, ending.choice))))
    for word in ("Speed", "Report", "Smaller", "Check", "Parameters"):
        assert word not in text
    value = ending_value(Ending(ending.recommendations, None))
    assert {key for key, one in value.items() if one is not None} == {
        "num_datasets",
        "not_confirmed",
    }


def test_scripts_get_the_same(ending: Ending) -> None:
    value = ending_value(ending)
    assert value["removed"] == [1, 2]
    assert (value["rule"], value["drop"]) == ("conservative", pytest.approx(0.03))
    assert value["speedup"] == {"mean": 1.25, "std": 0.1}
    assert value["cut_equals_skipped"] is True


class TestCheck:
    def test_equal_scores_are_told_with_their_number(self) -> None:
        assert check_lines([check("a", 0), check("b", 0)]) == [
            "Cut = skipped: equal scores on all 8 samples of 2 tasks."
        ]

    def test_a_difference_is_told(self) -> None:
        assert check_lines([check("a", 1), check("b", 0)]) == [
            "Cut and skipped DIFFER on 1 of 8 samples of 2 tasks."
        ]

    def test_in_half_precision_a_difference_has_a_harmless_reason(self) -> None:
        half = [check("a", 1, "greedy dtype=bfloat16")]
        assert "half precision" in check_lines(half)[1]
        assert not is_exact(half)

    def test_what_was_never_skipped_is_no_equality(self) -> None:
        lines = check_lines([check("a", None)])
        assert lines == ["Skipping these blocks was not measured on: a."]
