"""Specification of train against validation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from depthprune.analysis.result_set import compare_splits, order_agreement, split_agreement

RISING = {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4}


def test_the_same_order_agrees_wholly_and_the_reverse_not_at_all() -> None:
    assert order_agreement(RISING, {b: 2 * drop for b, drop in RISING.items()}).rho == 1.0
    assert order_agreement(RISING, {b: -drop for b, drop in RISING.items()}).rho == -1.0


def test_only_blocks_measured_on_both_splits_count() -> None:
    other = {0: 0.1, 1: 0.2, 2: 0.3, 3: float("nan"), 4: 0.0}
    assert order_agreement(RISING, other).rho == 1.0


@pytest.mark.parametrize(
    "other",
    [{}, {0: 0.1, 1: 0.2}, {7: 0.1, 8: 0.2, 9: 0.3}, dict.fromkeys(range(4), 0.1)],
    ids=["nothing", "two blocks", "other blocks", "constant"],
)
def test_what_cannot_be_compared_is_none(other: dict[int, float]) -> None:
    found = order_agreement(RISING, other)
    assert (found.rho, found.p_value) == (None, None)


def test_rounding_noise_is_no_order() -> None:
    noise = {0: 0.3, 1: 0.1 + 0.2, 2: 0.3 - 1e-12, 3: 0.3}
    assert order_agreement(RISING, noise).rho is None


def test_an_agreement_keeps_the_scores_it_was_computed_from() -> None:
    whole, lacking = (split_agreement("st_qa", RISING, other) for other in (RISING, {0: 0.1}))
    assert whole.train_scores == whole.validation_scores == RISING
    assert (whole.rho, lacking.rho, lacking.p_value) == (1.0, None, None)


def test_datasets_are_compared_that_were_measured_on_both_splits() -> None:
    falling = {block: -drop for block, drop in RISING.items()}
    given = {
        "st_qa": {"test": RISING, "train": falling},
        "coco": {"train": RISING},
        "okvqa": {"train": RISING, "validation": {}},
    }
    assert compare_splits(given) == {"st_qa": split_agreement("st_qa", falling, RISING)}


@given(st.lists(st.tuples(*[st.integers(0, 9)] * 2), min_size=3, max_size=10))
def test_rho_and_p_agree_with_scipy(pairs: list[tuple[int, int]]) -> None:
    first, second = ([pair[side] / 64 for pair in pairs] for side in (0, 1))
    found = order_agreement(dict(enumerate(first)), dict(enumerate(second)))
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found.rho is None
    else:
        expected = spearmanr(first, second)
        assert found.rho == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue, nan_ok=True)
