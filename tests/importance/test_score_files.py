"""Specification of reading files of importance scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthprune.base.errors import DepthpruneError, FileError, LayoutError
from depthprune.importance.score_files import (
    check_complete,
    check_output,
    count_blocks,
    find_scores,
    read_scores,
)

USERS = Path(__file__).parents[1] / "users"
THREE = {"0": 0.5, "1": -0.25, "2": 0.0}


def written(folder: Path, value: Any, name: str = "scores.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.mark.parametrize("field", ["merged_scores", "train_scores", "importance_scores"])
def test_every_known_layout_is_read(tmp_path: Path, field: str) -> None:
    found = read_scores(written(tmp_path, {"dataset_name": "okvqa", field: THREE}))
    assert (found.field, found.scores) == (field, {0: 0.5, 1: -0.25, 2: 0.0})


def test_a_plain_dict_is_read(tmp_path: Path) -> None:
    found = read_scores(written(tmp_path, THREE, "layer_importance_scores.json"))
    assert (found.field, found.scores) == (None, {0: 0.5, 1: -0.25, 2: 0.0})


def test_merged_scores_come_before_those_of_one_split(tmp_path: Path) -> None:
    value = {"validation_scores": {"0": 3}, "train_scores": {"0": 2}, "merged_scores": {"0": 1}}
    assert read_scores(written(tmp_path, value)).scores == {0: 1.0}
    assert read_scores(written(tmp_path, {**value, "merged_scores": {}})).scores == {0: 2.0}


def test_blocks_are_in_numerical_order(tmp_path: Path) -> None:
    assert list(read_scores(written(tmp_path, {"10": 1, "9": 1, "0": 1})).scores) == [0, 9, 10]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('{"0": NaN, "1": 0.1}', "NaN"),
        ('{"0": 1e999, "1": 0.1}', "a number was expected, not Infinity"),
        ('{"0": 0.1, "0": 0.2}', "'0' occurs twice"),
        ('{"train_scores": {"3": 0.1, "3": 0.2}}', "'3' occurs twice"),
        ('{"4": 0.1, "04": 0.2}', "block 4 is listed twice"),
        ('{"0": 0.1, "x": 0.2}', "'x' is not a block"),
        ('{"merged_scores": {"-1": 0.2}}', "'-1' is not a block index"),
        ('{"merged_scores": {"0": "0.2"}}', "a number was expected"),
        ('{"merged_scores": {"0": true}}', "a number was expected"),
        ('{"merged_scores": {"0": null}}', "a number was expected, not null"),
        ('{"merged_scores": [0.1, 0.2]}', "a JSON object of block: score was expected"),
        ('{"merged_scores": {}}', "there are no scores"),
        ("{}", "there are no scores"),
        ("[0.1, 0.2]", "not a JSON object"),
        ('{"0": 0.1,\n "1": }', "not valid JSON"),
        ('{"num_blocks": 2.5, "merged_scores": {"0": 1}}', "not a number of blocks"),
        ('{"num_blocks": 0, "merged_scores": {"0": 1}}', "not a number of blocks"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, value: str, message: str) -> None:
    path = written(tmp_path, value)
    with pytest.raises(DepthpruneError, match=message) as caught:
        read_scores(path)
    assert str(path) in str(caught.value)


def test_the_first_file_that_exists_is_taken(tmp_path: Path) -> None:
    second = written(tmp_path, THREE, "second.json")
    third = written(tmp_path, {"0": 9}, "third.json")
    found = find_scores([tmp_path / "first.json", second, third])
    assert (found.path, found.instead_of) == (second, tmp_path / "first.json")
    assert find_scores([second]).instead_of is None


@pytest.mark.parametrize(
    "substitute",
    [
        "layer_importance_scores.json",
        "importance_comparison_okvqa.json",
        "okvqa/importance_comparison_okvqa.json",
    ],
)
def test_single_dataset_scores_beside_it_are_the_substitute(
    tmp_path: Path, substitute: str
) -> None:
    value = THREE if substitute.startswith("layer") else {"train_scores": THREE}
    path = written(tmp_path, value, substitute)
    found = find_scores([tmp_path / "merged.json"])
    assert (found.path, found.instead_of) == (path, tmp_path / "merged.json")


def test_of_several_datasets_none_is_chosen_by_chance(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(tmp_path, {"train_scores": THREE}, f"importance_comparison_{name}.json")
    with pytest.raises(FileError, match=r"comparison_a\.json, importance_comparison_b"):
        find_scores([tmp_path / "merged.json"])


def test_a_missing_file_without_substitute_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        find_scores([tmp_path / "merged.json"])
    with pytest.raises(DepthpruneError, match="no score file"):
        find_scores([])


def test_the_number_of_blocks_is_that_of_the_file(tmp_path: Path) -> None:
    found = read_scores(written(tmp_path, {"num_blocks": 5, "merged_scores": THREE}))
    assert count_blocks(found) == 5
    with pytest.raises(DepthpruneError, match="says 4 blocks, the score file 5"):
        count_blocks(found, 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("provenance.json", {"model": {"num_blocks": 7}}),
        ("exp3_accuracy_sensitivity_v2_results.json", {"num_total_blocks": 7}),
    ],
)
def test_files_beside_it_tell_the_number_of_blocks(
    tmp_path: Path, name: str, value: dict[str, Any]
) -> None:
    written(tmp_path, value, name)
    assert count_blocks(read_scores(written(tmp_path, THREE))) == 7


def test_the_full_file_tells_it_for_the_simple_one(tmp_path: Path) -> None:
    written(tmp_path, {"num_blocks": 8, "merged_scores": THREE}, "merged.json")
    assert count_blocks(read_scores(written(tmp_path, THREE, "merged_simple.json"))) == 8


@pytest.mark.parametrize("name", ["num_blocks", "num_total_blocks"])
def test_the_file_or_its_config_tells_it(tmp_path: Path, name: str) -> None:
    assert count_blocks(read_scores(written(tmp_path, {"merged_scores": THREE, name: 9}))) == 9
    config = {"importance_scores": THREE, "config": {"total_blocks": 9}}
    assert count_blocks(read_scores(written(tmp_path, config))) == 9


def test_without_a_first_block_it_must_be_told(tmp_path: Path) -> None:
    found = read_scores(written(tmp_path, {"1": 1, "2": 1, "3": 1}))
    with pytest.raises(DepthpruneError, match="block 0 has none") as refused:
        count_blocks(found)
    assert "num_blocks=5" in str(refused.value)
    assert count_blocks(found, 5) == 5


def test_unknown_it_is_the_largest_index_and_one(tmp_path: Path) -> None:
    found = read_scores(written(tmp_path, {"0": 1, "6": 1}))
    assert count_blocks(found) == 7
    assert count_blocks(found, 16) == 16


def test_a_block_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="block 2 has a score, but the model has 2 blocks"):
        count_blocks(read_scores(written(tmp_path, THREE)), 2)


def test_a_ranking_alone_is_an_order_with_or_without_scores(tmp_path: Path) -> None:
    pairs = read_scores(written(tmp_path, {"ranking": [[2, 0.1], [0, 0.2], [1, 0.4]]}))
    assert (pairs.field, dict(pairs.scores)) == ("ranking", {0: 0.2, 1: 0.4, 2: 0.1})
    alone = read_scores(written(tmp_path, {"ranking": [2, 0, 1]}))
    assert dict(alone.scores) == {0: 1, 1: 2, 2: 0}


@pytest.mark.parametrize(
    ("ranking", "words"),
    [
        ({"2": 1}, "not a list of blocks"),
        ([1, 1], "block 1 is listed twice"),
        ([[1, 0.2], [1, 0.3]], "block 1 is listed twice"),
        ([[1, "high"], [0, 1]], "a number was expected"),
        ([[1, 0.2], 0], "is not a block"),
        (["1"], "'1' is not a block"),
        ([-1], "'-1' is not a block index"),
    ],
)
def test_a_ranking_that_is_none_is_refused(tmp_path: Path, ranking: Any, words: str) -> None:
    with pytest.raises(LayoutError, match=words):
        read_scores(written(tmp_path, {"ranking": ranking}))


@pytest.mark.parametrize("form", ["pairs", "blocks"])
def test_scores_beside_a_ranking_of_either_form_are_read(tmp_path: Path, form: str) -> None:
    value = json.loads((USERS / "layer_importance_scores_multi_dataset.json").read_text())
    if form == "blocks":
        value["ranking"] = [block for block, _ in value["ranking"]]
    found = read_scores(written(tmp_path, value))
    assert (found.field, count_blocks(found)) == ("merged_scores", 16)
    order = sorted(found.scores, key=lambda block: found.scores[block])
    assert order == [one if form == "blocks" else one[0] for one in value["ranking"]]


def test_missing_blocks_are_named() -> None:
    check_complete([0, 1, 2], 3)
    with pytest.raises(DepthpruneError, match=r"part of the 5 blocks: blocks 1, 4 have none"):
        check_complete([0, 2, 3], 5)
    check_complete([0, 2, 3], 5, excused=[1, 4])


def test_an_output_takes_no_name_of_results(tmp_path: Path) -> None:
    assert check_output(tmp_path / "merged.json") == tmp_path / "merged.json"
    with pytest.raises(FileError, match="folder"):
        check_output(tmp_path)
    for name in ("layer_importance_scores.json", "importance_comparison_okvqa.json"):
        with pytest.raises(FileError, match="measured results"):
            check_output(tmp_path / name)
