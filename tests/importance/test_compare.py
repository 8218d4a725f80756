"""Specification of the agreement of two orders of the blocks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depthprune.base.errors import DepthpruneError
from depthprune.importance import rank_agreement

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
