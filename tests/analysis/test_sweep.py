"""Specification of what a sweep finds: intervals, percentiles, speed-up, what dominates what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthprune.analysis.intervals import Differences, Interval, mean_intervals
from depthprune.analysis.sweep import (
    compare_points,
    dominated_places,
    mean_points,
    speedup_interval,
    stage_times,
    times_of,
)
from tests.sweeps import MODEL, latency, measured, point, task_points


def test_times_are_mean_population_deviation_and_percentiles() -> None:
    found = times_of([1.0, 2.0, 3.0, 4.0])
    assert found is not None
    assert (found.count, found.mean, found.p50) == (4, 2.5, 2.5)
    assert found.std == pytest.approx(1.25**0.5)
    assert found.p95 == pytest.approx(3.85)
    assert found.p99 == pytest.approx(3.97)


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=50))
def test_percentiles_are_in_order_and_within_what_was_measured(values: list[float]) -> None:
    found = times_of(values)
    assert found is not None
    assert min(values) <= found.p50 <= found.p95 <= found.p99 <= max(values)


def test_nothing_has_no_times() -> None:
    assert times_of([]) is None


def test_decoding_is_over_all_tokens_of_all_samples() -> None:
    found = stage_times(latency((), decode=(1.0, 3.0)))
    assert found.decode is not None
    assert (found.decode.count, found.decode.mean) == (4, 2.0)


def test_the_first_token_comes_after_vision_and_prefill() -> None:
    assert stage_times(latency((), vision=2.0)).first_token.mean == 5.0
    assert stage_times(latency((), vision=None)).first_token.mean == 3.0


def test_stages_that_there_are_not_have_no_times() -> None:
    found = stage_times(latency((), vision=None, decode=()))
    assert (found.vision, found.decode) == (None, None)


def test_nothing_timed_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample was timed"):
        stage_times(latency((), totals=()))


MANY = (1, 0, 0, 1, 1, 0, 1, 1) * 5


def test_a_drop_has_the_paired_interval() -> None:
    unpruned = (1,) * 40
    found = point(measured((1,), MANY, baseline=unpruned))
    differences = Differences(1.0 - np.array([MANY], dtype=np.float64), 1.0)
    assert found.drop == pytest.approx(0.375)
    assert [found.drop_interval] == mean_intervals([differences])


def test_the_accuracy_of_nothing_right_is_not_certainly_nothing() -> None:
    found = point(measured((1,), (0,) * 40, baseline=(1,) * 40)).accuracy_interval
    assert found is not None
    assert str(found.low) == "0.0"
    assert 0.03 < found.high < 0.12


def test_too_few_samples_have_no_interval() -> None:
    found = point(measured((1,), (1, 0, 0, 1)))
    assert (found.accuracy_interval, found.drop_interval) == (None, None)


def test_what_was_timed_in_another_run_has_no_paired_interval() -> None:
    unpruned, other = point(measured((), (1, 1, 0, 1))), point(measured((1,), (1, 0, 0, 1)))
    together = compare_points([unpruned, other])[1]
    apart = compare_points([unpruned, replace(other, timed_at="2027-01-01T00:00:00+00:00")])[1]
    assert together.speedup == apart.speedup
    assert together.speedup_interval is not None
    assert apart.speedup_interval is None


def test_an_accuracy_has_about_the_percentiles_of_its_resampled_mean() -> None:
    found = point(measured((1,), MANY, baseline=MANY)).accuracy_interval
    draws = np.random.default_rng(1).choice(MANY, (20000, len(MANY))).mean(axis=1)
    assert found is not None
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.03)
    assert found.high == pytest.approx(high, abs=0.03)


def test_the_unpruned_model_has_no_drop() -> None:
    found = point(measured((), (1, 1, 0, 1)))
    assert found.drop == 0
    assert found.drop_interval == Interval(0.0, 0.0)


def test_throughput_is_over_the_total_time() -> None:
    found = point(measured((1,), (1, 0, 0, 1), (400.0, 600.0)))
    assert found.samples_per_second == pytest.approx(2.0)
    assert found.tokens_per_second == pytest.approx(6.0)


def test_a_task_without_writing_has_no_tokens_per_second() -> None:
    one = measured((1,), (1, 0, 0, 1), timed=latency((1,), decode=()))
    assert point(one).tokens_per_second is None


def test_parameters_are_those_of_the_blocks_that_stay() -> None:
    assert point(measured((1, 3), (1, 0, 0, 1))).active_parameters == 1000 - 110 - 130


def test_parameters_are_unknown_where_the_model_does_not_tell() -> None:
    from depthprune.analysis.sweep import sweep_point

    one = measured((1,), (1, 0, 0, 1))
    unknown = replace(MODEL, parameters=None)
    found = sweep_point(one.split, unknown, one.baseline, one.measurement, one.latency)
    assert found.active_parameters is None


def test_without_scores_there_is_no_interval() -> None:
    one = measured((1,), (1, 0, 0, 1))
    bare = replace(one, measurement=replace(one.measurement, scores=None))
    with pytest.raises(ValueError, match="without scores"):
        point(bare)


def test_the_speed_up_is_against_the_unpruned_model() -> None:
    assert [one.speedup for one in task_points()] == [2.0, 1.4, 1.0]


def test_without_the_unpruned_model_there_is_no_speed_up() -> None:
    found = compare_points([point(measured((1,), (1, 0, 0, 1)))])
    assert found[0].speedup is None


def test_a_constant_ratio_has_an_interval_of_no_width() -> None:
    (fast, _, whole) = task_points()
    found = speedup_interval(whole, fast)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((2.0, 2.0))


def test_the_interval_of_a_speed_up_is_that_of_resampled_pairs() -> None:
    whole = point(measured((), (1, 1, 0, 1), (12.0, 16.0, 20.0, 14.0)))
    fast = point(measured((1,), (1, 1, 0, 1), (10.0, 8.0, 16.0, 7.0)))
    found = speedup_interval(whole, fast)
    assert found is not None
    generator = np.random.default_rng(5)
    drawn = generator.integers(0, 4, (20000, 4))
    ratios = np.array(whole.totals)[drawn].sum(axis=1) / np.array(fast.totals)[drawn].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05)


def test_other_numbers_of_samples_have_no_interval() -> None:
    whole = point(measured((), (1, 1, 0, 1), (12.0, 16.0, 20.0)))
    assert speedup_interval(whole, task_points()[0]) is None


def test_what_is_slower_and_worse_than_another_is_dominated() -> None:
    assert [one.dominated for one in task_points()] == [False, True, False]


def test_equal_configurations_do_not_dominate_each_other() -> None:
    assert dominated_places([(1.0, 0.5), (1.0, 0.5)]) == set()


places = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8)


@given(places)
def test_something_is_never_dominated_and_all_else_is_by_it(points: list[tuple[int, int]]) -> None:
    numbers = [(float(time), float(accuracy)) for time, accuracy in points]
    dominated = dominated_places(numbers)
    front = [one for place, one in enumerate(numbers) if place not in dominated]
    assert front
    for place in dominated:
        time, accuracy = numbers[place]
        assert any(t <= time and a >= accuracy for t, a in front)


def test_means_are_over_the_numbers_that_every_task_has() -> None:
    points = [*task_points("okvqa"), *task_points("doc_qa")[1:]]
    assert [active for active, *_ in mean_points(points)] == [3, 4]


def test_means_are_those_of_the_tasks() -> None:
    found = mean_points([*task_points("okvqa"), *task_points("doc_qa")])
    assert found == [(2, 7.0, 0.25, False), (3, 10.0, 0.0, True), (4, 14.0, 0.75, False)]
