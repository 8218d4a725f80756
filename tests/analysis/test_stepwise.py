"""Specification of the stepwise path: each removal contains the one before."""

from __future__ import annotations

import numpy as np
import pytest

from depthprune.analysis.combinations import combine, rank
from depthprune.analysis.recommended_strategies import StepwisePath, stepwise_path
from tests.analysis.results import combination, rankings
from tests.measurements import dataset


def removals(path: StepwisePath) -> list[tuple[int, ...]]:
    return [step.combination.removal for step in path.steps]


def test_each_step_is_the_best_ranked_superset_of_the_one_before() -> None:
    path = stepwise_path(
        rankings(
            combination((1,), 0.01, 0.03),
            combination((2,), 0.03, 0.03),
            combination((2, 3), 0.01, 0.01),
            combination((1, 3), 0.05, 0.05),
            combination((1, 2), 0.04, 0.04),
        )
    )
    assert removals(path) == [(1,), (1, 2)]
    assert path.missing is None


def test_the_increment_is_the_difference_of_the_means_and_paired_that_of_common_datasets() -> None:
    path = stepwise_path(
        rankings(combination((1,), 0.02, 0.04), combination((1, 2), 0.06, names=["set0"]))
    )
    first, second = path.steps
    assert (first.incremental, first.paired, first.interval) == (None, None, None)
    assert second.incremental == pytest.approx(0.03)
    assert second.paired == pytest.approx(0.04)


def test_without_a_common_dataset_no_increment_is_paired() -> None:
    path = stepwise_path(
        rankings(combination((1,), 0.02), combination((1, 2), 0.06, names=["other"]))
    )
    assert path.steps[1].incremental == pytest.approx(0.04)
    assert path.steps[1].paired is None


def test_it_says_where_no_superset_was_measured() -> None:
    path = stepwise_path(rankings(combination((1,), 0.02), combination((2, 3), 0.03)))
    assert removals(path) == [(1,)]
    assert path.missing == 2


def test_it_says_where_a_number_was_skipped() -> None:
    path = stepwise_path(rankings(combination((1,), 0.02), combination((1, 2, 3), 0.03)))
    assert path.missing == 2


def test_without_single_blocks_there_is_no_first_step() -> None:
    path = stepwise_path(rankings(combination((1, 2), 0.02)))
    assert (path.steps, path.missing) == ((), 1)


def test_without_measurements_there_is_no_path_and_nothing_missing() -> None:
    assert stepwise_path({}) == StepwisePath((), None)


@pytest.mark.parametrize(
    ("drops", "jumps"),
    [
        ((0.0309, 0.0541, 0.0753, 0.1836), [False, False, False, True]),  # as published
        ((0.02, 0.04, 0.06), [False, False, False]),
        ((0.0, 0.019), [False, False]),  # nothing before, but less than two points
        ((0.0, 0.021), [False, True]),
        ((0.02, 0.08), [False, False]),  # three times is not more than three times
        ((0.02, 0.081), [False, True]),
        ((0.5,), [False]),
    ],
)
def test_a_step_jumps_beyond_two_points_and_three_times_the_median_before(
    drops: tuple[float, ...], jumps: list[bool]
) -> None:
    path = stepwise_path(
        rankings(
            *(combination(tuple(range(number + 1)), drop) for number, drop in enumerate(drops))
        )
    )
    assert [step.jump for step in path.steps] == jumps


def test_the_increments_before_count_not_the_first_drop_alone() -> None:
    drops = {(1,): 0.001, (1, 2): 0.051, (1, 2, 3): 0.101, (1, 2, 3, 4): 0.161}
    path = stepwise_path(rankings(*(combination(one, drop) for one, drop in drops.items())))
    # The median before the last step is 0.05: 0.06 is no jump, though 60 times the first drop.
    assert [step.jump for step in path.steps] == [False, True, False, False]


def test_the_interval_of_an_increment_is_paired_over_samples() -> None:
    # Both removals answer the same samples wrongly but for one: far surer than either drop.
    baseline = np.ones(40)
    one, two = baseline.copy(), baseline.copy()
    one[:20] = 0
    two[:21] = 0
    datasets = [dataset("set0", baseline.tolist(), {(1,): one.tolist(), (1, 2): two.tolist()})]
    by_number = {
        number: rank(
            [found for found in combine(datasets) if len(found.removal) == number], min_coverage=1
        )
        for number in (1, 2)
    }
    step = stepwise_path(by_number, datasets).steps[1]
    assert step.paired == pytest.approx(1 / 40)
    assert step.interval is not None
    assert step.interval.low <= 1 / 40 <= step.interval.high
    assert step.interval.high - step.interval.low < 0.2


def test_the_samples_of_an_increment_are_those_of_the_common_datasets() -> None:
    one = dataset("a", [1, 1], {(1,): [1, 1], (1, 2): [1, 0]})
    other = dataset("b", [1, 1, 1], {(1,): [1, 1, 0]})
    untold = dataset("c", 0.9, {(1,): 0.8, (1, 2): 0.7})
    for datasets, samples in (([one, other], 2), ([one, other, untold], 0)):
        path = stepwise_path(rankings(*combine(datasets)), datasets, intervals=False)
        assert [step.num_samples for step in path.steps] == [0, samples]
        assert path.steps[1].interval is None


def test_the_interval_of_an_increment_needs_the_scores_of_every_common_dataset() -> None:
    scored = dataset("set0", [1.0, 1.0], {(1,): [1.0, 0.0], (1, 2): [0.0, 0.0]})
    bare = dataset("set1", 0.9, {(1,): 0.8, (1, 2): 0.7})
    by_number = rankings(combination((1,), 0.5, 0.1), combination((1, 2), 1.0, 0.2))
    assert stepwise_path(by_number, [scored, bare]).steps[1].interval is None
