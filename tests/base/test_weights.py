"""Weights are read and checked in one way, of tasks in a search and of datasets in a merge."""

from __future__ import annotations

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.base.weights import check_weights, read_weights, shares_of

NAMES = ["okvqa", "doc_qa"]


def read(given: list[str], names: list[str] = NAMES) -> dict[str, float]:
    return read_weights(given, names, option="task_weights", thing="task")


def check(weights: dict[str, float]) -> dict[str, float]:
    return check_weights(weights, NAMES, option="task_weights", thing="task")


@pytest.mark.parametrize(
    "given",
    [["doc_qa=1", "okvqa=3"], ["doc-qa=1,okvqa=3"], ["doc_qa=1, okvqa=3"], ["3", "1"], ["3,1"]],
)
def test_they_are_named_or_in_the_order_of_the_names(given: list[str]) -> None:
    assert list(read(given).items()) == [("okvqa", 3.0), ("doc_qa", 1.0)]


def test_a_name_with_hyphens_is_taken_as_it_is_where_it_is_known() -> None:
    assert read(["lm_eval:a-b=1"], ["lm_eval:a-b"]) == {"lm_eval:a-b": 1.0}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["1"], "1 weights for 2 tasks"),
        (["1", "2", "3"], "3 weights for 2 tasks"),
        (["okvqa=1"], "doc_qa has no weight"),
        (["okvqa=1", "doc_qa=1", "mmmu=1"], "mmmu has a weight"),
        (["okvqa=1", "okvqa=2", "doc_qa=1"], "okvqa has more than one weight"),
        (["doc-qa=1", "doc_qa=2", "okvqa=1"], "doc_qa has more than one weight"),
        (["okvqa=1", "2"], "'2' names no task"),
        (["okvqa=much", "doc_qa=1"], "'much' is not a number"),
        (["okvqa=", "doc_qa=1"], "'' is not a number"),
        (["=1", "doc_qa=1"], " has a weight, but is not among"),
        (["-1", "2"], "the weight of okvqa is -1.0"),
        (["nan", "2"], "the weight of okvqa is nan"),
        (["inf", "2"], "the weight of okvqa is inf"),
        (["0", "0"], "the weights are all zero"),
        ([","], "okvqa has no weight"),
    ],
)
def test_what_fits_nothing_is_refused(given: list[str], words: str) -> None:
    with pytest.raises(DepthpruneError) as refused:
        read(given)
    assert words in refused.value.what
    assert refused.value.option == "task_weights"
    assert refused.value.mend


def test_weights_by_name_are_put_into_order() -> None:
    assert list(check({"doc-qa": 1, "okvqa": 3}).items()) == [("okvqa", 3), ("doc_qa", 1)]


def test_shares_have_a_sum_of_1() -> None:
    assert shares_of({"okvqa": 3, "doc_qa": 1}) == {"okvqa": 0.75, "doc_qa": 0.25}
    assert shares_of({"okvqa": 1e308, "doc_qa": 1e308}) == {"okvqa": 0.5, "doc_qa": 0.5}


@pytest.mark.parametrize(
    "weights",
    [{}, {"okvqa": 1}, {"okvqa": 1, "doc_qa": -1}, {"okvqa": 0, "doc_qa": 0},
     {"okvqa": 1, "doc_qa": 1, "x": 1}, {"okvqa": 1, "doc-qa": 1, "doc_qa": 1}],
)  # fmt: skip
def test_weights_from_a_file_are_checked_alike(weights: dict[str, float]) -> None:
    with pytest.raises(DepthpruneError):
        check(weights)
