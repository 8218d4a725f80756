"""Evaluations side by side, ours and those of the old scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError, FileError, LayoutError
from depthprune.benchmark.compare import (
    ComparedValue,
    EvaluationComparison,
    compare_evaluations,
    read_evaluation,
)
from tests.benchmark.cards import card, old_card

OLD_FILES = Path("/work/shared/pruned_models")


def compare(tmp_path: Path, *contents: Any) -> EvaluationComparison:
    files = []
    for place, content in enumerate(contents):
        path = tmp_path / f"{place}.json"
        path.write_text(json.dumps(content))
        files.append(read_evaluation(path))
    return compare_evaluations(files)


def row(comparison: EvaluationComparison, section: str, name: str = "") -> ComparedValue:
    (found,) = [one for one in comparison.rows if one.key == (section, name)]
    return found


def test_perplexity_and_accuracy_compare_by_difference_all_else_by_ratio(tmp_path: Path) -> None:
    smaller = card(
        removed=[4], parameters=800, ppl=12.0, accuracies={"piqa": 0.5, "boolq": 0.75}, speed=150.0
    )
    found = compare(tmp_path, card(), smaller)
    assert row(found, "parameters").changes == (1.0, 0.8)
    assert row(found, "active_blocks").values == (16, 15)
    assert row(found, "ppl", "wikitext2").changes == (0.0, 2.0)
    assert row(found, "accuracy", "piqa").changes == (0.0, -0.25)
    assert row(found, "average").values == (0.75, 0.625)
    assert row(found, "tokens_per_second", "1").changes == (1.0, 1.5)
    assert all(one.is_alike for one in found.rows)


def test_what_one_lacks_is_unknown(tmp_path: Path) -> None:
    less = card()
    less["ppl"], less["speed"] = {}, {}
    found = compare(tmp_path, less, card())
    assert row(found, "ppl", "wikitext2").values == (None, 10.0)
    assert row(found, "ppl", "wikitext2").changes == (None, None)


def test_the_average_is_over_common_tasks(tmp_path: Path) -> None:
    found = compare(
        tmp_path,
        card(accuracies={"piqa": 0.5, "boolq": 1.0}),
        card(accuracies={"piqa": 0.25, "arc_easy": 1.0}),
    )
    assert found.common_tasks == ("piqa",)
    assert row(found, "average").values == (0.5, 0.25)
    nothing = compare(tmp_path, card(accuracies={"piqa": 0.5}), card(accuracies={"boolq": 0.5}))
    assert "average" not in [one.key[0] for one in nothing.rows]


def test_a_cut_and_a_skipped_model_take_the_same_memory(tmp_path: Path) -> None:
    skipped = card(weights=900, skipped=100, peak=2000)
    found = compare(tmp_path, card(weights=900, skipped=0, peak=1900), skipped)
    assert row(found, "peak_bytes", "1").values == (1900, 1900)


def test_other_conditions_are_told(tmp_path: Path) -> None:
    found = compare(tmp_path, card(), card(window=1024, n=50, new_tokens=32))
    unlike = {one.key[0] for one in found.rows if not one.is_alike}
    assert unlike == {"ppl", "accuracy", "average", "tokens_per_second", "ms_per_token"}


def test_times_of_different_devices_do_not_compare(tmp_path: Path) -> None:
    found = compare(tmp_path, card(), card(device="x86_64 cpu, 4 threads"))
    unlike = {one.key[0] for one in found.rows if not one.is_alike}
    assert unlike == {"tokens_per_second", "ms_per_token"}


def test_an_average_of_what_does_not_compare_does_not_either(tmp_path: Path) -> None:
    whole = card(accuracies={"piqa": 0.5, "boolq": 1.0})
    fewer = card(accuracies={"piqa": 0.5, "boolq": 1.0})
    fewer["zeroshot"]["tasks"]["boolq"]["n"] = 10
    found = compare(tmp_path, whole, fewer)
    assert row(found, "accuracy", "piqa").is_alike
    assert not row(found, "average").is_alike


def test_both_generations_of_old_files_are_read(tmp_path: Path) -> None:
    alone = old_card()
    del alone["metrics"]["ppl_quick_128"], alone["metrics"]["ppl_standard_2048_512"]
    found = compare(tmp_path, card(), old_card(), alone)
    assert found.files[1].name == "HGSP_2000/pruned_model.bin"
    assert row(found, "ppl", "wikitext2").values == (10.0, 39.87, None)
    assert row(found, "ppl_quick", "wikitext2").values == (11.0, 80.5, None)
    assert row(found, "ppl_unstated", "wikitext2").values == (None, None, 39.87)
    assert row(found, "accuracy", "piqa").values == (0.75, 0.7193, 0.7193)
    assert row(found, "tokens_per_second", "1").values == (100.0, 30.9, 30.9)
    assert row(found, "weights_bytes").values == (1000, 2.0 * 2**20, 2.0 * 2**20)


def test_a_change_beyond_every_number_is_unknown(tmp_path: Path) -> None:
    tiny = card()
    tiny["speed"]["batch_size_1"]["tokens_per_second"] = 1e-320
    assert row(compare(tmp_path, tiny, card()), "tokens_per_second", "1").changes[1] is None


def test_only_numbers_are_removed_blocks(tmp_path: Path) -> None:
    odd = card()
    odd["model_info"]["removed"] = [3, "a", None, True, {}]
    assert compare(tmp_path, odd, card()).files[0].removed == (3,)


def test_perplexities_of_two_windows_do_not_compare(tmp_path: Path) -> None:
    found = compare(tmp_path, card(), card(window=1024))
    assert row(found, "ppl", "wikitext2").windows == ("2048/512", "1024/512")
    assert not row(found, "ppl", "wikitext2").is_alike
    assert row(found, "ppl_quick", "wikitext2").is_alike


def test_a_window_is_not_taken_on_trust(tmp_path: Path) -> None:
    silent = card()
    del silent["ppl"]["wikitext2"]["standard"]["stride"]
    found = row(compare(tmp_path, card(), silent), "ppl", "wikitext2")
    assert found.windows == ("2048/512", None)
    assert not found.is_alike


def test_two_texts_of_one_name_do_not_compare(tmp_path: Path) -> None:
    other = card()
    other["ppl"]["wikitext2"]["text_sha256"] = "def"
    assert not row(compare(tmp_path, card(), other), "ppl", "wikitext2").is_alike


@pytest.mark.parametrize("value", [None, "many", [], {"total_params": "many"}, 3])
def test_what_is_no_number_is_left_out(tmp_path: Path, value: Any) -> None:
    old = old_card()
    old["metrics"] |= {"model_info": value, "zeroshot": value, "efficiency": value, "ppl": value}
    found = compare(tmp_path, old, old)
    assert {one.key[0] for one in found.rows} == {"ppl", "ppl_quick"}
    ours = card() | {"ppl": value, "zeroshot": value, "memory": value, "model_info": value}
    assert {one.key[0] for one in compare(tmp_path, ours, ours).rows} == {
        "tokens_per_second",
        "ms_per_token",
    }


@pytest.mark.parametrize("text", ["[]", "{}", '{"metrics": 3}', "3"])
def test_a_file_that_is_no_evaluation(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(LayoutError, match="no evaluation"):
        read_evaluation(tmp_path / "a.json")


def test_a_bare_nan_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"metrics": {"ppl": {"ptb": NaN}}}')
    with pytest.raises(LayoutError, match=r"NaN[\s\S]*metrics\.ppl\.ptb"):
        read_evaluation(tmp_path / "a.json")
    with pytest.raises(FileError, match="no such file"):
        read_evaluation(tmp_path / "b.json")


def test_one_file_compares_with_nothing(tmp_path: Path) -> None:
    with pytest.raises(DepthpruneError, match="nothing to compare"):
        compare(tmp_path, card())


@pytest.mark.skipif(not OLD_FILES.is_dir(), reason="the shared files of old scripts are not here")
def test_the_published_averages_come_out() -> None:
    paths = sorted(OLD_FILES.rglob("evaluation_results.json"))
    found = compare_evaluations([read_evaluation(path) for path in paths])
    told = [json.loads(path.read_text())["metrics"]["avg_zeroshot_acc"] for path in paths]
    assert len(found.common_tasks) == 7
    assert row(found, "average").values == pytest.approx(tuple(told), rel=1e-12)
