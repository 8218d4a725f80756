"""What the page of many models embeds and says, without a browser."""

from __future__ import annotations

import json
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthprune.base.errors import MissingDependencyError
from depthprune.base.language import language
from depthprune.report.html.structure_page import (
    column,
    overview,
    render_structure_page,
    structure_data,
)
from depthprune.report.sections.structure_words import evidence_texts, strategy_reason
from depthprune.structure.anatomy import Sparsity
from depthprune.structure.compare import label_of, strategy_of
from depthprune.structure.comparison import CountChange
from depthprune.structure.summaries import ModelSummaries, ModelSummary
from tests.report.structure_summaries import (
    ATTENTION,
    WHOLE,
    anatomy,
    attention_gone,
    comparison,
    cut,
    many,
    model,
    odd,
    ramp,
    small,
)
from tests.report.test_html import Page


def data_of(summary: ModelSummaries) -> dict[str, Any]:
    """Return the embedded data, as the browser gets them."""
    raw = Page(render_structure_page(summary)).raw
    found: dict[str, Any] = next(json.loads(text) for text in raw if text.startswith("{"))
    return found


def at(values: Any, place: int) -> Any:
    """Return what the script takes a column to hold for a layer."""
    return values[place] if isinstance(values, list) else values


def one(left: Any = None) -> ModelSummaries:
    return ModelSummaries(("results",), (model(comparison("a", left or ramp(4, 0.5))),))


def test_every_number_of_every_layer_is_embedded_exactly() -> None:
    summary = small()
    data = data_of(summary)
    compared = 0
    for asked, found in zip(summary.models, data["models"], strict=True):
        if asked.comparison is None:
            continue
        layers, original = found["layers"], data["originals"][found["layers"]["base"]]
        for place, layer in enumerate(asked.comparison.layers):
            for name in ("total", "attention", "mlp"):
                change = getattr(layer, name)
                assert at(original[name], place) == change.original
                assert at(layers[name], place) == change.pruned
            assert layer.intermediate_size is not None
            assert at(original["size"], place) == layer.intermediate_size.original
            assert at(layers["size"], place) == layer.intermediate_size.pruned
            assert at(layers["label"], place) == label_of(layer)
            compared += 1
    assert compared == 8 + 6 + 8 + 8


def test_heads_are_those_of_the_layer_that_stayed() -> None:
    whole, halved = (1.0, 1.0), (0.5, 1.0)
    layers = data_of(ModelSummaries((), (model(comparison("a", [whole, None, halved])),)))[
        "models"
    ][0]
    assert layers["layers"]["prunedIndex"] == [0, None, 1]
    assert layers["layers"]["heads"] == [32, None, 16]
    assert layers["layers"]["kvHeads"] == [8, None, 4]


def test_removed_emptied_and_unattributed_layers_are_told_apart() -> None:
    found = {entry["name"]: entry for entry in data_of(small())["models"]}
    assert found["baselines/ShortGPT_cut"]["removed"] == [5, 6]
    assert found["baselines/ShortGPT_old"]["missing"] == 2
    assert found["baselines/ShortGPT_old"]["removed"] == []
    assert found["results/HGSP"]["no_attention"] == [2, 7]
    assert found["results/Taylor"]["emptied"] == [6]
    assert found["results/Taylor"]["no_mlp"] == [7]


def test_all_models_get_as_many_columns_as_the_deepest_original_has() -> None:
    assert data_of(small())["numLayers"] == 8
    assert data_of(ModelSummaries((), ()))["numLayers"] == 0


def test_indices_beyond_reason_do_not_make_a_column_each() -> None:
    given = comparison("a", ramp(2, 0.5))
    far = replace(given, layers=(given.layers[0], replace(given.layers[1], index=10**9)))
    assert (
        data_of(ModelSummaries((), (ModelSummary("a", Path("a"), comparison=far),)))["numLayers"]
        == 2
    )


def test_one_absurd_file_does_not_spoil_the_page() -> None:
    data = data_of(odd())
    found = {entry["name"]: entry for entry in data["models"]}
    assert data["numLayers"] <= 8 + 1000
    assert found["too many"]["layers"] is None
    assert found["lacking"]["missing"] == 10**12
    assert found["lacking"]["layers"]["missing"] == 1000


def test_models_of_one_original_share_its_layers() -> None:
    assert len(data_of(many(20))["originals"]) == 1


def test_a_model_without_original_has_its_own_numbers_only() -> None:
    found = next(one for one in data_of(small())["models"] if one["name"] == "baselines/SliceGPT")
    assert found["layers"]["base"] is None
    assert found["ratio"] is None
    assert at(found["layers"]["attention"], 0) == ATTENTION


@given(st.lists(st.none() | st.integers(0, 3) | st.just(0.5) | st.text(max_size=1)))
def test_a_column_holds_every_value_in_its_place(values: list[Any]) -> None:
    found = column(values)
    assert [at(found, place) for place in range(len(values))] == values


def test_a_column_of_equal_numbers_is_one_number() -> None:
    assert column([3, 3, 3]) == 3
    assert column([3, 4]) == [3, 4]
    assert column([None, None]) is None
    assert column([]) == []


def test_evidence_that_is_no_number_is_left_out() -> None:
    given = replace(comparison("a", ramp(4, 0.5)), evidence={"good": 1.0, "bad": nan})
    data = structure_data(ModelSummaries((), (ModelSummary("a", Path("a"), comparison=given),)))
    assert data["models"][0]["evidence"] == [("good", "1")]


def test_a_thousand_models_make_a_page_of_three_megabytes() -> None:
    assert len(render_structure_page(many(1000)).encode()) < 3_500_000


def test_the_head_says_what_was_read_and_the_range_of_the_losses() -> None:
    text = Page(render_structure_page(small())).text
    assert "models: 6 · without analysis: 1 · problems: 1" in text
    assert "4 models lost 15.60 % to" in text
    assert "baselines, results" in text


def test_min_max_and_mean_are_those_of_the_models() -> None:
    summary = small()
    totals = [one.anatomy.total for one in summary.models if one.anatomy]
    cards = overview(summary)["cards"]
    numbers = [number for _, number, _ in cards["Parameters"]]
    mean = round(sum(totals) / len(totals))
    assert numbers == [f"{min(totals):,}", f"{mean:,}", f"{max(totals):,}"]
    assert cards["Parameters"][0][2] == "results/Taylor"
    assert [line[1] for line in cards["Pruning ratio %"]] == ["15.60", "19.64", "31.77"]
    assert [line[1] for line in cards["What is gone"]] == ["2", "1", "1", "1"]


def test_of_one_model_there_are_no_statistics() -> None:
    assert overview(one())["cards"] == {}


def test_zeros_are_embedded_by_layer_and_for_the_whole() -> None:
    given = comparison("a", cut(4, ()))
    zeros = tuple(replace(layer, sparsity=0.5) for layer in given.layers)
    whole = replace(anatomy(given), sparsity=Sparsity(1, 2, "2:4"))
    summary = replace(model(given), comparison=replace(given, layers=zeros), anatomy=whole)
    found = data_of(ModelSummaries((), (summary,)))["models"][0]
    assert found["zeros"] == [0.5, "2:4"]
    assert found["layers"]["zeros"] == 0.5


def test_problems_and_missing_analyses_come_with_place_and_mend() -> None:
    text = Page(render_structure_page(small())).text
    assert "analysis/layer_importance_similarity.json: NaN is not JSON: line 3, column 12" in text
    assert "depthprune structure analyze --model_path r" in text


def test_without_script_there_is_a_table_of_all_models() -> None:
    page = render_structure_page(small())
    plain = Page(page[page.index("<noscript>") : page.index("</noscript>")]).text
    for asked in small().models:
        assert (asked.name in plain) == bool(asked.anatomy or asked.comparison)
    assert "2 layers missing, which ones the files do not say" in plain
    assert "removed layers: 5, 6" in plain


@pytest.mark.parametrize(
    ("summary", "lead"),
    [
        (ModelSummaries(("d",), ()), "No model was found."),
        (ModelSummaries((), (ModelSummary("a", Path("a")),)), "Nothing tells how much"),
        (one(), "One model lost"),
        (ModelSummaries((), (model(comparison("a", cut(4, [1]))),) * 2), "2 models lost"),
    ],
)
def test_the_lead_fits_what_is_known(summary: ModelSummaries, lead: str) -> None:
    assert overview(summary)["lead"].startswith(lead)
    assert lead in Page(render_structure_page(summary)).text


def test_a_ratio_is_told_by_the_original_even_without_comparison() -> None:
    alone = ModelSummary(
        "a", Path("a"), anatomy=anatomy(comparison("a", cut(8, []))), original=4 * WHOLE * 8
    )
    data = data_of(ModelSummaries((), (alone,)))["models"][0]
    assert data["ratio"] == pytest.approx(1 - data["params"] / data["original"])


def told(left: Any, **changes: Any) -> str:
    return strategy_reason(replace(comparison("a", left), **changes))


def test_a_strategy_comes_with_the_numbers_that_say_so() -> None:
    assert told(cut(8, (5, 6))) == "2 of 8 layers removed"
    assert told([*cut(4, (1,)), (0.0, 0.0)]) == "1 of 5 layers removed, 1 emptied"
    assert told(attention_gone(4, ())) == "4 of 4 layers smaller, by 20.19 to 20.19 %"
    sliced = {"hidden_size_original": 4096.0, "hidden_size_pruned": 3276.0}
    assert told([], strategy="sliced", evidence=sliced) == "hidden size 4,096, now 3,276"
    zeros = {"lost_by_zeros": 0.5}
    assert (
        told([], strategy="unstructured", evidence=zeros)
        == "50.00 % of the layers' parameters are zeros"
    )
    assert told(cut(2, ())) == ""


def test_numbers_that_are_not_known_are_not_made_up() -> None:
    assert told(cut(8, (5,)), evidence={}) == ""


def test_the_evidence_is_told_in_words_and_percent() -> None:
    given = dict(evidence_texts(comparison("a", cut(8, (5,)))))
    assert given["layers of the original"] == "8"
    assert given["gone per layer of the original: mean %"] == "12.50"
    assert not any("_" in name for name in given)


def test_all_evidence_has_chinese_words() -> None:
    sliced = CountChange(4096, 3276)
    _, numbers = strategy_of(comparison("a", ramp(4, 0.5)), sliced=True, hidden_size=sliced)
    known = replace(comparison("a", ramp(4, 0.5)), evidence={**numbers, "lost_by_zeros": 0.5})
    with language("zh"):
        assert len(evidence_texts(known)) == 18
        assert all(not name.isascii() for name, _ in evidence_texts(known))


def test_what_cannot_be_printed_in_a_name_is_escaped() -> None:
    turned = model(comparison("a\u202eb\n\x1b", ramp(4, 0.5)))
    assert (
        data_of(ModelSummaries(("r",), (turned,)))["models"][0]["name"]
        == "results/a\\u202eb\\n\\x1b"
    )


def test_names_cannot_become_markup() -> None:
    evil, image, drawing = "<script>broken=1</script>", "</script><img src=x>", "<svg onload=x>"
    given = model(comparison(evil, ramp(4, 0.5)))
    assert given.anatomy is not None
    noted = replace(given.anatomy, notes=(image,), towers={image: 3}, dtypes={image: 1})
    models = (
        replace(given, anatomy=noted, problems=(image,)),
        ModelSummary(image, Path("b"), mend=drawing),
    )
    page = Page(render_structure_page(ModelSummaries((evil,), models)))
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not {"img", "svg"} & {tag for tag, _ in page.tags}
    assert evil in page.text and image in page.text and drawing in page.text
    data = next(json.loads(text) for text in page.raw if text.startswith("{"))
    assert [one["name"] for one in data["models"]] == [f"results/{evil}", image]


def test_the_page_refers_to_nothing_outside_itself() -> None:
    page = Page(render_structure_page(small()))
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "base"), tag
        assert not attributes.keys() & {"src", "style", "onclick", "onload", "srcset"}, tag
        href = attributes.get("href")
        assert href is None or href.startswith("#")


def test_the_policy_allows_this_style_and_this_script_only() -> None:
    (policy,) = [
        attributes["content"]
        for _, attributes in Page(render_structure_page(small())).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_in_chinese_the_head_is_chinese() -> None:
    with language("zh"):
        text = Page(render_structure_page(small())).text
    assert "剪枝去掉了什么？" in text
    assert "4 个模型被剪去 15.60% 至 31.77% 的参数。" in text
    assert "What" not in text


def test_the_same_summary_gives_the_same_bytes() -> None:
    assert render_structure_page(small()) == render_structure_page(small())


def test_without_jinja2_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingDependencyError, match=r"depthprune\[report\]"):
        render_structure_page(small())
