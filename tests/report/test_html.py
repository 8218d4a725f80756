"""What the page embeds and says, without a browser."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthprune.analysis.result_set import split_agreement
from depthprune.analysis.synergy import estimate, estimator
from depthprune.base.errors import FileError, MissingDependencyError
from depthprune.report.html.data import equal_shares, page_data, shown_combinations
from depthprune.report.html.page import render_report, write_report
from depthprune.report.render.html import block_list, embedded_json, points
from tests.analysis.results import cells, result_set
from tests.measurements import dataset
from tests.report.page_analyses import CELLS, analysed, large, results_of, small

COLUMNS = [
    "removal",
    "mean",
    "std",
    "low",
    "high",
    "coverage",
    "samples",
    "adjusted",
    "accuracy",
    "ranked",
    "drops",
]


def rows_of(data: dict[str, Any]) -> dict[tuple[int, ...], dict[str, Any]]:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in data["combinations"]]
    return {tuple(row["removal"]): row for row in rows}


class Page(HTMLParser):
    """The tags and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: list[str] = []
        self._raw = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if self._raw:
            self.raw.append(data)
        else:
            self.text += data


def test_a_combination_is_embedded_in_millionths_with_its_drop_on_each_dataset() -> None:
    row = rows_of(page_data(small()))[(1, 4)]
    assert row["drops"] == [10_000, 50_000, None]
    assert (row["mean"], row["std"], row["coverage"]) == (30_000, 20_000, 2)
    assert (row["samples"], row["accuracy"], row["ranked"]) == (1000, 870_000, 1)


def test_a_cell_that_was_not_measured_is_null_and_never_zero() -> None:
    data = page_data(small())
    assert data["singleDrops"][2][3] is None
    assert [row[5] for row in data["singleDrops"]] == [None] * 3
    assert data["estimator"]["singles"][5] is None


def test_a_combination_on_one_dataset_is_not_ranked_and_has_no_spread() -> None:
    row = rows_of(page_data(small()))[(2, 4)]
    assert (row["ranked"], row["std"], row["coverage"]) == (0, None, 1)


def test_the_best_of_each_number_are_those_of_the_recommendations() -> None:
    analysis = small()
    data = page_data(analysis)
    rows = [tuple(row[0]) for row in data["combinations"]]
    for number, ranking in analysis.recommendations.independent.items():
        assert rows[data["best"][str(number)]] == ranking.combinations[0].removal


def test_intervals_are_embedded_where_scores_are_known() -> None:
    scores = {(0,): [1, 0, 0, 1] * 3, (1,): [0, 0, 0, 1] * 3}
    one = dataset("a", [1, 1, 0, 1] * 3, scores)
    row = rows_of(page_data(analysed(result_set([one], num_blocks=2))))[(0,)]
    assert row["low"] <= row["mean"] == 250_000 <= row["high"]


@given(cells())
def test_whatever_was_measured_becomes_json_without_nan(given: Any) -> None:
    measured = {removal: row for removal, row in given.items() if any(x is not None for x in row)}
    if not measured:
        return
    data = page_data(analysed(results_of(measured)))
    assert json.loads(embedded_json(data)) == json.loads(json.dumps(data, allow_nan=False))
    assert len(data["combinations"]) == len(measured)


def test_nan_is_refused_rather_than_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded_json({"drop": float("nan")})


def test_the_estimator_of_the_page_is_that_of_the_analysis() -> None:
    analysis = small()
    found = page_data(analysis)["estimator"]
    known = estimator(analysis.recommendations.singles, analysis.findings.synergies)
    assert found["singles"][1] == round(known.singles[1] * 1e6)
    assert {(a, b): s for a, b, s in found["pairs"]} == {
        pair: round(synergy * 1e6) for pair, synergy in known.synergies.items()
    }
    error = known.errors[2]
    assert found["errors"]["2"] == [round(error.spread * 1e6), error.count]
    assert estimate(known, (1, 3)) is not None


def test_of_many_combinations_the_best_of_each_number_are_kept() -> None:
    analysis = large(combinations=300)
    shown = shown_combinations(analysis, most=100)
    kept = {one.removal for one in shown}
    assert {(block,) for block in range(80)} <= kept
    ranking = analysis.recommendations.independent[3].combinations
    threes = [one.removal for one in ranking if one.removal in kept]
    assert threes == [one.removal for one in ranking[: len(threes)]]
    assert len(kept) < 200 < len(analysis.table.removals)


def test_the_page_says_how_many_combinations_there_are() -> None:
    data = page_data(large(combinations=300), most=100)
    assert data["total"] == sum(data["totals"].values()) > len(data["combinations"])


@given(st.dictionaries(st.integers(1, 9), st.integers(0, 50), max_size=6), st.integers(0, 120))
def test_shares_use_up_what_there_is_and_nobody_gets_more_than_needed(
    needs: dict[int, int], total: int
) -> None:
    shares = equal_shares(needs, total)
    assert all(shares[name] <= need for name, need in needs.items())
    assert sum(shares.values()) == min(total, sum(needs.values()))
    unmet = [share for name, share in shares.items() if share < needs[name]]
    assert not unmet or max(unmet) - min(unmet) <= 1
    assert not unmet or max(shares.values()) <= max(unmet) + 1


def test_the_same_analysis_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_report(small(), tmp_path / "a" / "report.html")
    second = write_report(small(), tmp_path / "b.html")
    assert first == tmp_path / "a" / "report.html"
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("lang", ["en", "zh"], indirect=True)
def test_the_answer_and_the_findings_are_there_without_script(lang: Any) -> None:
    text = Page(render_report(small())).text
    assert "3.00" in text  # block 1 alone
    assert ("Which blocks can go?" if lang == "en" else "哪些块可以移除？") in text
    assert ("Most synergistic" if lang == "en" else "协同最强") in text


def test_the_page_refers_to_nothing_outside_itself() -> None:
    page = Page(render_report(small()))
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "base"), tag
        assert not attributes.keys() & {"src", "style", "onclick", "onload", "srcset"}, tag
        href = attributes.get("href")
        assert href is None or href.startswith("#")
    assert not re.search(r"url\(|@import|https?:(?!//www\.w3\.org/2000/svg)", "".join(page.raw))


def test_the_policy_allows_this_style_and_this_script_only() -> None:
    page = Page(render_report(small()))
    (policy,) = [
        attributes["content"]
        for tag, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_names_cannot_become_markup() -> None:
    evil = "<script>window.broken=1</script>"
    page = Page(
        render_report(
            analysed(results_of(CELLS, names=[evil, "</script><b>", "a&b"], model="<img src=x>"))
        )
    )
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not {"b", "img"} & {tag for tag, _ in page.tags}
    assert evil in page.text and "<img src=x>" in page.text
    data = next(json.loads(text) for text in page.raw if text.startswith("{"))
    assert [name for name, *_ in data["datasets"]] == [evil, "</script><b>", "a&b"]


def test_a_thousand_combinations_make_less_than_a_megabyte() -> None:
    assert len(render_report(large()).encode()) < 1_000_000


def test_a_best_on_few_datasets_is_warned_of() -> None:
    text = Page(render_report(small())).text
    assert "Removing 2: the best, 1, 4, was measured on 2 of 3 datasets only" in text


def test_blocks_that_must_stay_come_with_their_evidence() -> None:
    text = Page(render_report(small())).text
    assert "Block 0: drop 60.00 points, std 8.16, datasets 3/3, n = 1500; 67 % of the" in text
    assert "hit hardest is set_1 (70.00 points)" in text


def test_one_dataset_without_pairs_is_reported() -> None:
    text = Page(render_report(analysed(results_of({(0,): [0.05], (1,): [0.2]})))).text
    assert "Block 0 can go: accuracy drops by 5.00 points." in text
    assert "say nothing about other datasets" in text


def test_nothing_ranked_is_said() -> None:
    text = Page(render_report(analysed(results_of({(0,): [0.1, None], (1,): [None, 0.2]})))).text
    assert "No removal is recommended." in text


def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError):
        write_report(small(), tmp_path / "file" / "report.html")


def test_without_jinja2_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"depthprune\[report\]"):
        render_report(small())


def test_numbers_have_a_minus_sign_and_no_signed_zero() -> None:
    assert points(-0.0123) == "−1.23"
    assert points(-0.000001) == "0.00"
    assert points(None) == points(float("nan")) == "–"


def test_in_a_long_list_runs_are_drawn_together() -> None:
    assert block_list((1, 2, 3)) == "1, 2, 3"
    assert block_list((1, 2, 3, 5, 6, 8, 20, 21, 22, 23)) == "1–3, 5, 6, 8, 20–23"


def test_many_blocks_are_counted_in_the_answer() -> None:
    blocks = range(1, 11)
    cells = {(0,): [0.5] * 3, tuple(blocks): [0.01] * 3} | {
        (block,): [0.01] * 3 for block in blocks
    }
    text = Page(render_report(analysed(results_of(cells, num_blocks=12), max_drop=0.02))).text
    assert "10 of 12 blocks can go together: accuracy drops by 1.00 points." in text
    assert "1–10" in text


def test_a_target_that_was_asked_for_is_the_answer() -> None:
    page = Page(render_report(analysed(results_of(CELLS), max_drop=0.05, speedup=1.4, params=0.9)))
    assert "Blocks 1, 4 can go together: accuracy drops by 3.00 points." in page.text
    assert "Drop of at most 5.00 points" in page.text
    assert "1.4 times as fast" in page.text
    assert "At most 90.0 % of the parameters" in page.text


def test_a_target_that_cannot_be_met_is_said() -> None:
    page = Page(render_report(analysed(results_of(CELLS), speedup=9.0)))
    assert re.search(r"9 times as fast\s*none that is ranked", page.text)


def test_where_adjusted_and_plain_means_disagree_it_is_said() -> None:
    # The hard dataset never saw the pair that looks best.
    cells = {
        (0,): [0.01, 0.01, 0.30],
        (1,): [0.02, 0.02, 0.31],
        (2,): [0.03, 0.03, 0.32],
        (0, 1): [0.05, 0.05, None],
        (1, 2): [0.02, 0.02, 0.31],
    }
    text = Page(render_report(analysed(results_of(cells)))).text
    assert "2 removed: the plain mean favours 0, 1 (2/3" in text
    assert "over equal datasets 1, 2 costs less" in text


def test_a_step_out_of_proportion_is_warned_of() -> None:
    cells = {(1,): [0.01] * 3, (2,): [0.01] * 3, (1, 2): [0.02] * 3, (1, 2, 3): [0.5] * 3}
    text = Page(render_report(analysed(results_of(cells)))).text
    assert "Jump (!): the step to 3 blocks costs 48.00 points more" in text


def test_problems_and_the_agreement_of_splits_are_shown_where_there_are_any() -> None:
    scores = {0: 0.5, 1: 0.1, 2: 0.2, 3: 0.3}
    results = replace(
        results_of(CELLS),
        problems=("a.json, line 3: broken <b>",),
        comparisons=(split_agreement("set_0", scores, scores),),
    )
    page = Page(render_report(analysed(results)))
    assert "a.json, line 3: broken <b>" in page.text
    assert "Training against validation" in page.text and "1.000" in page.text
    assert "Training against validation" not in Page(render_report(small())).text
