"""Specification of what people read about findings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import RenderableType

from depthprune.analysis.findings import Analysis
from depthprune.base.language import Lang, language
from depthprune.report.formatting import as_text
from depthprune.report.render.text import section_parts
from depthprune.report.sections.findings import findings
from tests.report.analyses import (
    both_splits,
    made,
    many_blocks,
    one_dataset,
    published,
    with_samples,
)


def finding_parts(analysis: Analysis) -> list[RenderableType]:
    """Return all findings as they stand in the text report."""
    return [part for one in findings(analysis) for part in section_parts(one)]


def section(analysis: Analysis, heading: str, lang: Lang = "en") -> str:
    """Return one section of the findings as text."""
    with language(lang):
        whole = as_text(finding_parts(analysis))
    return whole.split(f"== {heading}")[1].split("\n== ")[0]


def test_task_types_are_compared_by_their_single_blocks() -> None:
    shown = section(published(), "Task types")
    assert "Most sensitive: Scene Text QA (10.16 points per block, 16 drops)" in shown
    assert "least: Document QA (8.00 points" in shown
    assert re.search(r"VQA +3 +3000 +63 +9\.01 +14\.23 +-4\.35 +5\.83 +83\.36 +9\.87", shown)


def test_task_types_rank_the_blocks_and_recommend_removals() -> None:
    shown = section(published(), "Task types")
    assert "11 (0.83, 1); 3 (1.97, 1)" in shown
    assert "4, 13 (5.23, 3)" in shown


def test_positions_are_thirds_of_the_stack() -> None:
    shown = section(published(), "Position in the stack")
    for part, blocks in (("early", "0-4"), ("middle", "5-10"), ("late", "11-15")):
        assert re.search(rf"{part} +{blocks} ", shown)
    told = " ".join(shown.split())
    assert "cost most in the part early (mean 16.93 points, 5 blocks)" in told
    assert "least in the part late (5.76 points, 5 blocks)" in told


def test_synergies_show_both_ends_with_their_coverage() -> None:
    shown = section(published(), "Synergy")
    best, worst = shown.split("Most antagonistic:")
    assert re.search(r"12, 13, 14 +-12\.47 +7\.44 +6\.84 +19\.31 +2 +2000", best)
    assert re.search(r"2, 4, 10, 13 +1\.71 +19\.74 +18\.36 +16\.65 +2 +2000", worst)


def test_synergies_on_one_dataset_are_counted_and_not_shown() -> None:
    shown = section(published(), "Synergy")
    assert "Left out: 2 whose synergy is known on one dataset only" in shown
    assert not re.search(r"^ (3, 14|2, 4) ", shown, re.MULTILINE)


def test_synergies_on_one_dataset_are_shown_where_there_is_no_other() -> None:
    shown = section(one_dataset(), "Synergy")
    assert "Each synergy is known on one dataset only" in shown
    assert re.search(r"1, 2 +2\.00 +- +5\.00", shown)


def test_mean_drops_of_zero_have_no_variation() -> None:
    shown = section(made({(1,): [0.0, 0.0]}), "Consistency")
    assert "Every mean drop is 0" in shown


def test_a_rho_of_0_9_but_for_rounding_counts_as_consistent() -> None:
    analysis = both_splits()
    one = replace(analysis.findings.agreements[0], rho=0.9 - 1e-16)
    assert one.rho is not None
    assert one.rho < 0.9
    findings = replace(analysis.findings, agreements=(one,))
    shown = section(replace(analysis, findings=findings), "Training against validation")
    assert "1 of 1 dataset orders the blocks alike" in shown


def test_consistency_shows_both_ends_and_coverage() -> None:
    shown = section(published(), "Consistency")
    first = r"0 \* +0\.22 +62\.70 +14\.00 +8"
    assert re.search(rf"Most consistent:\s+drop\s+std\s+blocks .*\s+─+\s+{first}", shown)
    assert "*: consistently bad" in shown
    assert shown.count(" * ") == 1
    assert re.search(r"Least consistent:\s+drop\s+std\s+blocks .*\s+─+\s+2, 12 +1\.33", shown)
    assert re.search(r"\n +8 +16 +0\.73", shown)


def test_responses_are_ordered_by_sensitivity() -> None:
    shown = section(published(), "How each dataset responds")
    assert "Most sensitive: okvqa (12.12 points per block)" in shown
    assert re.search(r"okvqa +VQA +89\.32 +12\.12 +1000 +18", shown)


def test_pairs_show_the_five_most_and_least_alike() -> None:
    shown = section(published(), "Datasets two by two")
    alike, unlike = shown.split("Least alike:")
    assert alike.count(" / ") == 5
    assert unlike.count(" / ") == 5
    assert "okvqa / science_qa_img" in alike
    assert "doc_qa / text_vqa" in unlike
    assert re.search(r"same +3 +0\.878", unlike)


def test_distributions_are_a_table_by_number_removed() -> None:
    shown = section(published(), "Distribution")
    assert "Half of all 174 measured drops are at most 5.64 points" in shown
    assert re.search(r"all +174 +8\.62 +13\.55", shown)
    assert re.search(r"all +174 +14 +18 +23 +45 +76 +93", shown)


def test_specific_importance_stands_beside_generic() -> None:
    shown = section(published(), "Importance on one dataset")
    assert re.search(r"okvqa +0\.444 +16 +4, 2, 12 +3, 4, 11 +0 \(83\.4 / 59\.7\)", shown)


def test_train_and_validation_are_compared_where_both_were_measured() -> None:
    shown = section(both_splits(), "Training against validation")
    assert "2 of 2 datasets order the blocks alike" in shown
    assert re.search(r"st_qa +0\.9882 +8\.11e-13 +16", shown)
    assert "No dataset was measured on its training" in as_text(finding_parts(published()))


def test_one_dataset_says_what_it_cannot_tell() -> None:
    whole = " ".join(as_text(finding_parts(one_dataset())).split())
    assert "All datasets are of one type: VQA." in whole
    assert "No combination was measured on two datasets or more." in whole
    assert "No two datasets share enough measured combinations" in whole
    assert "No dataset shares single blocks with another one." in whole


def test_pairs_alone_say_what_they_cannot_tell() -> None:
    whole = as_text(finding_parts(made({(1, 2): [0.1, 0.2]})))
    assert "No block was measured alone." in whole
    assert "No combination was measured together with its single blocks." in whole


@pytest.mark.parametrize("lang", ["en", "zh"], indirect=True)
@pytest.mark.parametrize(
    "analysis", [published, both_splits, with_samples, one_dataset, many_blocks]
)
def test_it_fits_and_nothing_is_cut_off(analysis: Callable[[], Analysis], lang: Lang) -> None:
    shown = as_text(finding_parts(analysis()))
    assert max(map(cell_len, shown.splitlines())) <= 100
    assert "…" not in shown
    assert "nan" not in shown


def test_chinese_is_chinese() -> None:
    with language("zh"):
        shown = as_text(finding_parts(both_splits()))
    assert "协同最强" in shown
    assert not re.search(r"\b(points|blocks|drops|removed|least|most)\b", shown)
