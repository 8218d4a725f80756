"""The page of many models in a real browser: its bars, its table, its comparison."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.language import language
from depthprune.report.html.structure_page import render_structure_page
from depthprune.structure.anatomy import Sparsity
from depthprune.structure.comparison import LayerComparison
from depthprune.structure.summaries import ModelSummaries, ModelSummary
from tests.report.browser.window import Window
from tests.report.structure_summaries import anatomy, comparison, cut, many, model, odd, ramp, small

Pages = dict[str, Path]
NAMES = ("small", "deep", "evil", "nothing", "one", "chinese", "many", "sparse", "odd")
UP, DOWN, LEFT, RIGHT = "\ue013", "\ue015", "\ue012", "\ue014"
ENTER, ESCAPE, HOME, END, TAB = "\ue007", "\ue00c", "\ue011", "\ue010", "\ue004"
ROWS = "#model-table tbody tr"
CAPTIONS = "#pictures .picture:not(.axis) .name"
IMAGE = "</script><img src=x onerror=broken=1>"


def evil() -> ModelSummaries:
    given = model(comparison("<script>window.broken=1</script>", ramp(4, 0.5)))
    assert given.anatomy is not None
    noted = replace(given.anatomy, notes=(IMAGE,), towers={IMAGE: 3}, dtypes={IMAGE: 1})
    return ModelSummaries(
        (IMAGE,),
        (
            replace(given, anatomy=noted, problems=(IMAGE,)),
            model(comparison("a&b", ramp(4, 0.2))),
            ModelSummary(IMAGE, Path("b"), mend="<svg onload=broken=1>"),
        ),
    )


def sparse() -> ModelSummaries:
    """Return a model with half of its weights zero, and a whole one."""
    given = comparison("Wanda", cut(8, ()))
    layers = tuple(replace(layer, sparsity=0.5) for layer in given.layers)
    found = replace(given, layers=layers, strategy="unstructured", evidence={"lost_by_zeros": 0.5})
    whole = replace(anatomy(given), sparsity=Sparsity(1, 2, "2:4"))
    return ModelSummaries(
        ("results",), (replace(model(found), anatomy=whole), model(comparison("Dense", cut(8, ()))))
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """Return the pages that are looked at, by name."""
    folder = tmp_path_factory.mktemp("structure")
    given = {
        "small": small(),
        "deep": many(3, num_layers=126),
        "evil": evil(),
        "nothing": ModelSummaries((), ()),
        "one": ModelSummaries(("results",), (model(comparison("alone", ramp(8, 0.5))),)),
        "many": many(1000),
        "chinese": small(),
        "sparse": sparse(),
        "odd": odd(),
    }
    found = {name: folder / f"{place}.html" for place, name in enumerate(given)}
    for name, summary in given.items():
        with language("zh" if name == "chinese" else "en"):
            found[name].write_text(render_structure_page(summary), encoding="utf-8")
    return found


def embedded(window: Window) -> Any:
    return json.loads(window.text("#data"))


def type_filter(window: Window, text: str) -> None:
    window.run(
        "const box = document.getElementById('filter'); box.value = arguments[0];"
        "box.dispatchEvent(new Event('input'))",
        text,
    )


def column_of(window: Window, key: str) -> list[str]:
    """Return the cells of a column of the table."""
    keys: list[str] = window.run(
        "return [...document.querySelectorAll('#model-table th')].map((one) => one.dataset.key)"
    )
    return window.texts(f"{ROWS} td:nth-child({keys.index(key) + 1})")


def layers_of(name: str) -> str:
    """Return the selector of the columns of a model of `small`."""
    place = [one.name for one in small().models].index(name)
    return f"#pictures .columns[data-index='{place}'] > .layer"


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("name", NAMES)
def test_it_loads_without_errors_and_nothing_is_cut(
    window: Window, pages: Pages, name: str, width: int
) -> None:
    window.resize(width)
    window.open(pages[name])
    assert window.errors() == []
    assert window.run("return document.documentElement.scrollWidth") <= width


def test_strange_models_are_drawn_as_far_as_they_go(window: Window, pages: Pages) -> None:
    window.open(pages["odd"])
    for name, columns in (("gaps", 2), ("far", 2), ("grown", 2), ("nothing at all", 1)):
        place = [one.name for one in odd().models].index(name)
        box = f"#pictures .columns[data-index='{place}']"
        type_filter(window, name)
        window.settle()
        assert len(window.texts(f"{box} > .layer")) == columns, name
        window.focus(f"{box} > .layer")
        assert name in window.text("#tip strong")
        heights = window.run(
            "return [...document.querySelectorAll(arguments[0])].every((one) =>"
            "one.offsetHeight <= one.parentElement.clientHeight / 2)",
            f"{box} i",
        )
        assert heights, name
    assert window.errors() == []


def test_a_layer_that_never_had_attention_has_not_lost_it(window: Window, pages: Pages) -> None:
    window.open(pages["odd"])
    type_filter(window, "no attention")
    window.settle()
    first = "#pictures .picture:last-child .layer:first-child"
    assert window.attribute(f"{first} i", "class") == "up never"
    window.focus(first)
    assert "attention removed" not in window.text("#tip")


def test_it_asks_for_nothing_but_itself(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    names = "return performance.getEntriesByType('resource').map((one) => one.name)"
    assert window.run(names) == []


def test_names_are_text_and_never_run(window: Window, pages: Pages) -> None:
    window.open(pages["evil"])
    window.focus("#pictures .layer")
    window.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert window.run("return window.broken") is None
    assert "results/<script>window.broken=1</script>" in window.texts(CAPTIONS)
    assert IMAGE in window.text("#pair-facts") and IMAGE in window.text("#answer")
    assert window.run("return document.querySelectorAll('img, svg').length") == 0


def test_every_model_has_a_column_for_every_layer_of_its_original(
    window: Window, pages: Pages
) -> None:
    window.open(pages["small"])
    drawn = 0
    for given in small().models:
        if given.comparison is not None:
            expected = len(given.comparison.layers) + given.comparison.missing_layers
        elif given.anatomy is not None:
            expected = len(given.anatomy.layers)
        else:
            continue
        assert len(window.texts(layers_of(given.name))) == expected == 8
        drawn += 1
    assert len(window.texts("#pictures .columns[data-index]")) == drawn == 5


def test_layers_line_up_over_all_models_and_with_their_numbers(
    window: Window, pages: Pages
) -> None:
    window.open(pages["small"])
    lefts = window.run(
        """
        return [...document.querySelectorAll("#pictures .columns[data-index]")].map((box) =>
          [...box.children].map((one) => Math.round(one.getBoundingClientRect().left)));
        """
    )
    assert len(lefts) == 5
    assert all(row == lefts[0] for row in lefts)
    ticks = window.run(
        """
        return [...document.querySelectorAll("#pictures .axis .columns span")].map((one) => {
          const at = one.getBoundingClientRect();
          return [one.textContent, (at.left + at.right) / 2];
        });
        """
    )
    assert [int(text) for text, _ in ticks] == list(range(8))
    assert all(left < at < left + 40 for left, (_, at) in zip(lefts[0], ticks, strict=True))


def test_the_height_of_a_bar_is_the_share_that_is_left(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    heights = window.run(
        """
        return [...document.querySelectorAll(arguments[0])].map((one) => {
          const whole = (one.clientHeight - 2) / 2;
          return [".up", ".down"].map((side) =>
            one.querySelector(side).getBoundingClientRect().height / whole);
        });
        """,
        layers_of("results/Taylor"),
    )
    found = next(one.comparison for one in small().models if one.name == "results/Taylor")
    assert found is not None
    for layer, (up, down) in zip(found.layers[:6], heights[:6], strict=True):
        assert up == pytest.approx(1 - layer.attention.ratio, abs=0.02)
        assert down == pytest.approx(1 - layer.mlp.ratio, abs=0.02)


def test_what_is_gone_is_marked_by_a_sign_and_a_pattern(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    assert window.texts(layers_of("baselines/ShortGPT_cut")) == [*[""] * 5, "×", "×", ""]
    assert window.texts(layers_of("baselines/ShortGPT_old")) == [*[""] * 6, "?", "?"]
    assert window.texts(layers_of("results/HGSP")) == ["", "", "0", *[""] * 4, "0"]
    assert window.texts(layers_of("results/Taylor")) == [*[""] * 6, "00", "0"]
    pattern = "return getComputedStyle(document.querySelector(arguments[0])).backgroundImage"
    assert "repeating" in window.run(pattern, layers_of("baselines/ShortGPT_cut") + ".removed")
    assert "repeating" in window.run(pattern, layers_of("results/HGSP") + " .empty")
    captions = window.text("#pictures")
    assert "removed layers: 5, 6" in captions
    assert "removed layers: 2, which ones is not said" in captions
    assert "attention removed: 2, 7" in captions


def tip_numbers(window: Window) -> list[list[str]]:
    rows: list[list[str]] = window.run(
        """
        return [...document.querySelectorAll("#tip tbody tr")].map((row) =>
          [...row.querySelectorAll("td")].map((cell) => cell.textContent));
        """
    )
    return rows


def expected_numbers(layer: LayerComparison) -> list[list[str]]:
    assert layer.intermediate_size is not None
    changes = (layer.total, layer.attention, layer.mlp, layer.intermediate_size)
    return [[f"{one.original:,}", f"{one.pruned:,}", f"{100 * one.ratio:.2f}"] for one in changes]


def test_the_tip_of_every_layer_has_exactly_the_numbers_of_the_files(
    window: Window, pages: Pages
) -> None:
    window.open(pages["small"])
    compared = 0
    for given in small().models:
        if given.comparison is None:
            continue
        for place, layer in enumerate(given.comparison.layers):
            window.focus(f"{layers_of(given.name)}:nth-child({place + 1})")
            assert tip_numbers(window) == expected_numbers(layer)
            heading = window.text("#tip strong")
            assert heading == f"{given.name} · Layer {layer.index}"
            if layer.attention.pruned and given.anatomy is not None:
                heads = given.anatomy.layers[layer.pruned_index or 0].attention
                kv = heads.num_kv_heads
                counts = f"{heads.num_heads} query heads, {kv} key-value head{'s' * (kv != 1)}"
                assert counts in window.text("#tip")
            compared += 1
    assert compared == 30


def test_the_tip_comes_by_pointer_too_and_goes_with_escape(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.run(
        "document.querySelector(arguments[0]).dispatchEvent("
        "new PointerEvent('pointerover', {bubbles: true}))",
        layers_of("results/HGSP") + ":nth-child(3) i",
    )
    assert "attention removed" in window.text("#tip")
    window.press(ESCAPE)
    assert window.run("return document.getElementById('tip').hidden")


def test_the_tip_fits_on_a_phone(window: Window, pages: Pages) -> None:
    window.resize(400)
    window.open(pages["small"])
    for place in range(1, 9):
        window.focus(f"{layers_of('results/HGSP')}:nth-child({place})")
        edges = window.run(
            "const at = (id) => document.querySelector(id).getBoundingClientRect();"
            "return [at('#tip').left, at('#tip table').right, at('#tip').right]"
        )
        assert edges[0] >= 0 and edges[1] <= edges[2] <= 400


def test_of_layers_that_no_file_names_the_tip_says_so(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.focus(layers_of("baselines/ShortGPT_old") + ".unsaid")
    assert "2 layers of the original are gone" in window.text("#tip")


def test_numbers_are_sorted_as_numbers_with_the_unknown_last(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    for turn in (False, True):
        window.click("th[data-key=params] button")
        shown = column_of(window, "params")
        assert shown[-1] == "–"
        numbers = [int(text.replace(",", "")) for text in shown[:-1]]
        assert numbers == sorted(numbers, reverse=turn) and len(numbers) == 5
    assert window.attribute("th[data-key=params]", "aria-sort") == "descending"
    assert window.run("return document.querySelectorAll('th[aria-sort]').length") == 1


def test_names_are_sorted_as_text_with_numbers_in_their_order(window: Window, pages: Pages) -> None:
    window.open(pages["many"])
    assert column_of(window, "name")[:3] == [f"results/model_{place}" for place in range(3)]
    assert column_of(window, "name")[10] == "results/model_10"
    window.click("th[data-key=name] button")
    assert column_of(window, "name")[0] == "results/model_999"


def test_strategies_are_sorted_as_text(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.click("th[data-key=strategy] button")
    shown = [text.split("-")[0].split(" ")[0] for text in column_of(window, "strategy")]
    assert shown == ["layer", "layer", "non", "non", "–", "–"]


def test_headings_sort_with_the_keyboard(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.focus("th[data-key=ratio] button")
    window.press(ENTER)
    assert window.attribute("th[data-key=ratio]", "aria-sort") == "ascending"


def test_the_pictures_follow_the_order_of_the_table(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.click("th[data-key=ratio] button")
    drawn = window.texts(CAPTIONS)
    assert drawn == [name for name in column_of(window, "name") if name in drawn]
    assert len(drawn) == 5


def test_the_filter_takes_words_of_names_and_strategies(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    type_filter(window, "GPT BASE")
    assert set(column_of(window, "name")) == {
        "baselines/ShortGPT_cut",
        "baselines/ShortGPT_old",
        "baselines/SliceGPT",
    }
    assert len(window.texts(CAPTIONS)) == 3
    type_filter(window, "layer removal")
    assert len(column_of(window, "name")) == 2
    type_filter(window, "nothing like it")
    assert column_of(window, "name") == []
    assert window.text("#models .shown") == "No model matches."
    type_filter(window, "")
    assert len(column_of(window, "name")) == 6


def test_a_thousand_models_are_drawn_where_they_are_seen(window: Window, pages: Pages) -> None:
    window.open(pages["many"])
    assert len(window.texts(ROWS)) == 50
    window.click("#models .more")
    assert len(window.texts(ROWS)) == len(window.texts(CAPTIONS)) == 1000
    assert 32 <= len(window.texts("#pictures .layer")) < 32 * 40
    last = "#pictures .picture:last-child .layer"
    assert window.texts(last) == []
    window.run("document.querySelector('#pictures').scrollTop = 1e9")
    window.settle()
    assert len(window.texts(last)) == 32
    assert window.texts("#pictures .picture:nth-child(2) .layer") == []  # out of sight again


def test_arrow_keys_move_over_layers_and_models(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    assert len(window.texts("#pictures .layer[tabindex='0']")) == 1
    window.focus("#pictures .layer[tabindex='0']")
    heading = "#tip strong"
    window.press(RIGHT, RIGHT)
    first = window.text(heading)
    assert first.endswith("Layer 2")
    window.press(DOWN)
    assert window.text(heading).endswith("Layer 2") and window.text(heading) != first
    window.press(UP, END)
    assert window.text(heading).endswith("Layer 7")
    window.press(HOME, LEFT)
    assert window.text(heading).endswith("Layer 0")
    assert len(window.texts("#pictures .layer[tabindex='0']")) == 1


def test_one_more_tab_leaves_the_pictures(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.focus("#pictures .layer[tabindex='0']")
    window.press(TAB)
    assert not window.run("return document.activeElement.closest('#pictures') !== null")


def test_two_models_are_compared_with_their_difference(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    names = [one.name for one in small().models]
    for side, name in (("A", "results/HGSP"), ("B", "results/Taylor")):
        window.click(f"#pictures .picture[data-index='{names.index(name)}'] [data-side='{side}']")
    shown = window.texts("#pair .name")
    assert shown == ["results/HGSP", "results/Taylor"]
    first, second = (small().models[names.index(name)].comparison for name in shown)
    assert first is not None and second is not None
    window.focus("#pair .change:nth-child(4)")
    a, b = first.layers[3].total.ratio, second.layers[3].total.ratio
    assert f"{100 * (a - b):.2f}".replace("-", "−") in window.text("#tip strong")
    facts = window.text("#pair-facts")
    assert f"{first.total.pruned:,}" in facts and f"{second.total.pruned:,}" in facts
    rows = window.texts("#pair-rows tbody tr")
    assert len(rows) == 8
    assert f"{first.layers[3].mlp.pruned:,}" in rows[3]
    pressed = window.run(
        "return [...document.querySelectorAll('#pictures [aria-pressed=true]')]"
        ".map((one) => one.getAttribute('aria-label'))"
    )
    assert sorted(pressed) == ["Show results/HGSP as A", "Show results/Taylor as B"]


def test_models_are_chosen_by_lists_too(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.run(
        """
        const list = document.getElementById("second");
        list.value = [...list.options].find((one) => one.text === arguments[0]).value;
        list.dispatchEvent(new Event("change"));
        """,
        "baselines/ShortGPT_old",
    )
    assert window.texts("#pair .name")[1] == "baselines/ShortGPT_old"
    # Its files compare by position: which layers its columns are is not known.
    assert window.texts("#pair .change") == []
    assert "No difference" in window.text("#pair-note")


def test_the_differences_are_reached_by_arrow_keys(window: Window, pages: Pages) -> None:
    window.open(pages["small"])
    window.focus("#pair .layer[tabindex='0']")
    window.press(DOWN, DOWN)
    assert "B − A" in window.text("#tip strong")


def test_zeros_are_seen_in_the_bars_and_told(window: Window, pages: Pages) -> None:
    window.open(pages["sparse"])
    heights = window.run(
        """
        return [...document.querySelectorAll("#pictures .up")].map((one) =>
          parseFloat(getComputedStyle(one, "::before").height) / one.clientHeight);
        """
    )
    assert heights == pytest.approx([*[0.0] * 8, *[0.5] * 8])
    assert "zeros among what is left" in window.text("#layers-legend")
    assert "50.00 %, 2:4" in window.text("#pair-facts")
    window.focus("#pictures .picture:last-child .layer")
    assert "50.00 % of what is left are zeros" in window.text("#tip")


def test_one_model_alone_is_shown_in_numbers_instead(window: Window, pages: Pages) -> None:
    window.open(pages["one"])
    given = comparison("alone", ramp(8, 0.5))
    assert len(window.texts("#pictures .layer")) == 8
    assert not window.driver.find_element("css selector", "#pair").is_displayed()
    assert f"{given.total.pruned:,}" in window.text("#pair-facts")
    fifth = window.texts("#pair-rows tbody tr:nth-child(5) td")
    assert fifth == ["4", *(cell for row in expected_numbers(given.layers[4]) for cell in row)]


def test_where_nothing_is_known_nothing_is_drawn(window: Window, pages: Pages) -> None:
    window.open(pages["nothing"])
    assert window.run("return document.getElementById('compare').hidden")
    assert window.run("return document.getElementById('layers').hidden")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(window: Window, pages: Pages, scheme: str) -> None:
    window.prefer(scheme)
    window.open(pages["small"])
    window.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    window.focus(layers_of("results/HGSP"))
    found = window.contrasts()
    assert len(found) > 200
    assert found[0][0] >= 4.5, found[:5]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_bars_stand_out_from_the_paper(window: Window, pages: Pages, scheme: str) -> None:
    window.prefer(scheme)
    window.open(pages["small"])
    # WCAG 2.2, 1.4.11: graphical objects, 3 to 1.
    for side in (".up:not(.empty)", ".down:not(.empty)"):
        assert window.contrast_with_card(f"#pictures .layer:not(.vague, .alone) {side}") >= 3


def test_in_chinese_everything_is_chinese(window: Window, pages: Pages) -> None:
    window.open(pages["chinese"])
    assert window.attribute("html", "lang") == "zh-Hans"
    headings = window.texts("h1, h2, h3, th button, #layers-legend > span")
    plain = [text for text in headings if not any("\u4e00" <= sign <= "\u9fff" for sign in text)]
    assert {text.strip() for text in plain} <= {"MLP"}
    window.focus(layers_of("results/HGSP") + ":nth-child(3)")
    assert "注意力已移除" in window.text("#tip")


def test_on_paper_everything_that_is_shown_is_drawn_and_nothing_cut(
    window: Window, pages: Pages
) -> None:
    window.resize(720)  # A4 between its margins
    window.prefer(scheme="dark", media="print")
    window.open(pages["many"])
    window.run("window.dispatchEvent(new Event('beforeprint'))")
    assert len(window.texts("#pictures .layer")) == 50 * 32
    assert window.run("return getComputedStyle(document.body).color") == "rgb(27, 35, 48)"
    assert window.run("return document.documentElement.scrollWidth") <= 720
