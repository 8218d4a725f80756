"""Specification of reading result files: numbers exactly, gaps gladly, nonsense never."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import FileError, LayoutError
from depthprune.study import (
    FoundResults,
    RemovalResult,
    SampleResult,
    read_results,
    write_result_files,
)
from tests.study.example import MODEL, SETTINGS, SPLIT, answers_of, filled_study, scores_of

DATA = Path(__file__).parent / "data"
USERS = Path(__file__).parents[1] / "users"
PUBLISHED = Path("/work/shared/published")
SUMMARY = "exp3_accuracy_sensitivity_v2_results.json"
IMPORTANCE = "layer_importance_scores.json"


def entry(blocks: list[int], mean: float, /, **fields: Any) -> dict[str, Any]:
    """Return a summary entry of a model with baseline accuracy 0.9; `...` leaves a field out."""
    value = {"removed_block_indices": blocks, "accuracy": mean, "accuracy_drop": 0.9 - mean}
    return {name: one for name, one in (value | fields).items() if one is not ...}


def summary(*entries: Any, **fields: Any) -> dict[str, Any]:
    """Return a small summary file; a field given as `...` is left out."""
    value = {
        "dataset_name": "okvqa",
        "split": "train",
        "baseline_accuracy": 0.9,
        "num_total_blocks": 4,
        "summary": list(entries) or [entry([0], 0.3), entry([1], 0.8), entry([0, 2], 0.25)],
    }
    return {name: one for name, one in (value | fields).items() if one is not ...}


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write a file into `tmp_path/{folder}/`; anything but text becomes JSON."""

    def put(value: Any, name: str = SUMMARY, folder: str = "okvqa/train") -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
        return path

    return put


Put = Callable[..., Path]


def drops(reading: FoundResults) -> dict[tuple[int, ...], float]:
    (dataset,) = reading.datasets
    return dataset.drops


def only_problem(reading: FoundResults) -> str:
    (problem,) = reading.problems
    return str(problem)


# What is right


def test_the_number_of_blocks_may_stand_in_config_or_in_any_row(put: Put, tmp_path: Path) -> None:
    config = {"dataset_name": "doc_qa", "split": "dev", "total_blocks": 6, "beam_width": 2}
    bare = dict.fromkeys(("num_total_blocks", "dataset_name", "split"), ...)
    (dataset,) = read_results(put(summary(config=config, **bare), folder="x/y")).datasets
    assert (dataset.num_blocks, dataset.dataset, dataset.split) == (6, "doc_qa", "dev")
    assert dataset.beam_width == 2
    rows = summary(entry([0], 0.3), entry([1], 0.8, num_total_blocks=7), num_total_blocks=...)
    (dataset,) = read_results(put(rows, folder="z/train")).datasets
    assert dataset.num_blocks == 7


def test_head_and_config_that_differ_are_told(put: Put) -> None:
    put(summary())
    path = put(summary(config={"total_blocks": 6}), folder="doc-qa/train")
    reading = read_results(path.parents[2])
    assert "num_total_blocks is 4, config.total_blocks 6" in only_problem(reading)


def test_the_users_own_files_are_read_number_by_number() -> None:
    reading = read_results(USERS / "beam")
    assert reading.problems == ()
    assert [(one.dataset, one.split, one.num_blocks) for one in reading.datasets] == [
        ("okvqa", "train+validation", 16),
        ("tally_qa", "train+test", 16),
        ("text_vqa", "train+validation", 16),
    ]
    for dataset in reading.datasets:
        value = json.loads((dataset.folder / SUMMARY).read_text())
        assert len(dataset.results) == len(value["summary"]) + 1
        singles = {removal[0]: drop for removal, drop in dataset.drops.items() if len(removal) == 1}
        assert singles == {int(block): one for block, one in value["importance_scores"].items()}
        assert (dataset.beam_width, dataset.max_blocks_to_remove) == (3, 4)


def test_published_results_are_read_number_by_number() -> None:
    reading = read_results(DATA)
    assert [(one.dataset, one.split) for one in reading.datasets] == [
        ("okvqa", "train+validation"),
        ("tally_qa", "train+test"),
    ]
    assert reading.problems == ()
    for dataset in reading.datasets:
        value = json.loads((dataset.folder / SUMMARY).read_text())
        assert (dataset.num_blocks, dataset.baseline_accuracy) == (16, value["baseline_accuracy"])
        assert (dataset.beam_width, dataset.max_blocks_to_remove) == (3, 4)
        assert dataset.results[0] == RemovalResult((), 0.0, value["baseline_accuracy"])
        assert list(dataset.results[1:]) == [
            RemovalResult(
                tuple(one["removed_block_indices"]),
                one["accuracy_drop"],
                one["accuracy"],
                one["std"],
                one["num_samples"],
            )
            for one in value["summary"]
        ]


def test_a_published_comparison_is_read() -> None:
    (comparison,) = read_results(DATA / "comparison").comparisons
    assert comparison.dataset == "st_qa"
    assert comparison.train_scores[15] == 0.124
    assert list(comparison.validation_scores) == list(range(16))
    assert (comparison.spearman_correlation, comparison.p_value) == (None, None)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published results are not on this machine")
def test_all_published_results_are_read_and_the_one_oddity_is_named() -> None:
    reading = read_results(PUBLISHED)
    assert [one.dataset for one in reading.datasets] == [
        "coco_2014_vqa",
        "coco_caption",
        "doc_qa",
        "okvqa",
        "science_qa_img",
        "st_qa",
        "tally_qa",
        "text_vqa",
    ]
    assert sum(len(one.results) - 1 for one in reading.datasets) == 174
    assert len(reading.comparisons) == 2
    assert "accuracy is below 0: 1 of 25 results (removal 0) (kept)" in only_problem(reading)


def test_own_files_are_read_with_samples_and_provenance(tmp_path: Path) -> None:
    with filled_study(tmp_path / "study", [(), (2,), (1, 3)]) as study:
        write_result_files(study, tmp_path / "results", beam_width=2, max_blocks_to_remove=2)
        measured = study.measurements()
    reading = read_results(tmp_path / "results")
    assert reading.problems == ()
    (dataset,) = reading.datasets
    for result, one in zip(dataset.results, measured, strict=True):
        assert (result.removal, result.accuracy, result.std) == (one.removal, one.accuracy, one.std)
        assert result.samples == tuple(
            SampleResult(sample_id, float(score), answer)
            for sample_id, score, answer in zip(
                SPLIT.sample_ids, scores_of(one.removal), answers_of(one.removal), strict=True
            )
        )
    assert dataset.provenance is not None
    assert dataset.provenance.model.fingerprint == MODEL.fingerprint
    assert dataset.provenance.settings == SETTINGS


@pytest.mark.parametrize("name", [SUMMARY, IMPORTANCE])
def test_a_single_file_can_be_read(name: str) -> None:
    (dataset,) = read_results(DATA / "beam" / "tally-qa" / "train+test" / name).datasets
    assert (dataset.dataset, dataset.split, dataset.num_blocks) == ("tally_qa", "train+test", 16)
    assert dataset.drops[(3,)] == read_results(DATA).datasets[1].drops[(3,)]


@pytest.mark.parametrize("folder", ["coco-2014-vqa", "coco_2014_vqa"])
def test_an_importance_file_takes_its_names_from_its_folders(put: Put, folder: str) -> None:
    path = put({"1": 0.2, "0": 0.5}, IMPORTANCE, f"{folder}/train+test")
    (dataset,) = read_results(path.parents[2]).datasets
    assert (dataset.dataset, dataset.split) == ("coco_2014_vqa", "train+test")
    assert (dataset.num_blocks, dataset.baseline_accuracy) == (2, None)
    assert dataset.drops == {(0,): 0.5, (1,): 0.2}


def test_a_dataset_name_with_hyphens_in_a_file_means_the_same_dataset(put: Put) -> None:
    path = put(summary(dataset_name="coco-caption"))
    assert read_results(path).datasets[0].dataset == "coco_caption"


def test_every_field_but_the_blocks_and_one_number_may_be_missing(put: Put) -> None:
    path = put(
        {"summary": [{"removed_block_indices": [1], "accuracy_drop": 0.25, "std": None}]},
        folder="ok-vqa/part",
    )
    (dataset,) = read_results(path).datasets
    assert (dataset.dataset, dataset.split, dataset.num_blocks) == ("ok_vqa", "part", None)
    assert dataset.results == (RemovalResult((1,), 0.25),)


def test_a_missing_drop_is_taken_from_the_accuracies(put: Put) -> None:
    path = put(summary(entry([2], 0.5, accuracy_drop=...)))
    assert drops(read_results(path))[(2,)] == 0.9 - 0.5


def test_a_missing_list_of_blocks_is_taken_from_the_name(put: Put) -> None:
    path = put({"accuracy_drop": 0.1}, "beam_search_step2_blocks2_removed1-3.json")
    assert drops(read_results(path)) == {(1, 3): 0.1}


def test_a_baseline_among_the_results_is_the_baseline(put: Put) -> None:
    path = put(summary(entry([], 0.9, accuracy_drop=...), baseline_accuracy=...))
    (dataset,) = read_results(path).datasets
    assert dataset.baseline_accuracy == 0.9
    assert dataset.results == (RemovalResult((), 0.0, 0.9),)


def test_blocks_in_another_order_are_the_same_removal(put: Put) -> None:
    assert (0, 3) in drops(read_results(put(summary(entry([3, 0], 0.5)))))


def test_files_about_one_removal_complete_each_other(put: Put, tmp_path: Path) -> None:
    put(summary(entry([1], 0.8)))
    put({"0": 0.6004, "1": 0.1}, IMPORTANCE)
    put(entry([1], 0.8, num_samples=500, std=0.4), "sensitivity_block_1.json")
    (dataset,) = read_results(tmp_path).datasets
    assert dataset.results[1:] == (
        RemovalResult((0,), 0.6004),
        RemovalResult((1,), 0.9 - 0.8, 0.8, 0.4, 500),
    )


def test_the_summary_is_believed_before_a_file_that_rounds(put: Put, tmp_path: Path) -> None:
    put(summary(entry([1], 0.8123456)))
    put({"1": 0.0877}, IMPORTANCE)
    reading = read_results(tmp_path)
    assert drops(reading)[(1,)] == 0.9 - 0.8123456
    assert reading.problems == ()


def test_captions_may_score_beyond_one(put: Put) -> None:
    path = put(summary(entry([0], 0.1, accuracy_drop=1.3), baseline_accuracy=1.4))
    reading = read_results(path)
    assert drops(reading)[(0,)] == 1.3
    assert reading.problems == ()


def test_other_files_are_passed_over(put: Put, tmp_path: Path) -> None:
    put(summary())
    put("{", "config.json")
    put("x", "notes.txt")
    assert read_results(tmp_path).problems == ()


# What is wrong


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such folder"):
        read_results(tmp_path / "none")


def test_a_folder_without_results_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no result files here"):
        read_results(tmp_path)


def test_a_file_with_another_name_is_an_error(put: Put) -> None:
    with pytest.raises(LayoutError, match="not one of the documented result files"):
        read_results(put(summary(), "other.json"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (SUMMARY, '{\n "summary": [\n', "line 3"),
        (SUMMARY, "", "line 1"),
        (SUMMARY, '{"summary": [], "baseline_accuracy": NaN}', "NaN is not a JSON number"),
        (SUMMARY, "[]", "a JSON object was expected, not a list"),
        (SUMMARY, "{}", "a list 'summary' is required"),
        (SUMMARY, '{"summary": {}}', "a list 'summary' is required"),
        (
            SUMMARY,
            '{"summary": [], "baseline_accuracy": 1e999}',
            "baseline_accuracy: a number was",
        ),
        (
            SUMMARY,
            '{"summary": [], "num_total_blocks": 1.5}',
            "1.5 is not a whole number",
        ),
        (SUMMARY, '{"summary": [], "beam_width": -1}', "beam_width: -1 is not a count"),
        (
            SUMMARY,
            '{"summary": [], "dataset_name": "../.."}',
            "'../..' is not a name",
        ),
        (SUMMARY, '{"summary": [], "split": 5}', "split: 5 is not a name"),
        (IMPORTANCE, "[0.1, 0.2]", "a JSON object of block: score was expected, not a list"),
        (IMPORTANCE, '{"first": 0.1}', "'first' is not a block index"),
        (IMPORTANCE, '{"-1": 0.1}', "'-1' is not a block index"),
        (IMPORTANCE, '{"1": "a"}', '["1"]: a number was expected, not "a"'),
        (IMPORTANCE, '{"1": true}', '["1"]: a number was expected, not true or false'),
        (IMPORTANCE, '{"1": null}', '["1"]: a number was expected, not null'),
        (IMPORTANCE, '{"1": 0.1, "01": 0.2}', "block 1 is listed twice"),
        ("sensitivity_block_1.json", "{}", "accuracy_drop is required"),
        ("sensitivity_block_1.json", '{"removed_block_indices": [2], "accuracy_drop": 0}', "name"),
        (
            "sensitivity_block_1.json",
            '{"accuracy_drop": 0, "samples": 1}',
            "samples: a list was expected",
        ),
        (
            "sensitivity_block_1.json",
            '{"accuracy_drop": 0, "samples": [{}]}',
            "samples[0].sample_id: an id",
        ),
        ("importance_comparison_x.json", "[]", "a JSON object was expected, not a list"),
        ("importance_comparison_x.json", "{}", "neither train_scores nor"),
        (
            "importance_comparison_x.json",
            '{"train_scores": []}',
            "train_scores: a JSON object",
        ),
    ],
)
def test_a_bad_file_is_a_problem_and_the_good_ones_are_read(
    put: Put, tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = put(content, name, "bad/train")
    put(summary())
    reading = read_results(tmp_path)
    assert [one.dataset for one in reading.datasets] == ["okvqa"]
    assert message in only_problem(reading)
    assert str(path) in only_problem(reading)
    assert reading.problems[0].left_out


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("text", "a JSON object was expected"),
        (entry([4], 0.5), "block 4 does not exist"),
        (entry([-1], 0.5), "-1 is not a block index"),
        (entry([1, 1], 0.5), "block 1 is named twice"),
        (entry(["1"], 0.5), "'1' is not a block index"),  # type: ignore[list-item]
        (entry([True], 0.5), "True is not a block index"),
        (entry([1], 0.5, removed_block_indices=...), "a list 'removed_block_indices' is required"),
        (entry([1], 0.5, active_block_indices=[1, 2, 3]), "active_block_indices do not fit"),
        (entry([1], 0.5, accuracy="high"), "accuracy: a number was expected"),
        (entry([1], 0.5, accuracy=10**400), "accuracy: a number was expected"),
        (entry([1], 0.5, accuracy=..., accuracy_drop=...), "accuracy_drop is required"),
        (entry([1], 0.5, std=-0.1), "below 0"),
        (entry([1], 0.5, num_samples="many"), "num_samples: a count was expected"),
        (entry([1], 0.5, num_samples=2.5), "num_samples: 2.5 is not a whole number"),
        (entry([1], 0.5, num_total_blocks=9), "num_total_blocks is 9"),
        (entry([1], 0.5, baseline_accuracy=0.7), "baseline_accuracy is 0.7"),
    ],
)
def test_a_bad_entry_is_a_problem_and_the_good_ones_are_read(
    put: Put, bad: Any, message: str
) -> None:
    reading = read_results(put(summary(entry([0], 0.3), bad, entry([2], 0.4))))
    assert list(drops(reading)) == [(), (0,), (2,)]
    assert message in only_problem(reading)
    assert f"{SUMMARY}, entry 2 of the summary" in only_problem(reading)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"samples": [("a", 1.0), ("a", 0.0)]}, "a sample is listed twice"),
        ({"samples": [("a", 1.0)], "num_samples": 2}, "1 sample is listed"),
        ({"samples": [("a", 1.0), ("b", 1.0)]}, "the mean of the scores is 1.0"),
    ],
)
def test_samples_that_do_not_fit_their_accuracy_are_a_problem(
    put: Put, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    samples = [{"sample_id": name, "score": score} for name, score in fields["samples"]]
    put(entry([1], 0.5, **fields | {"samples": samples}), "sensitivity_block_1.json")
    put(summary(entry([0], 0.3)))
    reading = read_results(tmp_path)
    assert list(drops(reading)) == [(), (0,)]
    assert message in only_problem(reading)


def test_of_two_results_of_one_removal_in_a_file_the_later_counts_with_a_note(put: Put) -> None:
    reading = read_results(put(summary(entry([0], 0.3), entry([1], 0.8), entry([1], 0.7))))
    assert drops(reading) == pytest.approx({(): 0, (0,): 0.6, (1,): 0.2})
    assert "the later counts (removal 1)" in only_problem(reading)
    assert only_problem(reading).endswith("(kept)")


def test_the_later_of_three_results_counts_however_near_they_are(put: Put) -> None:
    entries = [entry([1], 0.8), entry([1], 0.8001), entry([1], 0.8002, num_samples=3)]
    reading = read_results(put(summary(*entries)))
    assert drops(reading)[1,] == pytest.approx(0.0998)
    assert reading.datasets[0].results[1].num_samples == 3


def test_the_same_result_twice_is_no_problem(put: Put) -> None:
    reading = read_results(put(summary(entry([1], 0.8), entry([1], 0.8))))
    assert list(drops(reading)) == [(), (1,)]
    assert reading.problems == ()


def test_files_that_disagree_are_a_problem_that_names_both(put: Put, tmp_path: Path) -> None:
    put(summary(entry([0], 0.3), entry([1], 0.8)))
    put({"0": 0.6, "1": 0.3}, IMPORTANCE)
    reading = read_results(tmp_path)
    assert list(drops(reading)) == [(), (0,)]
    assert f"in {SUMMARY}, 0.3 in {IMPORTANCE}" in only_problem(reading)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset_name": "text_vqa"},
        {"split": "validation"},
        {"num_total_blocks": 8},
        {"baseline_accuracy": 0.7},
    ],
)
def test_a_file_about_something_else_in_the_same_folder_is_left_out(
    put: Put, tmp_path: Path, change: dict[str, Any]
) -> None:
    put(summary())
    put(entry([3], 0.6) | change, "sensitivity_block_3.json")
    reading = read_results(tmp_path)
    assert (3,) not in drops(reading)
    assert f"in {SUMMARY} beside it" in only_problem(reading)


def test_a_block_beyond_the_model_in_an_importance_file_is_left_out(
    put: Put, tmp_path: Path
) -> None:
    put(summary(entry([0], 0.3)))
    put({"0": 0.6, "7": 0.1}, IMPORTANCE)
    reading = read_results(tmp_path)
    assert list(drops(reading)) == [(), (0,)]
    assert "block 7 does not exist: the model has 4" in only_problem(reading)


@pytest.mark.parametrize(
    ("value", "name", "doubt"),
    [
        (summary(entry([1], 0.8, accuracy_drop=0.3)), SUMMARY, "not baseline accuracy minus"),
        (summary(entry([1], 0.8, accuracy_drop=10.0)), SUMMARY, "not baseline accuracy minus"),
        (summary(entry([1], -0.1)), SUMMARY, "the accuracy is below 0"),
        ({"0": 62.7, "1": 3.09}, IMPORTANCE, "not a fraction (beyond -1..1): 2 of 2"),
    ],
)
def test_a_doubtful_number_is_kept_and_named(put: Put, value: Any, name: str, doubt: str) -> None:
    reading = read_results(put(value, name))
    assert (1,) in drops(reading)
    assert doubt in only_problem(reading)
    assert not reading.problems[0].left_out


def test_two_folders_of_one_dataset_are_a_problem_and_the_first_is_read(
    put: Put, tmp_path: Path
) -> None:
    put(summary(entry([1], 0.8)), folder="okvqa-copy/train")
    put(summary(entry([1], 0.5)), folder="okvqa/train")
    reading = read_results(tmp_path)
    assert drops(reading)[(1,)] == 0.9 - 0.5
    assert f"okvqa train lies in {tmp_path / 'okvqa/train'} already" in only_problem(reading)
    assert reading.problems[0].where == str(tmp_path / "okvqa-copy/train")


def test_two_splits_of_one_dataset_are_two_results(put: Put, tmp_path: Path) -> None:
    put(summary(split="validation"), folder="okvqa/validation")
    put(summary(), folder="okvqa/train")
    reading = read_results(tmp_path)
    assert [one.split for one in reading.datasets] == ["train", "validation"]
    assert reading.problems == ()


def test_two_comparisons_of_one_dataset_are_a_problem(put: Put, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        put({"dataset_name": "x", "train_scores": {"0": 1}}, "importance_comparison_x.json", folder)
    reading = read_results(tmp_path)
    assert len(reading.comparisons) == 1
    assert "the comparison of x lies in" in only_problem(reading)


def test_models_of_different_size_are_named(put: Put, tmp_path: Path) -> None:
    put(summary(entry([1], 0.8)))
    put(summary(entry([1], 0.8), num_total_blocks=5, dataset_name="b"), folder="b/train")
    assert "models of different size" in only_problem(read_results(tmp_path))


def test_a_link_to_a_folder_is_not_followed_but_named(put: Put, tmp_path: Path) -> None:
    put(summary())
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert "a link to another folder is not followed" in only_problem(read_results(tmp_path))


def test_a_spoiled_provenance_file_is_a_problem(put: Put, tmp_path: Path) -> None:
    put(summary())
    put({"model": {}}, "provenance.json")
    reading = read_results(tmp_path)
    assert "provenance.json, model.name: a text is missing" in only_problem(reading)
    assert reading.datasets[0].provenance is None


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_may_not_be_read_is_a_problem(put: Put, tmp_path: Path) -> None:
    put(summary())
    closed = put(summary(), folder="closed/train").parent
    closed.chmod(0)
    try:
        assert "cannot read: Permission denied" in only_problem(read_results(tmp_path))
    finally:
        closed.chmod(0o755)
