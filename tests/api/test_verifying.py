"""What is recommended is measured again on fresh samples: which, how often, and what follows."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import depthprune as dp
from depthprune.analysis.verified import VerifiedRemoval, refused
from depthprune.base.errors import DepthpruneError, ModelError
from depthprune.base.removal import Removal
from depthprune.report.sections.run import done_lines
from depthprune.strategies.how import StudyPlaces, model_again, splits_again
from depthprune.study import StoredSplit
from depthprune.study.store import StudyStore
from depthprune.tasks.load import load_split
from depthprune.tasks.registry import find_task, list_tasks
from depthprune.workflow.verifying import VerificationOptions, verify_again

NAME = "demo_okvqa"


@pytest.fixture(scope="module")
def demo() -> dp.Model:
    return dp.load_model("demo")


@pytest.fixture(scope="module")
def begun(demo: dp.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search on training samples, so that the validation split is fresh."""
    tasks = dp.load_tasks(NAME, split="train", num_samples=50)
    return dp.search(
        demo,
        tasks,
        folder=tmp_path_factory.mktemp("study"),
        strategy=dp.Beam(width=2, max_removed=2),
        protect=[block for block in range(16) if block not in (4, 7, 13)],
    ).folder


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(begun, tmp_path / "study")


def verified(folder: Path) -> list[StoredSplit]:
    with StudyStore.open(folder, read_only=True) as store:
        return store.splits(role="verification")


def measurements(folder: Path) -> list[tuple[str, Removal, str]]:
    with StudyStore.open(folder, read_only=True) as store:
        return [
            (one.split, one.removal, one.created)
            for stored in store.splits(role=None)
            for one in store.measurements(stored.key, with_samples=False)
        ]


def test_the_whole_model_and_what_is_recommended_are_measured_on_the_other_split(
    demo: dp.Model, folder: Path
) -> None:
    before = dp.recommend(folder)
    assert before.recommended is not None
    table = dp.verify(demo, folder)
    assert before.recommended.removal in table["removal"]
    (stored,) = verified(folder)
    assert (stored.record.split, len(stored.record.sample_ids)) == ("validation", 50)
    after = dp.recommend(folder).found.verified
    assert after is not None
    one = after.of(before.recommended.removal)
    assert one is not None
    assert one.searched == pytest.approx(before.recommended.drop)
    assert [each.num_samples for each in one.datasets] == [50]

    # Nothing of it is ranked or written, and it is measured once.
    assert dp.open_study(folder).results().splits == {NAME: "train"}
    assert {row["split"] for row in dp.open_study(folder).drops()} == {"train"}
    assert not list((folder / "results").rglob("validation"))
    kept = measurements(folder)
    assert dp.verify(demo, folder).rows == table.rows
    assert measurements(folder) == kept


def test_what_is_not_confirmed_gives_way_to_the_next_smaller_one_which_is_verified(
    demo: dp.Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dp.recommend(folder).recommended
    assert first is not None
    assert len(first.removal) == 2
    monkeypatch.setattr(VerifiedRemoval, "keeps_to", lambda one, *_, **__: len(one.removal) < 2)
    monkeypatch.setattr("depthprune.workflow.verifying.removals_to_verify", lambda _: {})
    table = dp.verify(demo, folder, samples=55)
    found = dp.recommend(folder)
    smaller = found.recommended
    assert smaller is not None
    assert len(smaller.removal) == 1
    assert refused(found.found) == (first.removal,)
    assert set(table["removal"]) == {first.removal, smaller.removal}


def test_what_the_study_knows_of_itself_is_enough(folder: Path) -> None:
    told: list[float | None] = []
    what = VerificationOptions(num_samples=60, announce=lambda work: told.append(work.seconds))
    report = verify_again(folder, StudyPlaces(), what)
    assert report.measured > 1
    assert told[0] is not None
    assert told[0] > 0
    assert max(len(one.record.sample_ids) for one in verified(folder)) == 60


def test_each_task_of_a_study_may_have_samples_of_its_own_number(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StudyStore.open(folder) as store:
        (stored,) = store.splits()
        how = dict(store.runs()[0].how) | {"num_samples": 80}
        monkeypatch.setattr("depthprune.strategies.how.measured_how", lambda *_: how)
        again = splits_again(store, [stored], StudyPlaces(), model_again(how))
    assert [one.num_samples for one in again.splits] == [50]
    assert not again.reasons


def test_data_that_have_changed_are_named_and_nothing_is_verified_on_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = replace(find_task(NAME, list_tasks(())), prompt="{question}!")
    monkeypatch.setattr("depthprune.tasks.registry.named_tasks", lambda *_: [task])
    before = measurements(folder)
    report = verify_again(folder, StudyPlaces(), VerificationOptions())
    assert (report.measured, report.reused) == (0, 0)
    assert "prompt" in str(report.unverified[NAME])
    assert any(NAME in line for line in done_lines(report))
    assert measurements(folder) == before
    with StudyStore.open(folder, read_only=True) as store:
        how = store.runs()[-1].how
    assert "prompt" in str(how["unverified"])


def test_a_model_that_was_moved_is_named_and_may_be_given(folder: Path) -> None:
    with pytest.raises(ModelError):
        verify_again(folder, StudyPlaces(model="/nowhere"), VerificationOptions())


def test_code_is_not_run_because_a_study_says_so(folder: Path) -> None:
    with StudyStore.open(folder, read_only=True) as store:
        how = dict(store.runs()[0].how)
    how["asked"] = {"model": {"trust_remote_code": True}, "data": {}}
    with pytest.raises(ModelError, match="code"):
        model_again(how)
    assert model_again(how, StudyPlaces(run_code=True)).trust_remote_code


def test_what_is_held_out_is_never_drawn_and_all_there_is_to_verify_on() -> None:
    task = find_task(NAME, list_tasks(()))
    everything = load_split(task, "validation", None, 3)
    kept = load_split(task, "validation", None, 3, holdout=0.2)
    assert len(kept.samples) == 400
    few = load_split(task, "validation", 50, 3, holdout=0.2)
    assert few.fingerprint == load_split(task, "validation", 50, 3).fingerprint
    ids = {one.id for one in kept.samples}
    fresh = load_split(task, "validation", 60, 3, seen=ids)
    assert not ids & {one.id for one in fresh.samples}
    assert {one.id for one in fresh.samples} < {one.id for one in everything.samples}


def test_a_sample_with_a_picture_that_was_seen_is_not_drawn() -> None:
    task = find_task(NAME, list_tasks(()))
    first = load_split(task, "train", 3, 0)
    seen = {digest for digests in first.pictures for digest in digests}
    again = load_split(task, "train", 3, 0, seen_pictures=seen)
    assert not {one.id for one in first.samples} & {one.id for one in again.samples}
    assert (
        again.samples == load_split(task, "train", 3, 0, seen=[s.id for s in first.samples]).samples
    )


def test_too_few_samples_are_no_verification() -> None:
    from depthprune.workflow.verifying import fresh_number

    assert fresh_number(True) is None
    assert fresh_number(200) == 200
    with pytest.raises(DepthpruneError, match="49 fresh samples"):
        fresh_number(49)
