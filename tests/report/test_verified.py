"""Specification of what people read of a removal on fresh samples, wherever it is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from rich.cells import cell_len

from depthprune.analysis.findings import Analysis, analyze_results
from depthprune.analysis.intervals import Interval
from depthprune.analysis.options import Targets
from depthprune.analysis.verified import choose, choose_number
from depthprune.base.language import Lang, language
from depthprune.base.removal import Removal
from depthprune.report.documents.texts import comprehensive_report, quick_summary
from depthprune.report.documents.values import recommendations_value
from depthprune.report.formatting import as_text
from depthprune.report.html.page import render_report
from depthprune.report.render.text import section_parts
from depthprune.report.sections.choice import answer, answer_rows, lead
from depthprune.report.sections.recommendations import short
from depthprune.report.sections.run import Ending, ending_section, ending_value
from depthprune.workflow.decisions import Recommendations
from tests.analysis.test_verified import searched, with_fresh
from tests.report.analyses import published


def verified(lost: Mapping[Removal, int], **options: float) -> Analysis:
    """Return an analysis: 2 of a hundred samples were lost when 1, 2 was chosen, `lost` now."""
    return analyze_results(with_fresh(lost), targets=Targets(**options))


def confirmed() -> Analysis:
    return verified({(1, 2): 4, (0, 1): 3, (1,): 1})


def refused() -> Analysis:
    return verified({(1, 2): 40, (0, 1): 3, (1,): 1})


def partly() -> Analysis:
    results = with_fresh({(1, 2): 4}, names=("set0",))
    assert results.fresh is not None
    return analyze_results(replace(results, fresh=replace(results.fresh, counts={"set1": 34})))


def unverified() -> Analysis:
    return analyze_results(searched())


EVERY = [confirmed, refused, partly, unverified]


def told(analysis: Analysis) -> dict[str, str]:
    found = analysis.recommendations
    return dict(answer_rows(found, choose(found)))


def test_the_drop_on_fresh_samples_comes_first_and_that_which_chose_it_beside_it() -> None:
    rows = told(confirmed())
    assert list(rows)[:3] == ["Recommended:", "It costs:", "When chosen:"]
    assert rows["It costs:"] == (
        "drop 4.00 points on fresh samples, 95% interval [1.3, 7.7], std 0.00, datasets 2/2, "
        "n = 200; confirmed, the limit is 10.00 points"
    )
    assert rows["When chosen:"].startswith("2.00 points on the samples that chose it, 95% interval")


def test_what_is_not_confirmed_is_said_with_what_was_taken_instead_and_why() -> None:
    rows = told(refused())
    assert rows["Recommended:"].startswith("remove 1 of 4 blocks: 1 (")
    assert rows["Not confirmed:"] == (
        "1, 2: drop 40.00 points on fresh samples, 95% interval [33.2, 47.0], std 0.00, datasets "
        "2/2, n = 200, above the limit of 10.00 points; remove 1 instead"
    )
    nothing = told(verified({(1, 2): 40, (1,): 30}))
    assert nothing["Recommended:"].startswith("nothing: on fresh samples no removal keeps")
    assert nothing["Not confirmed:"].endswith("nothing smaller is left")


def test_a_removal_of_the_number_asked_for_is_not_said_to_replace_itself() -> None:
    found = refused().recommendations
    rows = dict(answer_rows(found, choose_number(found, 2)))
    assert rows["Recommended:"].endswith("1, 2 (the best of the number asked for)")
    assert "NOT confirmed, the limit is 10.00 points" in rows["It costs:"]
    assert "Not confirmed:" not in rows


def test_a_target_that_fresh_samples_do_not_confirm_has_its_own_limit() -> None:
    rows = told(verified({(1, 2): 3, (0, 1): 3, (1,): 1}, max_drop=0.02))
    assert "above the limit of 2.00 points; remove 1 instead" in rows["Not confirmed:"]


def test_datasets_that_were_not_verified_are_counted_and_named() -> None:
    rows = told(partly())
    assert rows["Verified:"] == (
        "on 1 of 2 datasets, and drops are compared on that one; not on set1 (34 fresh samples, "
        "50 are needed)"
    )
    assert "datasets 1/2 (set0), n = 100" in rows["It costs:"]
    results = with_fresh({})
    assert results.fresh is not None
    gone = replace(results.fresh, datasets=(), reasons={"set0": "the data are gone"})
    rows = told(analyze_results(replace(results, fresh=gone)))
    assert rows["Verified:"] == "on none of 2 datasets: set0 (the data are gone), set1"
    assert "Not verified:" in rows


def test_the_gain_over_one_shot_has_an_interval_from_fresh_samples_only() -> None:
    found = verified({(0, 1): 3, (1, 2): 9}).recommendations
    choice = choose(found)
    assert choice is not None
    other = next(one for one in found.independent[2].combinations if one.removal == (0, 1))
    rows = dict(answer_rows(found, replace(choice, combination=other)))
    assert rows["One-shot:"].startswith(
        "gain 6.00 points over removing at once the 2 blocks that cost least alone (1, 2), on the "
        "same fresh samples, 95% interval ["
    )
    assert "One-shot:" not in told(unverified())
    equal = verified({(0, 1): 9, (1, 2): 9}).recommendations
    other = next(one for one in equal.independent[2].combinations if one.removal == (0, 1))
    rows = dict(answer_rows(equal, replace(choice, combination=other)))
    assert rows["One-shot:"].endswith("not separable from 0")


def test_without_fresh_samples_it_is_said_among_how_many_a_removal_was_chosen() -> None:
    rows = told(unverified())
    assert rows["It costs:"].startswith("drop 2.00 points, 95% interval")
    assert rows["Not verified:"].startswith(
        "chosen among 2 removals on these samples, corrected for that 2."
    )
    assert "--verify` measures it" in rows["Not verified:"]
    # Files of others hold no scores per sample: nothing can be corrected.
    assert told(published())["Not verified:"].startswith(
        "chosen among 6 removals on these samples; "
    )


def test_every_strategy_says_what_fresh_samples_say() -> None:
    lines = " ".join(as_text(part for one in short(refused().recommendations)
                             for part in section_parts(one)).split())  # fmt: skip
    assert "balanced: remove 2 of 4 blocks (1, 2); drop 40.00 points on fresh samples" in lines
    assert "NOT confirmed, the limit is 10.00 points; 2.00 points on the samples that" in lines


def test_all_that_was_verified_stands_in_one_table() -> None:
    found = refused().recommendations
    table = answer(found, choose(found)).tables[-1]
    rows = [(row[0], row[-1]) for row in table.rows]
    assert rows == [((1,), "yes"), ((1, 2), "NO"), ((0, 1), None)]


def test_terminal_texts_markdown_page_and_the_end_of_a_run_say_the_same() -> None:
    analysis = refused()
    found = analysis.recommendations
    sentence = "1, 2: drop 40.00 points on fresh samples"
    texts = [
        as_text(section_parts(ending_section(Ending(found, choose(found))))),
        as_text(section_parts(short(found)[0])),
        comprehensive_report(analysis),
        quick_summary(analysis),
        render_report(analysis),
    ]
    for text in texts:
        assert sentence in " ".join(text.split())
        assert "Recommended:" in text
    assert "Block 1 can go: accuracy drops by 1.00 points on fresh samples." in texts[-1]
    assert lead(found, None) == "No removal is recommended."


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        (Interval(-0.02, 0.01), "rises by 0.65 points (not significant)."),
        (Interval(-0.02, -0.001), "rises by 0.65 points."),
        (None, "rises by 0.65 points."),
    ],
)
def test_a_negative_drop_is_a_rise_which_may_be_chance(
    interval: Interval | None, said: str
) -> None:
    found = published().recommendations
    chosen = choose(found)
    assert chosen is not None
    better = replace(chosen.combination, mean=-0.0065, interval=interval)
    sentence = lead(found, replace(chosen, combination=better))
    assert sentence.endswith(f"can go together: accuracy {said}")
    with language("zh"):
        assert "上升 0.65" in lead(found, replace(chosen, combination=better))


def test_in_python_a_recommendation_knows_its_fresh_drop() -> None:
    recommended = Recommendations(refused().recommendations).recommended
    assert recommended is not None
    assert recommended.fresh is not None
    assert (recommended.removal, recommended.fresh.confirmed) == ((1,), True)
    assert "drop 0.0100 on 200 fresh samples" in repr(recommended)
    unknown = Recommendations(unverified().recommendations).recommended
    assert unknown is not None
    assert unknown.fresh is None


def test_json_has_the_fresh_drop_before_the_one_that_chose_it() -> None:
    analysis = refused()
    value = recommendations_value(analysis)
    recommended = value["recommended"]
    assert list(recommended)[:3] == ["rule", "on_fresh_samples", "removed_blocks"]
    assert recommended["on_fresh_samples"]["confirmed"] is True
    assert value["verified"]["not_confirmed"] == [[1, 2]]
    by_removal = {tuple(one["removed_blocks"]): one for one in value["verified"]["removals"]}
    one = by_removal[1, 2]
    assert (one["confirmed"], one["avg_accuracy_drop"]) == (False, pytest.approx(0.4))
    assert one["when_chosen"]["avg_accuracy_drop"] == pytest.approx(0.02)
    assert [each["dataset"] for each in one["datasets"]] == ["set0", "set1"]
    found = analysis.recommendations
    ended = ending_value(Ending(found, choose(found)))
    assert ended["on_fresh_samples"] == recommended["on_fresh_samples"]
    assert ended["not_confirmed"] == [[1, 2]]
    missing = recommendations_value(partly())["verified"]["not_verified"]
    assert missing == [{"dataset": "set1", "num_fresh_samples": 34, "reason": None}]
    assert recommendations_value(unverified())["verified"] is None


def test_no_reason_steers_a_terminal_or_becomes_markup() -> None:
    results = with_fresh({})
    assert results.fresh is not None
    reasons = {"set0": "the \x1b[31mdata `<b>` are gone"}
    gone = analyze_results(
        replace(results, fresh=replace(results.fresh, datasets=(), reasons=reasons))
    )
    assert r"set0 (the \\x1b\[31mdata \`\<b\>\` are gone)" in quick_summary(gone)
    assert "\x1b" not in as_text(section_parts(answer(gone.recommendations, None)))
    assert "<b>" not in render_report(gone)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("analysis", EVERY)
def test_it_fits_into_eighty_columns_in_both_languages(analysis: object, lang: Lang) -> None:
    assert callable(analysis)
    found = analysis().recommendations
    with language(lang):
        text = as_text(section_parts(answer(found, choose(found))), 80)
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "…" not in text
    if lang == "zh":
        assert not any(word in text for word in ("fresh", "samples", "confirmed", "points"))
    else:
        # No word of a heading or a role is broken.
        assert "conservati\n" not in text
