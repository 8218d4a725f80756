"""The published results over eight datasets come out as they were published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.combinations import combine
from depthprune.analysis.recommend import Recommended, recommend, scores_realising
from depthprune.analysis.result_set import ResultSet
from depthprune.analysis.verified import choose
from depthprune.importance.compare import rank_agreement
from depthprune.importance.select import select_blocks
from tests.analysis.results import PUBLISHED

ORIGINAL = Path("/work/shared/published")
BEAM = "exp3_beam_search_multi_dataset"
EXPECTED: Mapping[str, Any] = json.loads((PUBLISHED / "expected.json").read_text())
POINT = 0.01 / 100 + 1e-9
"""Drops are held to a hundredth of a point, as they were printed."""


@pytest.fixture(scope="module", params=[PUBLISHED, ORIGINAL], ids=["copy", "original"])
def folder(request: pytest.FixtureRequest) -> Path:
    found = request.param
    assert isinstance(found, Path)
    if not found.exists():
        pytest.skip(f"{found} is not on this machine")
    return found


@pytest.fixture(scope="module")
def published(folder: Path) -> ResultSet:
    return read_result_set(folder / BEAM)


@pytest.fixture(scope="module")
def found(published: ResultSet) -> Recommended:
    return recommend(published)


def test_the_copy_is_what_was_published() -> None:
    if not ORIGINAL.exists():
        pytest.skip("the published files are not on this machine")
    for path in sorted(ORIGINAL.rglob("*.json")):
        copy = PUBLISHED / path.relative_to(ORIGINAL)
        assert json.loads(copy.read_text()) == json.loads(path.read_text()), copy


def test_all_eight_datasets_are_read_with_their_task_types(published: ResultSet) -> None:
    assert published.num_blocks == 16
    assert {one.dataset: one.task_type for one in published.datasets} == {
        "coco_2014_vqa": "VQA",
        "coco_caption": "Captioning",
        "doc_qa": "Document QA",
        "okvqa": "VQA",
        "science_qa_img": "Multiple Choice",
        "st_qa": "Scene Text QA",
        "tally_qa": "Exact Match",
        "text_vqa": "VQA",
    }
    assert published.splits["tally_qa"] == "train+test"


@pytest.mark.parametrize("number", EXPECTED["independent"])
def test_the_independent_best_five(found: Recommended, number: str) -> None:
    ranked = found.independent[int(number)].combinations
    assert [list(one.removal) for one in ranked[:5]] == EXPECTED["independent"][number]


@pytest.mark.parametrize("number", EXPECTED["robust"])
def test_the_robust_best(found: Recommended, number: str) -> None:
    best = found.robust[int(number)].combinations[0]
    assert list(best.removal) == EXPECTED["robust"][number]
    assert best.coverage >= 3


@pytest.mark.parametrize("number", range(4))
def test_the_stepwise_path(found: Recommended, number: int) -> None:
    step, expected = found.stepwise.steps[number], EXPECTED["stepwise"][number]
    assert list(step.combination.removal) == expected["blocks"]
    assert step.combination.mean == pytest.approx(expected["drop"] / 100, abs=POINT)
    assert step.combination.std == pytest.approx(expected["std"] / 100, abs=POINT)
    assert step.combination.coverage == expected["datasets"]
    if expected["incremental"] is None:
        assert step.incremental is None
    else:
        assert step.incremental == pytest.approx(expected["incremental"] / 100, abs=POINT)


def test_the_path_is_complete_and_jumps_at_the_fourth_block_only(found: Recommended) -> None:
    assert found.stepwise.missing is None
    assert [step.jump for step in found.stepwise.steps] == [False, False, False, True]


@pytest.mark.parametrize("removal", EXPECTED["average_accuracy"])
def test_the_average_accuracies(published: ResultSet, removal: str) -> None:
    blocks = tuple(map(int, removal.split("-")))
    (one,) = (one for one in combine(published.datasets) if one.removal == blocks)
    assert 100 * one.accuracy == pytest.approx(EXPECTED["average_accuracy"][removal], abs=0.02)


def test_block_0_is_the_only_one_that_must_never_go(found: Recommended) -> None:
    (essential,) = found.essential
    assert essential.combination.removal == (0,)
    assert 100 * essential.combination.mean == pytest.approx(
        EXPECTED["block_0_average_drop"], abs=0.01
    )
    assert essential.combination.coverage == 8
    assert essential.share > 0.8


@pytest.mark.parametrize("active", EXPECTED["num_active_blocks"])
def test_selecting_by_the_scores_removes_exactly_the_path(found: Recommended, active: str) -> None:
    removal = select_blocks(scores_realising(found), int(active))
    assert list(removal) == EXPECTED["num_active_blocks"][active]


def test_removals_measured_on_one_dataset_only_are_left_out_and_counted(
    found: Recommended,
) -> None:
    # (2, 4) and (3, 14) would win: one dataset each, and better than the unpruned model there.
    assert found.independent[2].low_coverage == 2
    assert {one.coverage for one in found.independent[2].combinations} >= {2}
    assert min(one.coverage for one in found.independent[2].combinations) == 2


def test_the_recommended_strategies(found: Recommended) -> None:
    assert {one.name: [each.removal for each in one.combinations] for one in found.strategies} == {
        "conservative": [(4,), (4, 13)],
        "balanced": [(2, 4, 7)],
        "aggressive": [(2, 4, 13, 14), (3, 4, 13, 14)],
    }
    choice = choose(found)
    assert choice is not None
    assert choice.combination.removal == (4, 13)


def test_the_limit_is_a_tenth_of_the_mean_baseline(found: Recommended) -> None:
    assert found.limit.drop == pytest.approx(0.0757, abs=POINT)
    assert found.limit.baseline == pytest.approx(0.7571, abs=POINT)
    assert found.limit.coverage == 6
    assert list(found.limit.unbounded) == ["coco_caption"]


def test_single_blocks_are_measured_everywhere_so_that_adjusting_changes_nothing(
    published: ResultSet, found: Recommended
) -> None:
    for one in found.independent[1].combinations:
        assert found.adjusted[one.removal] == pytest.approx(one.mean, abs=1e-12)


def test_for_two_blocks_the_adjusted_winner_is_another(found: Recommended) -> None:
    (disagreement,) = found.disagreements
    assert (disagreement.plain.removal, disagreement.adjusted.removal) == ((2, 10), (12, 14))


def test_the_comparisons_of_the_splits_are_read(folder: Path) -> None:
    agreement = {
        one.dataset: rank_agreement(one.train_scores, one.validation_scores)
        for one in read_result_set(folder).comparisons
    }
    assert {name: one.rho for name, one in agreement.items()} == pytest.approx(
        EXPECTED["spearman"], abs=5e-5
    )


def test_comparisons_alone_are_analysed_by_their_validation_scores(folder: Path) -> None:
    results = read_result_set(folder / "exp3_importance_comparison")
    assert results.splits == {"coco_caption": "validation", "st_qa": "validation"}
    assert results.datasets[1].drop((0,)) == 0.621
    assert any("only comparisons" in problem for problem in results.problems)
