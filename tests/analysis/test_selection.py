"""Specification of the correction for having been chosen: the best of many looks too good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from depthprune.analysis.combinations import DRAWS, CorrectedDrop, combine, find_selections, rank
from depthprune.analysis.intervals import dataset_seed
from depthprune.analysis.recommend import recommend
from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.base.removal import Removal
from tests.analysis.results import result_set, results
from tests.measurements import dataset, measurement


def flips(
    costs: Sequence[float], seed: int, samples: int = 64, names: Sequence[str] = ("okvqa",)
) -> list[DatasetMeasurements]:
    """Return datasets of single blocks that lose 10 % of the answers and their cost, win 10 %."""
    generator = np.random.default_rng(seed)
    datasets = []
    for name in names:
        base = generator.random(samples) < 0.5
        lost = generator.random((len(costs), samples)) < 2 * (0.1 + np.array(costs)[:, None])
        won = generator.random((len(costs), samples)) < 0.2
        rows = np.where(base, ~lost, won).astype(float)
        scores = {(block,): row.tolist() for block, row in enumerate(rows)}
        datasets.append(dataset(name, base.astype(float).tolist(), scores))  # type: ignore[arg-type]
    return datasets


def selections(datasets: Sequence[DatasetMeasurements]) -> dict[Removal, CorrectedDrop]:
    ranked = rank(combine(datasets), min_coverage=1)
    return find_selections({1: ranked}, [one.removal for one in ranked.combinations], datasets)


def best(datasets: Sequence[DatasetMeasurements]) -> tuple[float, CorrectedDrop]:
    """Return the smallest mean drop as it is, and corrected."""
    (first, *_) = rank(combine(datasets), min_coverage=1).combinations
    return first.mean, selections(datasets)[first.removal]


def test_where_all_are_equal_most_of_the_luck_is_taken_off() -> None:
    found = [best(flips([0.0] * 20, seed)) for seed in range(40)]
    before = np.mean([drop for drop, _ in found])
    after = np.mean([one.drop for _, one in found if one.drop is not None])
    assert before < -0.07  # all of it luck: the true drop is 0
    assert abs(after) < 0.4 * abs(before)
    held = [one.interval.low <= 0 <= one.interval.high for _, one in found if one.interval]
    assert (len(held), sum(held) >= 36) == (40, True)


def test_a_clear_winner_is_hardly_corrected() -> None:
    drop, found = best(flips([0.0, *[0.3] * 10], 0, samples=800))
    assert found.drop == pytest.approx(drop, abs=1e-3)
    assert found.among == 11


def test_the_only_one_was_not_chosen() -> None:
    datasets = flips([0.0], 0)
    drop, found = best(datasets)
    (plain,) = combine(datasets)
    assert found == CorrectedDrop(1, drop, plain.interval)


def test_the_lower_end_stays_and_the_upper_end_moves_with_the_drop() -> None:
    datasets = flips([0.0] * 8, 1)
    (first, *_) = rank(combine(datasets), min_coverage=1).combinations
    found = selections(datasets)[first.removal]
    assert found.drop is not None
    assert found.interval is not None
    assert first.interval is not None
    assert found.drop > first.mean
    assert found.interval.low == first.interval.low
    moved = found.interval.high - first.interval.high
    assert moved == pytest.approx(found.drop - first.mean)


def test_the_correction_is_that_of_one_draw_and_one_removal_at_a_time() -> None:
    datasets = flips([0.0, 0.02, 0.05], 2, samples=30, names=("okvqa", "doc_qa"))
    removals: list[Removal] = [(0,), (1,), (2,)]
    luck = []
    generators = [np.random.default_rng(dataset_seed(one.dataset, 0)) for one in datasets]
    draws = [generator.standard_normal((30, DRAWS)) for generator in generators]
    for sign in (1, -1):
        for draw in range(DRAWS):
            disturbed = []
            for removal in removals:
                added = 0.0
                for one, numbers in zip(datasets, draws, strict=True):
                    base, scores = one.baseline.scores, one.measurements[removal].scores
                    assert base is not None
                    assert scores is not None
                    away = (base - scores) - np.mean(base.astype(float) - scores)
                    added += sign * float(away @ numbers[:, draw]) / np.sqrt(30 * 29) / 2
                mean = np.mean([one.drop(removal) for one in datasets])
                disturbed.append((mean + added, added))
            luck.append(min(disturbed)[1])
    drop, found = best(datasets)
    assert found.drop == pytest.approx(drop - np.mean(luck), abs=1e-9)


def test_what_is_ahead_was_passed_over_and_does_not_compete() -> None:
    datasets = flips([-0.4, 0.0, 0.0, 0.0], 3)
    without = [
        replace(one, measurements={r: m for r, m in one.measurements.items() if r != (0,)})
        for one in datasets
    ]
    second = rank(combine(datasets), min_coverage=1).combinations[1]
    found = selections(datasets)[second.removal]
    assert found == replace(selections(without)[second.removal], among=4)
    assert found.drop is not None
    assert found.drop > second.mean


@pytest.mark.parametrize("missing", ["best", "other", "baseline"])
def test_without_the_scores_of_all_only_their_number_is_known(missing: str) -> None:
    (one,) = flips([0.0, 0.3, 0.3], 4)
    lost = {"best": (0,), "other": (2,), "baseline": ()}[missing]
    measured = dict(one.measurements)
    if lost:
        measured[lost] = measurement(lost, float(measured[lost].accuracy))
    else:
        one = replace(one, baseline=replace(one.baseline, scores=None))
    assert selections([replace(one, measurements=measured)])[(0,)] == CorrectedDrop(3)


def test_below_ten_samples_there_is_no_correction() -> None:
    assert best(flips([0.0] * 4, 0, samples=9))[1] == CorrectedDrop(4)


def test_datasets_that_did_not_measure_a_removal_add_nothing_to_it() -> None:
    first, second = flips([0.0] * 6, 5, names=("okvqa", "doc_qa"))
    alone = replace(second, measurements={(5,): second.measurements[(5,)]})
    found = selections([first, alone])
    assert all(one.drop is not None for one in found.values())
    reversed_ = selections([alone, first])
    for removal, one in found.items():
        assert one.drop == pytest.approx(reversed_[removal].drop)


def test_a_drop_that_may_exceed_one_is_not_cut_off_at_one() -> None:
    generator = np.random.default_rng(0)
    scores = {(block,): (generator.random(64) * 0.5).tolist() for block in range(6)}
    one = dataset("captions", [2.5] * 64, scores, task_type="Captioning")  # type: ignore[arg-type]
    _, found = best([one])
    assert found.interval is not None
    assert found.interval.high > 2


def test_recommend_tells_it_of_everything_that_was_chosen() -> None:
    given = {(0,): [0.0, 0.1], (1,): [0.1, 0.1], (0, 1): [0.2, 0.2], (1, 2): [0.3, 0.3]}
    found = recommend(results(given))
    chosen = [one.removal for each in found.strategies for one in each.combinations]
    assert chosen
    assert set(found.selections) >= set(chosen)
    assert found.selections[(0,)] == CorrectedDrop(2)
    assert found.selections[(0, 1)] == CorrectedDrop(2)


def test_recommend_corrects_where_scores_are_known_and_the_same_seed_agrees() -> None:
    datasets = flips([0.0] * 6, 6, names=("okvqa", "doc_qa"))
    found, again = (recommend(result_set(datasets)) for _ in range(2))
    (first, *_) = found.independent[1].combinations
    known = found.selections[first.removal]
    assert known.drop is not None
    assert known.drop > first.mean
    assert found.selections == again.selections
