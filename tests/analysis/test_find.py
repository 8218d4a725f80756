"""Specification of all findings together, and what the published results show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median, pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.dataset_agreement import extreme_pairs
from depthprune.analysis.drop_table import drop_table
from depthprune.analysis.findings import AnalysisFindings, find
from depthprune.analysis.result_set import (
    DatasetMeasurements,
    ResultSet,
    SplitAgreement,
    split_agreement,
)
from depthprune.analysis.synergy import antagonistic, synergistic
from depthprune.base.errors import DepthpruneError
from depthprune.base.removal import Removal
from tests.analysis.tables import shifted
from tests.measurements import dataset

PUBLISHED = Path(__file__).parent / "data" / "published"
TYPES = {
    "coco_2014_vqa": "VQA",
    "text_vqa": "VQA",
    "okvqa": "VQA",
    "science_qa_img": "Multiple Choice",
    "st_qa": "Scene Text QA",
    "doc_qa": "Document QA",
    "tally_qa": "Exact Match",
    "coco_caption": "Captioning",
}


def results(
    datasets: Sequence[DatasetMeasurements],
    num_blocks: int = 4,
    comparisons: Sequence[SplitAgreement] = (),
) -> ResultSet:
    return ResultSet(
        model="tiny",
        num_blocks=num_blocks,
        datasets=tuple(datasets),
        splits={one.dataset: "validation" for one in datasets},
        comparisons=tuple(comparisons),
    )


def test_everything_is_found_in_one_pass() -> None:
    scores = {(0,): 0.25, (1,): 0.75, (2,): 0.5, (3,): 0.875, (0, 1): 0.25, (1, 3): 0.5}
    other = {removal: accuracy / 2 for removal, accuracy in scores.items()}
    rising = {0: 0.5, 1: 0.25, 2: 0.125}
    found = find(
        results(
            [dataset("okvqa", 1.0, scores), dataset("coco", 0.5, other, "Captioning")],
            comparisons=[split_agreement("okvqa", rising, rising)],
        )
    )
    assert [one.task_type for one in found.by_task_type] == ["VQA", "Captioning"]
    assert [one.name for one in found.positions] == ["early", "middle", "late"]
    assert [one.removal for one in found.synergies] == [(0, 1), (1, 3)]
    assert len(found.consistency) == 6
    assert [one.dataset for one in found.responses] == ["okvqa", "coco"]
    assert [(one.first, one.second, one.pearson) for one in found.pairs] == [
        ("coco", "okvqa", pytest.approx(1.0))
    ]
    assert found.overall.count == 12
    assert [one.count for one in found.by_number.values()] == [8, 4]
    assert found.agreements[0].rho == 1.0
    assert [one.block for one in found.blocks] == [0, 1, 2, 3]
    assert [one.name for one in found.positions_by_number] == ["early", "middle", "late", "mixed"]
    assert list(found.synergies_by_number) == [2]
    assert list(found.variation_by_coverage) == [2]
    assert [one.same_type for one in found.pair_groups] == [False]


def test_a_pair_needs_as_many_common_combinations_as_asked_for() -> None:
    three = {(0,): 0.1, (1,): 0.2, (2,): 0.3}
    given_results = results([dataset("one", 0.5, three), dataset("two", 0.5, three)])
    assert find(given_results).pairs[0].pearson is None
    assert find(given_results, min_common=3).pairs[0].pearson == pytest.approx(1.0)
    with pytest.raises(DepthpruneError):
        find(given_results, min_common=0)


@pytest.mark.parametrize(
    "datasets",
    [
        [],
        [dataset("one", 0.5, {})],
        [dataset("one", 0.5, {(1,): 0.5})],
        [dataset("one", 0.5, {(1, 2): 0.5}, "")],
        [dataset("one", 0.5, {(0,): 0.5, (1,): 0.5, (2,): 0.5}), dataset("two", 0.5, {})],
        [dataset("one", 0.5, {(0,): 0.4}), dataset("two", 0.5, {(1, 2): 0.4})],
    ],
    ids=["nothing", "baseline", "one cell", "no singles", "an empty dataset", "nothing common"],
)
@pytest.mark.parametrize("num_blocks", [3, 80])
@pytest.mark.filterwarnings("error")
def test_little_is_enough(datasets: list[DatasetMeasurements], num_blocks: int) -> None:
    found = find(results(datasets, num_blocks))
    cells = [drop for one in datasets for drop in map(one.drop, one.measurements)]
    assert found.overall.count == len(cells)
    assert len(found.positions) == 3
    assert len(found.pairs) == len(datasets) * (len(datasets) - 1) // 2
    assert len(found.responses) == sum(bool(one.measurements) for one in datasets)


drops = st.integers(0, 64).map(lambda steps: steps / 64)
removals = st.sampled_from([(0,), (1,), (2,), (3,), (0, 1), (0, 2), (1, 3), (0, 1, 2)])


@settings(max_examples=40)
@given(st.lists(st.dictionaries(removals, drops, max_size=8), min_size=1, max_size=4), st.data())
def test_a_missing_cell_is_never_read_as_zero(
    cells: list[dict[Removal, float]], data: st.DataObject
) -> None:
    """Every number must stay as it is when all that is not measured is not even named."""
    datasets = [dataset(f"set{index}", 1.0, scores) for index, scores in enumerate(cells)]
    one = data.draw(st.sampled_from(datasets))
    found = find(results(datasets))
    for response in found.responses:
        if response.dataset == one.dataset:
            alone = find(results([one])).responses[0]
            assert response.drops.values.tolist() == alone.drops.values.tolist()
            assert response.best == alone.best
    measured = sorted(1.0 - accuracy for scores in cells for accuracy in scores.values())
    assert found.overall.values.tolist() == measured
    for block in found.blocks:
        column = [1.0 - scores[(block.block,)] for scores in cells if (block.block,) in scores]
        assert (block.mean, block.coverage) == (pytest.approx(fmean(column)), len(column))


# What the published results show, against numbers computed from the files without this package.


Published = tuple[dict[str, dict[Removal, float]], AnalysisFindings]


def published_drops() -> dict[str, dict[Removal, float]]:
    files = PUBLISHED.glob("exp3_beam_search_multi_dataset/*/*/exp3_accuracy*.json")
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return {
        content["dataset_name"]: {
            tuple(entry["removed_block_indices"]): entry["accuracy_drop"]
            for entry in content["summary"]
        }
        for content in contents
    }


@pytest.fixture(scope="module")
def published() -> Published:
    return published_drops(), find(read_result_set(PUBLISHED))


def near(value: float) -> object:
    return pytest.approx(value, abs=1e-9)


def test_published_block_0_is_the_most_damaging(published: Published) -> None:
    cells, found = published
    worst = max(found.blocks, key=lambda one: one.mean)
    assert (worst.block, worst.coverage) == (0, 8)
    assert worst.mean == near(fmean(drops[(0,)] for drops in cells.values()))
    assert 100 * worst.mean == pytest.approx(62.7, abs=0.05)


def test_published_task_types(published: Published) -> None:
    cells, found = published
    by_name = {one.task_type: one for one in found.by_task_type}
    assert by_name.keys() == set(TYPES.values())
    own = [drop for name in cells if TYPES[name] == "VQA" for drop in cells[name].values()]
    vqa = by_name["VQA"].drops
    assert vqa.count == len(own) == 63
    assert (vqa.mean, vqa.std, vqa.median) == (
        near(fmean(own)),
        near(pstdev(own)),
        near(median(own)),
    )
    singles = {
        name: fmean(
            drop
            for dataset_name, drops in cells.items()
            if TYPES[dataset_name] == name
            for removal, drop in drops.items()
            if len(removal) == 1
        )
        for name in by_name
    }
    assert found.by_task_type[0].task_type == max(singles, key=singles.__getitem__)
    assert found.by_task_type[-1].task_type == min(singles, key=singles.__getitem__)


def test_published_positions(published: Published) -> None:
    cells, found = published
    for position, blocks in zip(
        found.positions, (range(5), range(5, 11), range(11, 16)), strict=True
    ):
        assert position.drops is not None
        means = [fmean(drops[(block,)] for drops in cells.values()) for block in blocks]
        assert position.drops.mean == near(fmean(means))


def test_published_synergies(published: Published) -> None:
    cells, found = published
    expected = {}
    for removal in {removal for drops in cells.values() for removal in drops if len(removal) > 1}:
        both = [drops for drops in cells.values() if removal in drops]
        expected[removal] = fmean(
            drops[removal] - sum(drops[(block,)] for block in removal) for drops in both
        )
    assert {one.removal: one.synergy for one in found.synergies} == pytest.approx(
        expected, abs=1e-6
    )
    assert synergistic(found.synergies, top=1)[0].removal == min(expected, key=expected.__getitem__)
    assert antagonistic(found.synergies, top=1)[0].removal == max(
        expected, key=expected.__getitem__
    )


def test_published_pairs(published: Published) -> None:
    cells, found = published
    assert len(found.pairs) == 28
    for pair in found.pairs:
        common = sorted(cells[pair.first].keys() & cells[pair.second].keys())
        left, right = (
            [cells[name][removal] for removal in common] for name in (pair.first, pair.second)
        )
        assert pair.common == len(common) >= 16
        assert pair.pearson == near(pearsonr(left, right).statistic)
        assert pair.spearman == pytest.approx(
            spearmanr(np.round(left, 6), np.round(right, 6)).statistic
        )
        assert pair.difference == near(fmean(left) - fmean(right))
    most, least = extreme_pairs(found.pairs)
    assert len(most) == len(least) == 5
    assert most[0].pearson == max(pair.pearson or 0 for pair in found.pairs)
    assert least[0].pearson == min(pair.pearson or 0 for pair in found.pairs)


def test_published_consistency_holds_every_combination_of_two_datasets(
    published: Published,
) -> None:
    cells, found = published
    counts: dict[Removal, int] = {}
    for drops in cells.values():
        for removal in drops:
            counts[removal] = counts.get(removal, 0) + 1
    assert {one.removal: one.coverage for one in found.consistency} == {
        removal: count for removal, count in counts.items() if count >= 2
    }


def test_published_train_and_validation_agree(published: Published) -> None:
    _, found = published
    assert [one.dataset for one in found.agreements] == ["coco_caption", "st_qa"]
    for one in found.agreements:
        assert one.rho == pytest.approx(0.9882, abs=5e-5)
        assert one.p_value == pytest.approx(8.11e-13, rel=0.01)


def test_a_table_made_before_serves_as_well() -> None:
    given_results = results([dataset("one", 0.5, {(0,): 0.25, (1,): 0.125})], 2)
    table = drop_table(given_results.datasets, 2)
    assert find(given_results, table=table).blocks == find(given_results).blocks
    assert find(given_results, table=shifted(table, 0, 0.5)).overall.mean == pytest.approx(0.8125)


def test_the_table_of_the_findings_is_that_of_the_datasets() -> None:
    one = dataset("one", 1.0, {(1,): 0.75, (0,): 0.5, (0, 1): 0.25})
    two = dataset("two", 1.0, {(1,): 0.5})
    found = drop_table([one, two], 3)
    assert found.removals == ((0,), (1,), (0, 1))
    assert found.membership.tolist() == [
        [True, False, False],
        [False, True, False],
        [True, True, False],
    ]
    assert found.rows_by_number == {1: slice(0, 2), 2: slice(2, 3)}
    np.testing.assert_equal(found.single_drops, [[0.5, np.nan], [0.25, 0.5], [np.nan, np.nan]])
    assert found.coverage.tolist() == [1, 2, 1]
