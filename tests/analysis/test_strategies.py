"""Specification of the recommended strategies: conservative, balanced, aggressive."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from depthprune.analysis import recommend as module
from depthprune.analysis.combinations import Combination
from depthprune.analysis.intervals import Interval
from depthprune.analysis.options import Ranking
from depthprune.analysis.recommend import Recommended, recommend
from depthprune.analysis.recommended_strategies import (
    choose_strategies,
    find_candidates,
    stepwise_path,
    upper_end,
)
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.verified import choose
from depthprune.base.removal import Removal
from tests.analysis.results import combination, rankings, result_set, results
from tests.measurements import dataset

Chosen = Mapping[str, list[Removal]]


def chosen(
    *given: Combination,
    limit: float = 0.05,
    essential: Collection[int] = (),
    num_datasets: int = 4,
    baseline: float = 0.9,
) -> Chosen:
    """Return the removals of each strategy; 2 datasets are needed to be ranked, 3 to be robust."""
    independent = rankings(*given, min_coverage=2)
    robust = rankings(*given, min_coverage=3)
    baselines = {f"set{column}": baseline for column in range(num_datasets)}
    candidates = find_candidates(
        independent, robust, stepwise_path(independent), baselines, essential
    )
    return {
        one.name: [each.removal for each in one.combinations]
        for one in choose_strategies(candidates, limit)
    }


def removals(found: Recommended) -> Chosen:
    return {one.name: [each.removal for each in one.combinations] for one in found.strategies}


def everywhere(removal: Removal, drop: float, on: int = 4) -> Combination:
    return combination(removal, *[drop] * on)


# Conservative


def test_conservative_are_the_last_two_steps_of_the_path_within_the_limit() -> None:
    path = [everywhere(tuple(range(1, n + 1)), 0.01 * n) for n in range(1, 5)]
    beyond = everywhere((1, 2, 3, 4, 5), 0.051)
    assert chosen(*path, beyond)["conservative"] == [(1, 2, 3), (1, 2, 3, 4)]
    assert chosen(path[0], everywhere((1, 2), 0.06))["conservative"] == [(1,)]


def test_a_step_counts_where_three_quarters_of_the_datasets_measured_it() -> None:
    first, second = everywhere((1,), 0.01), everywhere((1, 2), 0.02, on=3)
    assert chosen(first, second)["conservative"] == [(1,), (1, 2)]
    assert chosen(first, everywhere((1, 2), 0.02, on=2))["conservative"] == [(1,)]
    assert chosen(everywhere((1,), 0.01, on=2))["conservative"] == []


def test_the_end_of_the_interval_must_be_within_the_limit() -> None:
    one = everywhere((1,), 0.0)
    assert upper_end(one) == 0.0
    wide = replace(one, interval=Interval(-0.06, 0.051))
    assert chosen(wide)["conservative"] == []
    assert chosen(replace(one, interval=Interval(-0.05, 0.05)))["conservative"] == [(1,)]
    # It may cost more on the mean than another whose interval is wider.
    assert chosen(replace(everywhere((2,), 0.04), interval=Interval(0.03, 0.049)))["balanced"]


def test_too_few_samples_for_an_interval_are_within_no_limit() -> None:
    one = everywhere((1,), 0.0)
    assert chosen(replace(one, num_samples=9))["conservative"] == []
    assert chosen(replace(one, num_samples=10))["conservative"] == [(1,)]
    assert chosen(replace(one, num_samples=0))["conservative"] == [(1,)]  # unknown


def test_a_better_removal_on_as_many_datasets_takes_a_steps_place() -> None:
    path = [everywhere((1,), 0.01), everywhere((1, 2), 0.06)]
    assert chosen(*path, everywhere((3, 4), 0.02))["conservative"] == [(1,), (3, 4)]
    fewer = everywhere((3, 4), 0.02, on=3)
    assert chosen(*path, fewer)["conservative"] == [(1,)]


def test_a_better_removal_whose_interval_is_too_wide_leaves_the_step() -> None:
    path = [everywhere((1,), 0.01), everywhere((1, 2), 0.03)]
    wide = replace(everywhere((3, 4), 0.02), interval=Interval(-0.1, 0.12))
    assert chosen(*path, wide)["conservative"] == [(1,), (1, 2)]


def test_an_equal_removal_does_not_take_a_steps_place() -> None:
    path = [everywhere((2,), 0.01), everywhere((2, 3), 0.03)]
    assert chosen(*path, everywhere((1, 4), 0.03))["conservative"] == [(2,), (2, 3)]


# Balanced


def test_balanced_is_the_most_blocks_whose_best_robust_removal_is_within_the_limit() -> None:
    given = (
        everywhere((1,), 0.01),
        everywhere((2, 3), 0.04, on=3),
        everywhere((4, 5), 0.01, on=2),  # not robust
        everywhere((2, 3, 4), 0.06, on=3),
        everywhere((1, 2, 3), 0.01, on=2),  # not robust
    )
    assert chosen(*given)["balanced"] == [(2, 3)]


# Aggressive


def test_aggressive_is_the_best_of_the_most_blocks_and_the_best_robust_one() -> None:
    given = (
        everywhere((1, 2), 0.2, on=2),
        everywhere((2, 3), 0.3),
        everywhere((1, 2, 3), 0.46),  # less than half of 0.9 is left
    )
    assert chosen(*given)["aggressive"] == [(1, 2), (2, 3)]
    assert chosen(*given, everywhere((2, 4), 0.1))["aggressive"] == [(2, 4)]


def test_no_robust_removal_that_loses_more_than_half_stands_beside_the_best() -> None:
    given = everywhere((1, 2), 0.2, on=2), everywhere((2, 3), 0.46)
    assert chosen(*given)["aggressive"] == [(1, 2)]


# Blocks that must never go


def test_no_strategy_removes_a_block_that_must_never_go() -> None:
    given = (
        everywhere((0,), 0.01),
        everywhere((1,), 0.02),
        everywhere((0, 1), 0.02),
        everywhere((1, 2), 0.03),
        everywhere((0, 1, 2), 0.03),
    )
    found = chosen(*given, essential={0})
    assert found == {
        "conservative": [(1,), (1, 2)],
        "balanced": [(1, 2)],
        "aggressive": [(1, 2)],
    }


def test_a_block_that_ruins_the_model_is_in_no_strategy_of_a_result_set() -> None:
    cells = {(0,): [0.7] * 2, (1,): [0.01] * 2, (0, 1): [0.0] * 2, (1, 2): [0.05] * 2}
    found = recommend(results(cells))
    assert found.essential_blocks == {0}
    assert removals(found) == {
        "conservative": [(1,), (1, 2)],
        "balanced": [(1, 2)],
        "aggressive": [(1, 2)],
    }


# Kinds of studies


def test_a_joint_study_recommends_the_best_of_each_number() -> None:
    """All datasets measured everything: neither steps nor coverage stand in the way."""
    cells = {
        (1,): [0.01] * 8,
        (2,): [0.02] * 8,
        (1, 2): [0.05] * 8,
        (3, 4): [0.03] * 8,
        (1, 2, 3): [0.2] * 8,
        (3, 4, 5): [0.06] * 8,
    }
    found = recommend(results(cells))
    assert removals(found) == {
        "conservative": [(3, 4), (3, 4, 5)],
        "balanced": [(3, 4, 5)],
        "aggressive": [(3, 4, 5)],
    }


def test_one_dataset_is_all_there_is() -> None:
    found = recommend(results({(1,): [-0.01], (1, 2): [0.03], (1, 2, 3): [0.3]}))
    assert found.limit.coverage == 1
    assert removals(found) == {
        "conservative": [(1,), (1, 2)],
        "balanced": [(1, 2)],
        "aggressive": [(1, 2, 3)],
    }


def test_where_nothing_qualifies_nothing_is_recommended() -> None:
    found = recommend(results({(1,): [0.5, 0.5], (2,): [0.8, 0.8]}))
    assert removals(found) == {"conservative": [], "balanced": [], "aggressive": []}
    assert choose(found) is None


def test_without_anything_ranked_there_is_no_strategy() -> None:
    assert set(map(len, chosen().values())) == {0}
    assert set(map(len, removals(recommend(results({(1,): [0.01, None]}))).values())) == {0}


@pytest.mark.parametrize(
    ("metric", "task_type", "named"),
    [
        ("cider_d (nltk Treebank tokens)", "Captioning", True),
        ("CIDEr", "Captioning", True),
        ("", "Captioning", True),
        ("vqa_accuracy", "VQA", False),
        ("", "VQA", False),
    ],
)
def test_a_metric_that_may_exceed_1_has_its_share_of_the_limit(
    metric: str, task_type: str, named: bool
) -> None:
    one = replace(dataset("captions", 0.6, {(1,): 0.5}), metric=metric, task_type=task_type)
    other = replace(dataset("okvqa", 0.2, {(1,): 0.1}), metric="vqa_accuracy", task_type="VQA")
    limit = recommend(result_set([one, other])).limit
    assert limit.drop == pytest.approx(0.04)
    assert limit.unbounded == ({"captions": pytest.approx(0.75)} if named else {})


def test_a_score_above_1_shows_that_its_metric_may_exceed_it() -> None:
    one = replace(dataset("own", 1.2, {(1,): 1.1}), metric="mine", task_type="VQA")
    assert recommend(result_set([one])).limit.unbounded == {"own": 1.0}


# Harmless blocks


NUM_BLOCKS, HARMFUL = 8, 3


def harmless_but_one(seed: int, loss: float, num_samples: int = 100) -> ResultSet:
    """Return a study in which losing `HARMFUL` costs `loss`, and nothing else more than noise.

    Every removal answers a few samples otherwise, as many worse as better.
    """
    generator = np.random.default_rng(seed)
    every = [
        removal for number in range(1, 5) for removal in combinations(range(NUM_BLOCKS), number)
    ]
    datasets = []
    for name in ("okvqa", "doc_qa", "st_qa", "tally_qa"):
        baseline = generator.random(num_samples) < 0.8
        scores = {}
        for removal in every:
            flipped = generator.random(num_samples) < 0.02
            answers = np.where(flipped, generator.random(num_samples) < 0.8, baseline)
            if HARMFUL in removal:
                answers &= generator.random(num_samples) >= loss / 0.8
            scores[removal] = answers.astype(float).tolist()
        datasets.append(dataset(name, baseline.astype(float).tolist(), scores))
    return result_set(datasets, num_blocks=NUM_BLOCKS)


@pytest.mark.parametrize("loss", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_every_strategy_removes_harmless_blocks_only(seed: int, loss: float) -> None:
    found = recommend(harmless_but_one(seed, loss))
    for one in found.strategies:
        assert one.combinations, one.name
        for each in one.combinations:
            assert HARMFUL not in each.removal
    choice = choose(found)
    assert choice is not None
    assert len(choice.combination.removal) == 4


def test_a_lower_limit_of_the_drop_would_recommend_otherwise() -> None:
    """What the old default did: harmless removals whose drop is below 0 were thrown out."""
    given = harmless_but_one(0, 0.1)
    better = [one for one in recommend(given).independent[1].combinations if one.mean < 0]
    limited = recommend(given, Ranking(min_drop=0.0))
    assert better
    assert not {one.removal for one in better} & {
        one.removal for one in limited.independent[1].combinations
    }


# Intervals of many combinations


def test_what_may_be_recommended_has_its_interval_however_many_combinations_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = harmless_but_one(1, 0.3, num_samples=40)
    everything = recommend(given)
    monkeypatch.setattr(module, "EVERY_INTERVAL", 2)
    few = recommend(given, top=1)
    assert removals(few) == removals(everything)
    for one in few.strategies:
        assert all(each.interval is not None for each in one.combinations)
