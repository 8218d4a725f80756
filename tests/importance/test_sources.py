"""Specification of where measured importance is read from."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError, FileError, LayoutError, StudyError
from depthprune.importance.sources import (
    from_comparisons,
    from_results,
    from_score_files,
    from_study,
)
from depthprune.study import StudyStore, write_result_files
from tests.importance.measured import DROPS, measure

DATA = Path(__file__).parent / "data"
SIDES = {"train_scores": {"0": 0.1, "1": 0.2}, "validation_scores": {"0": 0.3, "1": 0.4}}


def put(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_comparisons_give_two_splits() -> None:
    coco, st_qa = from_comparisons(DATA)
    assert (coco.dataset, st_qa.dataset) == ("coco_caption", "st_qa")
    assert [split.split for split in coco.splits] == ["train", "validation"]
    assert coco.splits[0].scores[14] == 0.004
    assert coco.num_blocks is None


def test_a_comparison_with_one_side_has_one_split(tmp_path: Path) -> None:
    put(tmp_path / "importance_comparison_a.json", {"validation_scores": {"0": 0.3, "1": 0.4}})
    (only,) = from_comparisons(tmp_path)
    assert [split.split for split in only.splits] == ["validation"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"train_scores": {"0": NaN}}', "NaN"),
        ('{"train_scores": {"0": 1}, ', "not valid JSON"),
        ({"train_scores": {"x": 1}}, "not a block index"),
        ('{"train_scores": {"0": 1, "0": 2}}', "occurs twice"),
        ({"train_scores": {}, "validation_scores": {}}, "no scores"),
        ({"scores": {}}, "neither train_scores"),
    ],
)
def test_a_wrong_comparison_is_refused_not_left_out(
    tmp_path: Path, value: Any, message: str
) -> None:
    put(tmp_path / "good" / "importance_comparison_good.json", SIDES)
    put(tmp_path / "bad" / "importance_comparison_bad.json", value)
    with pytest.raises(LayoutError, match=message) as caught:
        from_comparisons(tmp_path)
    assert "importance_comparison_bad.json" in str(caught.value)


def test_two_comparisons_of_one_dataset_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        put(tmp_path / folder / "importance_comparison_okvqa.json", SIDES)
    with pytest.raises(LayoutError, match="okvqa lies in"):
        from_comparisons(tmp_path)


def test_no_comparisons_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"no importance_comparison_\{dataset\}.json"):
        from_comparisons(tmp_path)
    with pytest.raises(FileError, match="no such folder"):
        from_comparisons(tmp_path / "nowhere")


def test_a_study_is_taken_for_a_folder_of_comparisons(tmp_path: Path) -> None:
    measure(tmp_path, "okvqa", "train+validation", DROPS)
    assert from_comparisons(tmp_path) == from_study(tmp_path)


def test_a_study_gives_both_splits_with_their_samples(tmp_path: Path) -> None:
    measure(tmp_path, "tally_qa", "test", DROPS, ids=("a", "b", "c"))
    measure(tmp_path, "tally_qa", "train", {0: 0.75, 1: 0.0, 2: 0.0})
    (one,) = from_study(tmp_path)
    assert [(split.split, split.num_samples) for split in one.splits] == [("train", 2), ("test", 3)]
    assert one.splits[0].scores == {0: 0.75, 1: 0.0, 2: 0.0}
    assert one.num_blocks == 3


def test_a_joint_split_is_one_split(tmp_path: Path) -> None:
    measure(tmp_path, "okvqa", "train+validation", DROPS)
    (one,) = from_study(tmp_path)
    assert [split.split for split in one.splits] == ["train+validation"]
    assert one.splits[0].scores == DROPS


def test_a_joint_split_beside_one_of_its_halves_is_preferred(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    measure(tmp_path, "okvqa", "train+validation", DROPS)
    measure(tmp_path, "okvqa", "train", DROPS)
    with caplog.at_level(logging.WARNING, "depthprune"):
        (one,) = from_study(tmp_path)
    assert [split.split for split in one.splits] == ["train+validation"]
    assert "train not used" in caplog.text


def test_both_halves_are_preferred_to_the_joint_split(tmp_path: Path) -> None:
    for split in ("train+validation", "train", "validation", "test"):
        measure(tmp_path, "okvqa", split, DROPS)
    (one,) = from_study(tmp_path)
    assert [split.split for split in one.splits] == ["train", "validation"]


def test_of_two_runs_the_fuller_one_is_taken_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    measure(tmp_path, "okvqa", "train", DROPS)
    measure(tmp_path, "okvqa", "train", {0: 0.1, 1: 0.2, 2: 0.3}, ids=("a", "b", "c"))
    with caplog.at_level(logging.WARNING, "depthprune"):
        (one,) = from_study(tmp_path)
    assert one.splits[0].num_samples == 3
    assert "measured 2 times" in caplog.text


def test_runs_under_two_settings_are_not_mixed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    halved = {block: drop / 2 for block, drop in DROPS.items()}
    more = ("a", "b", "c")
    measure(tmp_path, "okvqa", "train", DROPS)
    measure(tmp_path, "okvqa", "validation", DROPS)
    # More samples, but of one of the two splits only.
    measure(tmp_path, "okvqa", "train", halved, ids=more, settings="greedy dtype=bfloat16")
    with caplog.at_level(logging.WARNING, "depthprune"):
        (one,) = from_study(tmp_path)
    assert [split.scores for split in one.splits] == [DROPS, DROPS]
    assert "train was measured 2 times" in caplog.text
    assert "other settings" not in caplog.text


def test_a_split_measured_under_other_settings_only_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    measure(tmp_path, "okvqa", "train", DROPS)
    measure(tmp_path, "okvqa", "validation", DROPS)
    measure(tmp_path, "doc_qa", "train", DROPS, settings="greedy dtype=bfloat16")
    with caplog.at_level(logging.WARNING, "depthprune"):
        from_study(tmp_path)
    assert "doc_qa train (greedy dtype=bfloat16)" in caplog.text


def test_a_study_without_single_blocks_is_refused(tmp_path: Path) -> None:
    measure(tmp_path, "okvqa", "train", {})
    with pytest.raises(LayoutError, match="no drop of a single block"):
        from_study(tmp_path)
    with pytest.raises(StudyError):
        from_study(tmp_path / "nowhere")


def test_result_files_say_what_the_study_says(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        measure(tmp_path / "study", "okvqa", split, DROPS)
    with StudyStore.open(tmp_path / "study", read_only=True) as study:
        write_result_files(study, tmp_path / "results")
    (from_files,) = from_results(tmp_path / "results")
    (stored,) = from_study(tmp_path / "study")
    assert (from_files.dataset, from_files.num_blocks) == (stored.dataset, stored.num_blocks)
    assert from_files.splits == stored.splits


def test_importance_files_alone_will_do(tmp_path: Path) -> None:
    put(tmp_path / "okvqa" / "train" / "layer_importance_scores.json", {"0": 0.1, "1": 0.2})
    (one,) = from_results(tmp_path)
    assert (one.dataset, one.splits[0].num_samples, one.num_blocks) == ("okvqa", None, 2)


def test_a_broken_result_file_is_refused_not_left_out(tmp_path: Path) -> None:
    put(tmp_path / "okvqa" / "train" / "layer_importance_scores.json", {"0": 0.1, "1": 0.2})
    put(tmp_path / "doc-qa" / "train" / "layer_importance_scores.json", '{"0": NaN}')
    with pytest.raises(LayoutError, match="NaN"):
        from_results(tmp_path)


def test_results_that_were_set_aside_are_only_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("train", "train@0123abcd"):
        value = {
            "dataset_name": "okvqa",
            "split": "train",
            "baseline_accuracy": 0.5,
            "num_total_blocks": 2,
            "summary": [
                {"removed_block_indices": [block], "accuracy": 0.25, "num_samples": 4}
                for block in (0, 1)
            ],
        }
        put(tmp_path / "okvqa" / split / "exp3_accuracy_sensitivity_v2_results.json", value)
    with caplog.at_level(logging.WARNING, "depthprune"):
        (one,) = from_results(tmp_path)
    assert (one.splits[0].scores, one.splits[0].num_samples) == ({0: 0.25, 1: 0.25}, 4)
    assert "train@0123abcd" in caplog.text


def test_results_without_single_blocks_are_refused(tmp_path: Path) -> None:
    value = {"removed_block_indices": [0, 1], "accuracy_drop": 0.5}
    name = "beam_search_step2_blocks14_removed0-1.json"
    put(tmp_path / "okvqa" / "train" / name, value)
    with pytest.raises(LayoutError, match="no drops of single blocks"):
        from_results(tmp_path)


def test_two_score_files_are_a_dataset(tmp_path: Path) -> None:
    train = put(tmp_path / "a.json", {"0": 0.1, "1": 0.2})
    validation = put(tmp_path / "b.json", {"importance_scores": {"0": 0.3, "1": 0.4}})
    (one,) = from_score_files(train, validation, "st-qa")
    assert one.dataset == "st_qa"
    assert [split.scores[0] for split in one.splits] == [0.1, 0.3]
    with pytest.raises(DepthpruneError, match="cannot be the name"):
        from_score_files(train, validation, "../a")
