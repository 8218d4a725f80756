"""What fresh samples say: which removals are verified, what they cost there, what is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depthprune.analysis.collect import read_result_set
from depthprune.analysis.findings import analyze_results
from depthprune.analysis.intervals import paired_intervals
from depthprune.analysis.options import Targets
from depthprune.analysis.recommend import Recommended
from depthprune.analysis.result_set import FreshResults, ResultSet
from depthprune.analysis.verified import Verified, choose, choose_first, refused, removals_to_verify
from depthprune.base.removal import Removal
from depthprune.study import SplitRecord, StudyStore
from depthprune.study.records import UNVERIFIED
from tests.analysis.results import result_set
from tests.measurements import dataset
from tests.study.example import MODEL, SETTINGS

SEARCHED: dict[Removal, int] = {(1,): 1, (2,): 2, (0,): 9, (3,): 60, (1, 2): 2, (0, 1): 3}
"""Samples of a hundred that each removal loses where it was searched."""


def scores(lost: int, start: int = 0, number: int = 100) -> list[float]:
    """Return scores of 1, but for so many samples from `start` on."""
    return [0.0 if start <= place < start + lost else 1.0 for place in range(number)]


def searched(**more: object) -> ResultSet:
    found = {removal: scores(lost) for removal, lost in SEARCHED.items()}
    datasets = [dataset(name, scores(0), found) for name in ("set0", "set1")]
    return replace(result_set(datasets, num_blocks=4), **more)  # type: ignore[arg-type]


def with_fresh(lost: Mapping[Removal, int], names: tuple[str, ...] = ("set0", "set1")) -> ResultSet:
    measured = {removal: scores(count, start=7) for removal, count in lost.items()}
    fresh = tuple(dataset(name, scores(0), measured) for name in names)
    return searched(fresh=FreshResults(fresh, dict.fromkeys(names, "train")))


def found(results: ResultSet, **targets: float) -> Recommended:
    return analyze_results(results, targets=Targets(**targets)).recommendations


def value(results: ResultSet) -> Verified:
    verified = found(results).verified
    assert verified is not None
    return verified


def removal_of(recommendations: Recommended) -> Removal:
    choice = choose(recommendations)
    assert choice is not None
    return choice.combination.removal


def test_what_is_recommended_is_verified_with_the_runner_up_and_the_one_shot_removals() -> None:
    assert removals_to_verify(found(searched())) == {
        (1,): ("conservative",),
        (1, 2): ("conservative", "balanced", "aggressive", "one_shot"),
        (0, 1): ("runner_up",),
    }


def test_nothing_is_known_where_nothing_was_verified() -> None:
    assert found(searched()).verified is None
    assert refused(found(searched())) == ()


def test_a_removal_has_its_fresh_drop_beside_the_one_by_which_it_was_chosen() -> None:
    one = value(with_fresh({(1, 2): 4, (0, 1): 3})).of((1, 2))
    assert one is not None
    assert one.roles == ("conservative", "balanced", "aggressive", "one_shot")
    assert [(each.dataset, each.split, each.num_samples) for each in one.datasets] == [
        ("set0", "train", 100),
        ("set1", "train", 100),
    ]
    assert one.drop == pytest.approx(0.04)
    assert one.searched == pytest.approx(0.02)
    results = with_fresh({(1, 2): 4, (0, 1): 3})
    assert results.fresh is not None
    assert [one.interval] == paired_intervals(results.fresh.datasets, [((), (1, 2))])
    assert [one.searched_interval] == paired_intervals(results.datasets, [((), (1, 2))])
    assert (one.num_samples, one.num_searched) == (200, 2)


def test_the_gain_over_one_shot_is_paired_and_on_the_same_fresh_samples() -> None:
    results = with_fresh({(0, 1): 3, (1, 2): 9})
    one = value(results).of((0, 1))
    assert one is not None
    assert one.gain is not None
    assert one.gain.one_shot == (1, 2)
    assert one.gain.gain == pytest.approx(0.06)
    assert one.gain.drop == pytest.approx(0.09)
    assert results.fresh is not None
    assert [one.gain.interval] == paired_intervals(results.fresh.datasets, [((0, 1), (1, 2))])


def test_a_drop_on_datasets_that_did_not_measure_a_removal_before_is_no_drop_that_chose_it() -> (
    None
):
    results = with_fresh({(1, 2): 4})
    first, second = results.datasets
    without = replace(second, measurements={(1,): second.measurements[(1,)]})
    one = value(replace(results, datasets=(first, without))).of((1, 2))
    assert one is not None
    assert [each.searched for each in one.datasets] == [pytest.approx(0.02), None]
    assert (one.num_searched, one.searched) == (1, pytest.approx(0.02))


def test_what_keeps_to_the_limit_on_fresh_samples_is_confirmed_and_taken() -> None:
    recommendations = found(with_fresh({(1, 2): 4, (1,): 1}))
    assert recommendations.verified is not None
    one = recommendations.verified.of((1, 2))
    assert one is not None
    assert (one.limit, one.confirmed) == (pytest.approx(0.1), True)
    assert removal_of(recommendations) == (1, 2)


def test_what_does_not_gives_way_to_the_next_smaller_one() -> None:
    recommendations = found(with_fresh({(1, 2): 9, (1,): 1}))
    assert recommendations.verified is not None
    one = recommendations.verified.of((1, 2))
    assert one is not None
    assert one.drop < 0.1 < one.upper_end
    assert one.confirmed is False
    choice = choose(recommendations)
    assert choice is not None
    assert (choice.combination.removal, choice.refused) == ((1,), ((1, 2),))
    first = choose_first(recommendations)
    assert first is not None
    assert first.combination.removal == (1, 2)


def test_nothing_is_taken_where_nothing_is_confirmed() -> None:
    recommendations = found(with_fresh({(1, 2): 30, (1,): 20}))
    assert choose(recommendations) is None
    assert refused(recommendations) == ((1, 2), (1,))


def test_a_largest_drop_is_kept_to_by_the_mean_as_it_was_chosen() -> None:
    keeps = found(with_fresh({(0, 1): 3, (1, 2): 2, (1,): 1}), max_drop=0.02)
    assert removal_of(keeps) == (1, 2)
    breaks = found(with_fresh({(0, 1): 3, (1, 2): 3, (1,): 1}), max_drop=0.02)
    choice = choose(breaks)
    assert choice is not None
    assert (choice.rule, choice.combination.removal) == ("max_drop", (1,))
    assert choice.refused == ((1, 2),)


def test_datasets_that_could_not_be_verified_are_named_with_the_reason() -> None:
    results = with_fresh({(1, 2): 4}, names=("set0",))
    assert results.fresh is not None
    few = replace(results, fresh=replace(results.fresh, counts={"set1": 31}))
    verified = value(few)
    assert verified.datasets == ("set0",)
    assert [(one.dataset, one.num_samples) for one in verified.missing] == [("set1", 31)]
    gone = replace(results, fresh=replace(results.fresh, reasons={"set1": "the data are gone"}))
    assert [one.reason for one in value(gone).missing] == ["the data are gone"]


# From a study.


def store(
    study: StudyStore, role: str, ids: range, *, pictures: bool = True, removals: int = 3
) -> SplitRecord:
    record = SplitRecord(
        task="okvqa",
        task_type="VQA",
        split="validation",
        fingerprint=f"{role} {ids}",
        sample_ids=tuple(f"validation/{number}" for number in ids),
        metric="vqa_accuracy",
        pictures=tuple((f"picture-{number}",) for number in ids) if pictures else (),
        role=role,  # type: ignore[arg-type]
    )
    key = study.add_split(record)
    for removal in [(), (1,), (2,)][:removals]:
        given = np.array([number % (2 + sum(removal)) > 0 for number in ids], dtype=np.float32)
        study.add(key, SETTINGS, removal, given, ["a"] * len(ids), 1.0)
    return record


def fresh_of(folder: Path) -> FreshResults:
    fresh = read_result_set(folder).fresh
    assert fresh is not None
    return fresh


def test_what_was_verified_is_read_beside_what_was_searched(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, model=MODEL) as study:
        store(study, "search", range(60))
        assert read_result_set(tmp_path).fresh is None
        store(study, "verification", range(100, 160))
    results = read_result_set(tmp_path)
    assert [one.baseline.num_samples for one in results.datasets] == [60]
    assert results.fresh is not None
    (fresh,) = results.fresh.datasets
    assert (fresh.baseline.num_samples, set(fresh.measurements)) == (60, {(1,), (2,)})


def test_samples_that_were_searched_on_later_are_not_fresh_any_more(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, model=MODEL) as study:
        store(study, "search", range(60))
        store(study, "verification", range(100, 170))
        store(study, "search", range(60, 110))
    (fresh,) = fresh_of(tmp_path).datasets
    assert fresh.baseline.num_samples == 60
    assert fresh.baseline.scores is not None
    kept = [number % 2 > 0 for number in range(110, 170)]
    assert fresh.baseline.scores.tolist() == kept
    assert fresh.baseline.accuracy == pytest.approx(np.mean(kept))


def test_a_picture_that_was_searched_on_makes_a_sample_no_fresh_one(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, model=MODEL) as study:
        other = store(study, "search", range(60))
        shown = ("picture-3",)
        record = replace(
            other,
            role="verification",
            fingerprint="another",
            sample_ids=tuple(f"train/{number}" for number in range(60)),
            pictures=(shown, *((f"new-{number}",) for number in range(59))),
        )
        key = study.add_split(record)
        for removal in [(), (1,)]:
            study.add(key, SETTINGS, removal, np.ones(60), ["a"] * 60, 1.0)
    (fresh,) = fresh_of(tmp_path).datasets
    assert fresh.baseline.num_samples == 59


def test_fewer_than_fifty_fresh_samples_verify_nothing(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, model=MODEL) as study:
        store(study, "search", range(60))
        store(study, "verification", range(100, 149))
    fresh = fresh_of(tmp_path)
    assert (fresh.datasets, fresh.counts) == ((), {"okvqa": 49})


def test_a_baseline_alone_verifies_nothing(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, model=MODEL) as study:
        store(study, "search", range(60))
        store(study, "verification", range(100, 160), removals=1)
    assert fresh_of(tmp_path) == FreshResults()


def test_why_a_dataset_could_not_be_verified_is_kept(tmp_path: Path) -> None:
    with StudyStore.open(tmp_path, model=MODEL) as study:
        store(study, "search", range(60))
        study.begin_run({UNVERIFIED: {"okvqa": "the data are gone"}})
    missing = found(read_result_set(tmp_path)).verified
    assert missing is not None
    assert [(one.dataset, one.reason) for one in missing.missing] == [
        ("okvqa", "the data are gone")
    ]
