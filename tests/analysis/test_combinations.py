"""Specification of combinations and their ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depthprune.analysis.combinations import Combination, combine, rank, with_intervals
from depthprune.analysis.result_set import DatasetMeasurements
from depthprune.analysis.study_summary import summarize_study
from depthprune.base.removal import Removal
from tests.analysis.results import Cells, cells, results
from tests.measurements import dataset


def by_removal(combinations: list[Combination]) -> dict[tuple[int, ...], Combination]:
    return {one.removal: one for one in combinations}


def test_mean_and_population_std_are_over_the_datasets() -> None:
    one = dataset("okvqa", 0.9, {(4,): 0.8})
    two = dataset("doc_qa", 0.8, {(4,): 0.5})
    (found,) = combine([one, two])
    assert found.drops == pytest.approx({"okvqa": 0.1, "doc_qa": 0.3})
    assert found.mean == pytest.approx(0.2)
    assert found.std == pytest.approx(0.1)
    assert found.accuracy == pytest.approx(0.65)
    assert found.coverage == 2


def test_a_missing_cell_is_never_read_as_zero() -> None:
    one = dataset("okvqa", 0.9, {(4,): 0.8, (5,): 0.7})
    two = dataset("doc_qa", 0.8, {(4,): 0.5})
    found = by_removal(combine([one, two]))
    assert found[(5,)].mean == pytest.approx(0.2)
    assert found[(5,)].coverage == 1


def test_the_samples_of_a_mean_are_unknown_where_those_of_one_dataset_are() -> None:
    told = dataset("okvqa", [1, 1], {(4,): [1, 0], (5,): [1, 0]})
    untold = dataset("doc_qa", 0.8, {(4,): 0.5})
    found = by_removal(combine([told, untold]))
    assert found[(4,)].num_samples == 0
    assert found[(5,)].num_samples == 2


def test_the_samples_of_each_dataset_are_drawn_by_themselves() -> None:
    # Two datasets with the same scores: one shared draw would leave the interval as wide as one's.
    scores = [0, 1] * 50
    sets = [dataset(name, [1] * 100, {(4,): scores}) for name in ("okvqa", "doc_qa")]
    widths = []
    for several in (sets[:1], sets):
        (found,) = combine(several)
        assert found.interval is not None
        widths.append(found.interval.high - found.interval.low)
    assert widths[1] == pytest.approx(widths[0] / math.sqrt(2), rel=0.15)


def slow_combination(removal: Removal, datasets: Sequence[DatasetMeasurements]) -> Combination:
    """Combine one removal cell by cell."""
    seen = [one for one in datasets if removal in one.measurements]
    drops = {one.dataset: one.drop(removal) for one in seen}
    mean = sum(drops.values()) / len(drops)
    return Combination(
        removal,
        drops,
        mean,
        (sum((drop - mean) ** 2 for drop in drops.values()) / len(drops)) ** 0.5,
        sum(one.measurements[removal].accuracy for one in seen) / len(seen),
        sum(one.measurements[removal].num_samples for one in seen),
        None,
    )


@given(cells(min_datasets=1))
def test_all_at_once_agrees_with_cell_by_cell(drawn: Cells) -> None:
    datasets = results(drawn).datasets
    for found in combine(datasets):
        slow = slow_combination(found.removal, datasets)
        assert found.drops == slow.drops
        assert (found.mean, found.std) == pytest.approx((slow.mean, slow.std), abs=1e-9)
        assert found.accuracy == pytest.approx(slow.accuracy, abs=1e-9)
        assert found.num_samples == slow.num_samples


def test_an_accuracy_that_is_unknown_somewhere_is_unknown() -> None:
    one = dataset("okvqa", 0.9, {(4,): 0.8})
    stated = replace(one.measurements[(4,)], accuracy=math.nan, stated_drop=0.1)
    (found,) = combine([one, replace(one, dataset="doc_qa", measurements={(4,): stated})])
    assert found.mean == pytest.approx(0.1)
    assert math.isnan(found.accuracy)


def test_the_order_of_the_datasets_changes_no_interval() -> None:
    generator = np.random.default_rng(0)
    sets = [
        dataset(name, generator.random(40).tolist(), {(4,): generator.random(40).tolist()})
        for name in ("a", "b")
    ]
    one, other = combine(sets)[0].interval, combine(sets[::-1])[0].interval
    assert one is not None and other is not None
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_intervals_are_computed_only_where_asked_for() -> None:
    given = [dataset("okvqa", [1, 1, 0, 1], {(4,): [1, 0, 0, 1], (5,): [0, 0, 0, 1]})]
    bare = combine(given, intervals=False)
    assert [one.interval for one in bare] == [None, None]
    assert with_intervals(bare, given) == combine(given)
    assert with_intervals(bare[1:], given) == combine(given)[1:]


def test_many_intervals_are_computed_in_parts_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(0)
    scores = {(block,): generator.random(20).tolist() for block in range(7)}
    given = [dataset(name, generator.random(20).tolist(), scores) for name in ("a", "b")]
    whole = combine(given)
    monkeypatch.setattr("depthprune.analysis.intervals.AT_ONCE", 45)
    assert combine(given) == whole


def test_scores_of_other_samples_are_not_paired() -> None:
    one = dataset("okvqa", [1, 1, 0, 1] * 3, {(4,): [1, 0, 0, 1] * 3})
    other = dataset("okvqa", [1, 1], {(5,): [1, 0]})
    mixed = replace(one, measurements={**one.measurements, **other.measurements})
    assert [found.interval is None for found in combine([mixed])] == [False, True]


def test_an_interval_needs_the_scores_of_every_dataset() -> None:
    scored = dataset("okvqa", [1, 1, 0, 1] * 3, {(4,): [1, 0, 0, 1] * 3})
    bare = dataset("doc_qa", 0.8, {(4,): 0.5})
    assert combine([bare])[0].interval is None
    assert combine([scored, bare])[0].interval is None
    found = combine([scored])[0]
    assert found.interval is not None
    assert found.interval.low <= found.mean <= found.interval.high
    assert found.num_samples == 12


def test_the_ranking_leaves_out_and_counts_low_coverage_and_improvements() -> None:
    one = dataset("okvqa", 0.5, {(1,): 0.4, (2,): 0.6, (3,): 0.1})
    two = dataset("doc_qa", 0.5, {(1,): 0.4, (2,): 0.6})
    ranking = rank(combine([one, two]), min_drop=0.0)
    assert [found.removal for found in ranking.combinations] == [(1,)]
    assert (ranking.low_coverage, ranking.improving) == (1, 1)


def test_by_default_improvements_are_ranked_first() -> None:
    one = dataset("okvqa", 0.5, {(1,): 0.4, (2,): 0.6})
    ranking = rank(combine([one]), min_coverage=1)
    assert [found.removal for found in ranking.combinations] == [(2,), (1,)]
    assert ranking.improving == 0


def test_rounding_noise_is_no_improvement() -> None:
    same = dataset("okvqa", [0.9, 0.0], {(1,): [0.3, 0.6], (2,): [0.0, 0.9]})
    ranking = rank(combine([same]), min_coverage=1, min_drop=0.0)
    assert [found.removal for found in ranking.combinations] == [(1,), (2,)]
    assert ranking.improving == 0


def test_improvements_are_ranked_when_asked_for() -> None:
    one = dataset("okvqa", 0.5, {(1,): 0.4, (2,): 0.6})
    ranking = rank(combine([one]), min_coverage=1, min_drop=None)
    assert [found.removal for found in ranking.combinations] == [(2,), (1,)]


def test_equal_drops_are_ordered_by_block_indices() -> None:
    one = dataset("okvqa", 0.5, {(9,): 0.4, (2,): 0.4, (1, 3): 0.4})
    ranking = rank(combine([one]), min_coverage=1)
    assert [found.removal for found in ranking.combinations] == [(1, 3), (2,), (9,)]


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=2, max_size=5),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_datasets_changes_nothing(cells: list[list[float]], random) -> None:  # type: ignore[no-untyped-def]
    datasets = [
        dataset(f"set{index}", 1.0, {(block,): value for block, value in enumerate(row)})
        for index, row in enumerate(cells)
    ]
    shuffled = random.sample(datasets, len(datasets))
    first, second = by_removal(combine(datasets)), by_removal(combine(shuffled))
    for removal, found in first.items():
        assert second[removal].mean == pytest.approx(found.mean, abs=1e-12)
        assert second[removal].std == pytest.approx(found.std, abs=1e-9)


def test_the_summary_ranks_singles_whole_and_several_by_number() -> None:
    scores = {(0,): 0.1, (1,): 0.6, (2,): 0.4, (1, 2): 0.3, (0, 1): 0.0}
    summary = summarize_study([dataset("okvqa", 0.5, scores), dataset("doc_qa", 0.5, scores)], 3)
    assert [one.removal for one in summary.importance.combinations] == [(1,), (2,), (0,)]
    assert sorted(summary.combinations) == [1, 2]
    assert [one.removal for one in summary.combinations[2].combinations] == [(1, 2), (0, 1)]
    assert summary.combinations[1].improving == 0
    assert summary.best["okvqa"][2] == ((1, 2), pytest.approx(0.2))


def test_one_dataset_is_ranked_by_itself() -> None:
    summary = summarize_study([dataset("okvqa", 0.5, {(0,): 0.1, (1,): 0.4, (0, 1): 0.1})], 4)
    assert summary.min_coverage == 1
    assert [one.removal for one in summary.combinations[1].combinations] == [(1,), (0,)]


def test_single_blocks_alone_are_no_combinations() -> None:
    assert not summarize_study([dataset("okvqa", 0.5, {(0,): 0.1})], 4).combinations


def test_a_baseline_with_scores_and_removals_without_have_no_interval() -> None:
    one = dataset("okvqa", [1, 1], {})
    (found,) = combine([replace(one, measurements=dataset("okvqa", 0.9, {(4,): 0.5}).measurements)])
    assert found.interval is None
