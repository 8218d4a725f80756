"""Specification of the recommendations: what is ranked, what is left out, what moves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from depthprune.analysis import recommend as module
from depthprune.analysis.combinations import combine
from depthprune.analysis.drop_table import drop_table
from depthprune.analysis.options import Ranking, Targets
from depthprune.analysis.recommend import Recommended, recommend
from depthprune.analysis.result_set import ResultSet
from depthprune.base.errors import AnalysisError, DepthpruneError
from depthprune.base.removal import Removal
from tests.analysis.results import Cells, cells, result_set, results
from tests.measurements import dataset


def best(found: Recommended, number: int) -> Removal:
    return found.independent[number].combinations[0].removal


def measured(drawn: Cells) -> bool:
    return any(drop is not None for row in drawn.values() for drop in row)


def outcome(found: Recommended) -> Mapping[str, object]:
    """Return what is recommended, without the names of the datasets."""
    return {
        "independent": [
            (
                number,
                [(one.removal, round(one.mean, 9), one.coverage) for one in given.combinations],
                given.low_coverage,
                given.improving,
            )
            for number, given in found.independent.items()
        ],
        "robust": [[one.removal for one in given.combinations] for given in found.robust.values()],
        "stepwise": [(step.combination.removal, step.jump) for step in found.stepwise.steps],
        "missing": found.stepwise.missing,
        "strategies": [
            (one.name, [each.removal for each in one.combinations]) for one in found.strategies
        ],
        "essential": [one.combination.removal for one in found.essential],
    }


# What is ranked


def test_a_combination_of_one_dataset_never_wins_where_there_are_several() -> None:
    found = recommend(results({(1,): [0.0, None], (2,): [0.1, 0.1]}))
    assert best(found, 1) == (2,)
    assert found.independent[1].low_coverage == 1


def test_of_one_dataset_all_is_ranked() -> None:
    found = recommend(results({(1,): [0.0], (2,): [0.1]}))
    assert best(found, 1) == (1,)
    assert (found.min_coverage, found.robust_coverage) == (1, 1)


def test_improvements_are_ranked_unless_a_lower_limit_is_asked_for() -> None:
    given = results({(1,): [-0.1, -0.1], (2,): [0.1, 0.1]})
    assert best(recommend(given), 1) == (1,)
    found = recommend(given, Ranking(min_drop=0.0))
    assert best(found, 1) == (2,)
    assert found.independent[1].improving == 1


def test_nothing_is_ranked_where_all_was_measured_on_one_dataset_of_several() -> None:
    found = recommend(results({(1,): [0.1, None], (2,): [None, 0.1]}))
    assert not found.independent[1].combinations


def test_robust_combinations_are_measured_on_three_datasets_or_more() -> None:
    found = recommend(results({(1,): [0.0, 0.0, None], (2,): [0.1, 0.1, 0.1]}))
    assert best(found, 1) == (1,)
    assert [one.removal for one in found.robust[1].combinations] == [(2,)]


def test_a_path_over_an_end_of_the_stack_is_pointed_out() -> None:
    found = recommend(results({(5,): [0.0, 0.0], (4, 5): [0.1, 0.1]}))
    inner = recommend(results({(4,): [0.0, 0.0], (3, 4): [0.1, 0.1]}))
    assert (found.path_ends, inner.path_ends) == ((5,), ())


def test_targets_are_answered() -> None:
    given = results({(1,): [0.01, 0.01], (1, 2): [0.2, 0.2]})
    found = recommend(given, targets=Targets(max_drop=0.05, speedup=1.3, params=0.7))
    assert [(one.kind, one.number) for one in found.targets] == [
        ("max_drop", 1),
        ("speedup", 2),
        ("params", 2),
    ]


def test_the_limit_is_a_tenth_of_the_mean_baseline_over_all_datasets() -> None:
    given = results({(1,): [0.01, 0.01, None]}, baseline=0.8)
    third = replace(given.datasets[2], baseline=replace(given.datasets[2].baseline, accuracy=0.5))
    found = recommend(replace(given, datasets=(*given.datasets[:2], third)))
    assert found.limit.drop == pytest.approx(0.07)


def test_without_any_known_accuracy_the_limit_is_a_tenth() -> None:
    given = results({(1,): [0.01, 0.01]})
    unknown = tuple(
        replace(one, baseline=replace(one.baseline, accuracy=float("nan")))
        for one in given.datasets
    )
    limit = recommend(replace(given, datasets=unknown)).limit
    assert (limit.drop, limit.baseline) == (pytest.approx(0.1), None)


def test_a_table_that_is_there_already_is_used() -> None:
    given = results({(1,): [0.01, 0.01]})
    other = drop_table(results({(2,): [0.3, 0.3]}).datasets, 6)
    assert best(recommend(given, table=other), 1) == (2,)


@pytest.mark.parametrize(
    "options",
    [
        {"top": 0},
        {"essential_threshold": 2.0},
        {"essential_threshold": float("nan")},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(AnalysisError, match=r"(top|essential_threshold) must be"):
        recommend(results({(1,): [0.01, 0.01]}), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Ranking, {"min_coverage": 0}),
        (Ranking, {"robust_coverage": 0}),
        (Ranking, {"min_drop": float("nan")}),
        (Ranking, {"min_drop": -2.0}),
        (Ranking, {"min_drop": 2.0}),
        (Targets, {"max_drop": 5.0}),
        (Targets, {"max_drop": -0.1}),
        (Targets, {"speedup": 1.0}),
        (Targets, {"speedup": float("inf")}),
        (Targets, {"params": 0.0}),
        (Targets, {"params": 1.0}),
        (Targets, {"params": 85.0}),
        (Targets, {"params": float("nan")}),
    ],
)
def test_limits_out_of_bounds_are_refused(
    kind: type[Ranking] | type[Targets], given: dict[str, Any]
) -> None:
    (option,) = given
    with pytest.raises(DepthpruneError, match=f"{option} must be") as refused:
        kind(**given)
    assert refused.value.option == option


def test_without_measurements_there_is_nothing_to_recommend() -> None:
    with pytest.raises(AnalysisError, match="no removal was measured"):
        recommend(result_set([dataset("okvqa", 0.9, {})]))


# Intervals


def scored(num_removals: int) -> ResultSet:
    generator = np.random.default_rng(0)
    baseline = (generator.random(30) < 0.9).astype(float).tolist()
    return result_set(
        [
            dataset(
                name,
                baseline,
                {
                    (block,): (generator.random(30) < 0.5).astype(float).tolist()
                    for block in range(num_removals)
                },
            )
            for name in ("okvqa", "doc_qa")
        ],
        num_blocks=num_removals + 1,
    )


def test_every_combination_has_its_interval_where_there_are_few() -> None:
    given = scored(8)
    intervals = {one.removal: one.interval for one in combine(given.datasets)}
    for one in recommend(given).independent[1].combinations:
        assert one.interval is not None
        assert one.interval == intervals[one.removal]


def test_of_many_combinations_those_shown_have_their_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "EVERY_INTERVAL", 2)
    pairs = {
        pair: [1.0] * right + [0.0] * (30 - right)
        for right, pair in enumerate(combinations(range(4), 2))
    }
    given = scored(4)
    given = replace(
        given,
        datasets=tuple(
            replace(
                one,
                measurements={
                    **one.measurements,
                    **dataset(one.dataset, [1.0] * 30, pairs).measurements,
                },
            )
            for one in given.datasets
        ),
    )
    found = recommend(given, top=2)
    ranked = [one.removal for one in found.independent[2].combinations]
    path = {step.combination.removal for step in found.stepwise.steps}
    known = {one.removal for one in found.independent[2].combinations if one.interval is not None}
    considered = {*path, *found.candidates.removals}
    assert known == {*ranked[:2], *considered.intersection(ranked)}
    assert len(known) < len(ranked)


def test_without_scores_there_are_no_intervals() -> None:
    found = recommend(results({(1,): [0.01, 0.01]}))
    assert found.independent[1].combinations[0].interval is None


# What moves nothing


@given(cells(), st.randoms(use_true_random=False))
def test_the_order_of_the_datasets_changes_nothing(drawn: Cells, random) -> None:  # type: ignore[no-untyped-def]
    assume(measured(drawn))
    given = results(drawn)
    shuffled = replace(given, datasets=tuple(random.sample(given.datasets, len(given.datasets))))
    first, second = recommend(given), recommend(shuffled)
    assert outcome(first) == outcome(second)
    assert list(first.adjusted.values()) == pytest.approx(
        list(second.adjusted.values()), abs=1e-9, nan_ok=True
    )


@given(cells())
def test_renumbering_the_blocks_changes_their_names_only(drawn: Cells) -> None:
    """Order-keeping, so that ties between equal drops fall the same way."""
    assume(measured(drawn))
    renamed = {tuple(2 * block + 1 for block in removal): row for removal, row in drawn.items()}
    first, second = recommend(results(drawn)), recommend(results(renamed, num_blocks=12))

    def named(removals: Sequence[Removal]) -> list[Removal]:
        return [tuple(2 * block + 1 for block in removal) for removal in removals]

    for number, ranking in first.independent.items():
        there = [one.removal for one in second.independent[number].combinations]
        assert there == named([one.removal for one in ranking.combinations])
    path = [step.combination.removal for step in first.stepwise.steps]
    assert [step.combination.removal for step in second.stepwise.steps] == named(path)


@given(cells(complete=True), st.permutations(range(4)))
def test_any_permutation_of_the_blocks_keeps_every_drop(
    drawn: Cells, permutation: list[int]
) -> None:
    renamed = {
        tuple(sorted(permutation[block] for block in removal)): row
        for removal, row in drawn.items()
    }
    first, second = recommend(results(drawn)), recommend(results(renamed))
    for number, ranking in first.independent.items():
        assert [one.mean for one in ranking.combinations] == [
            one.mean for one in second.independent[number].combinations
        ]


@given(cells(), st.integers(0, 3))
def test_a_constant_on_one_dataset_moves_only_the_means_over_it(drawn: Cells, column: int) -> None:
    assume(measured(drawn))
    column %= len(next(iter(drawn.values())))
    constant = 1 / 8
    moved = {
        removal: [
            drop + constant if place == column and drop is not None else drop
            for place, drop in enumerate(row)
        ]
        for removal, row in drawn.items()
    }
    before = {one.removal: one for one in combine(results(drawn).datasets)}
    after = {one.removal: one for one in combine(results(moved).datasets)}
    for removal, one in before.items():
        here = drawn[removal][column] is not None
        shift = constant / one.coverage if here else 0.0
        assert after[removal].mean == pytest.approx(one.mean + shift, abs=1e-9)
        assert after[removal].coverage == one.coverage


@given(cells(complete=True))
def test_another_dataset_with_equal_drops_is_the_identity(drawn: Cells) -> None:
    one = {removal: row[:1] for removal, row in drawn.items()}
    twice = {removal: row[:1] * 2 for removal, row in drawn.items()}
    first, second = recommend(results(one)), recommend(results(twice))
    assert [
        (single.removal, single.mean, single.std)
        for ranking in first.independent.values()
        for single in ranking.combinations
    ] == [
        (single.removal, single.mean, single.std)
        for ranking in second.independent.values()
        for single in ranking.combinations
    ]


@given(cells())
def test_a_missing_cell_is_never_read_as_zero(drawn: Cells) -> None:
    """Shifting every measured drop to at least 0.5 leaves no mean below it."""
    assume(measured(drawn))
    high = {
        removal: [None if drop is None else 0.5 + abs(drop) / 2 for drop in row]
        for removal, row in drawn.items()
    }
    for ranking in recommend(results(high), Ranking(min_coverage=1)).independent.values():
        assert all(one.mean >= 0.5 for one in ranking.combinations)
        assert all(len(one.drops) == one.coverage for one in ranking.combinations)
