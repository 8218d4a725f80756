"""Specification of which blocks stay: by scores, by files, and what files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError, FileError, LayoutError, RemovalError
from depthprune.base.removal import Removal
from depthprune.importance.score_files import ScoreFile, read_scores
from depthprune.importance.select import select_blocks
from depthprune.strategies.configurations import (
    Configuration,
    check_counts,
    choose_configurations,
    configurations_from_scores,
    read_configurations,
)
from depthprune.study import ModelRecord

MODEL = ModelRecord("tiny", "f1", "LlamaForCausalLM", 6, "model.layers")
SCORES = {0: 0.9, 1: 0.1, 2: 0.5, 3: 0.2, 4: 0.3, 5: 0.8}


def written(folder: Path, value: Any, name: str = "file.json") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def scores_file(folder: Path, **more: Any) -> ScoreFile:
    scores = {str(block): score for block, score in SCORES.items()}
    return read_scores(written(folder, {"importance_scores": scores} | more))


def removals(configurations: list[Configuration]) -> dict[int, Removal]:
    return {one.num_active: one.removal for one in configurations}


def test_the_lowest_scores_go(tmp_path: Path) -> None:
    found = configurations_from_scores(scores_file(tmp_path), [4, 5, 6], None, MODEL)
    assert removals(found) == {4: (1, 3), 5: (1,), 6: ()}


@pytest.mark.parametrize("protect", [None, (), (1, 3)])
def test_scores_decide_as_select_does(tmp_path: Path, protect: Removal | None) -> None:
    found = configurations_from_scores(scores_file(tmp_path), [3, 4, 5], protect, MODEL)
    twin = {count: select_blocks(SCORES, count, protect) for count in (3, 4, 5)}
    assert removals(found) == twin


def test_a_number_that_is_named_twice_counts_once() -> None:
    assert check_counts([4, 6, 4], 6) == (4, 6)


@pytest.mark.parametrize("count", [0, -1, 7])
def test_no_more_blocks_than_there_are_and_one_at_least(count: int) -> None:
    with pytest.raises(DepthpruneError, match="the model has 6"):
        check_counts([4, count], 6)


def test_how_many_blocks_stay_must_be_said() -> None:
    with pytest.raises(DepthpruneError, match="number of blocks that stay"):
        check_counts([], 6)


def test_scores_of_a_model_with_other_blocks_are_refused(tmp_path: Path) -> None:
    found = scores_file(tmp_path, num_blocks=6)
    larger = ModelRecord("large", "f2", "LlamaForCausalLM", 8, "model.layers")
    with pytest.raises(DepthpruneError, match="of a model of 6 blocks, this one has 8"):
        configurations_from_scores(found, [4], None, larger)


def test_scores_of_more_blocks_than_the_model_has_are_refused(tmp_path: Path) -> None:
    smaller = ModelRecord("small", "f2", "LlamaForCausalLM", 4, "model.layers")
    with pytest.raises(DepthpruneError, match="of a model of 6 blocks, this one has 4"):
        configurations_from_scores(scores_file(tmp_path), [3], None, smaller)


def test_scores_of_fewer_blocks_than_the_model_has_cover_it_only_in_part(tmp_path: Path) -> None:
    larger = ModelRecord("large", "f2", "LlamaForCausalLM", 8, "model.layers")
    with pytest.raises(DepthpruneError, match="cover only part"):
        configurations_from_scores(scores_file(tmp_path), [4], None, larger)


@pytest.mark.parametrize("place", ["file.json", "provenance.json"])
def test_scores_measured_on_other_weights_are_refused(tmp_path: Path, place: str) -> None:
    about = {"model": {"fingerprint": "other", "num_blocks": 6}}
    if place == "file.json":
        found = scores_file(tmp_path, **about)
    else:
        written(tmp_path, about, place)
        found = scores_file(tmp_path)
    with pytest.raises(DepthpruneError, match="another model"):
        configurations_from_scores(found, [4], None, MODEL)


@pytest.mark.parametrize("fingerprint", ["f1", "imported:abc"])
def test_scores_of_this_model_and_imported_ones_are_taken(tmp_path: Path, fingerprint: str) -> None:
    written(tmp_path, {"model": {"fingerprint": fingerprint}}, "provenance.json")
    found = configurations_from_scores(scores_file(tmp_path), [5], None, MODEL)
    assert removals(found) == {5: (1,)}


@pytest.mark.parametrize(
    "entry",
    [
        {"removed_block_indices": [1, 3]},
        {"active_block_indices": [0, 2, 4, 5]},
        {"removed_block_indices": [3, 1], "active_block_indices": [5, 4, 2, 0], "kind": "x"},
    ],
)
def test_a_file_names_blocks_that_go_or_stay(tmp_path: Path, entry: dict[str, Any]) -> None:
    for value in ({"block_configs": {"4": entry}}, {"4": entry}):
        assert read_configurations(written(tmp_path, value), 6) == {4: (1, 3)}


def test_recommendations_are_the_path_and_where_it_ends_the_best(tmp_path: Path) -> None:
    value = {
        "num_blocks": 6,
        "levels": {"conservative": {"max_drop_point": 0.01}},
        "stepwise": {"steps": [{"removed_blocks": [1]}, {"removed_blocks": [1, 3]}]},
        "independent_best": {
            "2": {"best": {"removed_blocks": [3, 4]}},
            "3": {"best": {"removed_blocks": [1, 3, 4]}},
            "4": {"best": None},
        },
    }
    found = read_configurations(written(tmp_path, value), 6)
    assert found == {5: (1,), 4: (1, 3), 3: (1, 3, 4)}


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        ("{", FileError, "not valid JSON"),
        ('{"4": {}, "4": {}}', FileError, "twice"),
        ([], LayoutError, "a JSON object was expected"),
        ({"²": {"removed_block_indices": [1, 3]}}, LayoutError, "nor block_configs"),
        ({"4" * 5000: {"removed_block_indices": [1]}}, LayoutError, "block_configs are required"),
        ({"4": {"active_block_indices": []}, "04": {}}, LayoutError, "neither"),
        ({}, LayoutError, "nor block_configs"),
        ({"merged_scores": {"0": 1}}, LayoutError, "nor block_configs"),
        ({"block_configs": {}}, LayoutError, "block_configs are required"),
        (
            {"num_blocks": 16, "block_configs": {"4": {"removed_block_indices": [1]}}},
            LayoutError,
            "model of 16 blocks",
        ),
        ({"4": {}}, LayoutError, "neither"),
        ({"4": [1, 3]}, LayoutError, "a JSON object was expected"),
        ({"4": {"removed_block_indices": "1,3"}}, LayoutError, "a list was expected"),
        ({"4": {"removed_block_indices": [1]}}, LayoutError, "leaves 5"),
        ({"4": {"removed_block_indices": [1, 9]}}, RemovalError, "block 9 does not exist"),
        ({"4": {"removed_block_indices": [1, 1]}}, LayoutError, "named twice"),
        ({"4": {"removed_block_indices": [1, True]}}, LayoutError, "not a block index"),
        (
            {"4": {"removed_block_indices": [1, 3], "active_block_indices": [0, 1, 2, 3]}},
            LayoutError,
            "contradict",
        ),
        ({"stepwise": [], "num_blocks": 6}, LayoutError, "pruning_recommendations"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(
    tmp_path: Path, value: Any, error: type[DepthpruneError], text: str
) -> None:
    path = written(tmp_path, value)
    with pytest.raises(error, match=text) as raised:
        read_configurations(path, 6)
    assert str(path) in (raised.value.where or "")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_configurations(tmp_path / "none.json", 6)


def test_all_that_are_known_are_chosen_when_no_number_is_given() -> None:
    found = choose_configurations({5: (1,), 4: (1, 3)}, [], 6, "here")
    assert removals(found) == {4: (1, 3), 5: (1,)}


def test_the_unpruned_model_is_always_known() -> None:
    assert removals(choose_configurations({5: (1,)}, [5, 6], 6, "here")) == {5: (1,), 6: ()}


def test_a_number_for_which_there_is_none_is_told_with_those_there_are() -> None:
    with pytest.raises(DepthpruneError, match=r"no configuration of 3 active(.|\n)*5, 6"):
        choose_configurations({5: (1,)}, [3], 6, "here")


def test_known_blocks_that_do_not_exist_are_refused() -> None:
    with pytest.raises(RemovalError, match=r"block 9(.|\n)*here"):
        choose_configurations({5: (9,)}, [5], 6, "here")
