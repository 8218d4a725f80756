"""Specification of the agreement of two orders of the blocks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from depthprune.base.errors import DepthpruneError
from depthprune.importance.compare import SplitComparison, compare_splits, rank_agreement
from depthprune.importance.sources import DatasetScores, SplitImportance, from_comparisons

DATA = Path(__file__).parent / "data"
PUBLISHED = Path(__file__).parents[2].parent / "shared" / "published"


def test_equal_orders_agree_wholly_whatever_their_scale() -> None:
    assert rank_agreement({0: 1, 1: 2, 2: 3}, {0: 10, 1: 20, 2: 90}).rho == pytest.approx(1.0)


def test_opposite_orders_disagree_wholly() -> None:
    assert rank_agreement({0: 1, 1: 2, 2: 3}, {0: 3, 1: 2, 2: 1}).rho == pytest.approx(-1.0)


def test_it_is_spearmans_formula() -> None:
    # rho = 1 - 6 * sum(d^2) / (n (n^2 - 1)), with rank differences 0, 1, -1, 0.
    found = rank_agreement({0: 1, 1: 2, 2: 3, 3: 4}, {0: 1, 1: 3, 2: 2, 3: 4})
    assert found.rho == pytest.approx(1 - 6 * 2 / (4 * 15))


def test_scores_that_are_all_equal_have_no_order() -> None:
    found = rank_agreement({0: 1, 1: 1, 2: 1}, {0: 3, 1: 2, 2: 1})
    assert (found.rho, found.p_value) == (None, None)


def test_scores_of_different_blocks_are_refused() -> None:
    with pytest.raises(DepthpruneError, match=r"\[2, 3\]"):
        rank_agreement({0: 1, 1: 1, 2: 1}, {0: 3, 1: 2, 3: 1})
    with pytest.raises(DepthpruneError, match="too few"):
        rank_agreement({0: 1, 1: 1}, {0: 3, 1: 2})


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published results are not beside the clone")
@pytest.mark.parametrize("task", ["st_qa", "coco_caption"])
def test_the_published_agreement_comes_out(task: str) -> None:
    folder = PUBLISHED / "exp3_importance_comparison" / task
    scores = json.loads((folder / f"importance_comparison_{task}.json").read_text())
    sides = (
        {int(block): drop for block, drop in scores[side].items()}
        for side in ("train_scores", "validation_scores")
    )
    found = rank_agreement(*sides)
    assert found.rho == pytest.approx(0.9882, abs=5e-5)
    assert found.p_value == pytest.approx(8.11e-13, rel=0.01)


def compared(first: list[float], second: list[float], **options: float) -> SplitComparison:
    sides = (SplitImportance("train", dict(enumerate(first)), 8),)
    sides += (SplitImportance("test", dict(enumerate(second)), 4),)
    (found,) = compare_splits([DatasetScores("okvqa", sides, Path())], **options)  # type: ignore[arg-type]
    return found


def test_the_published_comparisons_are_consistent() -> None:
    for found in compare_splits(from_comparisons(DATA)):
        assert found.agreement.rho == pytest.approx(0.9882, abs=5e-5)
        assert found.agreement.p_value == pytest.approx(8.11e-13, rel=0.01)
        assert found.consistent
        assert len(found.least.common) == len(found.most.common) == 4
        assert found.disagreeing == ()


def test_the_threshold_is_reached_by_equality() -> None:
    # One swap of neighbours in 5: rho = 1 - 6 * 2 / (5 * 24) = 0.9.
    sides = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 3.0, 4.0, 5.0]
    assert compared(*sides).consistent
    assert not compared(*sides, threshold=0.95).consistent


def test_no_order_is_neither_consistent_nor_not() -> None:
    found = compared([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    assert (found.agreement.rho, found.consistent) == (None, None)


def test_rounding_noise_is_no_order() -> None:
    assert compared([0.5, 0.5 + 1e-9, 0.5], [1.0, 2.0, 3.0]).agreement.rho is None


def test_overlaps_are_of_the_ends_of_both_orders() -> None:
    # Least first: 0 1 2 3 4 5 and 0 2 4 1 3 5.
    found = compared([1, 2, 3, 4, 5, 6], [1, 4, 2, 5, 3, 6], top_k=2)
    assert (found.least.common, found.least.first_only, found.least.second_only) == (
        (0,),
        (1,),
        (2,),
    )
    assert (found.most.common, found.most.first_only, found.most.second_only) == ((5,), (4,), (3,))


def test_more_blocks_than_there_are_cannot_be_held_against_each_other() -> None:
    found = compared([1, 2, 3], [1, 2, 3], top_k=5)
    assert (found.top_k, found.least.common) == (3, (0, 1, 2))


def test_blocks_disagree_when_their_rank_moves_too_far() -> None:
    # Block 0 moves from the first place to the fourth, the others by one.
    sides = [1, 2, 3, 4, 5], [4, 1, 2, 3, 5]
    (moved,) = compared(*sides).disagreeing
    assert (moved.block, moved.ranks, moved.shift, moved.scores) == (0, (1, 4), 3, (1, 4))
    assert compared(*sides, max_shift=3).disagreeing == ()
    assert [one.block for one in compared(*sides, max_shift=0).disagreeing] == [0, 1, 2, 3]


def test_equal_scores_share_their_mean_rank() -> None:
    found = compared([1, 1, 2, 3], [1, 2, 3, 4])
    assert [one.ranks[0] for one in found.blocks] == [1.5, 1.5, 3, 4]


def test_a_dataset_with_one_split_is_left_out() -> None:
    alone = DatasetScores("doc_qa", (SplitImportance("train+validation", {0: 1.0}),), Path())
    both = from_comparisons(DATA)
    assert [one.dataset for one in compare_splits([alone, *both])] == ["coco_caption", "st_qa"]
    with pytest.raises(DepthpruneError, match=r"two splits: doc_qa \(train\+validation\)"):
        compare_splits([alone])


def test_different_blocks_are_refused_with_the_dataset() -> None:
    with pytest.raises(DepthpruneError) as caught:
        compared([1, 2, 3], [1, 2, 3, 4])
    assert "[3] are in one only" in str(caught.value)
    assert "okvqa, train and test" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"threshold": 1.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"top_k": 0}, "top_k"),
        ({"max_shift": -1}, "max_shift"),
        ({"max_shift": float("nan")}, "max_shift"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], option: str) -> None:
    with pytest.raises(DepthpruneError) as refused:
        compared([1, 2, 3], [1, 2, 3], **options)
    assert refused.value.option == option


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=30))
def test_rho_and_its_chance_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = (
        {block: float(pair[side]) for block, pair in enumerate(pairs)} for side in (0, 1)
    )
    if len(set(first.values())) == 1 or len(set(second.values())) == 1:
        return
    found, known = rank_agreement(first, second), spearmanr(*zip(*pairs, strict=True))
    assert found.rho == pytest.approx(known.statistic, abs=1e-12)
    # A rho of 1 but for rounding: scipy's own chance is then 0 or some 1e-24.
    assert found.p_value == pytest.approx(known.pvalue, rel=1e-6, abs=1e-9)
