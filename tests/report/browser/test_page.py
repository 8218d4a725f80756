"""The page in a real browser: it loads, sorts, answers, and can be read and used by everybody."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from depthprune.analysis.combinations import table_combinations
from depthprune.analysis.synergy import estimate, estimator
from depthprune.report.render.html import points
from tests.report.browser.window import Window
from tests.report.page_analyses import CELLS, large, small

Pages = dict[str, Path]
NAMES = ("small", "large", "evil", "one dataset, no pairs", "nothing ranked", "chinese")
UP, DOWN, LEFT, RIGHT = "\ue013", "\ue015", "\ue012", "\ue014"
ENTER, SPACE, ESCAPE, END, TAB = "\ue007", "\ue00d", "\ue00c", "\ue010", "\ue004"
ROWS = "#combination-table tbody tr"


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("name", NAMES)
def test_it_loads_without_errors_and_nothing_is_cut(
    window: Window, pages: Pages, name: str, width: int
) -> None:
    window.resize(width)
    window.open(pages[name])
    assert window.errors() == []
    assert window.run("return document.documentElement.scrollWidth") <= width


def test_it_asks_for_nothing_but_itself(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    assert (
        window.run("return performance.getEntriesByType('resource').map((one) => one.name)") == []
    )


def test_names_are_text_and_never_run(window: Window, pages: Pages) -> None:
    window.open(pages["evil"])
    window.click(f"{ROWS} button")
    assert window.run("return window.broken") is None
    assert "<script>window.broken=1</script>" in window.texts("#heat tbody th")
    assert "</script><img src=x onerror=broken=1>" in window.text("#result")


def drops_in(window: Window) -> list[float]:
    drops = window.texts(f"{ROWS} td:nth-child(3)")
    return [float(text.replace("−", "-")) for text in drops]


def test_a_click_on_a_heading_sorts_and_another_turns_round(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    assert window.attribute("th[data-key=mean]", "aria-sort") == "ascending"
    ascending = drops_in(window)
    assert ascending == sorted(ascending) and len(ascending) > 5
    window.click("th[data-key=mean] button")
    assert drops_in(window) == sorted(ascending, reverse=True)
    assert window.attribute("th[data-key=mean]", "aria-sort") == "descending"


def test_blocks_are_sorted_as_numbers_and_one_heading_alone_is_marked(
    window: Window, pages: Pages
) -> None:
    window.open(pages["large"])
    window.click("th[data-key=removal] button")
    shown = [tuple(map(int, text.split(", "))) for text in window.texts(f"{ROWS} td:first-child")]
    assert shown == sorted(shown)
    assert window.run("return document.querySelectorAll('th[aria-sort]').length") == 1


def test_the_table_shows_one_number_of_blocks_or_those_not_ranked(
    window: Window, pages: Pages
) -> None:
    window.open(pages["small"])
    window.run(
        "const box = document.getElementById('number'); box.value = '2';"
        "box.dispatchEvent(new Event('change'))"
    )
    assert set(window.texts(f"{ROWS} td:nth-child(2)")) == {"2"}
    assert "2, 4" not in window.texts(f"{ROWS} td:first-child")
    window.click("#unranked")
    assert "2, 4" in window.texts(f"{ROWS} td:first-child")


def test_many_rows_are_shown_when_asked_for(window: Window, pages: Pages) -> None:
    window.open(pages["large"])
    assert len(window.texts(ROWS)) == 50
    window.click("#more")
    assert len(window.texts(ROWS)) > 500


def test_clicking_blocks_gives_the_numbers_of_the_measured_combination(
    window: Window, pages: Pages
) -> None:
    window.open(pages["small"])
    for block in (1, 2, 4):
        window.click(f"#strip [data-block='{block}']")
    assert window.attribute("#strip [data-block='4']", "aria-pressed") == "true"
    result = window.text("#result")
    assert "9.33 points" in result and "measured" in result
    assert (
        "± 1.25 std" in result
        and "3 of 3 datasets" in result
        and "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}1,500" in result
    )
    assert window.texts("#result .bars .value") == ["11.00", "9.00", "8.00"]
    window.click("#strip [data-block='4']")
    assert "7.00 points" in window.text("#result")  # of blocks 1 and 2


def test_every_measured_combination_is_shown_as_measured(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    for one in table_combinations(small().table):
        shown = window.remove(one.removal)
        assert shown["kind"] == "measured"
        assert float(shown["drop"]) == pytest.approx(one.mean * 1e6, abs=0.5)


def test_every_other_removal_is_estimated_as_in_python(window: Window, pages: Pages) -> None:
    analysis = small()
    known = estimator(analysis.recommendations.singles, analysis.findings.synergies)
    window.open(pages["small"])
    compared = 0
    for number in range(1, 6):
        for removal in combinations(range(6), number):
            if removal in CELLS:
                continue
            shown, expected = window.remove(removal), estimate(known, removal)
            if expected is None:
                assert (shown["kind"], shown["drop"]) == ("unknown", "")
                continue
            assert shown["kind"] == "estimate"
            assert float(shown["drop"]) == pytest.approx(expected.drop * 1e6, abs=1e-3)
            error = "" if expected.error is None else str(round(expected.error.spread * 1e6))
            assert shown["error"] == error
            compared += 1
    assert compared > 15


def test_estimates_agree_with_python_on_many_blocks_too(window: Window, pages: Pages) -> None:
    analysis = large()
    known = estimator(analysis.recommendations.singles, analysis.findings.synergies)
    window.open(pages["large"])
    draw, measured, with_pairs = Random(0), set(analysis.table.removals), 0
    for number in [*range(2, 9)] * 4:
        blocks = draw.sample(range(80), number)
        # Half of them contain a pair that was measured.
        blocks += draw.choice([[], list(draw.choice(list(known.synergies)))])
        removal = tuple(sorted(set(blocks)))
        if removal in measured:
            continue
        shown, expected = window.remove(removal), estimate(known, removal)
        assert expected is not None and shown["kind"] == "estimate"
        assert float(shown["drop"]) == pytest.approx(expected.drop * 1e6, abs=1e-3)
        assert bool(shown["error"]) == (expected.error is not None)
        with_pairs += expected.pairs > 0
    assert with_pairs > 8


def test_an_estimate_says_so_with_its_error_and_where_that_is_from(
    window: Window, pages: Pages
) -> None:
    analysis = small()
    known = estimator(analysis.recommendations.singles, analysis.findings.synergies)
    window.open(pages["small"])
    window.remove((3, 4))
    found = estimate(known, (3, 4))
    assert found is not None and found.error is not None
    result = window.text("#result")
    assert window.text("#result .badge") == "estimate"
    assert f"{points(found.drop)} points" in result
    assert f"± {points(found.error.spread)} points, from 4 measured combinations" in result
    window.remove((1, 2, 3, 4))
    assert "how far off is unknown" in window.text("#result")


def test_a_block_that_must_stay_is_named(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.remove((0, 1))
    assert "Block 0 must stay." in window.text("#result")


def test_the_strip_is_used_with_arrow_keys_and_space(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.focus("#strip [data-block='0']")
    window.press(RIGHT, SPACE)
    assert window.attribute("#strip [data-block='1']", "aria-pressed") == "true"
    window.press(END)
    assert window.focused() == "5"
    window.press(LEFT, ENTER)
    assert "3.00 points" in window.text("#result")  # of blocks 1 and 4
    assert window.run("return document.querySelectorAll('#strip [tabindex=\"0\"]').length") == 1


def test_coverage_is_shown_as_in_the_terminal(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    shown = set(window.texts(f"{ROWS} td:nth-child(5)"))
    assert shown == {"2/3", "3/3"}


def test_headings_sort_with_the_keyboard(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.focus("th[data-key=coverage] button")
    window.press(ENTER)
    assert window.attribute("th[data-key=coverage]", "aria-sort") == "ascending"


def test_the_drops_on_each_dataset_come_by_pointer_and_by_focus(
    window: Window, pages: Pages
) -> None:
    window.open(pages["small"])
    assert window.run("return document.getElementById('tip').hidden")
    window.focus(f"{ROWS}:nth-child(2) button")
    blocks = window.text(f"{ROWS}:nth-child(2) button")
    tip = window.text("#tip")
    assert tip.startswith(f"{blocks}: ") and "set_0" in tip
    window.press(ESCAPE)
    assert window.run("return document.getElementById('tip').hidden")
    window.run(
        "document.querySelector(arguments[0]).dispatchEvent("
        "new PointerEvent('pointerover', {bubbles: true}))",
        f"{ROWS}:nth-child(1) td:nth-child(3)",
    )
    assert window.text("#tip").startswith(window.text(f"{ROWS}:nth-child(1) button") + ": ")


def test_the_heatmap_says_each_cell_by_arrow_keys(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.focus("#heat td[tabindex='0']")
    window.press(RIGHT, DOWN)
    assert window.text("#cell").startswith("Block 1 on set_")
    window.press(END)
    assert "not measured" in window.text("#cell")


def test_dots_lead_to_what_if_by_keyboard(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.focus("#front-plot .dot[tabindex='0']")
    window.press(RIGHT, ENTER)
    assert window.attribute("#result", "data-kind") == "measured"


def test_the_front_has_a_mark_for_every_combination_and_units(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    (above,) = window.texts("#front-plot .outside")
    assert above == "▲ 1 above"  # block 0, which would flatten all others
    assert len(window.texts("#front-plot .dot")) + 1 == len(CELLS)
    assert "accuracy drop (percentage points)" in window.texts("#front-plot text")
    assert len(window.texts("#front-plot .line")) == 2  # best and robust
    window.click("[data-axis=accuracy]")
    # Accuracies over different datasets are not comparable.
    assert window.texts("#front-plot .line, #front-plot .whisker") == []
    assert "not comparable" in window.text("#front-note")
    assert "mean accuracy (%)" in window.texts("#front-plot text")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(window: Window, pages: Pages, scheme: str) -> None:
    window.prefer(scheme)
    window.open(pages["small"])
    window.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for removal in ((1, 2), (0, 3, 4)):
        window.remove(removal)
        found = window.contrasts()
        assert len(found) > 300
        assert found[0][0] >= 4.5, found[:5]


def test_the_switch_changes_the_colours_and_back(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = window.run(colour)
    window.click("#theme")
    dark = window.run(colour)
    assert dark != light
    assert window.attribute("#theme", "aria-pressed") == "true"
    assert window.contrasts()[0][0] >= 4.5
    window.click("#theme")
    assert window.run(colour) == light


def test_in_chinese_headings_and_answers_are_chinese(window: Window, pages: Pages) -> None:
    window.open(pages["chinese"])
    assert window.attribute("html", "lang") == "zh-Hans"
    headings = window.texts("h1, h2, h3, h4")
    plain = [text for text in headings if not any("\u4e00" <= sign <= "\u9fff" for sign in text)]
    assert plain == []
    window.remove((3, 4))
    assert "估计" in window.text("#result")


def test_closed_findings_are_opened_for_printing(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    closed = "return document.querySelectorAll('details:not([open])').length"
    before = window.run(closed)
    assert before > 0
    window.run("window.dispatchEvent(new Event('beforeprint'))")
    assert window.run(closed) == 0
    window.run("window.dispatchEvent(new Event('afterprint'))")
    assert window.run(closed) == before


def test_on_paper_it_is_light_and_no_table_is_cut(window: Window, pages: Pages) -> None:
    window.resize(720)  # A4 between its margins
    window.prefer(scheme="dark", media="print")
    window.open(pages["small"])
    window.run("window.dispatchEvent(new Event('beforeprint'))")
    assert window.run("return getComputedStyle(document.body).color") == "rgb(27, 35, 48)"
    assert window.run("return document.documentElement.scrollWidth") <= 720
