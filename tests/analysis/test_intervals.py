"""Specification of the intervals of mean differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.analysis.intervals import Differences, Interval, mean_intervals, paired_intervals
from tests.measurements import dataset

Z = 1.959963984540054
GRADES = st.sampled_from([-1.0, -0.6, -0.3, 0.0, 0.0, 0.0, 0.3, 0.9, 1.0])
ROW = st.lists(GRADES, min_size=2, max_size=12)


def slow_interval(rows: list[list[float]], shares: list[float]) -> tuple[float, float]:
    """Solve t² = z² (V + g t) by halving, with sums over one sample at a time."""
    mean = variance = third = differing = 0.0
    for row, share in zip(rows, shares, strict=True):
        count, middle = len(row), sum(row) / len(row)
        mean += share * middle
        second = sum((value - middle) ** 2 for value in row if abs(value - middle) > 1e-9)
        second *= count / (count - 1)
        powers = sum((value - middle) ** 4 for value in row if abs(value - middle) > 1e-9)
        differing += (share / count) ** 2 * (second**2 / powers if powers else 0.0)
        for value in row:
            term = share / count * (value - middle if abs(value - middle) > 1e-9 else 0.0)
            variance += term**2 * count / (count - 1)
            third += term**3
    weight = max(share / len(row) for row, share in zip(rows, shares, strict=True))
    least = weight * max(0.0, 1 - differing / weight**2 / 3)
    skew = third / variance if variance else 0.0

    def distance(growth: float) -> float:
        low, high = 0.0, 100.0
        for _ in range(200):
            middle = (low + high) / 2
            outside = middle**2 >= Z**2 * (variance + growth * middle)
            low, high = (low, middle) if outside else (middle, high)
        return high

    below, above = distance(max(-skew, least)), distance(max(skew, least))
    return max(-1.0, mean - below), min(1.0, mean + above)


def one(values: list[float], **more: object) -> Interval:
    (found,) = mean_intervals([Differences(np.array([values]), 1.0, **more)])  # type: ignore[arg-type]
    assert found is not None
    return found


@given(st.lists(ROW, min_size=1, max_size=4), st.data())
@settings(max_examples=60, deadline=None)
def test_it_is_the_slow_obvious_solution(rows: list[list[float]], data: st.DataObject) -> None:
    if sum(map(len, rows)) < 10:
        rows = [row * 5 for row in rows]
    weights = [data.draw(st.integers(1, 4)) for _ in rows]
    shares = [weight / sum(weights) for weight in weights]
    given_rows = [
        Differences(np.array([row]), share) for row, share in zip(rows, shares, strict=True)
    ]
    (found,) = mean_intervals(given_rows)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(slow_interval(rows, shares), abs=1e-9)


def test_where_no_sample_differs_it_is_tangos_interval_of_paired_proportions() -> None:
    for count in (16, 64, 1000):
        found = one([0.0] * count)
        tango = Z**2 / (count + Z**2)
        assert found.high == pytest.approx(tango, rel=1.01 * Z**2 / count)
        assert found.low == -found.high


def test_towards_rare_losses_it_is_wilsons_score_interval() -> None:
    count, losses = 1000, 20
    share = losses / count
    wilson = (
        share
        + Z**2 / (2 * count)
        + Z * np.sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    ) / (1 + Z**2 / count)
    assert one([1.0] * losses + [0.0] * (count - losses)).high == pytest.approx(wilson, rel=0.01)


def test_with_many_differing_samples_it_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(0.05, 0.1, 4000).clip(-1, 1)
    found, error = one(values.tolist()), values.std() / np.sqrt(4000)
    assert found.low == pytest.approx(values.mean() - Z * error, abs=0.02 * error)
    assert found.high == pytest.approx(values.mean() + Z * error, abs=0.02 * error)


@pytest.mark.parametrize("value", [0.0, 0.1, 1.0, -1.0])
def test_samples_that_all_do_the_same_leave_room_for_those_that_were_not_met(value: float) -> None:
    found = one([value] * 64)
    assert found.high - found.low > 0.05
    assert -1 <= found.low <= value <= found.high <= 1


@pytest.mark.parametrize(("loss", "gain"), [(0.005, 0.0), (0.01, 0.0), (0.015, 0.005), (0.6, 0.02)])
@pytest.mark.parametrize("counts", [(64,), (200, 200), (16,) * 8, (16, 64, 200, 1000)])
def test_it_holds_the_true_drop_as_often_as_it_says(
    loss: float, gain: float, counts: tuple[int, ...]
) -> None:
    generator = np.random.default_rng(counts[0])
    drawn = []
    for count in counts:
        chance = generator.random((2000, count))
        values = (chance < loss).astype(np.float64) - (chance > 1 - gain)
        drawn.append(Differences(values, 1 / len(counts)))
    found = mean_intervals(drawn)
    held = [one is not None and one.low <= loss - gain <= one.high for one in found]
    assert np.mean(held) >= 0.93


def test_fewer_than_ten_samples_in_all_have_none() -> None:
    five = Differences(np.zeros((2, 5)), 0.5)
    four = Differences(np.zeros((2, 4)), 0.5)
    assert mean_intervals([five, four]) == [None, None]
    assert None not in mean_intervals([five, five])


def test_scores_themselves_are_not_below_zero() -> None:
    (found,) = mean_intervals([Differences(np.zeros((1, 40)), 1.0)], lowest=0.0)
    assert found is not None
    assert found.low == 0.0 < found.high


def test_scores_that_may_exceed_one_keep_the_bootstrap() -> None:
    captions = dataset("caps", [1.5, 0.2, 0.9] * 20, {(1,): [1.0, 0.2, 0.4] * 20})
    (found,) = paired_intervals([captions], [((), (1,))])
    values = np.array([0.5, 0.0, 0.5] * 20)
    draws = np.random.default_rng(0).choice(values, (4000, 60)).mean(axis=1)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.01)


def test_scores_that_may_exceed_one_tell_nothing_where_no_sample_differs() -> None:
    captions = dataset("caps", [1.5, 0.2] * 20, {(1,): [1.5, 0.2] * 20, (2,): [1.4, 0.2] * 20})
    same, other = paired_intervals([captions], [((), (1,)), ((), (2,))])
    assert same is None
    assert other is not None


def test_one_such_removal_does_not_change_the_others() -> None:
    scores = {(1,): [0.0] + [1.0] * 39, (2,): [3.0] + [1.0] * 39}
    given_scores = dataset("caps", [1.0] * 40, scores)
    alone = paired_intervals([given_scores], [((), (1,))])
    assert paired_intervals([given_scores], [((), (2,)), ((), (1,))])[1:] == alone


def test_a_removal_differs_from_itself_by_nothing() -> None:
    scored = dataset("okvqa", [1.0] * 40, {(1,): [0.0] * 40})
    assert paired_intervals([scored], [((1,), (1,))]) == [Interval(0.0, 0.0)]


def test_the_scores_of_every_dataset_are_needed() -> None:
    scored = dataset("okvqa", [1.0] * 40, {(1,): [0.0] * 40})
    bare = dataset("doc_qa", 1.0, {(1,): 0.5})
    assert paired_intervals([scored, bare], [((), (1,))]) == [None]
    assert paired_intervals([scored], [((), (7,))]) == [None]
