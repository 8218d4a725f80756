"""Specification of result sets from files: what is good is used, what is wrong is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.combinations import combine
from depthprune.analysis.recommend import recommend
from depthprune.analysis.result_set import ResultSet
from depthprune.base.errors import AnalysisError, FileError, LayoutError

SUMMARY = "exp3_accuracy_sensitivity_v2_results.json"
IMPORTANCE = "layer_importance_scores.json"

Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write a file into a folder of `tmp_path`; anything but text becomes JSON."""

    def put(folder: str, value: Any, name: str = SUMMARY) -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return path

    return put


def summary(
    drops: dict[tuple[int, ...], float], *, baseline: float = 0.9, num_blocks: int = 4, **more: Any
) -> dict[str, Any]:
    """Return a summary file without names, which its folder gives."""
    return {
        "baseline_accuracy": baseline,
        "num_total_blocks": num_blocks,
        "summary": [
            {
                "removed_block_indices": list(removal),
                "accuracy": baseline - drop,
                "accuracy_drop": drop,
                "num_samples": 100,
            }
            for removal, drop in drops.items()
        ],
        **more,
    }


GOOD = summary({(1,): 0.1, (2,): 0.2, (1, 2): 0.3})


def said(results: ResultSet, *words: str) -> bool:
    return any(all(word in problem for word in words) for problem in results.problems)


def names(results: ResultSet) -> list[str]:
    return [one.dataset for one in results.datasets]


# Good files


def test_datasets_are_those_of_the_folders_in_the_order_of_their_names(
    put: Put, tmp_path: Path
) -> None:
    put("okvqa/validation", GOOD)
    put("doc-qa/validation", GOOD)
    results = read_result_set(tmp_path)
    assert names(results) == ["doc_qa", "okvqa"]
    assert results.splits == {"doc_qa": "validation", "okvqa": "validation"}
    assert [one.task_type for one in results.datasets] == ["Document QA", "VQA"]
    assert (results.model, results.num_blocks, results.problems) == (tmp_path.name, 4, ())
    assert (results.parameters, results.block_parameters) == (None, None)


def test_a_dataset_that_is_not_known_has_no_task_type(put: Put, tmp_path: Path) -> None:
    put("my-own/validation", GOOD)
    assert read_result_set(tmp_path).datasets[0].task_type == ""


def test_a_single_file_is_read(put: Put) -> None:
    assert names(read_result_set(put("okvqa/validation", GOOD))) == ["okvqa"]


def test_the_stated_drop_counts(put: Put, tmp_path: Path) -> None:
    given = summary({(1,): 0.1})
    given["summary"][0]["accuracy_drop"] = 0.1004
    put("okvqa/validation", given)
    put("doc_qa/validation", given)
    results = read_result_set(tmp_path)
    assert [one.drop((1,)) for one in results.datasets] == [0.1004, 0.1004]
    assert combine(results.datasets)[0].mean == pytest.approx(0.1004)


def test_a_drop_without_accuracy_gets_it_from_the_baseline(put: Put, tmp_path: Path) -> None:
    given = summary({(1,): 0.1})
    del given["summary"][0]["accuracy"]
    put("okvqa/validation", given)
    (one,) = read_result_set(tmp_path).datasets
    assert one.measurements[(1,)].accuracy == pytest.approx(0.8)


def test_drops_alone_are_used_without_accuracies(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", {"0": 0.3, "1": 0.1, "2": 0.2}, IMPORTANCE)
    results = read_result_set(tmp_path)
    assert results.num_blocks == 3
    assert said(results, "no baseline accuracy", "as stated")
    (ranked, *_) = recommend(results).independent[1].combinations
    assert (ranked.removal, ranked.mean) == ((1,), 0.1)
    assert isnan(ranked.accuracy)


def removal_file(
    blocks: list[int], scores: dict[str, float], baseline: float = 0.5
) -> dict[str, Any]:
    mean = sum(scores.values()) / len(scores)
    return {
        "removed_block_indices": blocks,
        "accuracy": mean,
        "accuracy_drop": baseline - mean,
        "baseline_accuracy": baseline,
        "num_total_blocks": 4,
        "samples": [{"sample_id": name, "score": score} for name, score in scores.items()],
    }


def test_scores_are_paired_with_those_of_the_baseline_by_sample(put: Put, tmp_path: Path) -> None:
    folder = "okvqa/validation"
    more = {str(number): 0.5 for number in range(8)}
    put(folder, removal_file([], {"a": 1, "b": 0} | more), "sensitivity_baseline.json")
    put(folder, removal_file([1], more | {"b": 0.25, "a": 0.75}), "sensitivity_block_1.json")
    (one,) = read_result_set(tmp_path).datasets
    scores = one.measurements[(1,)].scores
    assert scores is not None
    assert np.array_equal(scores[:2], [0.75, 0.25])
    assert one.baseline.num_samples == 10
    assert combine([one])[0].interval is not None


def test_scores_of_other_samples_are_not_paired(put: Put, tmp_path: Path) -> None:
    folder = "okvqa/validation"
    put(folder, removal_file([], {"a": 1, "b": 0}), "sensitivity_baseline.json")
    put(folder, removal_file([1], {"a": 0.5, "c": 0}), "sensitivity_block_1.json")
    results = read_result_set(tmp_path)
    assert results.datasets[0].measurements[(1,)].scores is None
    assert said(results, "1 result lists other samples", "without a confidence interval")


# Splits


def test_the_split_that_most_datasets_have_is_analysed(put: Put, tmp_path: Path) -> None:
    put("okvqa/train", GOOD)
    put("okvqa/validation", GOOD)
    put("doc-qa/train", GOOD)
    results = read_result_set(tmp_path)
    assert set(results.splits.values()) == {"train"}
    assert said(results, "the split train is analysed", "validation", "splits")


def test_of_equally_common_splits_both_together_are_preferred(put: Put, tmp_path: Path) -> None:
    for split in ("train", "train+validation", "validation"):
        put(f"okvqa/{split}", GOOD)
    assert read_result_set(tmp_path).splits == {"okvqa": "train+validation"}


def test_a_test_split_plays_validation_where_there_is_no_other(put: Put, tmp_path: Path) -> None:
    put("okvqa/train+validation", GOOD)
    put("tally-qa/train+test", GOOD)
    results = read_result_set(tmp_path)
    assert results.splits == {"okvqa": "train+validation", "tally_qa": "train+test"}
    assert not results.problems
    assert read_result_set(tmp_path, "train+validation").splits == results.splits


def test_a_dataset_without_the_common_split_is_taken_on_another_and_it_is_said(
    put: Put, tmp_path: Path
) -> None:
    put("okvqa/validation", GOOD)
    put("doc-qa/validation", GOOD)
    put("st-qa/train", GOOD)
    results = read_result_set(tmp_path)
    assert results.splits["st_qa"] == "train"
    assert said(results, "st_qa", "validation was not measured", "train is taken")


def test_a_split_that_is_asked_for_leaves_out_the_datasets_that_lack_it(
    put: Put, tmp_path: Path
) -> None:
    put("okvqa/validation", GOOD)
    put("okvqa/test", GOOD)
    put("doc-qa/train", GOOD)
    results = read_result_set(tmp_path, "test")
    assert results.splits == {"okvqa": "test"}
    assert said(results, "doc_qa", "left out")


def test_a_split_that_nobody_has_is_an_error_that_names_those_there(
    put: Put, tmp_path: Path
) -> None:
    put("okvqa/train", GOOD)
    with pytest.raises(AnalysisError, match=r"'validation'(.|\n)*splits that are there: train"):
        read_result_set(tmp_path, "validation")


def test_train_and_validation_of_a_dataset_are_compared(put: Put, tmp_path: Path) -> None:
    put("okvqa/train", summary({(1,): 0.1, (2,): 0.2, (1, 2): 0.3}))
    put("okvqa/validation", summary({(1,): 0.15, (2,): 0.25}))
    put("doc-qa/validation", GOOD)
    (found,) = read_result_set(tmp_path).comparisons
    assert found.dataset == "okvqa"
    assert (found.train_scores, found.validation_scores) == ({1: 0.1, 2: 0.2}, {1: 0.15, 2: 0.25})


def test_a_comparison_that_is_written_counts_more_than_two_folders(
    put: Put, tmp_path: Path
) -> None:
    put("okvqa/train", GOOD)
    put("okvqa/validation", GOOD)
    stated = {"train_scores": {"0": 0.5}, "validation_scores": {"0": 0.4}}
    put("comparison", stated, "importance_comparison_okvqa.json")
    (found,) = read_result_set(tmp_path).comparisons
    assert (found.train_scores, found.validation_scores) == ({0: 0.5}, {0: 0.4})


def test_a_comparison_of_a_larger_model_is_left_out(put: Put, tmp_path: Path) -> None:
    put("okvqa/train", GOOD)
    stated = {"train_scores": {"9": 0.5}, "validation_scores": {"9": 0.4}}
    put("comparison", stated, "importance_comparison_okvqa.json")
    results = read_result_set(tmp_path)
    assert results.comparisons == ()
    assert said(results, "more than 4 blocks", "left out")


# Bad files


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such folder"):
        read_result_set(tmp_path / "nowhere")


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no result files here"):
        read_result_set(tmp_path)


def test_broken_json_is_named_with_its_line_and_the_rest_is_used(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", '{"summary": [\n1,\n')
    put("doc-qa/validation", GOOD)
    put("st-qa/validation", GOOD)
    results = read_result_set(tmp_path)
    assert names(results) == ["doc_qa", "st_qa"]
    assert said(results, SUMMARY, "line 3", "left out")


def test_only_broken_files_are_an_error_that_names_them(put: Put, tmp_path: Path) -> None:
    for name in "abcdefg":
        put(f"{name}/validation", "{\n,")
    with pytest.raises(LayoutError, match=r"can be used(.|\n)*line 2(.|\n)*and 2 more"):
        read_result_set(tmp_path)


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", '"a"'])
def test_what_is_no_number_is_left_out(put: Put, tmp_path: Path, wrong: str) -> None:
    put("okvqa/validation", json.dumps(GOOD).replace("0.2,", f"{wrong},", 1))
    put("doc-qa/validation", GOOD)
    results = read_result_set(tmp_path)
    assert "doc_qa" in names(results)
    assert said(results, "okvqa", "left out")


def test_a_drop_beyond_one_is_left_out_and_the_rest_is_used(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", summary({(1,): 0.1, (2,): 20.0, (3,): -3.0}))
    put("doc-qa/validation", GOOD)
    results = read_result_set(tmp_path)
    assert list(results.datasets[1].measurements) == [(1,)]
    assert said(results, "okvqa: 2 removals (2, 3)", "no fraction from -1 to 1", "left out")


def test_captions_may_score_beyond_one(put: Put, tmp_path: Path) -> None:
    put("coco-caption/validation", summary({(1,): 1.2, (2,): 1.4}, baseline=1.3))
    results = read_result_set(tmp_path)
    assert list(results.datasets[0].measurements) == [(1,)]


@pytest.mark.parametrize(("dataset", "baseline"), [("okvqa", 1.5), ("coco-caption", 88.0)])
def test_accuracies_in_per_cent_leave_the_dataset_out(
    put: Put, tmp_path: Path, dataset: str, baseline: float
) -> None:
    put(f"{dataset}/validation", summary({(1,): 0.5}, baseline=baseline))
    put("doc-qa/validation", GOOD)
    results = read_result_set(tmp_path)
    assert names(results) == ["doc_qa"]
    assert said(results, "per cent", "divide its numbers by 100")


def test_nothing_but_impossible_numbers_is_an_error(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", summary({(1,): 20.0}))
    with pytest.raises(AnalysisError, match=r"no dataset holds a drop(.|\n)*-1 to 1"):
        read_result_set(tmp_path)


def test_a_dataset_of_another_model_size_is_left_out(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", GOOD)
    put("doc-qa/validation", GOOD)
    put("st-qa/validation", summary({(1,): 0.1}, num_blocks=8))
    results = read_result_set(tmp_path)
    assert names(results) == ["doc_qa", "okvqa"]
    assert results.num_blocks == 4
    assert said(results, "st-qa", "8 blocks, the others have 4", "left out")


def test_a_dataset_with_a_block_that_the_model_lacks_is_left_out(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", GOOD)
    put("doc-qa/validation", {"2": 0.1, "7": 0.2}, IMPORTANCE)
    results = read_result_set(tmp_path)
    assert names(results) == ["okvqa"]
    assert said(results, "doc-qa", "block 7 does not exist", "left out")


def test_as_many_results_of_one_size_as_of_another_are_an_error(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", GOOD)
    put("doc-qa/validation", summary({(1,): 0.1}, num_blocks=8))
    with pytest.raises(LayoutError, match="models of 4 and 8 blocks"):
        read_result_set(tmp_path)


def test_results_of_two_models_are_an_error(put: Put, tmp_path: Path) -> None:
    for dataset in ("okvqa", "doc-qa"):
        put(f"{dataset}/validation", GOOD)
        provenance = {
            "model": {
                "name": f"model of {dataset}",
                "fingerprint": dataset,
                "architecture": "Llama",
                "num_blocks": 4,
                "stack": "layers",
            },
            "task_fingerprint": "1",
            "task_type": "VQA",
            "metric": "vqa_accuracy",
            "settings": "greedy",
        }
        put(f"{dataset}/validation", provenance, "provenance.json")
    with pytest.raises(LayoutError, match="more than one model: model of doc-qa, model of okvqa"):
        read_result_set(tmp_path)
    results = read_result_set(tmp_path / "okvqa")
    assert results.model == "model of okvqa"
    assert results.datasets[0].metric == "vqa_accuracy"


def test_an_unknown_number_of_blocks_is_an_error(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", {"2": 0.1, "7": 0.2}, IMPORTANCE)
    with pytest.raises(LayoutError, match="how many blocks"):
        read_result_set(tmp_path)


def test_a_duplicated_dataset_is_left_out(put: Put, tmp_path: Path) -> None:
    put("a/doc-qa/validation", GOOD)
    put("b/doc_qa/validation", summary({(1,): 0.9}))
    results = read_result_set(tmp_path)
    assert results.datasets[0].drop((1,)) == 0.1
    assert said(results, "doc_qa validation lies in", "left out")


def test_a_dataset_without_any_removal_is_left_out(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", GOOD)
    put("doc-qa/validation", summary({}))
    results = read_result_set(tmp_path)
    assert names(results) == ["okvqa"]
    assert said(results, "doc_qa", "no removal was measured")


def test_one_dataset_alone_is_said(put: Put, tmp_path: Path) -> None:
    put("okvqa/validation", GOOD)
    assert said(read_result_set(tmp_path), "only one dataset, okvqa")


def test_each_broken_file_is_named_however_much_is_wrong_in_another(
    put: Put, tmp_path: Path
) -> None:
    put("okvqa/train", GOOD)
    rows = [{"removed_block_indices": [9, 9], "accuracy_drop": 0.1} for _ in range(50)]
    put("a_qa/train", {**GOOD, "summary": [*GOOD["summary"], *rows]})
    put("z_qa/train", "{")
    results = read_result_set(tmp_path)
    assert [one.dataset for one in results.datasets] == ["a_qa", "okvqa"]
    first, second = results.problems
    assert first.startswith(str(tmp_path / "a_qa")) and first.endswith("and 49 more in this file")
    assert second.startswith(str(tmp_path / "z_qa"))


def test_an_error_about_the_good_files_names_the_broken_one_too(put: Put, tmp_path: Path) -> None:
    put("okvqa/train", GOOD)
    broken = put("st_qa/validation", "{")
    with pytest.raises(AnalysisError) as refused:
        read_result_set(tmp_path, "validation")
    assert str(broken) in str(refused.value)


def test_a_folder_with_the_name_of_a_result_file_is_named(put: Put, tmp_path: Path) -> None:
    put("okvqa/train", GOOD)
    folder = tmp_path / "st_qa" / "train" / SUMMARY
    folder.mkdir(parents=True)
    first, *_ = read_result_set(tmp_path).problems
    assert first == f"{folder}: a folder with the name of a result file (left out)"
