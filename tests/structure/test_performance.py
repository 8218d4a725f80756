"""What evaluations say of a model, ours and those of the old scripts of both generations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError, FileError, LayoutError
from depthprune.structure.model_row import (
    GIBIBYTE,
    MEBIBYTE,
    QUICK,
    STANDARD,
    ModelNumber,
    NumberConditions,
    Performance,
    choose_number,
    performance_file,
    read_performance,
)
from tests.benchmark.cards import card, old_card
from tests.structure.models import HERE, put

REAL = HERE / "evaluations"


def read(folder: Path, content: Any) -> Performance:
    return read_performance(put(folder, content), folder)


def windows(found: Performance, text: str = "wikitext2") -> dict[str | None, float]:
    return {one.under.basis: one.value for one in found.numbers.get(f"ppl_{text}", ())}


def test_the_later_generation_names_the_window_of_each_perplexity() -> None:
    path = REAL / "results/base/evaluation/evaluation_results.json"
    found = read_performance(path, REAL)
    assert windows(found) == {STANDARD: 8.25709056854248, QUICK: 19.52301597595215}
    assert windows(found, "ptb") == {STANDARD: 13.087120056152344, QUICK: 33.35970687866211}


def test_the_earlier_generation_states_no_window() -> None:
    path = REAL / "results/HGSP_2000/evaluation/evaluation_results.json"
    assert windows(read_performance(path, REAL)) == {None: 39.87115478515625}


def test_a_ppl_that_equals_one_with_a_window_has_that_window(tmp_path: Path) -> None:
    old = old_card()
    old["metrics"]["ppl"] = old["metrics"]["ppl_quick_128"]
    assert windows(read(tmp_path, old)) == {STANDARD: 39.87, QUICK: 80.5}
    old["metrics"]["ppl"] = {"wikitext2": 50.0}
    assert windows(read(tmp_path, old)) == {STANDARD: 39.87, QUICK: 80.5, None: 50.0}


def test_ours_names_window_and_text(tmp_path: Path) -> None:
    first, quick = read(tmp_path, card(window=1024)).numbers["ppl_wikitext2"]
    assert first == ModelNumber(10.0, NumberConditions("1024/512", "abc"))
    assert quick.under.basis == "128/512"
    content = card()
    content["ppl"]["wikitext2"]["quick"]["stride"] = 128
    assert read(tmp_path, content).numbers["ppl_wikitext2"][1].under.basis == QUICK
    content["ppl"]["wikitext2"]["quick"]["stride"] = None
    assert read(tmp_path, content).numbers["ppl_wikitext2"][1].under.basis is None


def test_size_and_memory_are_those_of_the_old_file() -> None:
    path = REAL / "baselines/SliceGPT_2000/evaluation/evaluation_results.json"
    metrics = json.loads(path.read_text())["metrics"]
    found = read_performance(path, REAL)
    assert metrics["model_info"]["total_params"] == 7219960768
    assert found.numbers["parameters_b"] == (ModelNumber(7.219960768),)
    assert found.numbers["size_gb"] == (ModelNumber(metrics["model_info"]["model_size_gb"]),)
    (peak,) = found.numbers["peak_memory_mb"]
    assert peak.value == metrics["efficiency"]["memory"]["inference_peak_mb"]


def test_ours_has_size_speed_and_the_peak_of_the_fewest_rows(tmp_path: Path) -> None:
    content = card(removed=[4], weights=900, skipped=100, peak=5000)
    content["memory"]["batch_size_16"] = content["memory"]["batch_size_1"] | {"peak_bytes": 9000}
    content["speed"]["batch_size_4"] = content["speed"]["batch_size_1"]
    content["speed"]["batch_size_16"] = content["speed"]["batch_size_1"]
    found = read(tmp_path, content)
    assert found.numbers["size_gb"] == (ModelNumber(900 / GIBIBYTE),)
    assert found.removed == (4,)
    peak = found.numbers["peak_memory_mb"][0]
    assert peak == ModelNumber(4900 / MEBIBYTE, NumberConditions(details="allocated on GPUs"))
    assert [key for key in found.numbers if "batch" in key] == [
        *("tokens_per_second_batch_1", "tokens_per_second_batch_4"),
        *("ms_per_token_batch_1", "ms_per_token_batch_4"),
    ]
    assert found.numbers["piqa"] == (ModelNumber(0.75, NumberConditions(details="acc of 100")),)


def test_a_task_that_is_called_as_another_column_is_left_out(tmp_path: Path) -> None:
    content = card(accuracies={"size_gb": 0.5, "mean_accuracy": 0.5, "{}": 0.5, "piqa": 0.5})
    assert [
        key for key, (one, *_) in read(tmp_path, content).numbers.items() if one.value == 0.5
    ] == ["piqa"]


@pytest.mark.parametrize("value", [None, "many", [], {"wikitext2": "many"}, 3, {"wikitext2": True}])
def test_what_is_no_number_is_not_known(tmp_path: Path, value: Any) -> None:
    old = old_card()
    names = ("model_info", "ppl", "ppl_quick_128", "ppl_standard_2048_512", "zeroshot")
    old["metrics"] = dict.fromkeys((*names, "efficiency"), value)
    found = read(tmp_path, old)
    assert replace(found, problems=()) == Performance(found.path, {})
    ours = card() | dict.fromkeys(("ppl", "zeroshot", "memory", "model_info", "speed"), value)
    assert replace(read(tmp_path, ours), problems=()) == replace(found, problems=())


@pytest.mark.parametrize("value", ["12", True, -5, 1e308, 10**400, [], {}])
def test_what_can_be_no_measurement_is_left_out_and_told(tmp_path: Path, value: Any) -> None:
    old = old_card()
    old["metrics"]["zeroshot"]["boolq"] = {"accuracy": value}
    old["metrics"]["efficiency"]["speed"]["batch_size_1"]["latency_ms_per_token"] = value
    old["metrics"]["model_info"] |= {"total_params": value, "model_size_gb": value}
    old["metrics"]["efficiency"]["memory"]["inference_peak_mb"] = value
    found = read(tmp_path, old)
    left = {"ppl_wikitext2", "ppl_ptb", "piqa", "tokens_per_second_batch_1"}
    assert set(found.numbers) == left
    assert len(found.problems) == 4
    assert found.problems[0].startswith(f"{found.path}, parameters: ")


@pytest.mark.parametrize("value", [0, -3.5, 0.99])
def test_no_perplexity_is_below_one(tmp_path: Path, value: float) -> None:
    old = old_card()
    old["metrics"]["ppl_standard_2048_512"] = old["metrics"]["ppl"] = {"wikitext2": value}
    found = read(tmp_path, old)
    assert windows(found) == {QUICK: 80.5}
    assert found.problems == (f"{found.path}, ppl wikitext2: {value} can be no measurement",)


def test_accuracies_may_be_plain_numbers(tmp_path: Path) -> None:
    old = old_card()
    old["metrics"]["zeroshot"] = {"boolq": 0.5, "piqa": {"accuracy": 0.6}}
    found = read(tmp_path, old).numbers
    assert found["boolq"] + found["piqa"] == (ModelNumber(0.5), ModelNumber(0.6))


def test_a_nan_costs_only_itself_and_is_named(tmp_path: Path) -> None:
    old = old_card()
    old["metrics"]["ppl_standard_2048_512"] = {"wikitext2": float("nan"), "ptb": float("inf")}
    old["metrics"]["ppl"] = {}
    found = read(tmp_path, old)
    assert windows(found) == {QUICK: 80.5}
    assert found.problems == (
        f"{found.path}, metrics.ppl_standard_2048_512.wikitext2: nan is no measurement",
        f"{found.path}, metrics.ppl_standard_2048_512.ptb: inf is no measurement",
    )


def test_a_batch_size_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    content = card()
    one = content["speed"]["batch_size_1"]
    content["speed"] = {"batch_size_many": one, "batch_size_": one, "batch_size_" + "9" * 5000: one}
    assert not any("batch" in key for key in read(tmp_path, content).numbers)


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("{}", LayoutError, "no evaluation"),
        ("[]", LayoutError, "no evaluation"),
        ('{"metrics": {', FileError, "line 1, column"),
        ("[" * 100_000, FileError, "nested too deeply"),
        ("\x00\x01", FileError, "not valid JSON"),
    ],
)
def test_a_file_that_is_no_evaluation(
    tmp_path: Path, text: str, error: type[DepthpruneError], told: str
) -> None:
    path = tmp_path / "evaluation_results.json"
    path.write_text(text)
    with pytest.raises(error, match=told):
        read_performance(path, tmp_path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path / "elsewhere", old_card())
    model = tmp_path / "model"
    model.mkdir()
    (model / "evaluation_results.json").symlink_to(outside)
    with pytest.raises(DepthpruneError):
        read_performance(model / "evaluation_results.json", model)


def test_the_file_lies_in_evaluation_or_in_the_folder_itself(tmp_path: Path) -> None:
    assert performance_file(tmp_path) is None
    own = put(tmp_path, {}, "evaluation_results.json")
    assert performance_file(tmp_path) == own
    assert performance_file(tmp_path) != put(tmp_path, {})
    assert performance_file(tmp_path) == tmp_path / "evaluation/evaluation_results.json"


def test_a_folder_that_may_not_be_looked_into_is_told_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, card())

    def refuse(path: Path, **_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    assert performance_file(tmp_path) == path
    with pytest.raises(FileError, match="Permission denied"):
        read_performance(path, tmp_path)


STATED = ModelNumber(10.0, NumberConditions(STANDARD))
SHORT = ModelNumber(20.0, NumberConditions(QUICK))
UNSTATED = ModelNumber(30.0)


@pytest.mark.parametrize(
    ("found", "window", "chosen"),
    [
        ((STATED, SHORT, UNSTATED), STANDARD, STATED),
        ((STATED, SHORT, UNSTATED), QUICK, SHORT),
        ((UNSTATED, SHORT), STANDARD, SHORT),
        ((UNSTATED,), STANDARD, UNSTATED),
    ],
)
def test_the_wanted_window_comes_first_then_any_that_is_stated(
    found: tuple[ModelNumber, ...], window: str, chosen: ModelNumber
) -> None:
    assert choose_number(found, window) == chosen


@pytest.mark.parametrize(
    ("one", "other", "compare"),
    [
        (NumberConditions(), NumberConditions(), True),
        (NumberConditions(STANDARD), NumberConditions(STANDARD), True),
        (NumberConditions(STANDARD), NumberConditions(QUICK), False),
        (NumberConditions(STANDARD), NumberConditions(None), False),
        (NumberConditions(STANDARD, "abc"), NumberConditions(STANDARD), True),
        (NumberConditions(STANDARD, "abc"), NumberConditions(STANDARD, "def"), False),
    ],
)
def test_a_window_is_never_taken_on_trust_all_else_is(
    one: NumberConditions, other: NumberConditions, compare: bool
) -> None:
    assert one.compare_with(other) == other.compare_with(one) == compare
