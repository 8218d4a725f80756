"""Specification of what a search gained over the one-shot ranking."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.analysis.study_summary import Gain, search_gains
from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal
from tests.measurements import dataset

ONE_SHOT: dict[int, Removal] = {2: (1, 2), 3: (1, 2, 3)}


def one(gains: list[Gain]) -> Gain:
    (gain,) = gains
    return gain


def test_gains_are_those_worked_out_by_hand() -> None:
    first = dataset("okvqa", 0.75, {(0,): 0.0, (1, 2): 0.25, (0, 3): 0.5, (1, 2, 3): 0.125})
    second = dataset("doc_qa", 1.0, {(0,): 0.0, (1, 2): 0.75, (0, 3): 0.75, (1, 2, 3): 0.5})
    pair, triple = search_gains([first, second], 16, ONE_SHOT)
    assert (pair.number, pair.active, pair.best, pair.candidates) == (2, 14, (0, 3), 2)
    assert pair.best_drop == pytest.approx(0.25)  # (0.25 + 0.25) / 2
    assert (pair.one_shot, pair.one_shot_drop) == ((1, 2), pytest.approx(0.375))
    assert pair.gain == pytest.approx(0.125)
    assert (triple.best, triple.gain, triple.active) == ((1, 2, 3), 0.0, 13)
    assert triple.num_datasets == 2


def test_weights_decide_which_removal_is_best() -> None:
    first = dataset("okvqa", 1.0, {(1, 2): 0.5, (0, 3): 0.8, (4, 5): 0.0})
    second = dataset("doc_qa", 1.0, {(1, 2): 0.5, (0, 3): 0.0, (4, 5): 0.7})
    heavy = one(search_gains([first, second], 16, ONE_SHOT, {"okvqa": 6, "doc_qa": 2}))
    assert heavy.best == (0, 3)
    assert heavy.best_drop == pytest.approx(0.75 * 0.2 + 0.25 * 1.0)
    assert heavy.gain == pytest.approx(0.5 - 0.4)
    other = one(search_gains([first, second], 16, ONE_SHOT, {"okvqa": 0, "doc_qa": 3, "x": 9}))
    assert other.best == (4, 5)


def test_a_removal_that_one_dataset_lacks_does_not_count() -> None:
    first = dataset("okvqa", 1.0, {(1, 2): 0.5, (0, 3): 0.9, (7, 8, 9): 0.9})
    second = dataset("doc_qa", 1.0, {(1, 2): 0.5})
    gain = one(search_gains([first, second], 16, ONE_SHOT))
    assert (gain.best, gain.candidates, gain.gain) == ((1, 2), 1, 0.0)


def test_there_is_no_gain_over_what_was_not_measured() -> None:
    found = one(search_gains([dataset("okvqa", 1.0, {(0, 3): [1, 0]})], 16, ONE_SHOT))
    assert (found.best, found.one_shot) == ((0, 3), (1, 2))
    assert (found.one_shot_drop, found.gain, found.held_out) == (None,) * 3
    assert one(search_gains([dataset("okvqa", 1.0, {(0, 3): 0.5})], 16, {})).one_shot is None


def test_equal_drops_are_ordered_by_block_indices_whatever_their_last_digit() -> None:
    scores: dict[Removal, float] = {(4, 5): 0.3 + 4e-8, (0, 9): 0.3, (1, 2): 0.1}
    assert one(search_gains([dataset("okvqa", 1.0, scores)], 16, ONE_SHOT)).best == (0, 9)


def test_a_size_of_which_all_cost_too_much_is_left_out() -> None:
    measured = dataset("okvqa", 1.0, {(1, 2): 0.7, (0, 3): 0.75, (1, 2, 3): 0.5})
    kept = one(search_gains([measured], 16, ONE_SHOT, max_drop=0.25))
    assert (kept.number, kept.best) == (2, (0, 3))
    assert search_gains([measured], 16, ONE_SHOT, max_drop=0.2) == []


def test_nothing_measured_gains_nothing() -> None:
    assert search_gains([], 16, ONE_SHOT) == []
    assert search_gains([], 16, ONE_SHOT, {}) == []
    assert search_gains([dataset("okvqa", 1.0, {(1,): 0.5})], 16, ONE_SHOT) == []


@pytest.mark.parametrize(
    "weights",
    [
        {"okvqa": 1.0},
        {"okvqa": -1.0, "doc_qa": 2.0},
        {"okvqa": math.nan, "doc_qa": 2.0},
        {"okvqa": math.inf, "doc_qa": 2.0},
        {"okvqa": 0.0, "doc_qa": 0.0},
    ],
)
def test_weights_that_make_no_mean_are_refused(weights: dict[str, float]) -> None:
    datasets = [dataset(name, 1.0, {(1, 2): 0.5}) for name in ("okvqa", "doc_qa")]
    with pytest.raises(DepthpruneError, match="weight"):
        search_gains(datasets, 16, ONE_SHOT, weights)


def noise(seed: int, samples: int = 60, removals: int = 30) -> DatasetMeasurements:
    """Return removals that are all equally good; their scores differ by chance alone."""
    generator = np.random.default_rng(seed)
    pairs = [(1, 2), *((block, block + 4) for block in range(removals - 1))]
    scores = {pair: (generator.random(samples) < 0.7).astype(float) for pair in pairs}
    return dataset(f"noise_{seed}", np.ones(samples).tolist(), scores)  # type: ignore[arg-type]


def test_chance_alone_gains_on_the_samples_that_chose_and_not_on_the_others() -> None:
    gains = [one(search_gains([noise(seed)], 64, ONE_SHOT)) for seed in range(200)]
    plain = np.mean([gain.gain for gain in gains if gain.gain is not None])
    held_out = [gain.held_out for gain in gains if gain.held_out is not None]
    assert len(held_out) == 200
    assert plain > 0.08
    assert abs(np.mean(held_out)) < 0.02


def test_a_true_gain_is_there_on_the_other_samples_too() -> None:
    generator = np.random.default_rng(0)
    chances = {(1, 2): 0.5, (0, 3): 0.9, (4, 5): 0.4}
    scores = {pair: (generator.random(400) < chance).tolist() for pair, chance in chances.items()}
    gain = one(search_gains([dataset("okvqa", [1.0] * 400, scores)], 16, ONE_SHOT))
    assert gain.held_out == pytest.approx(gain.gain, abs=0.02)
    assert gain.gain == pytest.approx(0.4, abs=0.06)


def test_the_held_out_gain_by_hand() -> None:
    # Even samples choose (4, 5), judged on the odd ones; odd ones choose (0, 3), judged on the even
    scores = {(1, 2): [0, 0, 0, 1], (0, 3): [0, 1, 0, 1], (4, 5): [1, 0, 1, 0]}
    gain = one(search_gains([dataset("okvqa", [1, 1, 1, 1], scores)], 16, ONE_SHOT))
    assert gain.held_out == pytest.approx(((0.0 - 0.5) + (0.0 - 0.0)) / 2)
    assert gain.gain == pytest.approx(0.25)
    assert gain.num_samples == 4


def slow_held_out(datasets: list[DatasetMeasurements], one_shot: Removal) -> float:
    """Choose and judge one removal, one half and one sample at a time."""
    removals = sorted(datasets[0].measurements)
    gains = []
    for chosen, judged in ((0, 1), (1, 0)):

        def cost(removal: Removal, half: int) -> float:
            means = []
            for each in datasets:
                scores, base = each.measurements[removal].scores, each.baseline.scores
                assert scores is not None
                assert base is not None
                places = [place for place in range(len(scores)) if place % 2 == half]
                means.append(sum(float(base[p]) - float(scores[p]) for p in places) / len(places))
            return sum(means) / len(means)

        best = min(removals, key=lambda removal: (round(cost(removal, chosen), 6), removal))
        gains.append(cost(one_shot, judged) - cost(best, judged))
    return sum(gains) / 2


@given(st.integers(0, 10_000), st.integers(2, 9))
@settings(max_examples=25, deadline=None)
def test_the_held_out_gain_is_that_of_one_sample_at_a_time(seed: int, samples: int) -> None:
    datasets = [noise(seed, samples, 6), noise(seed + 1, samples + 3, 6)]
    gain = one(search_gains(datasets, 16, ONE_SHOT))
    assert gain.held_out == pytest.approx(slow_held_out(datasets, (1, 2)), abs=1e-9)


def test_a_search_that_found_the_one_shot_removal_gains_nothing() -> None:
    scores = {(1, 2): [1, 0, 1, 1], (0, 3): [0, 0, 1, 0]}
    gain = one(search_gains([dataset("okvqa", [1, 1, 1, 1], scores)], 16, ONE_SHOT))
    assert (gain.gain, gain.held_out) == (0.0, 0.0)


def test_without_the_scores_of_every_dataset_there_is_a_gain_and_none_held_out() -> None:
    scored = dataset("okvqa", [1, 1], {(1, 2): [0, 0], (0, 3): [1, 0]})
    bare = dataset("doc_qa", 1.0, {(1, 2): 0.5, (0, 3): 0.5})
    gain = one(search_gains([scored, bare], 16, ONE_SHOT))
    assert gain.gain == pytest.approx(0.25)
    assert gain.held_out is None


def test_one_sample_cannot_be_halved() -> None:
    gain = one(search_gains([dataset("okvqa", [1], {(1, 2): [0], (0, 3): [1]})], 16, ONE_SHOT))
    assert gain.held_out is None
