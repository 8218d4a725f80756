"""Specification of merging importance over splits and datasets."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.base.errors import DepthpruneError
from depthprune.importance.merge import (
    Method,
    merge_scores,
    simple_path,
    write_merged,
)
from depthprune.importance.score_files import read_scores
from depthprune.importance.sources import DatasetScores, SplitImportance, from_comparisons

DATA = Path(__file__).parent / "data"
METHODS: tuple[Method, ...] = ("average", "weighted_avg", "median")


def dataset(name: str, *splits: dict[int, float], num_blocks: int | None = None) -> DatasetScores:
    named = zip(("train", "validation"), splits, strict=False)
    found = tuple(SplitImportance(split, scores) for split, scores in named)
    return DatasetScores(name, found, Path(name), num_blocks)  # type: ignore[arg-type]


TWO = [
    dataset("st_qa", {0: 0.5, 1: 0.1, 2: 0.2}, {0: 0.7, 1: 0.3, 2: -0.1}),
    dataset("doc_qa", {0: 0.9, 1: 0.0, 2: 0.4}),
]


def test_two_datasets_by_hand() -> None:
    # st_qa: 0.6 * train + 0.4 * validation = 0.58, 0.18, 0.08; doc_qa has one split.
    merged = merge_scores(TWO)
    assert merged.scores == pytest.approx({0: 0.74, 1: 0.09, 2: 0.24})
    assert merged.ranking == (1, 2, 0)
    assert [one.source.dataset for one in merged.datasets] == ["doc_qa", "st_qa"]
    assert [one.one_split for one in merged.datasets] == ["train", None]


def test_the_weight_of_train_is_an_option() -> None:
    assert merge_scores(TWO[:1], train_weight=1).scores == {0: 0.5, 1: 0.1, 2: 0.2}
    assert merge_scores(TWO[:1], train_weight=0).scores == {0: 0.7, 1: 0.3, 2: -0.1}


def test_weights_are_normalised_in_the_order_of_the_names() -> None:
    weights = {"st_qa": 1, "doc_qa": 3}
    merged = merge_scores(TWO, method="weighted_avg", dataset_weights=weights)
    assert merged.weights == {"doc_qa": 0.75, "st_qa": 0.25}
    # Block 0: 0.75 * 0.9 + 0.25 * 0.58.
    assert merged.scores[0] == pytest.approx(0.82)


def test_the_published_comparisons_by_hand() -> None:
    merged = merge_scores(from_comparisons(DATA))
    # Block 0: 0.6 * 0.654 + 0.4 * 0.621 in both. Block 11, coco_caption: 0.6 * 0.084 + 0.4 * 0.069
    # = 0.078; st_qa: 0.6 * 0.004 + 0.4 * 0.006 = 0.0048; their mean 0.0414.
    assert merged.scores[0] == pytest.approx(0.6408)
    assert merged.scores[11] == pytest.approx(0.0414)
    assert merged.ranking[:3] == (8, 14, 11)
    assert merged.ranking[-1] == 0
    assert merged.num_blocks == 16


def twin(
    sides: list[tuple[list[float], list[float]]], method: Method, weights: list[float], block: int
) -> float:
    """Return the merged score of one block, as one would with pencil and paper."""
    scores = [0.6 * train[block] + 0.4 * validation[block] for train, validation in sides]
    if method == "average":
        return sum(scores) / len(scores)
    if method == "weighted_avg":
        pairs = zip(weights, scores, strict=True)
        return sum(weight * score for weight, score in pairs) / sum(weights)
    scores.sort()
    middle = len(scores) // 2
    return scores[middle] if len(scores) % 2 else (scores[middle - 1] + scores[middle]) / 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("num_datasets", [2, 9])
@pytest.mark.parametrize("num_blocks", [16, 24])
def test_each_method_is_its_formula(num_blocks: int, num_datasets: int, method: Method) -> None:
    draw = random.Random(num_blocks * num_datasets)
    sides = [
        tuple([round(draw.uniform(-0.1, 0.9), 4) for _ in range(num_blocks)] for _ in range(2))
        for _ in range(num_datasets)
    ]
    weights = [float(number + 1) for number in range(num_datasets)]
    datasets = [
        dataset(f"set{number}", dict(enumerate(train)), dict(enumerate(validation)))
        for number, (train, validation) in enumerate(sides)
    ]
    names = [one.dataset for one in datasets]
    given = dict(zip(names, weights, strict=True)) if method == "weighted_avg" else None
    merged = merge_scores(datasets[::-1], method=method, dataset_weights=given)
    assert list(merged.scores) == list(range(num_blocks))
    for block in range(num_blocks):
        expected = twin(sides, method, weights, block)  # type: ignore[arg-type]
        assert merged.scores[block] == pytest.approx(expected, abs=1e-12)


finite = st.floats(-1, 1, allow_nan=False)
columns = st.integers(1, 6).flatmap(
    lambda size: st.lists(st.lists(finite, min_size=size, max_size=size), min_size=1, max_size=5)
)


@settings(max_examples=50, deadline=None)
@given(rows=columns, method=st.sampled_from(METHODS), factor=st.floats(1e-3, 1e3))
def test_a_merged_score_lies_between_those_of_the_datasets(
    rows: list[list[float]], method: Method, factor: float
) -> None:
    datasets = [dataset(f"d{number}", dict(enumerate(row))) for number, row in enumerate(rows)]
    weights = {one.dataset: factor * (1 + number) for number, one in enumerate(datasets)}
    given = weights if method == "weighted_avg" else None
    merged = merge_scores(datasets, method=method, dataset_weights=given)
    for block, score in merged.scores.items():
        column = [row[block] for row in rows]
        assert min(column) - 1e-12 <= score <= max(column) + 1e-12


def test_equal_scores_are_ranked_by_index() -> None:
    assert merge_scores([dataset("a", {0: 0.2, 1: 0.1, 2: 0.1 + 1e-9})]).ranking == (1, 2, 0)


def test_the_files_hold_what_was_merged(tmp_path: Path) -> None:
    merged = merge_scores(TWO)
    full, simple = write_merged(merged, tmp_path / "out" / "merged.json")
    value = json.loads(full.read_text())
    assert value["method"] == "average"
    assert value["train_val_weight"] == 0.6
    assert value["weights"] == {"doc_qa": 0.5, "st_qa": 0.5}
    assert value["datasets"] == ["doc_qa", "st_qa"]
    assert value["num_blocks"] == 3
    assert [block for block, _ in value["ranking"]] == [1, 2, 0]
    assert {str(block): score for block, score in value["ranking"]} == value["merged_scores"]
    assert value["per_dataset"]["st_qa"]["train_scores"] == {"0": 0.5, "1": 0.1, "2": 0.2}
    assert value["per_dataset"]["st_qa"]["scores"]["0"] == pytest.approx(0.58)
    assert "one split only" in value["per_dataset"]["doc_qa"]["note"]
    assert simple == simple_path(full) == tmp_path / "out" / "merged_simple.json"
    # To the last digit, with texts as keys and in the order of the blocks.
    assert list(json.loads(simple.read_text())) == ["0", "1", "2"]
    assert read_scores(simple).scores == read_scores(full).scores == merged.scores


def test_the_median_has_no_weights(tmp_path: Path) -> None:
    full, _ = write_merged(merge_scores(TWO, method="median"), tmp_path / "merged")
    assert json.loads(full.read_text())["weights"] is None
    assert simple_path(full).name == "merged_simple.json"


def test_datasets_of_different_blocks_are_refused_with_what_each_lacks() -> None:
    other = dataset("aokvqa", dict.fromkeys(range(5), 0.1))
    with pytest.raises(DepthpruneError) as caught:
        merge_scores([*TWO, other])
    assert "5 in all" in str(caught.value)
    assert "doc_qa train has 3 and lacks blocks 3, 4" in str(caught.value)
    assert "st_qa validation has 3" in str(caught.value)
    assert "aokvqa train" not in str(caught.value)


def test_many_missing_blocks_are_counted_not_listed() -> None:
    wide = dataset("wide", dict.fromkeys(range(24), 0.1))
    with pytest.raises(DepthpruneError, match=r"blocks 3, .*10, \.\.\. \(21\)"):
        merge_scores([TWO[0], wide])


def test_splits_of_one_dataset_with_different_blocks_are_refused() -> None:
    with pytest.raises(DepthpruneError, match="a validation has 1 and lacks block 1"):
        merge_scores([dataset("a", {0: 1.0, 1: 1.0}, {0: 1.0})])


def test_models_of_different_size_are_refused() -> None:
    sides = {0: 0.1, 1: 0.2}
    datasets = [dataset("a", sides, num_blocks=16), dataset("b", sides, num_blocks=24)]
    with pytest.raises(DepthpruneError, match="a 16, b 24"):
        merge_scores(datasets)


def test_blocks_that_no_dataset_measured_are_told() -> None:
    merged = merge_scores([dataset("a", {1: 0.1, 2: 0.2}, num_blocks=4)])
    assert (merged.num_blocks, merged.unmeasured) == (4, (0, 3))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ((0.0, 0.0), "all zero"),
        ((-1.0, 2.0), "weight of doc_qa is -1.0"),
        ((1.0, math.nan), "weight of st_qa is nan"),
        ((1.0, math.inf), "weight of st_qa is inf"),
    ],
)
def test_weights_without_meaning_are_refused(weights: tuple[float, float], message: str) -> None:
    given = dict(zip(("doc_qa", "st_qa"), weights, strict=True))
    with pytest.raises(DepthpruneError, match=message):
        merge_scores(TWO, method="weighted_avg", dataset_weights=given)


def test_a_dataset_may_weigh_nothing_and_weights_may_be_huge() -> None:
    given = {"doc_qa": 0.0, "st_qa": 1e308}
    merged = merge_scores(TWO, method="weighted_avg", dataset_weights=given)
    assert merged.weights == {"doc_qa": 0.0, "st_qa": 1.0}


def test_weights_belong_to_the_weighted_average_alone() -> None:
    with pytest.raises(DepthpruneError, match="the method median has no weights"):
        merge_scores(TWO, method="median", dataset_weights={"doc_qa": 1, "st_qa": 1})
    with pytest.raises(DepthpruneError, match="needs a weight for every dataset"):
        merge_scores(TWO, method="weighted_avg")


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan])
def test_the_weight_of_train_is_a_share(weight: float) -> None:
    with pytest.raises(DepthpruneError, match="is not the weight of a split"):
        merge_scores(TWO, train_weight=weight)


def test_there_must_be_datasets_each_once_and_a_method() -> None:
    with pytest.raises(DepthpruneError, match="at least one dataset"):
        merge_scores([])
    with pytest.raises(DepthpruneError, match="twice"):
        merge_scores([TWO[0], TWO[0]])
    with pytest.raises(DepthpruneError, match=r"must be one of .*, not 'mode'"):
        merge_scores(TWO, method="mode")  # type: ignore[arg-type]
